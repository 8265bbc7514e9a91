"""Loads the Config of a run from flags, environment and argorun.yaml; no network.

Flags win over the environment, the environment over argorun.yaml, and that over the argocd CLI's own
settings. The environment and the files' folder are passed in, so that nothing here reads global state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from argorun.config import checks, connection, missing, topics
from argorun.config.file import TimeoutsFile, read
from argorun.config.flags import assignments, check_run
from argorun.config.inputs import Inputs, Lack
from argorun.config.model import (
    ApplicationRef,
    ArgoCD,
    Assignment,
    CliSettings,
    Config,
    Flags,
    Timeouts,
    Topic,
)
from argorun.config.problems import Problems
from argorun.redact.secrets import collecting, in_address, is_parameter, of_properties

BOOTSTRAP = "bootstrap.servers"

CheckProperties = Callable[[Mapping[str, str]], Iterable[tuple[str, str, str]]]
"""Finds what is wrong with librdkafka's properties: the name, a text and a hint for each."""


def load(
    flags: Flags,
    environment: Mapping[str, str],
    folder: Path,
    cli: CliSettings | None = None,
    mask: Callable[..., None] = lambda *secrets: None,
    check_properties: CheckProperties = lambda properties: (),
    problems: Problems | None = None,
) -> Config:
    """The checked Config of a run; the parameters are those of `load_parts`.

    Raises UsageError with everything that is wrong: what was typed, then what is written; and if nothing is,
    with everything that is missing. Nothing has been touched then.
    """
    parts = load_parts(flags, environment, folder, cli, mask, check_properties, problems)
    if parts.application is None or parts.argocd is None or parts.missing:
        raise missing.error("run", parts.inputs, typed=flags != Flags(file=flags.file))
    return parts.config(flags, parts.application, parts.argocd)


@dataclasses.dataclass(frozen=True)
class Parts:
    """What there is of a run's configuration, each part checked; `missing` says why one is not there."""

    inputs: Inputs
    application: ApplicationRef | None
    argocd: ArgoCD | None
    kafka: dict[str, str]
    topics: tuple[Topic, ...]
    sets: tuple[Assignment, ...]
    jobs: tuple[str, ...]
    timeouts: Timeouts
    secrets: tuple[str, ...]

    @property
    def sources(self) -> dict[str, str]:
        """Where each value was given, as in Config."""
        return {key: source for key, source in self.inputs.sources.items() if source}

    @property
    def missing(self) -> dict[str, Lack]:
        """What is given nowhere: by argocd, token, kafka, application and topics."""
        return {lack.key: lack for lack in self.inputs.lacks}

    def config(self, flags: Flags, application: ApplicationRef, argocd: ArgoCD) -> Config:
        """A Config of these parts and flags; the caller decides what stands for a part that is missing."""
        return Config(
            application=application,
            argocd=argocd,
            kafka=self.kafka,
            topics=self.topics,
            jobs=self.jobs,
            timeouts=self.timeouts,
            revision=flags.revision,
            sets=self.sets,
            keep_topics=flags.keep_topics,
            settle=not flags.no_settle,
            nudge=not flags.no_nudge,
            force_owned=flags.force_owned,
            dry_run=flags.dry_run,
            logs=flags.logs,
            secrets=self.secrets,
            sources=self.sources,
        )


def load_parts(
    flags: Flags,
    environment: Mapping[str, str],
    folder: Path,
    cli: CliSettings | None = None,
    mask: Callable[..., None] = lambda *secrets: None,
    check_properties: CheckProperties = lambda properties: (),
    problems: Problems | None = None,
) -> Parts:
    """The parts of a run's configuration, some of which may be missing.

    `folder` is where argorun.yaml is looked for when no file is given, `problems` are what the caller has
    found wrong on the command line. Each secret goes to `mask` before a message may quote it. Raises
    UsageError with everything that is wrong.
    """
    secrets, mask = collecting(environment, mask)
    problems = Problems() if problems is None else problems
    check_run(flags, folder, problems)
    written = read(flags.file, folder, problems, mask)
    inputs = Inputs(written, environment, cli or CliSettings(), folder, problems, mask)
    kafka = kafka_settings(inputs, flags.bootstrap_servers, check_properties)
    argocd = connection.argocd(inputs, flags.server, flags.ca)
    app = application(inputs, flags)
    made = topics.of_run(inputs, flags.topic, flags.parameter)
    sets = assignments(flags, {p.helm for t in made for p in t.parameters if p.helm}, problems)
    mask(*(s.value for s in sets if is_parameter(s.name)))
    problems.raise_any()
    remember_limits(inputs, flags)
    return Parts(
        inputs=inputs,
        application=app,
        argocd=argocd,
        kafka=kafka,
        topics=made,
        sets=sets,
        jobs=flags.jobs or tuple(written.file.tests.jobs),
        timeouts=timeouts(written.file.timeouts, flags.timeout),
        secrets=tuple(sorted(secrets - {""})),
    )


def kafka_settings(inputs: Inputs, flag: str | None, check: CheckProperties) -> dict[str, str]:
    """librdkafka's properties, their secrets masked; what is wrong with them is reported."""
    inputs.note_lines("kafka")
    written = inputs.written.file.kafka
    at = f"kafka.{BOOTSTRAP}"
    servers = inputs.first(
        at,
        ("--bootstrap-servers", flag),
        ("KAFKA_BOOTSTRAP_SERVERS", inputs.environment.get("KAFKA_BOOTSTRAP_SERVERS")),
    )
    kafka, unread = dict[str, str](), dict[str, str]()
    for name, value in written.items():
        if servers and name == BOOTSTRAP:
            continue  # not used, so its variables need not be set
        text = checks.scalar(value)
        expanded = inputs.expand(("kafka", name), text)
        if expanded is None:
            unread[name] = text
        else:
            kafka[name] = expanded
    if servers:
        kafka[BOOTSTRAP] = servers
        inputs.mask(*in_address(servers))
    inputs.mask(*of_properties(kafka))
    if kafka:
        for name, text, hint in check(kafka | unread):  # with those, for others may need them
            if name in unread:
                continue  # this one has been reported
            if name == BOOTSTRAP and servers:
                text = text.replace(at, inputs.sources[at], 1)
                (inputs.problems.typed if flag else inputs.problems.variable)(text, hint)
            else:
                place = inputs.written.at("kafka", name) if name else inputs.written.at("kafka")
                inputs.problems.written(inputs.written.called, place, text, hint)
    if BOOTSTRAP in kafka:  # a comma at the end names no broker
        kafka[BOOTSTRAP] = ",".join(filter(None, (part.strip() for part in kafka[BOOTSTRAP].split(","))))
    if not kafka.get(BOOTSTRAP):
        inputs.lacks.append(missing.KAFKA)
    return kafka


def application(inputs: Inputs, flags: Flags) -> ApplicationRef | None:
    """The Application to run, by its name or as `NAMESPACE/NAME`."""
    written = inputs.written.file.application
    if flags.application is None and written is None:
        inputs.lacks.append(missing.APPLICATION)
        return None
    inputs.sources["application"] = inputs.line("application")
    if flags.application is not None:
        inputs.sources["application"] = "the command line"
    if inputs.problems:
        return None
    return checks.application(flags.application if flags.application is not None else written or "")


def timeouts(file: TimeoutsFile, flag: str | None = None) -> Timeouts:
    """The limits in seconds, which have been checked; --timeout wins over `timeouts.run`."""
    given = {name: getattr(file, name) for name in file.__struct_fields__} | ({"run": flag} if flag else {})
    return Timeouts(**{k: checks.duration_or_none(v) for k, v in given.items() if v is not None})


def remember_limits(inputs: Inputs, flags: Flags) -> None:
    """Where the limits and the tests were given."""
    inputs.note_lines("timeouts")
    inputs.note_lines("tests")
    if flags.timeout is not None:
        inputs.sources["timeouts.run"] = "--timeout"
    if flags.jobs:
        inputs.sources["tests.jobs"] = "--job"
