"""Takes a run from its Config to its exit code: signals, the time limit, the verdict, the clean-up."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import traceback
from typing import Any

from argorun import events, signals
from argorun.argocd.client import Client
from argorun.argocd.diagnosis.analyze import Finding
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.errors import ArgorunError, CleanupIncomplete, InternalError, Interrupted, TimedOut
from argorun.event_loop import CLOSING, CLOSING_AT_ONCE, connections, finished
from argorun.kafka.topics import Topics
from argorun.reporters.dispatcher import Dispatcher
from argorun.run.steps import Run
from argorun.signals import SAME_PRESS

SWEPT = ("topic", "the parameters")  # what `argorun sweep` would see to, too, as the undos are called


STOPPING = 2.0  # seconds for the steps to stop after a signal; what they had begun is undone all the same
STOPPING_AT_ONCE = 0.2  # the same after a second one


async def execute(config: Config, dispatcher: Dispatcher) -> int:
    """Run the tests and give back the exit code. Raises UsageError only before anything was done."""
    began = time.monotonic()
    at_once = asyncio.Event()
    gc.freeze()  # what was imported stays: going through it would hold the event loop for 50 ms at a time

    async with connections(lambda: CLOSING_AT_ONCE if at_once.is_set() else CLOSING) as stack:
        kafka = Topics(
            config.kafka, warn=Emitter(dispatcher).warn, redact=dispatcher.redact, keep=config.keep_topics
        )
        client = await stack.enter_async_context(Client(config.argocd))
        topics = await stack.enter_async_context(kafka)
        run = Run(config, dispatcher, client, topics, mask=dispatcher.mask)
        code = await Supervisor(run, dispatcher, at_once).supervise()
        dispatcher(events.RunEnded(time=time.time(), exit_code=code, seconds=time.monotonic() - began))
    return code


class Supervisor:
    """Watches over one run: a first signal ends its steps and hurries the clean-up, a second ends both.

    After a second signal, `at_once`, nothing is waited for any longer.
    """

    def __init__(self, run: Run, dispatcher: Dispatcher, at_once: asyncio.Event | None = None) -> None:
        self._run, self._dispatcher = run, dispatcher
        self._signal: int | None = None
        self._at = 0.0  # when it came
        self._first = asyncio.Event()  # it came
        self._at_once = at_once or asyncio.Event()  # a second one came
        self._current: asyncio.Task[object] | None = None
        self._in_cleanup = False

    async def supervise(self) -> int:
        loop = asyncio.get_running_loop()
        ticker = asyncio.create_task(self._flush())  # which also wakes the loop for a signal
        try:
            with signals.heard_by(lambda signum: loop.call_soon_threadsafe(self._signalled, signum)):
                error = await self._steps()
                self._tell(error, await self._why(error))
                await self._clean_up()
                self._tell_later()
                return self._exit_code(error)
        finally:
            ticker.cancel()

    def _exit_code(self, error: ArgorunError | None) -> int:
        if self._signal is not None and (error is None or isinstance(error, Interrupted)):
            return 128 + self._signal
        if error is not None:
            return error.exit_code
        self._dispatcher.collect_failures()
        return CleanupIncomplete.exit_code if self._run.clean.left or self._dispatcher.failures else 0

    def _signalled(self, signum: int) -> None:
        now = time.monotonic()
        if self._signal is None:
            self._signal, self._at = signum, now
            self._first.set()
            self._run.clean.hurry()
            if self._in_cleanup:
                return
        elif signum == self._signal and now - self._at < SAME_PRESS:
            return
        else:
            self._at_once.set()
        if self._current is not None:
            self._current.cancel()

    async def _ended(self, doing: asyncio.Task[Any], *, patient: bool = False) -> bool:
        """Wait for it, and after a signal a little while for it to stop; whether it is done.

        `patient`: a first signal does not end it.
        """
        signal_came = self._at_once if patient else self._first
        waiting = asyncio.create_task(signal_came.wait())
        at_once = asyncio.create_task(self._at_once.wait())
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done() and not self._at_once.is_set():
            await asyncio.wait({doing, at_once}, timeout=STOPPING, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        at_once.cancel()
        return await finished({doing}, STOPPING_AT_ONCE if self._at_once.is_set() else 0.0)

    async def _steps(self) -> ArgorunError | None:
        """Why the run is red, or None."""
        limit = self._run.config.timeouts.run
        self._current = steps = asyncio.create_task(self._bounded(limit))
        try:
            if not await self._ended(steps):
                raise asyncio.CancelledError  # they do not even stop
            return steps.result()
        except asyncio.CancelledError:
            return Interrupted(self._signal or signal.SIGINT)
        except TimeoutError:
            doing = self._run.progress.doing()
            return TimedOut(f"time ran out after {limit:.0f} s: {doing}", "raise --timeout or timeouts.run")
        except ArgorunError as e:
            return e
        except Exception as e:
            return InternalError.of(e, reason="".join(traceback.format_exception(e)))

    async def _bounded(self, limit: float) -> ArgorunError | None:
        async with asyncio.timeout(limit) as self._run.limit:
            return await self._run.steps()

    async def _why(self, error: ArgorunError | None) -> Finding:
        """What the cluster says about a red run; nothing after a signal, when time is short."""
        if error is None or self._signal is not None:
            return Finding()
        self._current = asking = asyncio.create_task(self._run.why(error))
        if not await self._ended(asking) or asking.cancelled():
            return Finding()
        if (broken := asking.exception()) is not None:  # it must not change what the run came to
            return Finding(evidence=(f"(not all could be read: {type(broken).__name__}: {broken})",))
        return asking.result()

    def _tell(self, error: ArgorunError | None, found: Finding) -> None:
        if self._run.config.dry_run and error is None:
            return
        self._dispatcher(verdict(self._run, error, found))

    def _tell_later(self) -> None:
        """What is left need not be done by hand at once."""
        if any(left.what.startswith(SWEPT) for left in self._run.clean.left):
            text = "topics and parameters that are left behind can also wait for argorun sweep"
            Emitter(self._dispatcher).info(text)

    async def _clean_up(self) -> None:
        self._in_cleanup = True
        clean, at_once = self._run.clean, "argorun was told to stop at once"
        if self._at_once.is_set():
            clean.abandon(at_once)
            return
        self._current = cleaning = asyncio.create_task(self._run.clean_up())
        if not await self._ended(cleaning, patient=True) or cleaning.cancelled():
            clean.abandon(at_once)
        elif broken := cleaning.exception():
            clean.abandon(f"an error inside argorun: {type(broken).__name__}: {broken}")
            raise broken

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self._dispatcher.flush()


def verdict(run: Run, error: ArgorunError | None, found: Finding) -> events.Verdict:
    """How the run ended: green, or the error and what was found about it."""
    if error is None:
        passed = "the tests passed"
        return events.Verdict(time=time.time(), ok=True, exit_code=0, title=passed, url=run.url)
    running = isinstance(error, TimedOut)
    lines = run.progress.last_lines(running=running)
    return events.Verdict(
        time=time.time(),
        ok=False,
        exit_code=error.exit_code,
        title=f"{error.message}: {found.cause}" if found.cause else error.message,
        reason=error.reason,
        evidence=found.evidence,
        hint=found.hint or error.hint,
        last_lines=lines or found.log,
        url=run.url,
        log_of=run.progress.log_of(running=running) if lines else "",
    )
