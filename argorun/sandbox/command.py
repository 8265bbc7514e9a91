"""`argorun demo`: an ordinary run against the demo environment."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from argorun import event_loop, signals
from argorun.config.load import load
from argorun.config.model import Config, Flags
from argorun.errors import Interrupted
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.open import open_reporters
from argorun.reporters.stderr import redactor
from argorun.run.supervisor import execute
from argorun.sandbox.demo import DemoEnvironment, demo_environment

LAST_LINES = 10.0  # seconds for a slow reader of the last lines


def demo(*, fail: bool, output: str) -> int:
    """Start the environment, run, stop everything; return the exit code. Raises UsageError, KafkaFailed."""
    return event_loop.run(_demo(fail, output))


async def _demo(fail: bool, output: str) -> int:
    """Handle signals until the run does: a signal cancels the set-up."""
    loop = asyncio.get_running_loop()
    got: list[int] = []
    setup = asyncio.current_task()

    def interrupted(signum: int) -> None:
        if not got and setup is not None:
            setup.cancel()
        got.append(signum)

    try:
        with signals.heard_by(lambda signum: loop.call_soon_threadsafe(interrupted, signum)):
            _say("Starting Apache Kafka (the first time, its jars are fetched) …")
            async with demo_environment(fail=fail) as environment:
                _say(environment.notice)
                code = await _run(environment, output)
                got.append(0)  # from here on, a signal changes nothing: everything is being stopped
                return code
    except asyncio.CancelledError:
        error = Interrupted(got[0] if got else signal.SIGINT)
        _say(f"{error.message}: what was started is stopped")
        return error.exit_code


async def _run(environment: DemoEnvironment, output: str) -> int:
    config = demo_config(environment)
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
