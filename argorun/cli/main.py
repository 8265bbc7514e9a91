"""The `argorun` command, its commands and `--version`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from argorun.cli import demo, doctor, errors, exit_codes, help, init, run, schema, sweep

HELP = """Give one test run behind Argo CD its own Kafka topic.

Creates a uniquely named topic, writes the name into the Application's parameters, syncs, follows the
hooks, streams the test Job's log live, and puts everything back, whatever happened.

\b
  argorun demo         shows a whole run on this machine, with nothing set up
  argorun run --help   has every option, and what each exit code means
"""

ORDER = ("run", "sweep", "init", "doctor", "schema", "demo")  # of the commands in the help


class Command(errors.Command, help.Command):
    """One of argorun's commands."""


class Program(errors.Commands, help.Commands):
    """argorun, with its commands in order."""

    ORDER = ORDER


commands = typer.Typer(
    name="argorun",
    cls=Program,
    help=HELP,
    invoke_without_command=True,
    rich_markup_mode=None,  # rich's help costs as much start-up time as everything else together
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_enable=False,
)
commands.command(cls=Command, help=run.HELP, epilog=exit_codes.of_a_run())(run.run)
commands.command(cls=Command, help=sweep.HELP, epilog=exit_codes.of_a_sweep())(sweep.sweep)
commands.command(cls=Command, help=init.HELP)(init.init)
commands.command(cls=Command, help=doctor.HELP)(doctor.doctor)
commands.command(cls=Command, help=schema.HELP)(schema.schema)
commands.command(cls=Command, help=demo.HELP)(demo.demo)

if "_ARGORUN_COMPLETE" in os.environ:  # a shell asks what could be typed
    from argorun.cli import complete

    complete.install(commands)


def version(wanted: bool) -> None:
    """Show the version and exit, where that is wanted."""
    if wanted:
        from argorun import __version__

        typer.echo(f"argorun {__version__}")
        raise typer.Exit


@commands.callback()
def main(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Show the help where no command is given."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
