"""The sweep: what killed runs have left, found, put back and deleted, Applications before topics."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager

from argorun import __version__, events, recovery, signals
from argorun.argocd.claim import leftovers, liveness, records
from argorun.argocd.claim.leftovers import Leftover
from argorun.argocd.client import Client
from argorun.argocd.http.errors import Denied
from argorun.argocd.parameters import spec
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.types import Application
from argorun.attempt import attempt
from argorun.config.model import ApplicationRef
from argorun.config.sweep import SweepConfig
from argorun.emit import Emit, Emitter
from argorun.errors import AccessDenied, ArgorunError, CleanupIncomplete, InternalError, Interrupted
from argorun.event_loop import CLOSING, CLOSING_AT_ONCE, connections
from argorun.events import Step
from argorun.hearing import Interrupts
from argorun.humanize import count, duration
from argorun.kafka import old_topics
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics
from argorun.reporters.dispatcher import Dispatcher

PATIENCE = 15.0  # seconds for which a fault of Argo CD's is ridden out
LAST_LOOK = 3.0  # seconds
A_PART = 100  # Applications that are looked at in one go: a few milliseconds
UNAUTHENTICATED = 401
AGE_ALONE = "a topic's age alone tells whether it is in use"
CLOCKS_DIFFER = 60.0  # seconds by which two machines' clocks may be apart before it is worth a word


class Sweep:
    """One sweep. `steps` goes through it; what it could not do is announced and counted in `left`.

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
        self.config, self.emit, self.mask = config, emit, mask
        self.emitter = Emitter(emit)
        self.topics, self.client = topics, client
        self.age = old_topics.Age(config.older_than, time.time())  # by this machine's clock, to begin with
        # What there is to do; what is done, or told as left behind, is taken out of both.
        self.going = old_topics.ExpiredTopics()
        self.applications: list[Leftover] = []
        self.swept = self.put_back = self.left = 0
        self.why_left: set[type[ArgorunError]] = set()

    async def steps(self) -> None:
        """From the look to the last topic. Raises ArgorunError where it cannot even look."""
        self.emit(
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
        await self.look()
        if self.applications:
            await self.restore_applications()
        if self.going.topics:
            await self.delete_topics()

    @property
    def exit_code(self) -> int:
        """Once the steps have come to their end."""
        if not self.left:
            return 0
        for kind in (InternalError, AccessDenied):
            if any(issubclass(why, kind) for why in self.why_left):
                return kind.exit_code
        return CleanupIncomplete.exit_code

    # -- look ---------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Find what is ours and old. Applications first: a run makes its topic before its record."""
        self._tell_limits()
        async with self._step(Step.PREFLIGHT) as result:
            seen = await self.client.applications() if self.client is not None else []
            self._learn_the_time()
            if self.client is not None and not seen:
                self.emitter.warn(f"the token sees no Application: {AGE_ALONE}")
            await self.topics.check_visible(self.config.prefixes, self.age.now)
            present = await self.topics.present()
            await self.going.find(present, self.config.prefixes, self.age)
            younger = self.going.younger
            self._tell_clocks(list(dict.fromkeys(younger.values())))
            if self.client is not None and seen and self.going.topics:
                await self._optional(
                    f"whether the token sees all Applications: {AGE_ALONE}", self._tell_unseen()
                )
            unrecorded = [app async for app in in_parts(seen) if not await self._has_our_record(app)]
            async for app in in_parts(unrecorded):
                what = f"whether Application {reference(app)} names a topic that goes is not known"
                await self._optional(what, self._tell_names(app))
            await self._optional("not all topics could be looked at", self._tell_others(present))
            result.append(f"{count(len(self.going.topics), 'topic')} to delete, {len(younger)} younger")
            if self.client is not None:
                put_back, shown = len(self.applications), count(len(seen), "visible Application")
                result.append(f"{put_back} of {shown} to put back")

    async def _tell_unseen(self) -> None:
        """Argo CD leaves out of a list what the token may not see. No run lives longer than it may."""
        assert self.client is not None
        if not await self.client.can_i("get", "applications", "*/*"):
            old_enough = self.config.older_than >= self.config.longest_run
            tell = self.emitter.info if old_enough else self.emitter.warn
            tell(f"the token may not see every Application: of those that it does not, {AGE_ALONE}")

    def _tell_limits(self) -> None:
        age = self.config.older_than
        if age < self.config.longest_run:
            self.emitter.warn(
                f"--older-than {duration(age) if age else '0s'} is less than a run may take "
                f"({duration(self.config.longest_run)}): one that is still at it would be hit"
            )
        for text in self.config.argocd.warnings if self.config.argocd is not None else ():
            self.emitter.warn(text)
        if self.client is None:
            self.emitter.info(f"Applications are not looked at: {self.config.without_argocd}")

    def _learn_the_time(self) -> None:
        """From Argo CD where that is known; UsageError where this machine's clock alone would decide."""
        clock = self.client.clock if self.client is not None else None
        if clock is not None and clock.known:
            self.age = old_topics.Age(self.config.older_than, clock.now())
            self.emitter.clock(clock.ahead())
            return
        self.emitter.info("ages are by the clock of this machine: no Argo CD tells the time")
        self.config.check_age_by_this_clock()

    def _tell_clocks(self, younger: list[TopicName]) -> None:
        for name in younger:
            if self.age.of(name) < -CLOCKS_DIFFER:
                self.emitter.warn(
                    f"topic {name} is dated {duration(-self.age.of(name))} ahead of now: the clock of this "
                    "machine is wrong, or that of the one which made it; it is left alone"
                )

    def _named(self, record: Record | None) -> list[TopicName]:
        """The runs' topics that a record is about."""
        values = records.values(record) if record is not None else []
        return [n for v in values for n in old_topics.mentioned(v, self.config.prefixes)]

    async def _has_our_record(self, listed: Application) -> bool:
        """Whether a record about runs' topics stands there; with a dead run's, there is something to do."""
        names = self._named(record_of(listed))
        if names and self.client is not None and all(map(self.going.will_be_gone, names)):
            try:
                seen = await self.client.application(reference(listed))
            except Denied as e:
                if e.status == UNAUTHENTICATED:
                    raise
                app = reference(listed)
                if not await self.client.is_gone(app, listed.project):
                    self.going.keep(names)
                    self.emitter.warn(f"Application {app} cannot be read: its topics stay: {e.text}")
                return True
            record = record_of(seen)
            self.mask(*spec.secrets(seen))
            if record is not None and self._named(record) == names:
                await self._judge(self.client, Leftover(reference(listed), seen, record), names)
        return bool(names)

    async def _judge(self, client: Client, found: Leftover, names: list[TopicName]) -> None:
        """A run is dead by itself, or by the age that was asked for; the usual age spares a live one."""
        old = all(map(self.age.is_old, names))
        asked_for = old and self.config.explicit
        if asked_for or not await liveness.is_live(client, found.app, found.record, found.seen):
            self.applications.append(found)
        elif old:
            self.going.keep(names)
            self.emitter.warn(
                f"{found}: run {found.record.run} is still at it, for all its age: its topics stay"
            )

    async def _optional(self, what: str, helper: Awaitable[None]) -> None:
        """What is only told keeps nothing from being done; `what` is said where it fails."""
        if (error := await attempt(helper)) is not None:
            self.emitter.warn(f"{what}: {reason(error)}")

    async def _tell_others(self, present: Sequence[str]) -> None:
        """A topic that only holds the name of one that goes may be somebody's."""
        for at, topic in enumerate(present):
            if (name := self.going.name_in(topic)) is not None:
                self.emitter.warn(f"topic {topic} holds the name of {name} and is left alone: is it needed?")
            if name is not None or at % old_topics.CHUNK == 0:
                await asyncio.sleep(0)

    async def _tell_names(self, listed: Application) -> None:
        """Nobody wrote down what stood there before: a person must know."""
        app = reference(listed)
        found = [
            (place, name)
            for place in leftovers.places(listed.spec)
            for name in old_topics.mentioned(place.text, self.config.prefixes)
            if self.going.will_be_gone(name)
        ]
        if not found:
            return
        self.mask(*spec.secrets(listed))
        where = ", ".join(f"{place.what} names topic {name}" for place, name in found)
        chosen = {place.pointer: place for place, _ in found}.values()
        self.emitter.warn(
            f"Application {app}: {where}, which is no more, and no record says what stood there before; "
            f"to take it out:\n{recovery.patch(app, leftovers.without(chosen))}"
        )

    # -- put back, and delete -----------------------------------------------------------------------

    async def restore_applications(self) -> None:
        """Undo what dead runs left in Applications, several at once, before their topics go."""
        if self.client is not None:
            self.client.rendering.at_most(self.config.cleanup / 3)
        async with self._step(Step.PARAMETERS, ", ".join(str(a.app) for a in self.applications)):
            await old_topics.for_each(
                tuple(self.applications),
                self._restore,
                lambda found, error: self._leave(str(found), error, ""),
            )

    async def _restore(self, found: Leftover) -> None:
        if self.config.dry_run:
            ends = "end its operation, " if found.runs else ""
            self.emitter.info(f"{found}: would {ends}put back what run {found.record.run} left")
        elif (error := await attempt(self._undo(found), self.config.cleanup)) is not None:
            await self._leave_application(found, error)
            return
        self.put_back += 1
        self.applications.remove(found)

    async def _undo(self, found: Leftover) -> None:
        assert self.client is not None
        began, limit = time.monotonic(), self.config.cleanup
        done = await leftovers.undo(self.client, found.app, found.record, limit, self.emitter.warn)
        for remains in done.left:
            self._leave(f"{found}: {remains.key}", remains.why, recovery.object_back(found.app, remains))
        what = f"{found}: {', '.join(done.did) or 'somebody was faster'}"
        self.emit(events.Undone(time=time.time(), what=what, seconds=time.monotonic() - began))

    async def delete_topics(self) -> None:
        """Delete the topics, several at once, and then the empty consumer groups that go with them."""
        going = dict(self.going.topics)
        async with self._step(Step.TOPICS, count(len(going), "topic")):
            if self.config.dry_run:
                for topic in going:
                    self._deleted(topic)
                    await asyncio.sleep(0)
                return
            await old_topics.delete(self.topics, going, self._deleted, self._leave_topics)
            await self._delete_groups(set(going.values()))

    async def _delete_groups(self, names: Collection[TopicName]) -> None:
        """Nothing that goes wrong here, whatever it is, keeps anything else."""
        by_prefix: dict[str, list[str]] = {}
        for name in names:
            if groups := self.config.prefixes[name.prefix]:
                by_prefix.setdefault(groups, []).append(str(name))
        for prefix, topics in by_prefix.items():
            if (error := await attempt(self._delete_groups_of(prefix, topics))) is not None:
                self._leave(f"consumer groups {prefix}*", error, "")

    async def _delete_groups_of(self, prefix: str, topics: Collection[str]) -> None:
        for group in await self.topics.delete_groups(prefix, topics):
            self.emitter.info(f"consumer group {group} deleted")

    def _deleted(self, topic: str) -> None:
        self.swept += 1
        name = self.going.topics.pop(topic)
        swept = events.TopicSwept(
            time=time.time(), topic=topic, age=self.age.of(name), dry_run=self.config.dry_run
        )
        self.emit(swept)

    # -- what is left -------------------------------------------------------------------------------

    async def last_look(self, why: str) -> None:
        """Wait for what is still on its way, and abandon the rest as it is now."""
        if self.client is not None:
            await attempt(self.client.landed())
        await self.abandon(why)

    async def abandon(self, why: str, *, look: bool = True) -> None:
        """Do nothing more: announce what is not done, and how to do it by hand."""
        if self.config.dry_run:
            return
        left = tuple(self.applications)
        await asyncio.gather(*(self._leave_application(a, why, look=look) for a in left))
        if self.going.topics:
            self._leave_topics(tuple(self.going.topics), why)

    async def _leave_application(
        self, found: Leftover, why: str | ArgorunError, *, look: bool = True
    ) -> None:
        """With the commands for what is still to do: part of it may be done."""
        now = found

        async def look_again() -> None:
            nonlocal now
            assert self.client is not None
            now = Leftover(found.app, await self.client.application(found.app), found.record)

        if look:
            await attempt(look_again(), LAST_LOOK)
        self.applications.remove(found)
        command = ""
        with contextlib.suppress(Exception):  # without it, what is left is told at least
            command = by_hand(now)
        self._leave(f"{found}, as run {found.record.run} left it", why, command)

    def _leave_topics(self, topics: Sequence[str], why: str | ArgorunError) -> None:
        drawn = dict.fromkeys(str(self.going.topics.pop(topic)) for topic in topics)
        what = f"topic {topics[0]}" if len(topics) == 1 else count(len(topics), "topic")
        names = topics if len(topics) == 1 else tuple(drawn)
        self._leave(what, why, recovery.delete_topics(self.config.kafka, names), len(topics))

    def _leave(self, what: str, why: str | ArgorunError, command: str, number: int = 1) -> None:
        self.left += number
        if isinstance(why, ArgorunError):
            self.why_left.add(type(why))
        text = why if isinstance(why, str) else reason(why)
        self.emit(events.LeftBehind(time=time.time(), what=what, why=text, command=command))

    def _step(self, step: Step, detail: str = "") -> AbstractAsyncContextManager[list[str]]:
        """A step, good if nothing more is left behind after it."""
        left = self.left
        return self.emitter.step(step, detail, good=lambda: self.left == left)


async def in_parts(listed: Sequence[Application]) -> AsyncIterator[Application]:
    """Each of them, where there may be thousands: others have their turn after each A_PART."""
    for number, app in enumerate(listed):
        if number % A_PART == 0:
            await asyncio.sleep(0)
        yield app


def reference(listed: Application) -> ApplicationRef:
    """An Application as Argo CD is to be asked for it."""
    return ApplicationRef(name=listed.metadata.name, namespace=listed.metadata.namespace or None)


def by_hand(found: Leftover) -> str:
    """The commands that undo what a dead run left in an Application; none where another holds it by now."""
    stands = record_of(found.seen)
    if stands is not None and stands.run != found.record.run:
        return ""
    commands = [
        recovery.end(found.app) if found.runs else "",
        recovery.patch(found.app, records.way_back(found.seen, found.record)),
        recovery.sync(found.app) if found.record.synced else "",
    ]
    return "; ".join(filter(None, commands))


def reason(error: ArgorunError) -> str:
    """Why something is left, with what to do about it."""
    return f"{error.message}; {error.hint}" if error.hint else error.message


# -- from the settings to the exit code ------------------------------------------------------------------


async def execute(config: SweepConfig, dispatcher: Dispatcher) -> int:
    """Sweep and give back the exit code. Raises UsageError only before anything was done."""
    hearing = Interrupts()
    with signals.heard_by(hearing.heard):
        return await sweep_and_tell(config, dispatcher, hearing)


async def sweep_and_tell(config: SweepConfig, dispatcher: Dispatcher, hearing: Interrupts) -> int:
    """Whatever signals come, what is left and the end are told."""
    began = time.monotonic()

    async with connections(lambda: CLOSING_AT_ONCE if hearing.at_once else CLOSING) as stack:
        kafka = Topics(config.kafka, warn=Emitter(dispatcher).warn, redact=dispatcher.redact)
        topics = await stack.enter_async_context(kafka)
        client = None
        if config.argocd is not None:
            client = await stack.enter_async_context(Client(config.argocd, patience=PATIENCE))
        made = Sweep(config, dispatcher, topics, client, dispatcher.mask)
        error = await to_its_end(made.steps(), hearing)
        if error is not None and not await hearing.last(made.last_look(error.message)):
            await made.abandon(error.message, look=False)
    code = made.exit_code if error is None else error.exit_code
    dispatcher.collect_failures()
    dispatcher(
        events.SweepEnded(
            time=time.time(),
            exit_code=code or (CleanupIncomplete.exit_code if dispatcher.failures else 0),
            seconds=time.monotonic() - began,
            topics=made.swept,
            applications=made.put_back,
            left=made.left,
            dry_run=config.dry_run,
            error="" if error is None else error.message,
            hint="" if error is None else error.hint,
        )
    )
    return code


async def to_its_end(steps: Coroutine[None, None, None], hearing: Interrupts) -> ArgorunError | None:
    """Go through the steps; why they did not come to their end, a signal say, or None."""
    try:
        await hearing.steps(steps)
    except asyncio.CancelledError:
        return Interrupted(hearing.signal or signal.SIGINT)
    except ArgorunError as e:
        return e
    except Exception as e:
        return InternalError.of(e)
    return None
