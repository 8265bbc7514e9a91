"""The file that is written says to argorun.config exactly what was answered, whatever that is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argorun.config.checks import is_helm_name
from argorun.config.keys import SCHEMA_URL
from argorun.config.load import load
from argorun.config.model import ApplicationRef, ConfigMapKey, Flags, Parameter
from argorun.init.answers import Answers, KafkaAnswer, ServerAnswer, TestsAnswer, TopicAnswer
from argorun.init.document import flow, scalar, text_of

ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t0ken", "KAFKA_PASSWORD": "s3cret", "KAFKA_USERNAME": "me"}
ANSWERS = Answers(
    ApplicationRef(name="weather"),
    ServerAnswer("argocd.example.com"),
    KafkaAnswer({"bootstrap.servers": "kafka.example.com:9092"}),
    (TopicAnswer("weather_updates", Parameter(helm="kafka.topic"), "in the chart's values"),),
    TestsAnswer(
        ("run-automation-tests-job",), ("Job run-automation-tests-job (PostSync): among the manifests",)
    ),
)


def written(tmp_path: Path, answers: Answers) -> Path:
    path = tmp_path / "argorun.yaml"
    path.write_text(text_of(answers), encoding="utf-8")
    return path


def test_the_file_of_the_example(tmp_path: Path) -> None:
    expected = Path(__file__).with_name("argorun.yaml").read_text(encoding="utf-8")
    assert text_of(ANSWERS) == expected
    assert expected.startswith(f"# yaml-language-server: $schema={SCHEMA_URL}\n")


def test_what_is_commented_out_can_be_taken_in(tmp_path: Path) -> None:
    """Each line of YAML in a comment is valid where it stands."""
    lines = text_of(ANSWERS).splitlines()
    for wanted in ("security.protocol", "partitions", "replication_factor", "config", "groups", "ca"):
        (at,) = [i for i, line in enumerate(lines) if line.lstrip().startswith(f"# {wanted}:")]
        lines[at] = lines[at].replace("# ", "", 1)
    at = lines.index("# timeouts:")
    lines[at:] = [line.removeprefix("# ") for line in lines[at:]]
    (tmp_path / "ca.pem").touch()
    path = tmp_path / "argorun.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    config = load(Flags(file=path), ENVIRONMENT, tmp_path)
    assert (config.topics[0].partitions, config.topics[0].groups, config.timeouts.run) == (
        1,
        "my-tests-",
        900,
    )


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
TRAPS = st.sampled_from(
    [
        "on",
        "no",
        "Y",
        "null",
        "~",
        "123",
        "1e3",
        "0x1f",
        "1:30",
        "12:30:45",
        "a: b",
        "a #b",
        "#a",
        "- a",
        "'",
        '"',
        "\\",
        "${NAME}",
        "{{ x }}",
        "[a",
        "{a",
        "a, b",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "=",
        "<<",
        "?",
        "2020-01-01",
        ".inf",
        " a ",
        "ü",
        "日本",
        "\U0001f600",
        "\x85a",
        "a\u2028b",
        "\ufeff",
        "true",
        "a" * 300,
        "...",
        "---",
        "a:",
        ":a",
        "a\tb",
    ]
)
TEXTS = TRAPS | st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("'\"#:{}[],&*!|>%@`\\ -"), min_size=1
)
VISIBLE = TEXTS.filter(lambda text: text.strip() != "")
PREFIXES = st.from_regex(r"[a-zA-Z0-9._-]{1,30}", fullmatch=True).filter(lambda p: p not in (".", ".."))
PLACES = st.builds(lambda name: Parameter(helm=name), VISIBLE.filter(is_helm_name)) | st.builds(
    lambda configmap, key: Parameter(kustomize=ConfigMapKey(configmap=configmap, key=key)), VISIBLE, VISIBLE
)
TOPICS = st.lists(st.builds(TopicAnswer, PREFIXES, PLACES, TEXTS), min_size=1, max_size=3).map(
    lambda topics: tuple({str(t.parameter): t for t in topics}.values())
)
SERVERS = st.builds(
    ServerAnswer,
    st.builds(lambda host, port: f"{host}{port}", NAMES, st.sampled_from(["", ":443", ":8443"])),
    insecure=st.booleans(),
    plaintext=st.booleans(),
    root_path=st.sampled_from(["", "argocd", "a/b", "123"]),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
)
KAFKA = st.builds(
    KafkaAnswer,
    st.builds(
        lambda servers, more: {"bootstrap.servers": servers, **more},
        st.from_regex(r"[a-z0-9.-]{1,20}:[0-9]{4}(,[a-z0-9.-]{1,20}:[0-9]{4})?", fullmatch=True),
        st.dictionaries(
            st.sampled_from(["client.id", "ssl.ca.location"]), VISIBLE.filter(lambda t: "$" not in t)
        ),
    ),
    hints=st.dictionaries(st.sampled_from(["security.protocol", "sasl.mechanism"]), TEXTS),
    notes=st.lists(TEXTS, max_size=2).map(tuple),
)
TESTS = st.builds(
    TestsAnswer, st.lists(VISIBLE, max_size=3).map(tuple), st.lists(TEXTS, max_size=2).map(tuple)
)
APPLICATIONS = st.builds(
    lambda name, namespace, project: ApplicationRef(name=name, namespace=namespace, project=project),
    NAMES,
    st.none() | NAMES,
    st.none() | VISIBLE,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.builds(Answers, APPLICATIONS, SERVERS, KAFKA, TOPICS, TESTS))
def test_whatever_is_answered_is_what_the_file_says(tmp_path: Path, answers: Answers) -> None:
    config = load(Flags(file=written(tmp_path, answers)), ENVIRONMENT, tmp_path)
    argocd = config.argocd
    read = Answers(
        config.application,
        ServerAnswer(
            argocd.server, None, argocd.insecure, argocd.plaintext, argocd.root_path, answers.argocd.notes
        ),
        KafkaAnswer(dict(config.kafka), answers.kafka.hints, answers.kafka.notes),
        tuple(
            TopicAnswer(t.prefix, t.parameters[0], a.seen)
            for t, a in zip(config.topics, answers.topics, strict=True)
        ),
        TestsAnswer(config.jobs, answers.tests.notes),
    )
    assert read == answers


@given(TEXTS)
def test_a_text_stays_a_text_in_a_block_in_a_list_and_in_a_mapping(text: str) -> None:
    assert yaml.safe_load(f"key: {scalar(text)}") == {"key": text}
    assert yaml.safe_load(f"key: {flow([text, {text: text}])}") == {"key": [text, {text: text}]}


@pytest.mark.parametrize(
    "text", ["weather", "localhost:9092", "kafka.topic", "ca/ca.pem", "../ca.pem", "/etc/ca.pem"]
)
def test_what_is_plain_to_everybody_has_no_quotes(text: str) -> None:
    assert scalar(text) == text


def test_a_ca_and_secrets_as_variables(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    properties = {
        "bootstrap.servers": "kafka.example.com:9094",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "${KAFKA_USERNAME}",
        "sasl.password": "${KAFKA_PASSWORD}",
    }
    answers = Answers(
        ANSWERS.application, ServerAnswer("argocd", ca="ca.pem"), KafkaAnswer(properties), ANSWERS.topics
    )
    path = written(tmp_path, answers)
    config = load(Flags(file=path), ENVIRONMENT, tmp_path)
    assert (config.argocd.ca, config.kafka["sasl.password"]) == (tmp_path / "ca.pem", "s3cret")
    assert config.jobs == ()
    assert not any(secret in path.read_text(encoding="utf-8") for secret in ("s3cret", "t0ken"))
