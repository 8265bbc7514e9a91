"""`argorun demo`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from argorun.cli.options import Output

HELP = """Show a whole run on this machine, with nothing set up beforehand.

Apache Kafka is the real one; Argo CD is a stand-in that answers over real HTTP and runs the example's
containers as local processes. Needs argorun[sandbox].
"""


def demo(
    fail: Annotated[bool, typer.Option("--fail", help="Let the test Job fail, to see a red run.")] = False,
    output: Annotated[
        Output, typer.Option(help="auto: rich in a terminal, else plain. json: one event per line on stdout.")
    ] = Output.AUTO,
) -> None:
    """Hand the options to the sandbox, and exit with the run's code."""
    from argorun.sandbox import command

    raise typer.Exit(command.demo(fail=fail, output=output.value))
