"""`argorun demo`: an ordinary run against the demo's environment."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

from argorun import event_loop
from argorun.config.load import load
from argorun.config.model import Config, Flags
from argorun.errors import Interrupted
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import Output, open_reporters
from argorun.reporters.stderr import redactor
from argorun.run.supervisor import execute
from argorun.sandbox.demo import DemoEnvironment, demo_environment
from argorun.signals import Interrupts

Environment: TypeAlias = AbstractAsyncContextManager[DemoEnvironment]
LAST_LINES = 10.0  # seconds for a slow reader of the last lines


def demo(*, fail: bool, output: Output) -> int:
    """Set up, run, stop everything, and return the run's exit code. Raises UsageError, KafkaFailed."""
    with event_loop.opened() as loop:
        return loop.run_until_complete(_demo(demo_environment(fail=fail), output))


async def _demo(environment: Environment, output: Output) -> int:
    """A first signal ends the set-up, or the run, which handles its own; no signal ends the stopping."""
    interrupts = Interrupts(only_first=True)
    try:
        with interrupts.handled():
            return await interrupts.run(_set_up_and_run(environment, output))
    except Interrupted as e:
        _say(f"{e.message}: what was started is stopped")
        return e.exit_code


async def _set_up_and_run(environment: Environment, output: Output) -> int:
    _say("Starting Apache Kafka (the first time, its jars are fetched) …")
    async with environment as started:
        _say(started.notice)
        return await _run(demo_config(started), output)


async def _run(config: Config, output: Output) -> int:
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
