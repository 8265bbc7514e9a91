"""The undos in Kafka: the run's topics, those derived from them, and consumer groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from argorun import recovery
from argorun.emit import Emitter
from argorun.errors import ArgorunError, KafkaFailed
from argorun.kafka import old_topics
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind, Subject
from argorun.run.undo.stack import UndoStack


class TopicUndos:
    """Deletes a run's topics and what goes with them. `kafka` has librdkafka's properties.

    `check_unused` raises OperationFailed where a pod may still use the topics.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        topics: Topics,
        undo: UndoStack,
        emitter: Emitter,
        check_unused: Callable[[], None],
    ) -> None:
        self._kafka, self._topics, self._undo, self._emitter = kafka, topics, undo, emitter
        self._check_unused = check_unused
        self.gone: list[str] = []  # the topics that were deleted, and seen gone
        self.derived_gone: list[str] = []  # the same of those that were derived from them
        self.groups_gone: list[str] = []  # the consumer groups that were deleted
        self._left: set[str] = set()  # derived topics that were emitted as left behind

    async def delete(self, name: str) -> str | None:
        """Delete a topic, unless it turns out that it was there before the run."""
        if not self._undo.hurried:
            self._check_unused()
        try:
            await self._topics.delete(name)
        except TopicExists:
            return None  # it existed before: the create was canceled before the run knew
        await self._topics.wait_gone(name)
        self.gone.append(name)
        return f"topic {name} deleted"

    def delete_command(self, name: str) -> str:
        return recovery.delete_topics(self._kafka, [name])

    async def delete_derived(self, name: str) -> str | None:
        """Delete the topics that services derived from a topic's name, once that topic is gone.

        Each is emitted: what is gone, what stays, and other topics that hold the name, which stay, too.
        """
        try:
            found = await self._topics.related(name)
        except TopicExists:
            return None
        for other in found.others:
            text = f"topic {other} contains the name of {name} and is left alone: is it needed?"
            self._emitter.warn_once(text, NoticeKind.FOREIGN)
        if name not in self.gone and not self._undo.hurried:
            self._leave(found.derived, KafkaFailed(f"it is kept as long as topic {name} is"))
            return None
        began = time.monotonic()

        def is_gone(topic: str) -> None:
            self.derived_gone.append(topic)
            what = f"topic {topic} deleted: its name is derived from that of the run's topic"
            self._emitter.undone(what, began, Subject.DERIVED_TOPIC, topic)

        await old_topics.delete(self._topics, found.derived, is_gone, self._leave)
        return None

    def _leave(self, topics: Sequence[str], error: ArgorunError) -> None:
        for topic in (t for t in topics if t not in self._left):
            self._left.add(topic)
            command, kind = self.delete_command(topic), Subject.DERIVED_TOPIC
            self._undo.leave(f"topic {topic}", error.message, command, kind, topic, swept=True)

    async def delete_groups(self, prefix: str, topic: str) -> str | None:
        """Delete the empty consumer groups of this prefix whose id holds the topic's name."""
        began = time.monotonic()
        for group in await self._topics.delete_groups(prefix, [topic]):
            self.groups_gone.append(group)
            self._emitter.undone(f"consumer group {group} deleted", began, Subject.CONSUMER_GROUP, group)
        return None

    async def delete_again(self) -> str | None:
        """Delete at the end what a pod has brought back, or has derived from a topic's name."""
        for name in self.gone:
            if self._undo.hurried:  # the topics went before the pods
                await self._topics.delete(name)
                await self._topics.wait_gone(name)
            await self.delete_derived(name)
        return None

    def delete_again_command(self) -> str:
        return recovery.delete_topics(self._kafka, self.gone)
