"""Step 3, topics: creates them and waits until they can be produced to."""

from __future__ import annotations

import time
from collections.abc import Callable

from argorun import events
from argorun.emit import Emitter
from argorun.errors import AccessDenied, UsageError
from argorun.kafka import names
from argorun.kafka.spec import CreatedTopic, TopicExists
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.run.cleanup import RunCleanup
from argorun.run.plan import topic_spec
from argorun.run.state import RunState, RunTopic


async def create(
    topics: Topics, cleanup: RunCleanup, state: RunState, emitter: Emitter, now: Callable[[], float]
) -> None:
    """Make every topic of the run, one after the other.

    `now` gives Argo CD's time, in seconds since the epoch. Raises UsageError, AccessDenied, KafkaFailed.
    """
    for i in range(len(state.topics)):
        began = time.monotonic()
        created = await _create(topics, cleanup, state, i, emitter, now)
        emitter.emit(
            events.TopicCreated(
                time=time.time(),
                topic=created.name,
                partitions=created.partitions,
                replication_factor=created.replication_factor,
                seconds=time.monotonic() - began,
            )
        )


async def _create(
    topics: Topics,
    cleanup: RunCleanup,
    state: RunState,
    i: int,
    emitter: Emitter,
    now: Callable[[], float],
) -> CreatedTopic:
    """Make one topic; under another name where the first is somebody else's."""
    while True:
        name, topic = state.topics[i].name, state.topics[i].topic
        undos = cleanup.register_topic(name, topic)
        try:
            await topics.create(name, topic_spec(topic))
        except TopicExists:
            text = f"topic {name} already exists and is not this run's; using another name"
            emitter.warn(text, NoticeKind.FOREIGN)
            cleanup.forget(name, undos)
            state.topics[i] = RunTopic(names.draw(topic.prefix, now()), topic)
        except (AccessDenied, UsageError):  # refused; an error of any other kind may have made it
            cleanup.forget_kept(name)
            raise
        else:
            return await topics.wait_usable(name)
