"""Step 1, plan: a run's topics, parameters and the lines of a dry run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.spec import claimed, original_value
from argorun.argocd.types import Application, Json
from argorun.config.model import Config, Topic
from argorun.humanize import count
from argorun.kafka import names
from argorun.kafka.spec import TopicSpec
from argorun.run.state import RunTopic


def draw(topics: Sequence[Topic], now: float) -> list[RunTopic]:
    """Each topic with a new name; `now` is Argo CD's time, in seconds since the epoch."""
    return [RunTopic(names.draw(t.prefix, now), t) for t in topics]


def settings(config: Config, topics: Sequence[RunTopic]) -> list[Setting]:
    """Every parameter of the run with its value."""
    for_topics = [KINDS[p.kind].for_topic(p.place, t.name) for t in topics for p in t.topic.parameters]
    return for_topics + [Helm(s.name, s.value, s.string) for s in config.sets]


def topic_spec(topic: Topic) -> TopicSpec:
    """A topic as it is created in Kafka."""
    return TopicSpec(
        prefix=topic.prefix,
        partitions=topic.partitions,
        replication_factor=topic.replication_factor,
        config=topic.config,
        groups=topic.groups,
    )


def planned(
    config: Config,
    topics: Sequence[RunTopic],
    settings: Sequence[Setting],
    seen: Application,
    manifests: Sequence[Json],
) -> Iterator[str]:
    """What the run would do, in order, with the values that stand now."""
    for t in topics:
        n = t.topic.partitions
        partitions = "the broker's number of partitions" if n == -1 else count(n, "partition")
        end = "leave it there (--keep-topics)" if config.keep_topics else "delete it at the end"
        yield f"create topic {t.name} ({partitions}), and {end}"
    for s in settings:
        was = original_value(seen, s, manifests)
        now = "not set" if was is None else repr(was)
        yield f"set {s} to {s.value or repr('')}{s.note} (now {now}), and put it back"
    _, record = claimed(seen, settings, manifests, "", 0)
    if record.automated is not None:
        yield "switch auto-sync off, and on again at the end"
    yield f"sync {config.application}" + (f" at {config.revision}" if config.revision else "")
    yield f"wait for {', '.join(config.jobs) or 'every PostSync Job and Pod'}"
    if record.automated is not None or config.settle:
        yield "sync without hooks at the end, to take the workloads off the topic"
    else:
        yield "leave the workloads on the run's topic (--no-settle)"
