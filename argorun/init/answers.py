"""What is written to argorun.yaml, and where each answer was seen."""

from __future__ import annotations

from dataclasses import dataclass, field

from argorun.config.model import ApplicationRef, Parameter


@dataclass(frozen=True)
class TopicAnswer:
    """A topic: its prefix, and the place of its name; `seen` says where that was found, for a comment."""

    prefix: str
    parameter: Parameter
    seen: str = ""


@dataclass(frozen=True)
class ServerAnswer:
    """How Argo CD is reached. The token is no part of it; `ca` is relative to the file's folder."""

    server: str
    ca: str | None = None
    insecure: bool = False
    plaintext: bool = False
    root_path: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KafkaAnswer:
    """librdkafka's properties, with ${NAME} for secrets; `hints` are those that manifests show."""

    properties: dict[str, str]
    hints: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestsAnswer:
    """The tests' names; without any, every PostSync Job and Pod is a test."""

    __test__ = False  # not a pytest class
    jobs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """Everything that a configuration needs."""

    application: ApplicationRef
    argocd: ServerAnswer
    kafka: KafkaAnswer
    topics: tuple[TopicAnswer, ...]
    tests: TestsAnswer = TestsAnswer()
