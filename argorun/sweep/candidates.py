"""Finds what killed runs left and what is old enough: topics, and Applications to restore."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from argorun import recovery
from argorun.argocd.claim import liveness
from argorun.argocd.claim.leftovers import Leftover
from argorun.argocd.claim.original import topics_of
from argorun.argocd.claim.spec_values import removal, spec_values
from argorun.argocd.client import Client
from argorun.argocd.http.errors import Denied
from argorun.argocd.parameters import spec
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.types import Application
from argorun.attempt import attempt
from argorun.config.model import ApplicationRef
from argorun.config.sweep import SweepConfig
from argorun.emit import Emitter, StepResult
from argorun.humanize import count, duration
from argorun.kafka import old_topics
from argorun.kafka.names import TopicName
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.sweep.left_behind import reason

A_PART = 100  # Applications that are checked in one go: a few milliseconds
UNAUTHENTICATED = 401
AGE_ALONE = "only a topic's age decides whether it is in use"
AHEAD_TOLERANCE = 60.0  # seconds by which a topic may be dated ahead of now without a warning


class Candidates:
    """What there is to do: the `topics` to delete, and the `applications` to restore.

    What is done, or was emitted as left behind, is taken out of both. `mask` takes values that are secrets,
    once they are known.
    """

    def __init__(
        self,
        config: SweepConfig,
        topics: Topics,
        client: Client | None,
        emitter: Emitter,
        mask: Callable[..., None],
    ) -> None:
        self._config, self._kafka, self._client = config, topics, client
        self._emitter, self._mask = emitter, mask
        self.age = old_topics.Age(config.older_than, time.time())  # by this machine's clock, to begin with
        self.topics = old_topics.ExpiredTopics()
        self.applications: list[Leftover] = []

    async def find(self, result: StepResult) -> None:
        """Find both, Applications first: a run creates its topic before its record. `result` says how many.

        Raises UsageError, AccessDenied, KafkaFailed, ArgoCDFailed.
        """
        client, prefixes = self._client, self._config.prefixes
        seen = await client.applications() if client is not None else []
        self._read_clock()
        if client is not None and not seen:
            self._emitter.warn(f"the token sees no Application: {AGE_ALONE}", NoticeKind.UNCHECKED)
        await self._kafka.check_visible(prefixes, self.age.now)
        present = await self._kafka.present()
        await self.topics.find(present, prefixes, self.age)
        younger = self.topics.younger
        self._warn_of_clocks(list(dict.fromkeys(younger.values())))
        if client is not None and seen and self.topics.topics:
            what = f"cannot tell whether the token sees all Applications ({AGE_ALONE})"
            await self._optional(what, self._warn_of_unseen(client))
        unrecorded = [app async for app in in_parts(seen) if not await self._has_record(app)]
        async for app in in_parts(unrecorded):
            what = f"cannot tell whether Application {reference(app)} names a topic to delete"
            await self._optional(what, self._warn_of_names(app))
        await self._optional("not all topics could be checked", self._warn_of_others(present))
        found, put_back = len(self.topics.topics), len(self.applications)
        result.append(f"{count(found, 'topic')} to delete, {len(younger)} younger")
        result.counts |= {"topics": found, "younger": len(younger)}
        if client is not None:
            result.append(f"{put_back} of {count(len(seen), 'visible Application')} to put back")
            result.counts |= {"applications": put_back, "visible": len(seen)}

    def _read_clock(self) -> None:
        """Take Argo CD's time where it is known; UsageError where this machine's clock alone would decide."""
        clock = self._client.clock if self._client is not None else None
        if clock is not None and clock.known:
            self.age = old_topics.Age(self._config.older_than, clock.now())
            if text := clock.warning():
                self._emitter.warn(text, NoticeKind.CLOCK)
            return
        text = "ages are by the clock of this machine: there is no Argo CD to read the time from"
        self._emitter.info(text, NoticeKind.CLOCK)
        self._config.check_age_by_this_clock()

    # -- Applications with a record -------------------------------------------------------------------

    async def _has_record(self, listed: Application) -> bool:
        """Whether the Application carries a record about topics; a dead run's record makes it a candidate."""
        names = self._topics_of(record_of(listed))
        if names and self._client is not None and all(map(self.topics.will_be_gone, names)):
            await self._read(self._client, listed, names)
        return bool(names)

    def _topics_of(self, record: Record | None) -> list[TopicName]:
        """The runs' topics that a record is about."""
        values = topics_of(record) if record is not None else []
        return [n for v in values for n in old_topics.mentioned(v, self._config.prefixes)]

    async def _read(self, client: Client, listed: Application, names: list[TopicName]) -> None:
        """Read an Application whose record is about these topics, as it is now, and judge its run."""
        app = reference(listed)
        try:
            seen = await client.application(app)
        except Denied as e:
            if e.status == UNAUTHENTICATED:
                raise
            if not await client.is_gone(app, listed.project):
                self.topics.keep(names)
                text = f"Application {app} cannot be read: its topics stay: {e.text}"
                self._emitter.warn(text, NoticeKind.UNCHECKED)
            return
        record = record_of(seen)
        self._mask(*spec.secrets(seen))
        if record is not None and self._topics_of(record) == names:
            await self._judge(client, Leftover(app, seen, record), names)

    async def _judge(self, client: Client, found: Leftover, names: list[TopicName]) -> None:
        """Add it if its run is dead, or older than an explicit --older-than; else keep its topics."""
        old = all(map(self.age.is_old, names))
        asked_for = old and self._config.explicit
        if asked_for or not await liveness.is_alive_or_testing(client, found.app, found.record, found.seen):
            self.applications.append(found)
        elif old:
            self.topics.keep(names)
            self._emitter.warn(
                f"{found}: run {found.record.run} is still in progress, despite its age: its topics stay",
                NoticeKind.FOREIGN,
            )

    # -- what a person should know --------------------------------------------------------------------

    async def _optional(self, what: str, helper: Awaitable[None]) -> None:
        """Make a check that may fail: then `what` is emitted, and the sweep goes on."""
        if (error := await attempt(helper)) is not None:
            self._emitter.warn(f"{what}: {reason(error)}", NoticeKind.UNCHECKED)

    def _warn_of_clocks(self, younger: list[TopicName]) -> None:
        for name in younger:
            if self.age.of(name) < -AHEAD_TOLERANCE:
                self._emitter.warn(
                    f"topic {name} is dated {duration(-self.age.of(name))} ahead of now: the clock of this "
                    "machine is wrong, or that of the machine that created it; it is left alone",
                    NoticeKind.CLOCK,
                )

    async def _warn_of_unseen(self, client: Client) -> None:
        """Say if the token may not see every Application: Argo CD leaves the others out of its list.

        It is a warning only if a run may live longer than --older-than
        (docs/argocd-facts.md#listing-applications).
        """
        if not await client.can_i("get", "applications", "*/*"):
            old_enough = self._config.older_than >= self._config.longest_run
            emit = self._emitter.info if old_enough else self._emitter.warn
            text = f"the token may not see every Application: for those that it does not see, {AGE_ALONE}"
            emit(text, NoticeKind.UNCHECKED)

    async def _warn_of_names(self, listed: Application) -> None:
        """Warn of a topic's name in a spec without a record, which would say what the value was before."""
        app = reference(listed)
        found = [
            (place, name)
            for place in spec_values(listed.spec)
            for name in old_topics.mentioned(place.text, self._config.prefixes)
            if self.topics.will_be_gone(name)
        ]
        if not found:
            return
        self._mask(*spec.secrets(listed))
        where = ", ".join(f"{place.what} names topic {name}" for place, name in found)
        chosen = {place.pointer: place for place, _ in found}.values()
        self._emitter.warn(
            f"Application {app}: {where}, which no longer exists, and no record says what the value was "
            f"before; to remove it:\n{recovery.patch(app, removal(chosen))}",
            NoticeKind.KILLED_RUN,
        )

    async def _warn_of_others(self, present: Sequence[str]) -> None:
        """Warn of topics whose names contain that of a topic to delete: they may be somebody's."""
        for at, topic in enumerate(present):
            if (name := self.topics.name_in(topic)) is not None:
                self._emitter.warn(
                    f"topic {topic} contains the name of {name} and is left alone: is it needed?",
                    NoticeKind.FOREIGN,
                )
            if name is not None or at % old_topics.CHUNK == 0:
                await asyncio.sleep(0)


async def in_parts(listed: Sequence[Application]) -> AsyncIterator[Application]:
    """Each of them, where there may be thousands: others have their turn after each A_PART."""
    for number, app in enumerate(listed):
        if number % A_PART == 0:
            await asyncio.sleep(0)
        yield app


def reference(listed: Application) -> ApplicationRef:
    """An Application as Argo CD is to be asked for it."""
    return ApplicationRef(name=listed.metadata.name, namespace=listed.metadata.namespace or None)
