"""The command line: flags to a Config, a Config to a run, a run to an exit code; no logic."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from argorun.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from argorun.config.model import Config, Flags
    from argorun.config.sweep import SweepFlags
    from argorun.errors import ArgorunError
    from argorun.reporters.dispatcher import Dispatcher

HELP = """Give one test run behind Argo CD its own Kafka topic.

Creates a uniquely named topic, writes the name into the Application's parameters, syncs, follows the
hooks, streams the test Job's log live, and puts everything back, whatever happened.

New here? See it work on this machine, with nothing set up:

    argorun demo
"""

LAST_LINES = 0.4  # seconds for whoever reads them slowly, where a signal has ended the run

ConfigurationFile = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="Configuration; ./argorun.yaml where there is one.", show_default=False
    ),
]

app = typer.Typer(
    name="argorun",
    help=HELP,
    epilog=exit_codes.of_a_run(),
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help costs as much start-up time as everything else together
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_enable=False,
)


class Output(StrEnum):
    """How the run is shown."""

    AUTO = "auto"
    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


class Logs(StrEnum):
    """Whose logs are shown."""

    TESTS = "tests"
    HOOKS = "hooks"
    ALL = "all"


def version(wanted: bool) -> None:
    if wanted:
        from argorun import __version__

        typer.echo(f"argorun {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Give one test run behind Argo CD its own Kafka topic."""


@app.command(epilog=exit_codes.of_a_run())
def run(
    application: Annotated[
        str | None, typer.Argument(help="The Application, or NAMESPACE/NAME.", show_default=False)
    ] = None,
    file: ConfigurationFile = None,
    topic: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="The topic is PREFIX_<unix seconds>_<8 hex>.", show_default=False
        ),
    ] = None,
    parameter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The Helm parameter that takes the topic's name.", show_default=False
        ),
    ] = None,
    job: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A test Job or Pod that must run and succeed; every PostSync one where none is named.",
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="For the whole run: 90, 90s, 15m, 1h30m; else 15m.", show_default=False
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(metavar="SHA", help="Sync this commit instead of the tracked one.", show_default=False),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Set one more Helm parameter for this run; Helm types it: 12 is a number.",
        ),
    ] = None,
    set_strings: Annotated[
        list[str] | None,
        typer.Option(
            "--set-string",
            metavar="NAME=VALUE",
            help="The same, always a string, e.g. image.tag=$SHA.",
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option(help="auto: rich in a terminal, else plain. json: one event a line on stdout.")
    ] = Output.AUTO,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write every event to FILE, one JSON a line.", show_default=False
        ),
    ] = None,
    logs: Annotated[
        Logs,
        typer.Option(
            help="Whose logs are shown: the tests', every hook's, or those of all Jobs and bare pods "
            "of the sync. A failed hook's always is."
        ),
    ] = Logs.TESTS,
    log_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also keep the logs in DIR/JOB/POD.CONTAINER.log, whole and not masked.",
            show_default=False,
        ),
    ] = None,
    keep_topics: Annotated[
        bool, typer.Option("--keep-topics", help="Leave the topics, to look into them.")
    ] = False,
    no_settle: Annotated[
        bool, typer.Option("--no-settle", help="Leave the workloads on the run's topic in the end.")
    ] = False,
    no_nudge: Annotated[
        bool,
        typer.Option(
            "--no-nudge", help="Do not refresh the Application when a hook has ended; it takes longer."
        ),
    ] = False,
    force_owned: Annotated[
        bool,
        typer.Option(
            "--force-owned",
            help="Go on though an ApplicationSet or another Application may undo the parameters.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would be done; touch nothing.")
    ] = False,
) -> None:
    """Run the tests of an Application on a topic of their own.

    Everything may stand in argorun.yaml; what is given here wins over it. Credentials come from the
    environment: ARGOCD_AUTH_TOKEN, and ${NAME} in argorun.yaml for Kafka's. ARGOCD_SERVER and
    KAFKA_BOOTSTRAP_SERVERS win over argorun.yaml, too.

    \b
    Examples:
      argorun run                                  what ./argorun.yaml says
      argorun run --dry-run                        check everything, touch nothing
      argorun run weather --topic weather_updates --parameter kafka.topic
      argorun run --set-string image.tag=$GITHUB_SHA --timeout 10m --events events.jsonl
    """
    from argorun.config.model import Flags

    flags = Flags(
        application=application,
        file=file,
        topic=topic,
        parameter=parameter,
        jobs=tuple(job or ()),
        timeout=timeout,
        revision=revision,
        sets=tuple(sets or ()),
        set_strings=tuple(set_strings or ()),
        keep_topics=keep_topics,
        no_settle=no_settle,
        no_nudge=no_nudge,
        force_owned=force_owned,
        dry_run=dry_run,
        logs=logs.value,
    )
    raise typer.Exit(start(flags, output, events, log_dir))


class SweepOutput(StrEnum):
    """How a sweep is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


@app.command(epilog=exit_codes.of_a_sweep())
def sweep(
    file: ConfigurationFile = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX", help="Sweep PREFIX_<unix seconds>_<8 hex> instead of the file's."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Leave what is younger alone; 0s takes everything of ours. Else 6h, or as long as a run of "
            "this file may take.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Take ages under an hour by this machine's clock, where no Argo CD is known."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted and put back; touch nothing.")
    ] = False,
    output: Annotated[
        SweepOutput, typer.Option(help="auto: plain. json: one event a line on stdout.")
    ] = SweepOutput.AUTO,
) -> None:
    """Delete the topics that killed runs left, and put their Applications back.

    Only topics whose name is exactly PREFIX_<unix seconds>_<8 hex> are touched, by the time in the name.
    Where Argo CD's address and token are known, Applications that such a run left with its topic are put
    back first: its operation ended, parameters and auto-sync as they were. The names go to stdout, the rest
    to stderr.

    \b
    Examples:
      argorun sweep --dry-run                      what is there, for the topics in ./argorun.yaml
      argorun sweep --topic weather_updates --older-than 1h
    """
    from argorun.config.sweep import SweepFlags

    flags = SweepFlags(file=file, topics=tuple(topic or ()), older_than=older_than, yes=yes, dry_run=dry_run)
    raise typer.Exit(start_sweep(flags, output))


@app.command()
def demo(
    fail: Annotated[bool, typer.Option("--fail", help="Let the test Job fail, to see a red run.")] = False,
    output: Annotated[Output, typer.Option(help="How the run is shown.")] = Output.AUTO,
) -> None:
    """Show the whole run on this machine, with nothing set up beforehand.

    Apache Kafka is the real one; Argo CD is a stand-in that answers over real HTTP and runs the example's
    containers as local processes. Needs argorun[sandbox].
    """
    from argorun.sandbox.command import demo as show

    raise typer.Exit(guarded(lambda: show(fail=fail, output=output.value)))


def start(flags: Flags, output: Output, events: Path | None, log_dir: Path | None = None) -> int:
    """From flags to the exit code; nothing is touched before the Config stands."""
    from argorun.config.argocd_cli import stored
    from argorun.config.load import load
    from argorun.reporters.stderr import redactor

    def go() -> int:
        config = load(flags, os.environ, Path.cwd(), stored(os.environ), redactor().mask)
        return execute(config, output, events, log_dir)

    return guarded(go)


def start_sweep(flags: SweepFlags, output: SweepOutput) -> int:
    """The same for a sweep."""
    from argorun.config.argocd_cli import stored
    from argorun.config.sweep import load
    from argorun.reporters.stderr import redactor
    from argorun.sweep.steps import execute as swept

    def go() -> int:
        config = load(flags, os.environ, Path.cwd(), stored(os.environ), redactor().mask)
        shown = Output.JSON if output is SweepOutput.JSON else Output.PLAIN
        return announced(lambda dispatcher: swept(config, dispatcher), shown, None, config.secrets)

    return guarded(go)


def execute(config: Config, output: Output, events: Path | None, log_dir: Path | None = None) -> int:
    """Run to the end."""
    from argorun.run.supervisor import execute as supervised

    return announced(lambda shown: supervised(config, shown), output, events, config.secrets, log_dir)


def announced(
    act: Callable[[Dispatcher], Coroutine[None, None, int]],
    output: Output,
    events: Path | None,
    secrets: Collection[str],
    log_dir: Path | None = None,
) -> int:
    """Act, shown as it was asked for; an output that could not be written makes 0 a 10."""
    from argorun import event_loop, signals
    from argorun.errors import ArgorunError, CleanupIncomplete, InternalError
    from argorun.reporters.dispatcher import Dispatcher
    from argorun.reporters.log_files import LogFiles
    from argorun.reporters.open import open_reporters
    from argorun.reporters.stderr import redactor

    reporters = open_reporters(output.value, events)
    files = [LogFiles(log_dir)] if log_dir is not None else []
    dispatcher = Dispatcher(reporters, secrets, redactor=redactor(), untouched=files)
    code = InternalError.exit_code

    def exit_code() -> int:
        return code or (CleanupIncomplete.exit_code if dispatcher.unwritten else 0)

    try:
        with event_loop.opened() as loop:
            code = loop.run_until_complete(act(dispatcher))
    except ArgorunError as e:
        code = e.exit_code
        raise
    finally:
        signals.handle_with(signals.leave_with(exit_code))
        dispatcher.close(LAST_LINES if signals.received() else None)
    for failure in dispatcher.failures:
        print(f"argorun: not everything could be shown or written: {failure}", file=sys.stderr)
    signals.ignore_forever()
    return exit_code()


def guarded(go: Callable[[], int]) -> int:
    """Whatever goes wrong before or around a run, said in one error."""
    from argorun.errors import ArgorunError, InternalError
    from argorun.reporters.stderr import masked_stderr

    with masked_stderr():
        try:
            return go()
        except ArgorunError as e:
            complain(e)
            return e.exit_code
        except KeyboardInterrupt:
            return 130
        except Exception as e:
            complain(InternalError(f"an error inside argorun: {type(e).__name__}: {e}", "please report it"))
            return InternalError.exit_code


def complain(error: ArgorunError) -> None:
    """One clear error: what, where, and what to do."""
    print(f"argorun: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
