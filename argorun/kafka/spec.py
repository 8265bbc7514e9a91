"""A topic as it is requested and as it was created; needs no Kafka client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """A topic as argorun.yaml requests it; -1 leaves a number to the broker (KIP-464, Kafka 2.4 and up).

    See docs/kafka-facts.md#creating-topics.
    """

    prefix: str
    partitions: int = -1
    replication_factor: int = -1
    config: Mapping[str, str] = field(default_factory=dict)
    groups: str | None = None  # delete empty consumer groups with this prefix whose id holds the topic's name
    sources: Mapping[str, str] = field(default_factory=dict)  # where its keys were given: prefix: --topic


@dataclass(frozen=True, kw_only=True)
class CreatedTopic:
    """A topic as the broker created it."""

    name: str
    partitions: int
    replication_factor: int


class TopicExists(Exception):
    """A topic of this name existed before the run: the run must never touch it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"topic {name} already exists and is not this run's")
        self.name = name
