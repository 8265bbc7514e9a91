"""The topics of a run or a sweep, from flags and file."""

from __future__ import annotations

import msgspec

from argorun.config import checks, missing
from argorun.config.file import TopicFile
from argorun.config.inputs import Inputs
from argorun.config.model import Topic
from argorun.config.problems import Wrong
from argorun.config.words import ordinal


def of_run(inputs: Inputs, prefix: str | None, parameter: str | None) -> tuple[Topic, ...]:
    """The run's topics; --topic and --parameter give the only one, or change the file's only one."""
    written, called = list(inputs.written.file.topics), inputs.written.called
    inputs.sources["topics"] = inputs.line("topics")
    if prefix is not None or parameter is not None:
        inputs.sources["topics"] = " and ".join(
            flag for flag, value in (("--topic", prefix), ("--parameter", parameter)) if value is not None
        )
        if len(written) > 1:
            inputs.problems.typed(
                f"--topic and --parameter change one topic, and {called} has {len(written)}",
                "leave them out, or use a file with one topic",
            )
            return ()
        if not written and (prefix is None or parameter is None):
            inputs.lacks.append(missing.PARAMETER if prefix else missing.PREFIX)
            return ()
        base = written[0] if written else TopicFile(prefix="", parameter="")
        changes = {k: v for k, v in (("prefix", prefix), ("parameter", parameter)) if v is not None}
        written = [msgspec.structs.replace(base, **changes)]
    if not written:
        inputs.lacks.append(missing.TOPIC)
        return ()
    try:
        made = tuple(topic(t, sources(inputs, i, prefix, parameter)) for i, t in enumerate(written))
    except Wrong:
        return ()  # a flag's mistake, which has been reported
    check_places(inputs, made)
    return made


def check_places(inputs: Inputs, topics: tuple[Topic, ...]) -> None:
    """Each parameter takes the name of one topic."""
    first: dict[str, int] = {}
    for i, made in enumerate(topics):
        for place in map(str, made.parameters):
            if place in first:
                other = f"the {ordinal(first[place])} entry" if first[place] != i else "the same topic"
                path = ("topics", i, "parameter")
                inputs.wrong(path, f": {place} is set by {other}, too", "two topics need two parameters")
            first.setdefault(place, i)


def of_sweep(inputs: Inputs, given: tuple[str, ...]) -> dict[str, str | None]:
    """The prefixes to sweep, each with that of its groups: those of --topic, else the file's."""
    known = {t.prefix: t.groups for t in inputs.written.file.topics}
    inputs.sources["topics"] = "--topic" if given else inputs.line("topics")
    chosen = {p: known.get(p) for p in given} or known
    if not chosen:
        inputs.lacks.append(missing.PREFIX)
    return chosen


def sources(inputs: Inputs, i: int, prefix: str | None, parameter: str | None) -> dict[str, str]:
    """Where each key of the topic was given."""
    lines = {key: inputs.line("topics", i, key) for key in TopicFile.__struct_fields__}
    if prefix is not None:
        lines["prefix"] = "--topic"
    if parameter is not None:
        lines["parameter"] = "--parameter"
    return {key: source for key, source in lines.items() if source}


def topic(written: TopicFile, sources: dict[str, str]) -> Topic:
    """One topic. Raises Wrong where a flag's value has not been checked."""
    return Topic(
        prefix=written.prefix,
        parameters=checks.places(written.parameter),
        partitions=written.partitions,
        replication_factor=written.replication_factor,
        config={k: checks.scalar(v) for k, v in written.config.items()},
        groups=written.groups,
        unverified=written.unverified,
        sources=sources,
    )
