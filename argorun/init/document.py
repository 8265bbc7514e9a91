"""Writes answers as a commented argorun.yaml. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

import msgspec

from argorun.config.keys import SCHEMA_URL
from argorun.init.answers import Answers, KafkaAnswer, ServerAnswer, TestsAnswer, TopicAnswer
from argorun.redact.sanitize import clean

WIDTH = 110  # of comments
# What every parser of YAML, of version 1.1 or 1.2, takes for a text.
_PLAIN = re.compile(r"(?:/|\.\./)*[A-Za-z][A-Za-z0-9_./-]*(:[0-9]+)?")
_WORDS = re.compile("y|n|yes|no|on|off|true|false|null|nan|inf", re.IGNORECASE)
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

HEAD = """\
# yaml-language-server: $schema={schema}
# argorun's settings for {application}, as `argorun init` found them. What is commented out is optional.
# ${{NAME}} takes an environment variable, so that this file contains no secret.
"""
TIMEOUTS = [
    "# timeouts:",
    "#   run: 15m      # the whole run, up to the verdict",
    "#   busy: 10m     # waiting until nobody else uses the Application",
    "#   cleanup: 90s  # putting everything back",
    "#   stuck: 60s    # how long a pod may be unable to start: no such image, no node",
]


def text_of(answers: Answers) -> str:
    """The file. argorun.config reads the same answers from it."""
    app = answers.application
    head = HEAD.format(schema=SCHEMA_URL, application=_comment_text(str(app)))
    parts = [head.rstrip("\n").split("\n"), list(_application(answers)), list(_argocd(answers.argocd))]
    parts += [list(_kafka(answers.kafka)), ["topics:", *_topics(answers.topics)], list(_tests(answers.tests))]
    parts.append(TIMEOUTS)
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _application(answers: Answers) -> Iterator[str]:
    app = answers.application
    yield "# The Argo CD Application of the run, or {name: weather, namespace: argocd, project: default}."
    if app.project is None and not app.namespace:
        yield f"application: {scalar(app.name)}"
    elif app.project is None:
        yield f"application: {scalar(str(app))}"
    else:
        given = {"name": app.name, "namespace": app.namespace, "project": app.project}
        yield f"application: {flow({k: v for k, v in given.items() if v})}"


def _argocd(argocd: ServerAnswer) -> Iterator[str]:
    yield "argocd:"
    yield "  # Host and port; --server and ARGOCD_SERVER win over it. The token comes from ARGOCD_AUTH_TOKEN"
    yield "  # or from `argocd login`, never from this file."
    yield from comments(argocd.notes, "  ")
    yield f"  server: {scalar(argocd.server)}"
    if argocd.ca is not None:
        yield f"  ca: {scalar(argocd.ca)} # the CA that signed the server's certificate"
    else:
        yield "  # ca: ca.pem # the CA that signed the server's certificate; default: the system's"
    if argocd.insecure:
        yield "  insecure: true # do not verify the server's certificate"
    if argocd.plaintext:
        yield "  plaintext: true # http instead of https"
    if argocd.root_path:
        yield f"  root_path: {scalar(argocd.root_path)} # where Argo CD is served below a path"


def _kafka(kafka: KafkaAnswer) -> Iterator[str]:
    yield "# librdkafka's own property names, passed through unchanged."
    yield "kafka:"
    yield "  # --bootstrap-servers and KAFKA_BOOTSTRAP_SERVERS win over it. CI must reach this address, too."
    yield from comments(kafka.notes, "  ")
    for name, value in kafka.properties.items():
        yield f"  {scalar(name)}: {scalar(value)}"
    optional = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "${KAFKA_USERNAME}",
        "sasl.password": "${KAFKA_PASSWORD}",
    }
    for name, value in (optional | kafka.hints).items():
        if name not in kafka.properties:
            yield f"  # {name}: {_comment_text(value)}"


def _topics(topics: Iterable[TopicAnswer]) -> Iterator[str]:
    yield "  # The topic's name is {prefix}_{unix seconds}_{8 hex digits}."
    for number, topic in enumerate(topics):
        yield f"  - prefix: {scalar(topic.prefix)}"
        seen = f", {topic.seen}" if topic.seen else ""
        yield from comments([f"The place of the name{seen}."], "    ")
        yield f"    parameter: {flow(_parameter(topic))}"
        if number == 0:
            yield "    # partitions: 1            # default -1: the broker's own number"
            yield "    # replication_factor: 1    # the same"
            yield "    # config: {retention.ms: 3600000}"
            yield "    # Delete empty consumer groups with this prefix whose IDs contain the topic's name."
            yield "    # groups: my-tests-"


def _parameter(topic: TopicAnswer) -> dict[str, object]:
    built: dict[str, object] = msgspec.to_builtins(topic.parameter)
    return {kind: place for kind, place in built.items() if place is not None}


def _tests(tests: TestsAnswer) -> Iterator[str]:
    about = (
        "The Jobs (or bare Pods) that decide the verdict. Default: every PostSync one; at least one must run."
    )
    if tests.jobs:
        yield "tests:"
        yield from comments([about, *tests.notes], "  ")
        yield f"  jobs: {flow(list(tests.jobs))}"
    else:
        yield from comments([about, *tests.notes], "")
        yield "# tests:"
        yield "#   jobs: [run-automation-tests-job]"


def comments(texts: Iterable[str], indent: str) -> Iterator[str]:
    """Each text as one or more lines of comment."""
    for text in texts:
        start = f"{indent}# "
        yield from textwrap.wrap(
            _comment_text(text), WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False,
            break_long_words=False,
        )  # fmt: skip


def scalar(text: str) -> str:
    """A text as YAML, in quotes wherever a parser could take it for something else."""
    if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text):
        return text
    import yaml

    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=2**31)
    return quoted.rstrip("\n")


def flow(value: object) -> str:
    """Lists and mappings on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(str(value))


def _comment_text(text: str) -> str:
    return _UNPRINTABLE.sub("?", clean(" ".join(text.split())))
