"""Takes a run from its Config to its exit code: time limit, verdict, clean-up, signals."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
import traceback

from argorun import events
from argorun.argocd.diagnosis.analyze import Finding
from argorun.argocd.rest_client import RestClient
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.errors import (
    ArgoCDFailed,
    ArgorunError,
    CleanupIncomplete,
    InternalError,
    Interrupted,
    NoTestRan,
    TestsFailed,
    TimedOut,
)
from argorun.event_loop import CLOSING, CLOSING_AT_ONCE, connections
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind, Result
from argorun.reporters.dispatcher import Dispatcher
from argorun.run.steps import Run
from argorun.signals import Interrupts

STOPPING = 2.0  # seconds for the steps to stop after a signal; what they had begun is undone anyway
FLUSH = 0.05  # seconds from one flush of the reporters to the next
BACKOFF_LIMIT = "Job has reached the specified backoff limit"
AT_ONCE = "argorun was told to stop at once"
RESULTS: dict[type[ArgorunError], Result] = {
    TestsFailed: Result.FAILED,
    NoTestRan: Result.NO_TEST,
    TimedOut: Result.TIMED_OUT,
    Interrupted: Result.CANCELED,
}


async def execute(config: Config, dispatcher: Dispatcher, *, saves_logs: bool = False) -> int:
    """Run the tests and return the exit code. Raises UsageError only before anything was done."""
    began = time.monotonic()
    interrupts = Interrupts()
    gc.freeze()  # what was imported stays: going through it would hold the event loop for 50 ms at a time

    async with connections(lambda: CLOSING_AT_ONCE if interrupts.at_once else CLOSING) as stack:
        emitter = Emitter(dispatcher)
        kafka = Topics(
            config.kafka,
            warn=emitter.warner(NoticeKind.CONNECTION),
            retrying=emitter.retries(
                "kafka",
                config.kafka.get("bootstrap.servers", ""),
                config.sources.get("kafka.bootstrap.servers", ""),
            ),
            redact=dispatcher.redact,
            keep=config.keep_topics,
            given=config.given("kafka.bootstrap.servers"),
        )
        retrying = emitter.retries("argocd", config.argocd.server, config.sources.get("argocd.server", ""))
        argocd = RestClient(config.argocd, retrying=retrying, given=config.given("argocd.server"))
        client = await stack.enter_async_context(argocd)
        topics = await stack.enter_async_context(kafka)
        run = Run(config, dispatcher, client, topics, mask=dispatcher.mask)
        code = InternalError.exit_code  # also where an error inside argorun ends the clean-up
        try:
            code = await Supervisor(run, dispatcher, interrupts, saves_logs=saves_logs).supervise()
        finally:
            ended = events.RunEnded(time=time.time(), exit_code=code, seconds=time.monotonic() - began)
            dispatcher(ended)
    return code


class Supervisor:
    """Supervises one run: a first signal ends its steps and hurries the clean-up, a second one ends both."""

    def __init__(
        self, run: Run, dispatcher: Dispatcher, interrupts: Interrupts, *, saves_logs: bool = False
    ) -> None:
        self._run, self._dispatcher, self._interrupts = run, dispatcher, interrupts
        self._saves_logs = saves_logs
        interrupts.on_first(self._cancel)

    async def supervise(self) -> int:
        """Take the steps, emit the verdict, clean up; the run's exit code."""
        flushing = asyncio.create_task(self._flush())
        try:
            with self._interrupts.handled():
                self._run.announce()  # before the loop can take a signal: nothing comes before it
                try:
                    async with asyncio.timeout(self._run.config.timeouts.run) as self._run.limit:
                        error = await self._interrupts.run(self._run.steps(), stop_within=STOPPING)
                except Exception as e:
                    error = self._as_argorun_error(e)
                self._emit_verdict(error, await self._why(error))
                await self._clean_up()
                self._mention_sweep()
                return self._exit_code(error)
        finally:
            flushing.cancel()

    def _cancel(self) -> None:
        """Say at once that the signal was seen, and hurry."""
        name = signal.Signals(self._interrupts.signal or signal.SIGINT).name
        ahead = self._run.undoing()
        self._run.undo.hurry()
        self._dispatcher(
            events.Canceling(
                time=time.time(),
                signal=name,
                sync="sync" in ahead,
                parameters="parameters" in ahead,
                topics="topics" in ahead,
            )
        )

    def _exit_code(self, error: ArgorunError | None) -> int:
        signum = self._interrupts.signal
        if signum is not None and (error is None or isinstance(error, Interrupted)):
            return Interrupted(signum).exit_code
        if error is not None:
            return error.exit_code
        self._dispatcher.collect_failures()
        return CleanupIncomplete.exit_code if self._run.undo.left or self._dispatcher.failures else 0

    def _as_argorun_error(self, error: Exception) -> ArgorunError:
        if isinstance(error, ArgorunError):
            return error
        if isinstance(error, TimeoutError):
            limit, doing = self._run.config.timeouts.run, self._run.progress.doing()
            return TimedOut(f"time ran out after {limit:.0f} s: {doing}", "raise --timeout or timeouts.run")
        return InternalError.of(error, reason="".join(traceback.format_exception(error)))

    async def _why(self, error: ArgorunError | None) -> Finding:
        """Evidence from the cluster about a red run; none after a signal, when time is short."""
        if error is None or self._interrupts.signal is not None:
            return Finding()
        try:
            return await self._interrupts.run(self._run.why(error), stop_within=STOPPING)
        except Interrupted:
            return Finding()
        except Exception as e:  # it must not change the verdict
            return Finding(evidence=(f"(not all could be read: {type(e).__name__}: {e})",))

    def _emit_verdict(self, error: ArgorunError | None, found: Finding) -> None:
        if self._run.config.dry_run and error is None:
            return
        self._dispatcher(verdict(self._run, error, found, saves_logs=self._saves_logs))

    def _mention_sweep(self) -> None:
        """Mention that the sweep can undo what is left."""
        if self._run.undo.left_for_sweep:
            text = "topics and parameters that are left behind can also wait for argorun sweep"
            Emitter(self._dispatcher).info(text)

    async def _clean_up(self) -> None:
        try:
            await self._interrupts.run(self._run.clean_up(), ended_by="second")
        except Interrupted:
            self._run.abandon(AT_ONCE)
        except Exception as e:
            self._run.abandon(InternalError.of(e).message)
            raise

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH)
            self._dispatcher.flush()


def verdict(run: Run, error: ArgorunError | None, found: Finding, *, saves_logs: bool) -> events.Verdict:
    """How the run ended: green, or the error and what was found about it."""
    if error is None:
        passed, result = "the tests passed", Result.PASSED
        return events.Verdict(
            time=time.time(), ok=True, exit_code=0, title=passed, url=run.url, result=result
        )
    running = isinstance(error, TimedOut)
    reached = not isinstance(error, ArgoCDFailed)
    lines = run.progress.last_lines(running=running)
    return events.Verdict(
        time=time.time(),
        ok=False,
        exit_code=error.exit_code,
        title=title(error, found.cause),
        reason=without_jargon(error.reason) if found.cause else error.reason,
        evidence=found.evidence,
        hint=found.hint or error.hint or next_after(error, run.config, saves_logs=saves_logs),
        last_lines=lines or found.log,
        url=run.url if reached else "",
        log_of=run.progress.log_of(running=running) if lines else "",
        result=next((result for kind, result in RESULTS.items() if isinstance(error, kind)), Result.ERROR),
        test_exit_code=found.exit_code if isinstance(error, TestsFailed) else None,
        hooks=error.hooks or (run.progress.running() if isinstance(error, TimedOut | Interrupted) else ()),
    )


def title(error: ArgorunError, cause: str) -> str:
    """What happened in one line: `run-tests: the test exited with code 3`."""
    tests, _, failed = error.message.rpartition(" ")
    if isinstance(error, TestsFailed) and failed == "failed" and cause.startswith("exit code "):
        return f"{tests}: the test exited with {cause.removeprefix('exit ')}"
    return f"{error.message}: {cause}" if cause else error.message


def without_jargon(reason: str) -> str:
    """The reason without what Kubernetes says of every Job that failed, where the cause is known."""
    return "\n".join(line for line in reason.split("\n") if not line.endswith(BACKOFF_LIMIT))


def next_after(error: ArgorunError, config: Config, *, saves_logs: bool) -> str:
    """What to do about a test that failed by itself: nothing that was done already, nothing in the demo."""
    if not isinstance(error, TestsFailed) or not config.linked:
        return ""
    keep = "" if config.keep_topics else "argorun run --keep-topics keeps the topic"
    save = "" if saves_logs else "--log-dir logs saves whole logs"
    return "; ".join(filter(None, (keep, save)))
