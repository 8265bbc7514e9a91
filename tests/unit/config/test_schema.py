"""Editors check argorun.yaml as argorun does: by the JSON Schema that `argorun schema` prints."""

from __future__ import annotations

import copy
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from argorun.cli.main import commands
from argorun.config.checks import is_helm_name
from argorun.config.file import File
from argorun.config.keys import KEYS, SCHEMA_URL
from argorun.config.load import load
from argorun.config.model import Config, Flags, Strict
from argorun.config.schema import json_schema
from argorun.errors import UsageError
from tests import reference
from tests.reference.configuration import example, schema_at

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted(CONFIG.glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
ENVIRONMENT = {"ARGOCD_AUTH_TOKEN": "t0ken", "KAFKA_PASSWORD": "p", "GATEWAY_KEY": "g"}
WHOLE: dict[str, Any] = {
    "application": {"name": "weather", "namespace": "argocd", "project": "default"},
    "argocd": {
        "server": "argocd.example.com:443",
        "ca": "file",
        "insecure": False,
        "plaintext": False,
        "root_path": "/argocd",
        "client_cert": "file",
        "client_key": "file",
        "headers": {"X-Gateway-Key": "${GATEWAY_KEY}"},
        "timeout": "90s",
    },
    "kafka": {"bootstrap.servers": "kafka.example.com:9092"},
    "topics": [
        {
            "prefix": "weather_updates",
            "parameter": {"kustomize": {"configmap": "a", "key": "b"}},
            "partitions": 1,
            "replication_factor": -1,
            "config": {"retention.ms": 1},
            "groups": "g-",
            "unverified": False,
        }
    ],
    "tests": {"jobs": ["checks"]},
    "timeouts": {"run": "15m", "busy": 600, "cleanup": "1m30s", "stuck": 0},
}
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 32767, 32768, 1.5, "", "weather", "ns/weather", "Weather", "a b",
    "x" * 300, "90s", "0s", "0", "1h30m", "90 s", "s", "15m", "2h", "1h90", "-5",
    [], ["a"], [""], [1], ["a", {"helm": "b"}], {}, {"a": "b"}, {"a": 1}, {"name": "weather"}, {"name": "W"},
    {"helm": "a"}, {"helm": ""}, {"helm": 1}, {"helm": "a", "kustomize": {"configmap": "a", "key": "b"}},
    {"kustomize": {"configmap": "a"}}, {"prefix": "a", "parameter": "b"},
    [{"prefix": "a", "parameter": "b"}], [{"prefix": "a", "parameter": "b", "more": 1}],
)  # fmt: skip


def loaded(document: Any, folder: Path) -> Config:
    """What argorun makes of this argorun.yaml. Raises UsageError."""
    (folder / "argorun.yaml").write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML
    return load(Flags(), ENVIRONMENT, folder)


def accepted(document: Any, folder: Path) -> bool:
    """Whether argorun takes this argorun.yaml."""
    try:
        loaded(document, folder)
    except UsageError:
        return False
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which each of VALUES names a file."""
    made = tmp_path_factory.mktemp("schema")
    for value in {"file", *(v for v in VALUES if isinstance(v, str) and 0 < len(v) < 100)}:
        path = made / value
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return made


def paths_of(kind: Any, path: str = "") -> Iterator[str]:
    """Every key of a part of argorun.yaml, by the way to it."""
    if isinstance(kind, type) and issubclass(kind, Strict):
        for name, hint in typing.get_type_hints(kind).items():
            here = f"{path}.{name}".lstrip(".")
            yield here
            yield from paths_of(hint, here)
    elif typing.get_origin(kind) is list:
        (inner,) = typing.get_args(kind)
        structs = isinstance(inner, type) and issubclass(inner, Strict)
        yield from paths_of(inner, f"{path}[]" if structs else path)
    elif typing.get_origin(kind) in (typing.Union, types.UnionType):
        for part in typing.get_args(kind):
            yield from paths_of(part, path)


def put(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """WHOLE with another value at this place."""
    document = copy.deepcopy(WHOLE)
    at: Any = document
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return document


def places(at: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document that holds something."""
    pairs = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
    for name, value in pairs:
        yield (*path, name)
        yield from places(value, (*path, name))


# Where argorun asks for more than a schema can say.
STRICTER = {
    ("topics",): "a run without a topic is none",
    ("kafka",): "the brokers must be named, here or in the environment",
    ("kafka", "bootstrap.servers"): "they may not be empty",
    ("application",): "a run without an Application is none",
    ("argocd",): "the server must be named, here, in the environment or by the argocd CLI",
    ("argocd", "server"): "the same",
    ("argocd", "ca"): "the file must exist",
    ("argocd", "client_cert"): "the file must exist, and its key",
    ("argocd", "client_key"): "the file must exist, and its certificate",
}


@pytest.mark.parametrize("place", list(places(WHOLE)), ids=lambda place: ".".join(map(str, place)))
def test_the_schema_takes_what_argorun_takes_and_nothing_else(place: Any, folder: Path) -> None:
    assert accepted(WHOLE, folder)
    for value in VALUES:
        document = put(place, value)
        by_schema, by_argorun = VALIDATOR.is_valid(document), accepted(document, folder)
        if by_schema and place in STRICTER:
            continue
        assert (by_schema, value) == (by_argorun, value)


@pytest.mark.parametrize("place", list(places(WHOLE)), ids=lambda place: ".".join(map(str, place)))
def test_the_schema_refuses_the_unknown_key_that_argorun_refuses(place: Any, folder: Path) -> None:
    value: Any = WHOLE
    for part in place:
        value = value[part]
    if isinstance(value, dict):
        document = put(place, value | {"unknown": "x"})
        assert VALIDATOR.is_valid(document) == accepted(document, folder)


TEXTS = st.text(st.sampled_from("0123456789hms "), max_size=12)


@hypothesis.example(value="300000h", key="run")
@hypothesis.example(value=10**8, key="run")
@given(TEXTS | st.integers(), st.sampled_from(["run", "stuck"]))
@settings(deadline=None)
def test_a_duration_is_one_for_both(folder: Path, value: str | int, key: str) -> None:
    document = put(("timeouts", key), value)
    assert VALIDATOR.is_valid(document) == accepted(document, folder)


# -- the table of keys -----------------------------------------------------------------------------------


def test_every_key_of_argorun_yaml_is_described_and_no_other() -> None:
    properties = {
        path for path in KEYS if path.startswith("kafka.")
    }  # Kafka takes any: these are the usual ones
    assert KEYS.keys() - properties == set(paths_of(File))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$id"] == SCHEMA_URL


@pytest.mark.parametrize("path", KEYS)
def test_the_example_of_each_key_is_valid_and_is_not_its_default(path: str) -> None:
    key = KEYS[path]
    jsonschema.Draft202012Validator(schema_at(path)).validate(key.example)
    assert key.example != key.default
    assert json.dumps(key.example)[1:-1] in json.dumps(yaml.safe_load(example(path, key.example)))


@pytest.mark.parametrize("path", KEYS)
def test_each_key_says_what_holds_without_it_where_anything_does(path: str) -> None:
    key = KEYS[path]
    assert not (key.default is not None and key.otherwise)
    assert key.about.endswith(".")
    assert key.about[0].isupper() or key.about.startswith(("`", "argorun"))


def test_the_defaults_are_those_of_argorun(folder: Path) -> None:
    least = {"application": "weather", "argocd": {"server": "argocd.example.com"}, "kafka": WHOLE["kafka"]}
    least["topics"] = [{"prefix": "a", "parameter": "b"}]
    written = copy.deepcopy(least)
    defaults = {path: key.default for path, key in KEYS.items() if key.default is not None}
    for path, value in defaults.items():
        section, _, name = path.partition(".")
        at = written["topics"][0] if section == "topics[]" else written.setdefault(section, {})
        at[name] = value
    with_defaults, without = (
        msgspec.structs.replace(
            config,
            sources={},
            topics=tuple(msgspec.structs.replace(topic, sources={}) for topic in config.topics),
        )
        for config in (loaded(written, folder), loaded(least, folder))
    )
    assert with_defaults == without
    assert len(defaults) == 8


# -- the files to copy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_name_the_schema_and_are_valid_by_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA_URL}"
    assert [e.message for e in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("arguments", [["schema"], ["schema", "--events"]])
def test_the_command_prints_what_is_published(arguments: list[str]) -> None:
    name = "events.schema.json" if "--events" in arguments else "argorun.schema.json"
    result = CliRunner().invoke(commands, arguments)
    assert (result.exit_code, result.stdout) == (0, (reference.FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "good"),
    [
        *((name, False) for name in ("a,b", "a=b", "a\\", "kafka.topic, other.topic")),
        *((name, True) for name in ("kafka.topic", "topics[0].name", "a\\,b", "a\\.b/c", "übung")),
    ],
)
def test_what_helm_takes_for_several_parameters_is_no_name_of_one(name: str, good: bool) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for parameter in (name, {"helm": name}, [name]):
        valid = validator.is_valid({"topics": [{"prefix": "a", "parameter": parameter}]})
        assert (valid, is_helm_name(name)) == (good, good)
