"""The sweep: finds what killed runs left, restores their Applications, and deletes their topics."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

from argorun import __version__, events, recovery
from argorun.argocd.claim import leftovers
from argorun.argocd.claim.leftovers import Leftover
from argorun.argocd.client import Client
from argorun.argocd.rest_client import RestClient
from argorun.attempt import attempt, for_each
from argorun.config.sources import named
from argorun.config.sweep import SweepConfig
from argorun.emit import Emit, Emitter, StepResult
from argorun.errors import ArgorunError, CleanupIncomplete, Interrupted
from argorun.event_loop import CLOSING, CLOSING_AT_ONCE, connections
from argorun.events import Step
from argorun.humanize import count, duration
from argorun.kafka import old_topics
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind, PlannedKind, Subject
from argorun.reporters.dispatcher import Dispatcher
from argorun.signals import Interrupts
from argorun.sweep.candidates import Candidates
from argorun.sweep.left_behind import LeftBehind, restore_commands

PATIENCE = 15.0  # seconds of retries while Argo CD fails
LAST_LOOK = 3.0  # seconds


class Sweep:
    """One sweep. `steps` goes through it; what it could not do is emitted and counted in `left`.

    `mask` takes values that are secrets, once they are known.
    """

    def __init__(
        self,
        config: SweepConfig,
        emit: Emit,
        topics: Topics,
        client: Client | None,
        mask: Callable[..., None] = lambda *secrets: None,
    ) -> None:
        self.config, self.topics, self.client = config, topics, client
        self.emitter = Emitter(emit)
        self.found = Candidates(config, topics, client, self.emitter, mask)
        self.left_behind = LeftBehind(self.emitter)
        self.swept = self.put_back = 0

    def announce(self) -> None:
        """Emit the first event, which names the version of all; before `steps`, whatever ends them."""
        self.emitter.emit(
            events.SweepStarted(
                time=time.time(),
                prefixes=tuple(self.config.prefixes),
                older_than=self.config.older_than,
                kafka=self.config.kafka["bootstrap.servers"],
                argocd=self.config.argocd.url if self.config.argocd else "",
                dry_run=self.config.dry_run,
                version=__version__,
            )
        )

    async def steps(self) -> None:
        """Find, restore and delete. Raises ArgorunError if it cannot be found out what is left."""
        self._warn_of_limits()
        await self.find()
        if self.found.applications:
            await self.restore_applications()
        if self.found.topics.topics:
            await self.delete_topics()

    @property
    def left(self) -> int:
        """How many topics and objects could not be restored or deleted."""
        return self.left_behind.count

    @property
    def exit_code(self) -> int:
        """Once the steps have come to their end."""
        return self.left_behind.exit_code

    def _warn_of_limits(self) -> None:
        age = self.config.older_than
        if age < self.config.longest_run:
            self.emitter.warn(
                f"--older-than {duration(age) if age else '0s'} is less than a run may take "
                f"({duration(self.config.longest_run)}): it would delete topics of runs in progress"
            )
        for text in self.config.argocd.warnings if self.config.argocd is not None else ():
            self.emitter.warn(text, NoticeKind.CONNECTION)
        if self.client is None:
            text = f"Applications are not checked: {self.config.without_argocd}"
            self.emitter.info(text, NoticeKind.UNCHECKED)

    async def find(self) -> None:
        """Find what there is to do; nothing is touched."""
        async with self._step(Step.PREFLIGHT) as result:
            await self.found.find(result)

    # -- Applications ---------------------------------------------------------------------------------

    async def restore_applications(self) -> None:
        """Undo what dead runs left in Applications, several at once, before their topics go."""
        if self.client is not None:
            self.client.rendering.at_most(self.config.cleanup / 3)
        async with self._step(Step.PARAMETERS, ", ".join(str(a.app) for a in self.found.applications)):
            await for_each(
                tuple(self.found.applications),
                self._restore,
                lambda found, error: self.left_behind.add_application(found, str(found), error, ""),
            )

    async def _restore(self, found: Leftover) -> None:
        if self.config.dry_run:
            ends = "end its operation, " if found.runs else ""
            what = f"{found}: would {ends}put back what run {found.record.run} left"
            name = str(found.app)
            self.emitter.emit(
                events.Planned(time=time.time(), what=what, kind=PlannedKind.RESTORE, names=(name,))
            )
        elif (error := await attempt(self._undo(found), self.config.cleanup)) is not None:
            await self._leave_application(found, error)
            return
        self.put_back += 1
        self.found.applications.remove(found)

    async def _undo(self, found: Leftover) -> None:
        assert self.client is not None
        began, limit = time.monotonic(), self.config.cleanup
        done = await leftovers.undo(self.client, found.app, found.record, limit, self.emitter.warn)
        for remains in done.left:
            command = recovery.restore_object(found.app, remains)
            self.left_behind.add_object(f"{found}: {remains.key}", remains, command)
        what = f"{found}: {', '.join(done.did.values()) or 'somebody was faster'}"
        self.emitter.undone(what, began, Subject.APPLICATION, str(found.app), parts=done.did)

    # -- topics ---------------------------------------------------------------------------------------

    async def delete_topics(self) -> None:
        """Delete the topics, several at once, and then the empty consumer groups that go with them."""
        going = dict(self.found.topics.topics)
        async with self._step(Step.TOPICS, count(len(going), "topic")):
            if self.config.dry_run:
                for topic in going:
                    self._deleted(topic)
                    await asyncio.sleep(0)
                return
            await old_topics.delete(self.topics, going, self._deleted, self._leave_topics)
            await self._delete_groups(set(going.values()))

    async def _delete_groups(self, names: Collection[TopicName]) -> None:
        """Delete the empty consumer groups of these topics; an error is emitted, and stops nothing else."""
        by_prefix: dict[str, list[str]] = {}
        for name in names:
            if groups := self.config.prefixes[name.prefix]:
                by_prefix.setdefault(groups, []).append(str(name))
        for prefix, topics in by_prefix.items():
            if (error := await attempt(self._delete_groups_of(prefix, topics))) is not None:
                self.left_behind.add_groups(prefix, error)

    async def _delete_groups_of(self, prefix: str, topics: Collection[str]) -> None:
        began = time.monotonic()
        for group in await self.topics.delete_groups(prefix, topics):
            self.emitter.undone(f"consumer group {group} deleted", began, Subject.CONSUMER_GROUP, group)

    def _deleted(self, topic: str) -> None:
        self.swept += 1
        age = self.found.age.of(self.found.topics.topics.pop(topic))
        dry_run = self.config.dry_run
        self.emitter.emit(events.TopicSwept(time=time.time(), topic=topic, age=age, dry_run=dry_run))

    # -- what is left ---------------------------------------------------------------------------------

    async def last_look(self, why: str) -> None:
        """Wait for requests in flight, and abandon the rest as it is now."""
        if self.client is not None:
            await attempt(self.client.wait_for_in_flight())
        await self.abandon(why)

    async def abandon(self, why: str, *, look: bool = True) -> None:
        """Do nothing more: emit what is not done, and how a person does it."""
        self.emitter.end_open_step()
        if self.config.dry_run:
            return
        left = tuple(self.found.applications)
        await asyncio.gather(*(self._leave_application(a, why, look=look) for a in left))
        if topics := tuple(self.found.topics.topics):
            self._leave_topics(topics, why)

    async def _leave_application(
        self, found: Leftover, why: str | ArgorunError, *, look: bool = True
    ) -> None:
        """Emit it with the commands for what is still to do: part of it may be done."""
        now = found

        async def look_again() -> None:
            nonlocal now
            assert self.client is not None
            now = Leftover(found.app, await self.client.application(found.app), found.record)

        if look:
            await attempt(look_again(), LAST_LOOK)
        self.found.applications.remove(found)
        commands = ""
        with contextlib.suppress(Exception):  # without them, what is left is emitted at least
            commands = restore_commands(now)
        self.left_behind.add_application(found, f"{found}, as run {found.record.run} left it", why, commands)

    def _leave_topics(self, topics: Sequence[str], why: str | ArgorunError) -> None:
        left = {topic: self.found.topics.topics.pop(topic) for topic in topics}
        self.left_behind.add_topics(self.config.kafka, left, why)

    def _step(self, step: Step, detail: str = "") -> AbstractAsyncContextManager[StepResult]:
        """A step, good if nothing more is left behind after it."""
        left = self.left
        return self.emitter.step(step, detail, good=lambda: self.left == left)


# -- from the settings to the exit code ------------------------------------------------------------------


async def execute(config: SweepConfig, dispatcher: Dispatcher) -> int:
    """Sweep and return the exit code. Raises UsageError only before anything was done.

    A first signal ends the steps, the next one the last look; what is left and the end are emitted anyway.
    """
    began = time.monotonic()
    interrupts = Interrupts()
    with interrupts.handled():
        async with connections(lambda: CLOSING_AT_ONCE if interrupts.at_once else CLOSING) as stack:
            emitter = Emitter(dispatcher)
            brokers, source = (
                config.kafka["bootstrap.servers"],
                config.sources.get("kafka.bootstrap.servers", ""),
            )
            kafka = Topics(
                config.kafka,
                warn=emitter.warner(NoticeKind.CONNECTION),
                retrying=emitter.retries("kafka", brokers, source),
                redact=dispatcher.redact,
                given=named("kafka.bootstrap.servers", source, brokers),
            )
            topics = await stack.enter_async_context(kafka)
            client = None
            if config.argocd is not None:
                server, source = config.argocd.server, config.sources.get("argocd.server", "")
                retrying = emitter.retries("argocd", server, source)
                given = named("argocd.server", source, server)
                argocd = RestClient(config.argocd, retry_for=PATIENCE, retrying=retrying, given=given)
                client = await stack.enter_async_context(argocd)
            sweep = Sweep(config, dispatcher, topics, client, dispatcher.mask)
            sweep.announce()
            error = await attempt(interrupts.run(sweep.steps()))
            if error is not None:
                error = await attempt(_look_last(sweep, error.message, interrupts)) or error
        dispatcher.collect_failures()
        ended = _ended(sweep, error, began, written=not dispatcher.failures)
        dispatcher(ended)
    return sweep.exit_code if error is None else error.exit_code


async def _look_last(sweep: Sweep, why: str, interrupts: Interrupts) -> None:
    """Emit what is left of a sweep that did not come to its end; the next signal ends the look at it."""
    next_signal: Literal["first", "second"] = "first" if interrupts.signal is None else "second"
    try:
        await interrupts.run(sweep.last_look(why), ended_by=next_signal)
    except Interrupted:
        await sweep.abandon(why, look=False)


def _ended(sweep: Sweep, error: ArgorunError | None, began: float, *, written: bool) -> events.SweepEnded:
    """The last event; exit code 0 becomes 10 where not everything is `written`."""
    code = sweep.exit_code if error is None else error.exit_code
    return events.SweepEnded(
        time=time.time(),
        exit_code=code or (0 if written else CleanupIncomplete.exit_code),
        seconds=time.monotonic() - began,
        topics=sweep.swept,
        applications=sweep.put_back,
        left=sweep.left,
        dry_run=sweep.config.dry_run,
        error="" if error is None else error.message,
        hint="" if error is None else error.hint,
    )
