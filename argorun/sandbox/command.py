"""`argorun demo`: an ordinary run against the demo's environment."""

from __future__ import annotations

import asyncio
import functools
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from argorun import HOMEPAGE, event_loop
from argorun.app import errors_shown, show_failures
from argorun.config.load import load
from argorun.config.model import Config, Flags
from argorun.errors import Interrupted, TestsFailed
from argorun.reporters import download
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import open_reporters
from argorun.reporters.stderr import redactor
from argorun.run.supervisor import execute
from argorun.sandbox.installation import here, require_sandbox
from argorun.signals import Interrupts

if TYPE_CHECKING:
    from argorun.sandbox.demo import DemoEnvironment

Environment: TypeAlias = "AbstractAsyncContextManager[DemoEnvironment]"
PASSED = 0
LAST_LINES = 10.0  # seconds for a slow reader of the last lines


def demo(*, fail: bool, output: str) -> int:
    """Set up, run, stop everything, and return the run's exit code; errors are shown."""
    with errors_shown() as ending:
        require_sandbox()
        from argorun.sandbox.demo import KAFKA, demo_environment

        environment = demo_environment(
            fail=fail,
            progress=functools.partial(download.shown, KAFKA),
            starting=functools.partial(download.starting, KAFKA),
        )
        with event_loop.opened() as loop:
            ending.code = loop.run_until_complete(_demo(environment, output, fail))
    return ending.code


def what_next(argorun: str, *, fail: bool) -> str:
    """What to try after the demo; `argorun` is how it was called."""
    again = ("demo", "a green run") if fail else ("demo --fail", "a red run: what it shows of the failure")
    rows = [again, ("init", "write an argorun.yaml for an Application of yours")]
    width = max(len(command) for command, _ in rows)
    lines = [f"  {argorun} {command:<{width}}   {text}" for command, text in rows]
    return "\n".join(["", "Next:", *lines, f"  {HOMEPAGE}#readme"])


async def _demo(environment: Environment, output: str, fail: bool) -> int:
    """A first signal ends the set-up, or the run, which handles its own; no signal ends the stopping."""
    interrupts = Interrupts(only_first=True)
    try:
        with interrupts.handled():
            return await interrupts.run(_set_up_and_run(environment, output, fail))
    except Interrupted as e:
        _say(f"{e.message}: what was started is stopped")
        return e.exit_code


async def _set_up_and_run(environment: Environment, output: str, fail: bool) -> int:
    async with environment as started:
        code = await _run(demo_config(started), output)
        if code in (PASSED, TestsFailed.exit_code):
            _say(what_next(here().argorun, fail=fail))
        return code


async def _run(config: Config, output: str) -> int:
    dispatcher = Dispatcher(open_reporters(output), config.secrets, redactor=redactor())
    try:
        return await execute(config, dispatcher)
    finally:
        await asyncio.to_thread(dispatcher.close, LAST_LINES)
        show_failures(dispatcher)


def demo_config(environment: DemoEnvironment) -> Config:
    """The example's own argorun.yaml, with the demo's addresses, which nobody can open after it."""
    settings = {
        "ARGOCD_SERVER": f"http://{environment.server}",
        "ARGOCD_AUTH_TOKEN": environment.token,
        "KAFKA_BOOTSTRAP_SERVERS": environment.bootstrap_servers,
    }
    file = environment.example / "argorun-kustomize.yaml"
    config = load(Flags(application=environment.application, file=file), settings, Path.cwd())
    return msgspec.structs.replace(config, linked=False)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
