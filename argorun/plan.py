"""What a dry run says would be done, line by line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argorun.argocd import parameters
from argorun.argocd.types import Application, Json
from argorun.config import Config, Topic


def planned(
    config: Config,
    drawn: Sequence[tuple[Topic, str]],
    settings: Sequence[parameters.Setting],
    seen: Application,
    manifests: Sequence[Json],
) -> Iterator[str]:
    """The run's deeds in their order, with the values that stand now."""
    for topic, name in drawn:
        partitions = "the broker's number of" if topic.partitions == -1 else topic.partitions
        yield f"create topic {name} ({partitions} partitions), and delete it in the end"
    for s in settings:
        was = parameters.original_value(seen, s, manifests)
        yield f"set {s} to {s.value} (now {'not set' if was is None else repr(was)}), and put it back"
    yield f"sync {config.application}" + (f" at {config.revision}" if config.revision else "")
    yield f"wait for {', '.join(config.jobs) or 'every PostSync Job'}"
