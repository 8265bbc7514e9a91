"""What is asked of a topic and what came of it, for those who need no Kafka client for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TopicSpec:
    """A topic as argorun.yaml asks for it; -1 leaves a number to the broker (KIP-464, Kafka 2.4 and up)."""

    prefix: str
    partitions: int = -1
    replication_factor: int = -1
    config: Mapping[str, str] = field(default_factory=dict)
    groups: str | None = None  # empty consumer groups with this prefix that hold the name go with the topic


@dataclass(frozen=True, kw_only=True)
class CreatedTopic:
    """A topic as the broker made it."""

    name: str
    partitions: int
    replication_factor: int


class TopicExists(Exception):
    """The broker had a topic of this name before we asked for it: not ours, never to be touched."""

    def __init__(self, name: str) -> None:
        super().__init__(f"topic {name} exists already and is not this run's")
        self.name = name
