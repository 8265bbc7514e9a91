"""Flags, environment, argorun.yaml and the argocd CLI's settings: one checked Config, or one clear error."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from argorun.config.checks import duration
from argorun.config.file import File
from argorun.config.flags import check_outputs
from argorun.config.load import load, load_parts
from argorun.config.model import (
    ApplicationRef,
    ArgoCD,
    Assignment,
    CliSettings,
    Config,
    ConfigMapKey,
    Flags,
    Parameter,
    Timeouts,
    Topic,
    describe,
)
from argorun.config.problems import ConfigurationError, Problems, Wrong
from argorun.config.sources import with_value
from argorun.config.words import place_of
from argorun.errors import UsageError
from argorun.redact.secrets import is_parameter, is_secret_property

ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t0ken"}
MINIMAL = """
application: weather
argocd: {server: argocd.example.com}
kafka: {bootstrap.servers: "localhost:9092"}
topics: [{prefix: weather_updates, parameter: kafka.topic}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


def loaded(folder: Path, text: str, environment: dict[str, str] = ENVIRONMENT, **flags: Any) -> Config:
    """The Config, without the sources of its values."""
    return values(with_sources(folder, text, environment, **flags))


def with_sources(folder: Path, text: str, environment: dict[str, str] = ENVIRONMENT, **flags: Any) -> Config:
    (folder / "argorun.yaml").write_text(text, encoding="utf-8")
    return load(Flags(**flags), environment, folder)


def values(config: Config) -> Config:
    topics = tuple(msgspec.structs.replace(topic, sources={}) for topic in config.topics)
    return msgspec.structs.replace(config, sources={}, topics=topics)


def refused(
    folder: Path, text: str, environment: dict[str, str] = ENVIRONMENT, **flags: Any
) -> tuple[str, str]:
    """Message and hint of the error, the file's own path cut out."""
    with pytest.raises(UsageError) as e:
        loaded(folder, text, environment, **flags)
    return e.value.message.replace(f"{folder}/", ""), e.value.hint.replace(f"{folder}/", "")


TOO_LONG = "give at most 99999h"

# -- durations -----------------------------------------------------------------------------------------


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 9999), st.booleans())
def test_a_duration_is_hours_minutes_and_seconds(
    hours: int, minutes: int, seconds: int, with_s: bool
) -> None:
    assume(hours or minutes or seconds)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    text += f"{seconds}{'s' if with_s or text else ''}" if seconds else ""  # a number alone is of seconds
    assert duration(text) == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), (90, 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), (" 2m ", 120)]
)
def test_durations_as_the_design_writes_them(text: str | int, seconds: float) -> None:
    assert duration(text) == seconds


@given(
    st.text(max_size=12) | st.integers(max_value=0) | st.from_regex(r"[0-9]{10,500}[hms]?", fullmatch=True)
)
def test_anything_else_is_no_duration_and_says_how_one_is_written(value: str | int) -> None:
    try:
        seconds = duration(value)
    except Wrong as e:
        shown = e.hint
        assert shown in ("write it like 90, 90s, 15m or 1h30m", "give at least 1s", TOO_LONG)
    else:
        assert seconds > 0
        assert set(str(value).strip()) <= set("0123456789hms")


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-5", "1.5h", "1h30", "2m9", "15 m", "1m1h", "1d", "s", "٣m", "9" * 400, "9" * 9999],
)
def test_what_a_person_might_mistype_as_a_duration(text: str) -> None:
    with pytest.raises(Wrong):
        duration(text)


# -- from a file to a Config ----------------------------------------------------------------------------


def test_a_small_file_is_enough(folder: Path) -> None:
    assert loaded(folder, MINIMAL) == Config(
        application=ApplicationRef(name="weather"),
        argocd=ArgoCD(server="argocd.example.com", token="t0ken"),
        kafka={"bootstrap.servers": "localhost:9092"},
        topics=(Topic(prefix="weather_updates", parameters=(Parameter(helm="kafka.topic"),)),),
        timeouts=Timeouts(run=900, busy=600, cleanup=90),
        secrets=("t0ken",),
    )


def test_every_key_of_the_design_arrives_typed(folder: Path) -> None:
    (folder / "ca.pem").write_text("")
    text = """
    application: {name: weather, namespace: apps, project: demo}
    argocd:
      server: argocd.example.com:8443
      ca: ca.pem
      insecure: false
      plaintext: false
      root_path: /argo/
      client_cert: ca.pem
      client_key: ca.pem
      headers: {X-Forwarded-User: me}
      timeout: 2m
    kafka:
      bootstrap.servers: a:1,b:2
      sasl.password: ${PASSWORD}
      enable.idempotence: true
      socket.timeout.ms: 1000
    topics:
      - prefix: weather_updates
        parameter: {helm: kafka.topic}
        partitions: 3
        replication_factor: 2
        config: {retention.ms: 3600000, preallocate: true}
        groups: weather-tests-
      - prefix: alerts
        unverified: true
        parameter: [other.topic, {kustomize: {configmap: topic-config, key: topic_name}}]
    tests: {jobs: [a, b]}
    timeouts: {run: 15m, busy: 60, cleanup: 1h30m}
    """
    config = loaded(folder, text, ENVIRONMENT | {"PASSWORD": "hunter2"})
    assert config == Config(
        application=ApplicationRef(name="weather", namespace="apps", project="demo"),
        argocd=ArgoCD(
            server="argocd.example.com:8443",
            token="t0ken",
            ca=folder / "ca.pem",
            root_path="/argo/",
            client_cert=folder / "ca.pem",
            client_key=folder / "ca.pem",
            headers={"X-Forwarded-User": "me"},
            timeout=120,
        ),
        kafka={
            "bootstrap.servers": "a:1,b:2",
            "sasl.password": "hunter2",
            "enable.idempotence": "true",
            "socket.timeout.ms": "1000",
        },
        topics=(
            Topic(
                prefix="weather_updates",
                parameters=(Parameter(helm="kafka.topic"),),
                partitions=3,
                replication_factor=2,
                config={"retention.ms": "3600000", "preallocate": "true"},
                groups="weather-tests-",
            ),
            Topic(
                prefix="alerts",
                parameters=(
                    Parameter(helm="other.topic"),
                    Parameter(kustomize=ConfigMapKey(configmap="topic-config", key="topic_name")),
                ),
                unverified=True,
            ),
        ),
        jobs=("a", "b"),
        timeouts=Timeouts(run=900, busy=60, cleanup=5400),
        secrets=("hunter2", "me", "t0ken"),
    )
    assert (config.argocd.url, str(config.application)) == (
        "https://argocd.example.com:8443/argo",
        "apps/weather",
    )
    assert [str(p) for t in config.topics for p in t.parameters] == [
        "helm: kafka.topic",
        "helm: other.topic",
        "kustomize: ConfigMap topic-config, key topic_name",
    ]


NAMES = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
SCALARS = st.one_of(st.booleans(), st.integers(-5, 10**7), NAMES)
PLACES = st.one_of(
    NAMES,
    st.fixed_dictionaries({"helm": NAMES}),
    st.fixed_dictionaries({"kustomize": st.fixed_dictionaries({"configmap": NAMES, "key": NAMES})}),
)
TOPICS = st.fixed_dictionaries(
    {"prefix": NAMES, "parameter": PLACES | st.lists(PLACES, min_size=1, max_size=2)},
    optional={
        "partitions": st.just(-1) | st.integers(1, 99),
        "replication_factor": st.just(-1) | st.integers(1, 5),
        "config": st.dictionaries(NAMES, SCALARS, max_size=2),
        "groups": NAMES,
        "unverified": st.booleans(),
    },
)
FILES = st.fixed_dictionaries(
    {
        "application": NAMES
        | st.fixed_dictionaries({"name": NAMES}, optional={"namespace": NAMES, "project": NAMES}),
        "argocd": st.fixed_dictionaries(
            {"server": NAMES},
            optional={
                "insecure": st.booleans(),
                "plaintext": st.booleans(),
                "root_path": NAMES,
                "headers": st.dictionaries(NAMES, NAMES, max_size=2),
            },
        ),
        "kafka": st.fixed_dictionaries({"bootstrap.servers": NAMES}, optional={"client.id": SCALARS}),
        "topics": st.lists(TOPICS, min_size=1, max_size=2),
    },
    optional={
        "tests": st.fixed_dictionaries({"jobs": st.lists(NAMES, max_size=2)}),
        "timeouts": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("run", "busy", "cleanup"), st.integers(1, 9999))
        ),
    },
)


def scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def expected(file: dict[str, Any]) -> Config:
    """The Config that a valid file means, worked out by another way: by name."""

    def place(p: Any) -> Parameter:
        if isinstance(p, str):
            return Parameter(helm=p)
        return msgspec.convert(p, Parameter)

    def topic(t: dict[str, Any]) -> Topic:
        listed = t["parameter"] if isinstance(t["parameter"], list) else [t["parameter"]]
        rest = {k: v for k, v in t.items() if k not in ("parameter", "config")}
        config = {k: scalar(v) for k, v in t.get("config", {}).items()}
        return Topic(**rest, parameters=tuple(place(p) for p in listed), config=config)

    app, argocd = file["application"], file["argocd"]
    configs = [pair for t in file["topics"] for pair in t.get("config", {}).items()]
    named = {str(v) for k, v in configs if is_parameter(k) or is_secret_property(k)} - {"True", "False"}
    return Config(
        application=ApplicationRef(name=app) if isinstance(app, str) else ApplicationRef(**app),
        argocd=ArgoCD(token="t0ken", **argocd),
        kafka={k: scalar(v) for k, v in file["kafka"].items()},
        topics=tuple(topic(t) for t in file["topics"]),
        jobs=tuple(file.get("tests", {}).get("jobs", ())),
        timeouts=Timeouts(**file.get("timeouts", {})),
        secrets=tuple(sorted({"t0ken", *argocd.get("headers", {}).values(), *named})),
    )


@given(FILES)
def test_every_valid_file_round_trips(folder: Path, file: dict[str, Any]) -> None:
    wanted = expected(file)
    places = [str(p) for t in wanted.topics for p in t.parameters]
    assume(len(places) == len(set(places)))
    assert loaded(folder, yaml.safe_dump(file)) == wanted


def keyed_places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a file an unknown key can be put: every mapping with a fixed set of keys."""
    free = ("kafka", "config", "headers")
    found = []
    if isinstance(value, dict):
        found.append(path)
        found += [p for k, v in value.items() if k not in free for p in keyed_places(v, (*path, k))]
    elif isinstance(value, list):
        found += [p for i, v in enumerate(value) for p in keyed_places(v, (*path, i))]
    return found


@given(FILES, st.data())
def test_an_unknown_key_anywhere_is_named_with_its_place(
    folder: Path, file: dict[str, Any], data: Any
) -> None:
    places = [str(p) for t in expected(file).topics for p in t.parameters]
    assume(len(places) == len(set(places)))
    path = data.draw(st.sampled_from(keyed_places(file)))
    target: Any = file
    for part in path:
        target = target[part]
    target["zzqqzzqqzzqq"] = 1
    text = yaml.safe_dump(file)
    line = text[: text.index("zzqqzzqqzzqq")].count("\n") + 1
    message, hint = refused(folder, text)
    place = f" in {place_of(path)}" if path else ""
    assert message == f"argorun.yaml:{line}: unknown key 'zzqqzzqqzzqq'{place}"
    assert hint.startswith("known keys: ")


@pytest.mark.parametrize(
    ("written", "mistyped", "message", "near"),
    [
        ("application:", "aplication:", "2: unknown key 'aplication'", "application"),
        ("server:", "sever:", "3: unknown key 'sever' in argocd", "server"),
        ("parameter:", "paramter:", "5: unknown key 'paramter' in topics: first entry", "parameter"),
        ("topics:", "topic:", "5: unknown key 'topic'", "topics"),
        ("kafka:", "kakfa:", "4: unknown key 'kakfa'", "kafka"),
    ],
)
def test_a_typo_names_the_nearest_key(
    folder: Path, written: str, mistyped: str, message: str, near: str
) -> None:
    shown = refused(folder, MINIMAL.replace(written, mistyped))
    assert shown == (f"argorun.yaml:{message}", f"did you mean '{near}'?")


@pytest.mark.parametrize(
    ("parameter", "message", "near"),
    [
        ("{hlm: a}", "unknown key 'hlm' in topics: first entry: parameter", "helm"),
        (
            "[a, {kustomise: {}}]",
            "unknown key 'kustomise' in topics: first entry: parameter: second entry",
            "kustomize",
        ),
        (
            "{kustomize: {configMap: c, key: k}}",
            "unknown key 'configMap' in topics: first entry: parameter.kustomize",
            "configmap",
        ),
    ],
)
def test_a_typo_in_a_parameters_place_is_found_too(
    folder: Path, parameter: str, message: str, near: str
) -> None:
    shown = refused(folder, MINIMAL.replace("parameter: kafka.topic", f"parameter: {parameter}"))
    assert shown == (f"argorun.yaml:5: {message}", f"did you mean '{near}'?")


KEYS = sorted(
    {
        "application",
        "argocd",
        "kafka",
        "topics",
        "tests",
        "timeouts",
        "server",
        "ca",
        "headers",
        "prefix",
        "jobs",
    }
    | {"parameter", "helm", "kustomize", "configmap", "key", "partitions", "config", "groups", "run", "name"}
    | {"bootstrap.servers", "root_path", "client_cert", "client_key", "insecure", "namespace"}
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["~nobody/ca.pem", "a" * 300, "\0", "${HOME}", "http://", "::", "weather", "15m"]),
        st.dates(),
        st.binary(max_size=3),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner)
    ),
    max_leaves=12,
)


def any_outcome(folder: Path, text: str) -> None:
    try:
        config = loaded(folder, text)
    except UsageError as e:
        outcome: object = (bool(e.message), e.__suppress_context__ or e.__context__ is None)
    else:
        outcome = (isinstance(config, Config), bool(config.topics))
    assert outcome == (True, True)


@given(VALUES)
def test_any_yaml_value_is_a_config_or_one_clear_error(folder: Path, value: Any) -> None:
    any_outcome(folder, yaml.safe_dump(value))


@given(FILES, st.sampled_from(KEYS), VALUES)
def test_a_valid_file_with_any_value_for_a_key_is_a_config_or_one_clear_error(
    folder: Path, file: dict[str, Any], key: str, value: Any
) -> None:
    for part in (file, file["argocd"], file["kafka"], file["topics"][0]):
        if key in part or (part is file["argocd"] and key in ("ca", "client_cert", "client_key")):
            part[key] = value
    any_outcome(folder, yaml.safe_dump(file))


@given(st.text(max_size=60))
def test_any_text_is_a_config_or_one_clear_error(folder: Path, text: str) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for c in text))
    any_outcome(folder, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "argorun.yaml:1:5: not valid YAML: mapping values are not allowed here"),
        (
            "a: [",
            "argorun.yaml:1:5: not valid YAML: expected the node content, but found the end of the file",
        ),
        ("- a", "argorun.yaml: expected keys and values, got list"),
        ("weather", "argorun.yaml: expected keys and values, got str"),
        ("[" * 9000, "argorun.yaml: not valid YAML: it is nested too deeply"),
    ],
)
def test_a_broken_file_says_where_and_what(folder: Path, text: str, message: str) -> None:
    assert refused(folder, text)[0] == message


def test_a_file_that_is_not_text_or_not_there(folder: Path) -> None:
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    for name, what in (
        ("binary.yaml", "is not UTF-8 text"),
        (".", "is a directory"),
        ("no.yaml", "there is no such file"),
    ):
        with pytest.raises(UsageError) as e:
            load(Flags(file=folder / name), ENVIRONMENT, folder)
        assert e.value.message.startswith(f"{folder / name}: {what}")


def test_a_path_that_the_system_refuses_to_look_at_is_no_crash(folder: Path) -> None:
    long = f"{'a' * 300}.yaml"
    with pytest.raises(ConfigurationError) as e:
        load(Flags(file=folder / long, ca=long), ENVIRONMENT, folder)
    assert [problem.text for problem in e.value.problems] == [
        f"--ca: there is no file {str(folder / long)[:199]}…",
        f"{folder / long}: cannot be read: File name too long",
    ]
    assert loaded(folder, MINIMAL, application=long).application == ApplicationRef(name=long)
    problems = Problems()
    check_outputs(Path(long), Path(long), problems)  # what is wrong is seen when they are opened
    assert len(problems) == 0


# -- what is missing or cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("application: weather", "", "no Application to run"),
        ("server: argocd.example.com", "", "no Argo CD server is configured"),
        ("argocd.example.com", '"a b"', "argorun.yaml:3: argocd.server: 'a b' is not an Argo CD server"),
        (
            "argocd.example.com",
            '"https://"',
            "argorun.yaml:3: argocd.server: 'https://' is not an Argo CD server",
        ),
        (
            "argocd.example.com",
            '"user@host"',
            "argorun.yaml:3: argocd.server: '***@host' is not an Argo CD server",
        ),
        (
            "argocd.example.com",
            "h:99999",
            "argorun.yaml:3: argocd.server: 'h:99999' does not have a valid port",
        ),
        ("argocd.example.com", "h:x", "argorun.yaml:3: argocd.server: 'h:x' does not have a valid port"),
        ("argocd.example.com", '"h:0"', "argorun.yaml:3: argocd.server: 'h:0' does not have a valid port"),
        ('bootstrap.servers: "localhost:9092"', "", "no Kafka broker is configured"),
        ("topics: [{prefix: weather_updates, parameter: kafka.topic}]", "", "no topic is configured"),
        (
            "application: weather",
            "application: Weather",
            "argorun.yaml:2: application: 'Weather' is not a valid name of an Application",
        ),
        (
            "application: weather",
            "application: a/b/c",
            "argorun.yaml:2: application: 'a/b/c' is not a valid name of an Application",
        ),
        ("prefix: weather_updates", 'prefix: ""', "argorun.yaml:5: topics: first entry: prefix: is empty"),
        (
            "kafka.topic}",
            "a, partitions: 0}",
            "argorun.yaml:5: topics: first entry: partitions: 0 is not possible",
        ),
        (
            "kafka.topic}",
            "a, replication_factor: -2}",
            "argorun.yaml:5: topics: first entry: replication_factor: -2 is not possible",
        ),
        (
            "kafka.topic}",
            "a, replication_factor: 99999}",
            "argorun.yaml:5: topics: first entry: replication_factor: 99999 is not possible",
        ),
        (
            "parameter: kafka.topic",
            "parameter: []",
            "argorun.yaml:5: topics: first entry: parameter: is empty",
        ),
        (
            "parameter: kafka.topic",
            "parameter: {}",
            "argorun.yaml:5: topics: first entry: parameter: must be either helm or kustomize",
        ),
        (
            "parameter: kafka.topic",
            'parameter: ""',
            "argorun.yaml:5: topics: first entry: parameter: has an empty name",
        ),
        (
            "parameter: kafka.topic",
            "parameter: {kustomize: {configmap: ' ', key: k}}",
            "argorun.yaml:5: topics: first entry: parameter: has an empty name",
        ),
        (
            "parameter: kafka.topic",
            "parameter: {helm: a, kustomize: {configmap: c, key: k}}",
            "argorun.yaml:5: topics: first entry: parameter: must be either helm or kustomize",
        ),
        (
            "parameter: kafka.topic",
            "parameter: [a, a]",
            "argorun.yaml:5: topics: first entry: parameter: helm: a is set by the same topic, too",
        ),
        ("example.com", "example.com, ca: no.pem", "argorun.yaml:3: argocd.ca: there is no file no.pem"),
        (
            "example.com",
            "example.com, ca: ~nobody.here/ca.pem",
            "argorun.yaml:3: argocd.ca: there is no file ~nobody.here/ca.pem",
        ),
        (
            "example.com",
            f"example.com, ca: {'a' * 100}",
            f"argorun.yaml:3: argocd.ca: there is no file {'a' * 100}",
        ),
        (
            "example.com",
            "example.com, client_cert: argorun.yaml",
            "argorun.yaml:3: argocd.client_cert and argocd.client_key go together",
        ),
        (
            "example.com",
            'example.com, headers: {"X y": z}',
            "argorun.yaml:3: argocd.headers.X y: name or value cannot be sent as an HTTP header",
        ),
        (
            "example.com",
            'example.com, headers: {X: "a\\nb"}',
            "argorun.yaml:3: argocd.headers.X: name or value cannot be sent as an HTTP header",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(folder: Path, old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    assert refused(folder, MINIMAL.replace(old, new))[0] == message


@pytest.mark.parametrize("token", [None, "", " \n"])
def test_no_token_says_how_to_get_one(folder: Path, token: str | None) -> None:
    environment = {} if token is None else {"ARGOCD_AUTH_TOKEN": token}
    note = "" if token is None else "\nARGOCD_AUTH_TOKEN is set, and empty"
    assert refused(folder, MINIMAL, environment) == (
        "no token for Argo CD at argocd.example.com",
        f"export ARGOCD_AUTH_TOKEN (argocd account generate-token), or run `argocd login`{note}",
    )


@pytest.mark.parametrize("token", ["se cret", "se\ncret", "secret€"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(folder: Path, token: str) -> None:
    assert refused(folder, MINIMAL, {"ARGOCD_AUTH_TOKEN": token}) == (
        "the token for Argo CD at argocd.example.com contains a character that no token can contain",
        "it comes from ARGOCD_AUTH_TOKEN",
    )


def test_the_line_break_that_a_ci_secret_ends_with_is_no_part_of_the_token(folder: Path) -> None:
    assert loaded(folder, MINIMAL, {"ARGOCD_AUTH_TOKEN": "t0ken\n"}).argocd.token == "t0ken"


# -- ${NAME} and secrets -----------------------------------------------------------------------------------

VARIABLES = st.dictionaries(
    st.text(string.ascii_uppercase, min_size=1, max_size=4),
    st.text("QXZ" + string.digits, min_size=6, max_size=12),  # no part of an innocent word
    min_size=1,
    max_size=4,
)


@given(VARIABLES, st.data())
def test_every_expanded_value_is_known_as_a_secret(
    folder: Path, variables: dict[str, str], data: Any
) -> None:
    used = data.draw(st.lists(st.sampled_from(sorted(variables)), min_size=1, max_size=3))
    written = "x".join(f"${{{name}}}" for name in used)
    text = MINIMAL.replace("kafka: {", f"kafka: {{sasl.username: '{written}', ")
    config = loaded(folder, text, ENVIRONMENT | variables)
    assert config.kafka["sasl.username"] == "x".join(variables[name] for name in used)
    assert config.secrets == tuple(sorted({"t0ken", *(variables[name] for name in used)}))


@given(VARIABLES)
def test_a_variable_that_is_not_there_is_named_and_no_value_is_shown(
    folder: Path, variables: dict[str, str]
) -> None:
    written = "".join(f"${{{name}}}" for name in variables) + "${not_there}"
    text = MINIMAL.replace("kafka: {", f"kafka: {{sasl.username: '{written}', ")
    message, hint = refused(folder, text, ENVIRONMENT | variables)
    assert message == (
        "argorun.yaml:4: kafka.sasl.username uses ${not_there}, but not_there is not set in the environment"
    )
    assert not [v for v in variables.values() if v in message + hint]


def test_an_expanded_value_is_not_expanded_again(folder: Path) -> None:
    text = MINIMAL.replace("kafka: {", "kafka: {sasl.username: '${A}', ")
    config = loaded(folder, text, ENVIRONMENT | {"A": "${B}", "B": "b"})
    assert config.kafka["sasl.username"] == "${B}"


@pytest.mark.parametrize("key", ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret"])
def test_a_password_in_the_file_itself_is_a_secret_too(folder: Path, key: str) -> None:
    config = loaded(folder, MINIMAL.replace("kafka: {", f"kafka: {{{key}: hunter2, "))
    assert config.secrets == ("hunter2", "t0ken")


def test_headers_take_variables_and_are_secret(folder: Path) -> None:
    text = MINIMAL.replace("example.com}", "example.com, headers: {CF-Access: 'id ${CF}'}}")
    config = loaded(folder, text, ENVIRONMENT | {"CF": "s3cret"})
    assert (config.argocd.headers, config.secrets) == (
        {"CF-Access": "id s3cret"},
        ("id s3cret", "s3cret", "t0ken"),
    )


def test_what_is_shown_of_a_config_holds_no_secret(folder: Path) -> None:
    text = MINIMAL.replace("kafka: {", "kafka: {sasl.password: hunter2, ")
    assert [line.what for line in describe(loaded(folder, text), 1.0)] == [
        "application weather on https://argocd.example.com",
        "Kafka at localhost:9092",
        "timeouts: run 15m, busy 10m, cleanup 90s, stuck 60s",
    ]
    assert describe(loaded(folder, text + "timeouts: {stuck: 0}"), 1.0)[-1].what.endswith("stuck off")


@pytest.mark.parametrize(("written", "seconds"), [("0", 0), ("0s", 0), ("5", 5), ("2m", 120), ("'0'", 0)])
def test_only_a_stuck_pod_may_be_waited_for_without_end(folder: Path, written: str, seconds: int) -> None:
    assert loaded(folder, MINIMAL + f"timeouts: {{stuck: {written}}}").timeouts.stuck == seconds
    for other in ("run", "busy", "cleanup"):
        if seconds == 0:
            with pytest.raises(UsageError, match=f"timeouts.{other}: .* is too short"):
                loaded(folder, MINIMAL + f"timeouts: {{{other}: {written}}}")


@pytest.mark.parametrize("written", ["-1", "''", "soon", "1.5"])
def test_how_long_a_pod_may_be_stuck_is_a_duration(folder: Path, written: str) -> None:
    with pytest.raises(UsageError, match=r"timeouts\.stuck"):
        loaded(folder, MINIMAL + f"timeouts: {{stuck: {written}}}")


def test_nudges_are_sent_unless_they_are_turned_off(folder: Path) -> None:
    assert [loaded(folder, MINIMAL, no_nudge=off).nudge for off in (False, True)] == [True, False]


# -- precedence ------------------------------------------------------------------------------------------


def test_flags_win_over_environment_over_file(folder: Path) -> None:
    environment = ENVIRONMENT | {"ARGOCD_SERVER": "other:443", "KAFKA_BOOTSTRAP_SERVERS": "k:1"}
    config = loaded(
        folder,
        MINIMAL + "tests: {jobs: [a]}\ntimeouts: {run: 10m, busy: 1m}\n",
        environment,
        application="ns/app",
        topic="mine",
        parameter="p.q",
        jobs=("x", "y"),
        timeout="2m",
        revision="abc",
        sets=("image.tag=1=2", "empty="),
        set_strings=("image.sha=4651090",),
        keep_topics=True,
        no_settle=True,
        force_owned=True,
        dry_run=True,
    )
    assert config == Config(
        application=ApplicationRef(name="app", namespace="ns"),
        argocd=ArgoCD(server="other:443", token="t0ken"),
        kafka={"bootstrap.servers": "k:1"},
        topics=(Topic(prefix="mine", parameters=(Parameter(helm="p.q"),)),),
        jobs=("x", "y"),
        timeouts=Timeouts(run=120, busy=60, cleanup=90),
        revision="abc",
        sets=(
            Assignment(name="image.tag", value="1=2"),
            Assignment(name="empty", value=""),
            Assignment(name="image.sha", value="4651090", string=True),
        ),
        keep_topics=True,
        settle=False,
        force_owned=True,
        dry_run=True,
        secrets=("t0ken",),
    )


def test_a_run_needs_no_file_at_all(tmp_path: Path) -> None:
    environment = ENVIRONMENT | {"ARGOCD_SERVER": "a", "KAFKA_BOOTSTRAP_SERVERS": "k:1"}
    assert values(load(Flags(application="w", topic="t", parameter="p"), environment, tmp_path)) == Config(
        application=ApplicationRef(name="w"),
        argocd=ArgoCD(server="a", token="t0ken"),
        kafka={"bootstrap.servers": "k:1"},
        topics=(Topic(prefix="t", parameters=(Parameter(helm="p"),)),),
        secrets=("t0ken",),
    )
    with pytest.raises(UsageError, match="the topic has no parameter"):
        load(Flags(application="w", topic="t"), environment, tmp_path)


def test_no_file_and_no_variable_but_the_token_is_needed(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    flags = Flags(
        application="w",
        topic="t",
        parameter="p",
        server="http://a/cd",
        ca="ca.pem",
        bootstrap_servers="k:1,l:2",
    )
    others = {"ARGOCD_SERVER": "other", "KAFKA_BOOTSTRAP_SERVERS": "other:1"}
    config = load(flags, ENVIRONMENT | others, tmp_path)
    assert config.argocd == ArgoCD(
        server="a", token="t0ken", ca=tmp_path / "ca.pem", plaintext=True, root_path="cd"
    )
    assert config.kafka == {"bootstrap.servers": "k:1,l:2"}
    assert config.sources == {
        "application": "the command line",
        "argocd.ca": "--ca",
        "argocd.server": "--server",
        "argocd.token": "ARGOCD_AUTH_TOKEN",
        "kafka.bootstrap.servers": "--bootstrap-servers",
        "topics": "--topic and --parameter",
    }


def test_a_flag_spares_the_variables_of_what_it_replaces(folder: Path) -> None:
    text = MINIMAL.replace('"localhost:9092"', "'${BROKERS}'")
    assert loaded(folder, text, bootstrap_servers="k:1").kafka == {"bootstrap.servers": "k:1"}
    with pytest.raises(UsageError, match="BROKERS is not set"):
        loaded(folder, text)


WHOLE = """
application: weather
argocd:
  server: argocd.example.com
  timeout: 2m
kafka:
  bootstrap.servers: "localhost:9092"
  client.id: me
topics:
- {prefix: weather_updates, parameter: kafka.topic}
tests: {jobs: [a]}
timeouts: {run: 10m, busy: 1m}
"""
LINES = {
    "application": "argorun.yaml:2",
    "argocd.server": "argorun.yaml:4",
    "argocd.timeout": "argorun.yaml:5",
    "argocd.token": "ARGOCD_AUTH_TOKEN",
    "kafka.bootstrap.servers": "argorun.yaml:7",
    "kafka.client.id": "argorun.yaml:8",
    "topics": "argorun.yaml:9",
    "tests.jobs": "argorun.yaml:11",
    "timeouts.run": "argorun.yaml:12",
    "timeouts.busy": "argorun.yaml:12",
}


@pytest.mark.parametrize(
    ("environment", "flags", "other"),
    [
        ({}, {}, {}),
        ({"ARGOCD_SERVER": "b"}, {}, {"argocd.server": "ARGOCD_SERVER"}),
        ({"ARGOCD_SERVER": "b"}, {"server": "c"}, {"argocd.server": "--server"}),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "k:1"},
            {"jobs": ("b",), "timeout": "5m"},
            {
                "kafka.bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS",
                "tests.jobs": "--job",
                "timeouts.run": "--timeout",
            },
        ),
        (
            {},
            {"application": "a", "topic": "t", "bootstrap_servers": "k:1"},
            {
                "application": "the command line",
                "topics": "--topic",
                "kafka.bootstrap.servers": "--bootstrap-servers",
            },
        ),
    ],
)
def test_where_each_value_was_given_is_known(
    folder: Path, environment: dict[str, str], flags: dict[str, Any], other: dict[str, str]
) -> None:
    config = with_sources(folder, WHOLE, ENVIRONMENT | environment, **flags)
    assert config.sources == LINES | other


def test_the_source_of_a_file_is_named_as_the_user_gave_it(folder: Path) -> None:
    (folder / "my.yaml").write_text(WHOLE)
    config = load(Flags(file=folder / "my.yaml"), ENVIRONMENT, folder)
    assert config.sources["argocd.server"] == f"{folder}/my.yaml:4"


def test_the_argocd_clis_login_is_a_source_too(folder: Path) -> None:
    (folder / "argorun.yaml").write_text(WHOLE.replace("server: argocd.example.com", "insecure: false"))
    sources = load(Flags(), {}, folder, STORED).sources
    assert {key: sources[key] for key in ("argocd.server", "argocd.token", "argocd.insecure")} == {
        "argocd.server": "the argocd CLI's login",
        "argocd.token": "the argocd CLI's login",
        "argocd.insecure": "argorun.yaml:4",
    }


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("--server", "--server localhost:1"),
        ("ARGOCD_SERVER", "ARGOCD_SERVER=localhost:1"),
        ("argorun.yaml:4", "localhost:1, argorun.yaml:4"),
        ("", "localhost:1"),
    ],
)
def test_a_value_is_shown_with_its_source(source: str, shown: str) -> None:
    assert with_value(source, "localhost:1") == shown


def test_parts_of_a_configuration_can_be_loaded_and_name_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "argorun.yaml").write_text("kafka: {bootstrap.servers: 'k:1'}\ntimeouts: {run: 5m}\n")
    parts = load_parts(Flags(server="argocd"), {}, tmp_path)
    assert (parts.application, parts.argocd, parts.topics) == (None, None, ())
    assert (parts.kafka, parts.timeouts.run) == ({"bootstrap.servers": "k:1"}, 300)
    assert {key: lack.message for key, lack in parts.missing.items()} == {
        "token": "no token for Argo CD at argocd",
        "application": "no Application to run",
        "topics": "no topic is configured",
    }
    assert parts.sources["argocd.server"] == "--server"


def test_topic_and_parameter_keep_the_rest_of_the_files_only_topic(folder: Path) -> None:
    text = MINIMAL.replace("kafka.topic}", "kafka.topic, partitions: 4}")
    assert loaded(folder, text, topic="mine").topics == (
        Topic(prefix="mine", parameters=(Parameter(helm="kafka.topic"),), partitions=4),
    )


def test_each_key_of_a_topic_has_its_source(folder: Path) -> None:
    text = MINIMAL.replace("topics: [{", "topics:\n- {").replace("}]", ", partitions: 4}")
    line = text.splitlines().index(next(t for t in text.splitlines() if t.startswith("- {"))) + 1
    at = f"argorun.yaml:{line}"
    written = {"prefix": at, "parameter": at, "partitions": at}
    assert with_sources(folder, text).topics[0].sources == written
    assert with_sources(folder, text, topic="mine").topics[0].sources == written | {"prefix": "--topic"}
    other = with_sources(folder, text, parameter="p").topics[0].sources
    assert other == written | {"parameter": "--parameter"}


def test_topic_and_parameter_do_not_choose_among_several(folder: Path) -> None:
    text = MINIMAL.replace("topics: [", "topics: [{prefix: other, parameter: o}, ")
    assert refused(folder, text, topic="mine") == (
        "--topic and --parameter change one topic, and argorun.yaml has 2",
        "leave them out, or use a file with one topic",
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"sets": ("a",)}, "--set a: expected NAME=VALUE"),
        ({"sets": ("=a",)}, "--set: expected NAME=VALUE"),
        ({"sets": ("a=1", "a=2")}, "--set a: the parameter is set twice"),
        ({"sets": ("kafka.topic=x",)}, "--set kafka.topic: the parameter takes the topic's name"),
        ({"set_strings": ("a",)}, "--set-string a: expected NAME=VALUE"),
        ({"sets": ("a=1",), "set_strings": ("a=1",)}, "--set-string a: the parameter is set twice"),
        (
            {"set_strings": ("kafka.topic=x",)},
            "--set-string kafka.topic: the parameter takes the topic's name",
        ),
        # Bytes that are no UTF-8, as Python hands them on from the command line.
        ({"sets": ("a=\udcff",)}, "--set 'a': the text is not UTF-8"),
    ],
)
def test_set_and_set_string_take_name_and_value_each_parameter_once(
    folder: Path, flags: dict[str, tuple[str, ...]], message: str
) -> None:
    assert refused(folder, MINIMAL, **flags)[0] == message


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("h", "https://h"),
        ("h:8443", "https://h:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("[::1]", "https://[::1]"),
        ("https://h/", "https://h"),
        ("http://h:80", "http://h:80"),
        ("HTTPS://h", "https://h"),
        (" http://h ", "http://h"),
        ("https://h/argo/cd/", "https://h/argo/cd"),
    ],
)
def test_a_server_is_taken_as_people_paste_it(folder: Path, server: str, url: str) -> None:
    assert loaded(folder, MINIMAL, ENVIRONMENT | {"ARGOCD_SERVER": server}).argocd.url == url


STORED = CliSettings(
    server="argocd.example.com", token="stored", insecure=True, plaintext=True, root_path="/r", ca_data="PEM"
)


def by_cli(folder: Path, text: str, environment: dict[str, str]) -> ArgoCD:
    (folder / "argorun.yaml").write_text(text)
    return load(Flags(), environment, folder, STORED).argocd


def test_the_argocd_clis_settings_serve_where_nothing_else_is_said(folder: Path) -> None:
    wanted = ArgoCD(
        server="argocd.example.com",
        token="stored",
        insecure=True,
        plaintext=True,
        root_path="/r",
        ca_data="PEM",
    )
    assert by_cli(folder, MINIMAL.replace("server: argocd.example.com", ""), {}) == wanted
    assert by_cli(folder, MINIMAL, {}) == wanted


def test_what_is_written_wins_over_the_argocd_clis_settings(folder: Path) -> None:
    text = MINIMAL.replace("example.com", "example.com, insecure: false, plaintext: false, root_path: x")
    assert by_cli(folder, text, ENVIRONMENT) == ArgoCD(
        server="argocd.example.com", token="t0ken", root_path="x", ca_data="PEM"
    )


def test_the_argocd_clis_token_goes_to_its_own_server_and_to_no_other(folder: Path) -> None:
    with pytest.raises(UsageError, match="no token for Argo CD at elsewhere"):
        by_cli(folder, MINIMAL.replace("argocd.example.com", "elsewhere"), {})
    assert by_cli(folder, MINIMAL, ENVIRONMENT | {"ARGOCD_SERVER": "elsewhere"}) == ArgoCD(
        server="elsewhere", token="t0ken"
    )


CERTIFICATE = CliSettings(server="argocd.example.com", token="t", client_cert="a.crt", client_key="a.key")
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----"
KEPT = CliSettings(server="argocd.example.com", token="t", client_pem=PEM)


def with_certificate(
    folder: Path, stored: CliSettings, environment: dict[str, str], more: str = ""
) -> Config:
    for name in ("a.crt", "a.key", "b.crt", "b.key"):
        (folder / name).write_text("")
    (folder / "argorun.yaml").write_text(MINIMAL.replace("example.com}", f"example.com{more}}}"))
    return load(Flags(), environment, folder, stored)


@pytest.mark.parametrize("stored", [CERTIFICATE, KEPT])
def test_the_argocd_clis_client_certificate_is_for_its_own_server(folder: Path, stored: CliSettings) -> None:
    found = with_certificate(folder, stored, {}).argocd
    files = (folder / "a.crt", folder / "a.key") if stored is CERTIFICATE else (None, None)
    assert (found.client_cert, found.client_key, found.client_pem) == (*files, stored.client_pem)
    found = with_certificate(folder, stored, ENVIRONMENT | {"ARGOCD_SERVER": "elsewhere"}).argocd
    assert (found.client_cert, found.client_key, found.client_pem) == (None, None, None)


@pytest.mark.parametrize("stored", [CERTIFICATE, KEPT])
def test_a_client_certificate_in_the_file_wins_over_the_argocd_clis(
    folder: Path, stored: CliSettings
) -> None:
    found = with_certificate(folder, stored, {}, ", client_cert: b.crt, client_key: b.key").argocd
    files = (folder / "b.crt", folder / "b.key")
    assert (found.client_cert, found.client_key, found.client_pem) == (*files, None)


def test_a_key_that_the_argocd_cli_keeps_is_a_secret(folder: Path) -> None:
    assert "MIIEvQIBADANBgkqhkiG9w0B" in with_certificate(folder, KEPT, {}).secrets


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (
            msgspec.structs.replace(CERTIFICATE, client_key=None),
            "client-certificate and client-certificate-key go together (in the argocd CLI's settings)",
        ),
        (
            msgspec.structs.replace(CERTIFICATE, client_key="gone.key"),
            "client-certificate-key (in the argocd CLI's settings): there is no file gone.key",
        ),
    ],
)
def test_half_a_client_certificate_of_the_argocd_cli_is_named(
    folder: Path, stored: CliSettings, message: str
) -> None:
    with pytest.raises(UsageError) as e:
        with_certificate(folder, stored, {})
    assert e.value.message.replace(f"{folder}/", "") == message


@pytest.mark.parametrize("written", ["0", "soon", "-5"])
def test_a_limit_for_rendering_is_a_duration(folder: Path, written: str) -> None:
    text = MINIMAL.replace("example.com}", f"example.com, timeout: {written}}}")
    message, hint = refused(folder, text)
    assert message.startswith(f"argorun.yaml:3: argocd.timeout: '{written}' is ")
    assert hint in ("write it like 90, 90s, 15m or 1h30m", "give at least 1s")


PROXIED = ENVIRONMENT | {"HTTPS_PROXY": "http://me:hunter2@proxy:3128", "HTTP_PROXY": "plain:8080"}
PLAIN = MINIMAL.replace("example.com}", "example.com, plaintext: true}")
LOCAL = PLAIN.replace("argocd.example.com", '"localhost:8080"')
CLEAR = "without encryption (plaintext)"
BY_PROXY = f"through the proxy http://plain:8080 (HTTP_PROXY) {CLEAR}"


def test_a_dry_run_shows_the_route_without_the_proxys_password(folder: Path) -> None:
    line = describe(loaded(folder, MINIMAL, PROXIED), 1.0)[0]
    assert line.what == (
        "application weather on https://argocd.example.com through the proxy http://proxy:3128 (HTTPS_PROXY)"
    )


@pytest.mark.parametrize(
    ("text", "more", "warnings"),
    [
        (MINIMAL, {}, []),
        (LOCAL, {}, []),
        (PLAIN, {}, [f"the token goes to argocd.example.com {BY_PROXY}"]),
        (LOCAL.replace("localhost", "a.localhost"), {}, [f"the token goes to a.localhost:8080 {BY_PROXY}"]),
        (PLAIN, {"NO_PROXY": ".example.com"}, [f"the token goes to argocd.example.com {CLEAR}"]),
        (
            MINIMAL,
            {"HTTPS_PROXY": "", "ALL_PROXY": "socks5://p:1"},
            ["ALL_PROXY is ignored, as argocd ignores it: name the proxy in HTTPS_PROXY or HTTP_PROXY"],
        ),
    ],
)
def test_what_stays_on_this_machine_is_judged_by_the_route(
    folder: Path, text: str, more: dict[str, str], warnings: list[str]
) -> None:
    assert loaded(folder, text, PROXIED | more).argocd.warnings == warnings


def test_the_file_as_written_has_every_key_of_the_design() -> None:
    assert File.__struct_fields__ == ("application", "argocd", "kafka", "topics", "tests", "timeouts")
