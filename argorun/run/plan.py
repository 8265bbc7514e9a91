"""Step 1, plan: a run's topics, parameters and the lines of a dry run. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.spec import claimed, original_value
from argorun.argocd.types import Application, Json
from argorun.config.model import Config, Topic
from argorun.events import Planned
from argorun.humanize import count
from argorun.kafka import names
from argorun.kafka.spec import TopicSpec
from argorun.kinds import PlannedKind
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
        sources=topic.sources,
    )


def planned(
    config: Config,
    topics: Sequence[RunTopic],
    settings: Sequence[Setting],
    seen: Application,
    manifests: Sequence[Json],
    now: float,
) -> Iterator[Planned]:
    """What the run would do, in order, with the values that stand now; `now` is the events' time."""
    line = functools.partial(Planned, time=now)
    for t in topics:
        n = t.topic.partitions
        partitions = "the broker's number of partitions" if n == -1 else count(n, "partition")
        end = "leave it there (--keep-topics)" if config.keep_topics else "delete it at the end"
        kind = PlannedKind.KEEP_TOPIC if config.keep_topics else PlannedKind.TOPIC
        what = f"create topic {t.name} ({partitions}), and {end}"
        yield line(what=what, kind=kind, names=(t.name,), partitions=n)
    for s in settings:
        was = original_value(seen, s, manifests)
        stands = "not set" if was is None else repr(was)
        what = f"set {s} to {s.value or repr('')}{s.note} (now {stands}), and put it back"
        names = tuple(filter(None, (s.name, s.key)))
        yield line(what=what, kind=PlannedKind.PARAMETER, names=names, value=s.value, original=was)
    _, record = claimed(seen, settings, manifests, "", 0)
    if record.automated is not None:
        yield line(what="switch auto-sync off, and on again at the end", kind=PlannedKind.AUTO_SYNC)
    app, revision = str(config.application), config.revision or ""
    what = f"sync {app}" + (f" at {revision}" if revision else "")
    yield line(what=what, kind=PlannedKind.SYNC, names=(app,), value=revision)
    what = f"wait for {', '.join(config.jobs) or 'every PostSync Job and Pod'}"
    yield line(what=what, kind=PlannedKind.TESTS, names=config.jobs)
    if record.automated is not None or config.settle:
        what = "sync without hooks at the end, to take the workloads off the topic"
        yield line(what=what, kind=PlannedKind.SETTLE)
    else:
        what = "leave the workloads on the run's topic (--no-settle)"
        yield line(what=what, kind=PlannedKind.KEEP_WORKLOADS)
