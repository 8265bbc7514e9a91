"""`argorun demo`: an ordinary run against the demo's environment."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from argorun import event_loop
from argorun.app import errors_shown
from argorun.config.load import load
from argorun.config.model import Config, Flags
from argorun.errors import Interrupted, UsageError
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import open_reporters
from argorun.reporters.stderr import redactor
from argorun.run.supervisor import execute
from argorun.signals import Interrupts

if TYPE_CHECKING:
    from argorun.sandbox.demo import DemoEnvironment

Environment: TypeAlias = "AbstractAsyncContextManager[DemoEnvironment]"
LAST_LINES = 10.0  # seconds for a slow reader of the last lines
EXTRA = ("starlette", "uvicorn")  # of argorun[sandbox], what is imported at once


def demo(*, fail: bool, output: str) -> int:
    """Set up, run, stop everything, and return the run's exit code; errors are shown."""
    with errors_shown() as ending:
        environment = _environment()
        with event_loop.opened() as loop:
            ending.code = loop.run_until_complete(_demo(environment(fail=fail), output))
    return ending.code


def _environment() -> Callable[..., Environment]:
    """What starts the demo's environment. Raises UsageError where argorun[sandbox] is not installed."""
    try:
        from argorun.sandbox.demo import demo_environment
    except ModuleNotFoundError as e:
        if e.name is None or e.name.partition(".")[0] not in EXTRA:
            raise
        raise UsageError("the sandbox is not installed", "pip install 'argorun[sandbox]'") from None
    return demo_environment


async def _demo(environment: Environment, output: str) -> int:
    """A first signal ends the set-up, or the run, which handles its own; no signal ends the stopping."""
    interrupts = Interrupts(only_first=True)
    try:
        with interrupts.handled():
            return await interrupts.run(_set_up_and_run(environment, output))
    except Interrupted as e:
        _say(f"{e.message}: what was started is stopped")
        return e.exit_code


async def _set_up_and_run(environment: Environment, output: str) -> int:
    _say("Starting Apache Kafka (the first time, its jars are fetched) …")
    async with environment as started:
        _say(started.notice)
        return await _run(demo_config(started), output)


async def _run(config: Config, output: str) -> int:
    dispatcher = Dispatcher(open_reporters(output), config.secrets, redactor=redactor())
    try:
        return await execute(config, dispatcher)
    finally:
        await asyncio.to_thread(dispatcher.close, LAST_LINES)


def demo_config(environment: DemoEnvironment) -> Config:
    """The example's own argorun.yaml, with the demo's addresses."""
    settings = {
        "ARGOCD_SERVER": f"http://{environment.server}",
        "ARGOCD_AUTH_TOKEN": environment.token,
        "KAFKA_BOOTSTRAP_SERVERS": environment.bootstrap_servers,
    }
    file = environment.example / "argorun-kustomize.yaml"
    return load(Flags(application=environment.application, file=file), settings, Path.cwd())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
