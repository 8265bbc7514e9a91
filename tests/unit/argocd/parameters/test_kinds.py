"""A kind of parameter is a file and a line in the table: one that only this test knows goes all the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import pytest

from argorun.argocd import owners
from argorun.argocd.claim.spec_values import SpecValue, spec_values
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Candidate, Element, ParameterKind, Setting
from argorun.argocd.parameters.kinds import KINDS, by_kind
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.paths import get, put_or_drop
from argorun.argocd.parameters.record import Record, record_of
from argorun.argocd.parameters.spec import (
    check_rendered,
    check_source,
    check_taken,
    claimed,
    holds,
    original_value,
    restored,
    secrets,
    stands,
)
from argorun.argocd.types import Application, Json, Status
from argorun.config.model import PARAMETER_FORMS, Parameter
from argorun.errors import UsageError
from argorun.init.look import Found
from tests.unit.argocd.gopatch import applied

TOPIC = "weather_updates_1700000000_0a1b2c3d"


@dataclass(frozen=True)
class Env:
    """An environment variable of a config management plugin (`spec.source.plugin.env`)."""

    kind: ClassVar[str] = "plugin"
    key: ClassVar[str] = ""
    note: ClassVar[str] = ""
    name: str
    value: str

    def __str__(self) -> str:
        return f"plugin: {self.name}"


class PluginEnv:
    """A kind may be a module or, as here, an object."""

    SOURCE_TYPE = "Plugin"
    PATH: tuple[str, ...] = ("source", "plugin", "env")
    NEEDS_MANIFESTS = False
    ADDS_OBJECTS = True

    def for_topic(self, place: str, topic: str) -> Env:
        return Env(place, topic)

    def check_rendered(
        self, app: str, settings: Sequence[Env], manifests: Sequence[Json], spec: Json
    ) -> None:
        if any(s.name == "" for s in settings):
            raise UsageError(f"{app} has a variable without a name")

    def apply(self, spec: Json, settings: Sequence[Env], manifests: Sequence[Json]) -> list[Any]:
        plugin = spec["source"].setdefault("plugin", {})
        env = {e["name"]: e for e in plugin.get("env") or ()}
        remembered = [{"name": s.name, "value": s.value, "original": env.get(s.name)} for s in settings]
        plugin["env"] = list((env | {s.name: {"name": s.name, "value": s.value} for s in settings}).values())
        return remembered

    def check_taken(self, app: str, settings: Sequence[Env], manifests: Sequence[Json], spec: Json) -> None:
        if any(s.value not in str(manifests) for s in settings):
            raise UsageError(f"{app} does not use it")

    def holds(self, spec: Json, settings: Sequence[Env]) -> bool:
        return all({"name": s.name, "value": s.value} in (get(spec, self.PATH) or ()) for s in settings)

    def stands(self, spec: Json, record: Record) -> bool:
        return any(e["value"] in record.topics for e in get(spec, self.PATH) or ())

    def restore(self, spec: Json, record: Record) -> None:
        ours = {v["name"]: v for v in record.others.get("plugin", ())}
        kept = []
        for e in get(spec, self.PATH) or ():
            stands = e["name"] in ours and e["value"] == ours[e["name"]]["value"]
            kept.append(ours[e["name"]]["original"] if stands else e)
        if ours:
            put_or_drop(spec["source"]["plugin"], "env", [e for e in kept if e is not None])
            put_or_drop(spec["source"], "plugin", spec["source"]["plugin"])

    def original_value(self, setting: Env, spec: Json, manifests: Sequence[Json]) -> str | None:
        return next((e["value"] for e in get(spec, self.PATH) or () if e["name"] == setting.name), None)

    def secrets(self, spec: Json, record: Record) -> list[str]:
        return [e["value"] for e in get(spec, self.PATH) or () if e["name"] == "TOKEN"]

    def candidates(self, spec: Json, manifests: Sequence[Json], values: Mapping[str, str]) -> list[Candidate]:
        return [
            Candidate(e["name"], e["name"], e["value"], "in the plugin's environment", likeness=3)
            for e in get(spec, self.PATH) or ()
            if "TOPIC" in e["name"]
        ]

    def typed(self, text: str) -> str:
        return text

    def elements(self, source: Json) -> Iterator[Element]:
        for i, e in enumerate((source.get("plugin") or {}).get("env") or ()):
            yield Element(f"plugin: {e['name']}", f"/plugin/env/{i}", e, e["value"])


PLUGIN: ParameterKind[Env] = PluginEnv()
SPEC: Json = {
    "source": {"plugin": {"env": [{"name": "TOPIC", "value": "weather"}, {"name": "TOKEN", "value": "s3"}]}}
}
SETTINGS: list[Setting] = [Env("TOPIC", TOPIC), Env("MORE", "1")]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "plugin", PLUGIN)


def application(spec: Json, source_type: str = "Plugin", **metadata: Any) -> Application:
    document = {"metadata": {"name": "weather", **metadata}, "spec": spec}
    return msgspec.convert(document | {"status": {"sourceType": source_type}}, Application)


def test_a_new_kinds_values_are_set_recorded_and_restored() -> None:
    seen = application(SPEC)
    check_source(seen, SETTINGS)
    assert [original_value(seen, s, ()) for s in SETTINGS] == ["weather", None]

    ours, record = claimed(seen, SETTINGS, [], "run1", 100, topics=[TOPIC])
    text = msgspec.json.encode(record).decode()
    assert text == (
        '{"run":"run1","until":100,"synced":false,"topics":["' + TOPIC + '"],"others":{"plugin":['
        '{"name":"TOPIC","value":"' + TOPIC + '","original":{"name":"TOPIC","value":"weather"}},'
        '{"name":"MORE","value":"1","original":null}]}}'
    )
    assert (holds(ours["source"], SETTINGS), stands(ours, record)) == (True, True)
    assert (holds(SPEC["source"], SETTINGS), stands(SPEC, record)) == (False, False)

    there = applied({"metadata": {"name": "weather"}, "spec": SPEC}, changes(seen, ours, record))
    again = record_of(application(there["spec"], **there["metadata"]))
    assert (there["spec"]["source"], again) == (ours["source"], record)
    assert again is not None
    assert restored(there["spec"], again) == SPEC

    theirs = application({"source": {"plugin": {"env": [{"name": "TOPIC", "value": "theirs"}]}}})
    assert restored(theirs.spec, again) == theirs.spec


def test_a_new_kind_is_checked_before_and_after_and_its_secrets_are_known() -> None:
    with pytest.raises(UsageError, match="weather has a variable without a name"):
        check_rendered("weather", [Env("", TOPIC)], [])
    with pytest.raises(UsageError, match="weather does not use it"):
        check_taken("weather", SETTINGS, [])
    check_taken("weather", [Env("TOPIC", TOPIC)], [{"kind": "ConfigMap", "data": {"t": TOPIC}}])
    assert secrets(application(SPEC)) == ["s3"]


def test_a_new_kind_is_looked_for_wherever_the_others_are() -> None:
    before, after = owners.changed(application(SPEC), SETTINGS, [])
    assert "/spec/source/plugin/env" in owners.reverted(before, after, ())
    assert spec_values(SPEC)[0] == SpecValue(
        "plugin: TOPIC", "/spec/source/plugin/env/0", {"name": "TOPIC", "value": "weather"}, "weather"
    )


def test_a_source_takes_only_its_own_kinds() -> None:
    with pytest.raises(UsageError) as e:
        check_source(application({"source": {}}, "Helm"), SETTINGS)
    assert (e.value.message, e.value.hint) == (
        "Application weather has a Helm source, which takes no Plugin parameter",
        "write the parameter as {helm: NAME}",
    )
    with pytest.raises(UsageError) as e:
        check_source(application({"source": {}}, "Directory"), SETTINGS)
    assert e.value.hint == "argorun needs a Helm or a Kustomize or a Plugin source"


def test_settings_are_grouped_in_the_order_of_the_table() -> None:
    helm, patched, more = Helm("a", "1"), Kustomize("c", "k", "2"), Helm("b", "3")
    assert list(by_kind([patched, helm, SETTINGS[0], more]).items()) == [
        ("helm", [helm, more]),
        ("kustomize", [patched]),
        ("plugin", [SETTINGS[0]]),
    ]


def test_argorun_yaml_has_a_key_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "plugin")
    assert list(Parameter.__struct_fields__) == list(PARAMETER_FORMS) == list(KINDS)


def test_init_suggests_its_places() -> None:
    app = Application(spec=SPEC, status=Status(source_type="Plugin"))
    candidate = Candidate("TOPIC", "TOPIC", "weather", "in the plugin's environment", likeness=3)
    assert Found(app).candidates == [("plugin", candidate)]
