"""A topic's name goes into the Application's parameters, and comes out again without a trace."""

from __future__ import annotations

import copy
import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.normal_form import normalize
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.helm import Helm, effective, helm_parameters
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kustomize import Kustomize
from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.parameters.spec import (
    check_rendered,
    check_source,
    claimed,
    holds,
    original_value,
    restored,
    secrets,
    stands,
    with_automated,
)
from argorun.argocd.rest_client import as_go_writes_it
from argorun.argocd.types import Application, Json, Metadata
from argorun.errors import UsageError
from tests.kustomizations import HELLOTILT, configmap
from tests.normal_forms import FEW, TEXTS
from tests.normal_forms import parameters as written
from tests.unit.argocd.gopatch import PatchFailed, applied

TOPIC = "weather_updates_1700000000_0a1b2c3d"


def application(document: Json) -> Application:
    return msgspec.convert(document, Application)


def of(spec: Json, annotations: Json | None = None) -> Json:
    metadata: Json = {"name": "weather"}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": spec}


def without_empties(value: Any) -> Any:
    """As Argo CD normalises a spec: what is empty under the source is dropped."""
    if isinstance(value, dict):
        kept = {k: without_empties(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in ({}, [])}
    if isinstance(value, list):
        return [without_empties(v) for v in value]
    return value


# -- random Applications ---------------------------------------------------------------------------------

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=3)
PARAMETERS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "value": NAMES}, optional={"forceString": st.booleans()}),
    max_size=4,
)
HELM = st.fixed_dictionaries(
    {},
    optional={
        "parameters": PARAMETERS,
        "valuesObject": st.just({"a": {"b": [1, None]}}),
        "values": st.just("a: 1\n"),
        "releaseName": NAMES,
        "valueFiles": st.just(["values.yaml"]),
    },
)
PATCHES = st.lists(
    st.fixed_dictionaries({"patch": NAMES}, optional={"target": st.just({"kind": "Deployment"})}), max_size=3
)
KUSTOMIZE = st.fixed_dictionaries({}, optional={"patches": PATCHES, "namePrefix": NAMES})
POLICY = st.fixed_dictionaries(
    {},
    optional={
        "automated": st.sampled_from(
            [{}, {"prune": True}, {"selfHeal": True, "enabled": True}, {"enabled": False}, {"prune": False}]
        ),
        "syncOptions": st.just(["CreateNamespace=true"]),
        "retry": st.just({"limit": 2}),
    },
)
SPECS = st.fixed_dictionaries(
    {
        "project": NAMES,
        "source": st.fixed_dictionaries({"repoURL": NAMES}, optional={"helm": HELM, "kustomize": KUSTOMIZE}),
    },
    optional={"syncPolicy": POLICY, "destination": st.just({"namespace": "x"})},
)
MANIFESTS: list[Json] = [configmap("topic-config", topic_name="was"), HELLOTILT]
SETTINGS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=3, unique=True).map(
        lambda names: [Helm(name, f"{TOPIC}{i}") for i, name in enumerate(names)]
    ),
    st.just([Kustomize("topic-config", "topic_name", TOPIC)]),
)
ANNOTATIONS: st.SearchStrategy[Json | None] = st.none() | st.just({}) | st.just({"notified": "x"})


def claim(document: Json, settings: list[Setting]) -> tuple[Json, Record]:
    return claimed(application(document), settings, MANIFESTS, "run1", 1e9)


@given(SPECS, SETTINGS)
def test_what_was_there_comes_back_to_the_letter(spec: Json, settings: list[Setting]) -> None:
    before = copy.deepcopy(spec)
    ours, record = claim(of(spec), settings)
    assert spec == before  # nothing is changed in place
    back = with_automated(restored(ours, record), record)
    assert without_empties(back["source"]) == without_empties(before["source"])
    assert {k: v for k, v in back.items() if k != "source"} == {
        k: v for k, v in before.items() if k != "source"
    }


@given(SPECS, SETTINGS)
def test_while_it_is_ours_the_spec_holds_our_values_and_starts_nothing_by_itself(
    spec: Json, settings: list[Setting]
) -> None:
    ours, record = claim(of(spec), settings)
    assert holds(ours["source"], settings)
    assert stands(ours, record)
    automated = (ours.get("syncPolicy") or {}).get("automated")
    assert automated is None or automated["enabled"] is False
    assert not holds(spec["source"], settings)
    assert not stands(spec, record)


@given(SPECS, SETTINGS, ANNOTATIONS)
def test_the_json_patch_gives_exactly_the_goal_there_and_back(
    spec: Json, settings: list[Setting], annotations: Json | None
) -> None:
    document = of(spec, annotations)
    ours, record = claim(document, settings)
    there = applied(document, changes(application(document), ours, record))
    assert normalize(there["spec"]) == normalize(ours)
    assert record_of(application(there)) == record
    assert {k: v for k, v in there["metadata"]["annotations"].items() if k != RECORD} == (annotations or {})

    goal = with_automated(restored(ours, record), record)
    back = applied(there, changes(application(there), goal, None))
    assert normalize(back["spec"]) == normalize(goal)
    assert back["metadata"]["annotations"] == (annotations or {})
    assert changes(application(back), goal, None) == []


@given(SPECS, SETTINGS, ANNOTATIONS, st.sampled_from(["helm", "kustomize", "automated", "annotations"]))
def test_a_patch_does_not_apply_where_someone_changed_what_it_touches(
    spec: Json, settings: list[Setting], annotations: Json | None, what: str
) -> None:
    document = of(spec, annotations)
    ours, record = claim(document, settings)
    patch = changes(application(document), ours, record)
    touched = " ".join(o["path"] for o in patch)
    other = copy.deepcopy(document)
    if what == "helm":
        other["spec"]["source"]["helm"] = {"parameters": [{"name": "theirs", "value": "1"}]}
    elif what == "kustomize":
        other["spec"]["source"]["kustomize"] = {"patches": [{"patch": "theirs"}]}
    elif what == "automated":
        other["spec"]["syncPolicy"] = {"automated": {"prune": True, "selfHeal": True}}
    else:
        other["metadata"]["annotations"] = {RECORD: "someone's"}
    if what in touched:
        with pytest.raises(PatchFailed):
            applied(other, patch)
    else:
        assert applied(other, patch)["spec"]["source"].get(what) == other["spec"]["source"].get(what)


@given(SPECS, SETTINGS, HELM, KUSTOMIZE)
def test_what_someone_else_changed_in_between_is_kept(
    spec: Json, settings: list[Setting], helm: Json, kustomize: Json
) -> None:
    ours, record = claim(of(spec), settings)
    theirs = copy.deepcopy(ours)
    theirs["source"]["targetRevision"] = "other"
    theirs["source"]["helm"], theirs["source"]["kustomize"] = helm, kustomize
    back = restored(theirs, record)
    assert back["source"]["targetRevision"] == "other"
    assert without_empties(back["source"]) == without_empties(theirs["source"])


# -- through Argo CD, which brings all that it stores to its normal form -----------------------------------

FORMER = written(unheardOf=st.none() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS)
WRITTEN = st.fixed_dictionaries(
    {
        "source": st.fixed_dictionaries(
            {"repoURL": NAMES},
            optional={
                "helm": st.none()
                | st.fixed_dictionaries(
                    {},
                    optional={
                        "parameters": FORMER,
                        "values": TEXTS,
                        "valuesObject": st.just({"n": 1e-7}),
                    },
                )
            },
        )
    },
    optional={"project": st.just(""), "syncPolicy": st.none() | POLICY},
)
ASSIGNED = st.lists(
    st.builds(Helm, FEW, TEXTS, st.booleans()), min_size=1, max_size=3, unique_by=lambda s: s.name
)


def number(text: str) -> int | float:
    """A number without a point as Go decodes it, to a float64: beyond 2**53 not every one is told apart."""
    return int(text) if abs(int(text)) < 2**53 else float(text)


def sent(document: Json, patch: list[Json]) -> Json:
    """The Application after a patch, as Argo CD stores it."""
    result = applied(document, json.loads(as_go_writes_it(patch), parse_int=number))
    return result | {"spec": normalize(result["spec"])}


@given(WRITTEN, ASSIGNED, ANNOTATIONS, st.booleans())
def test_what_is_set_and_restored_is_the_normal_form_of_what_was_there(
    spec: Json, settings: list[Setting], annotations: Json | None, stored: bool
) -> None:
    document = of(normalize(spec) if stored else spec, annotations)  # or as somebody has applied it
    ours, record = claim(document, settings)
    there = sent(document, changes(application(document), ours, record))
    assert holds(there["spec"]["source"], settings)
    assert record_of(application(there)) == record
    goal = with_automated(restored(there["spec"], record), record)
    back = sent(there, changes(application(there), goal, None))
    assert back["spec"] == normalize(spec)
    assert back["metadata"]["annotations"] == (annotations or {})
    assert changes(application(back), spec, None) == []


@given(WRITTEN, ASSIGNED)
def test_nothing_is_changed_but_the_parameters_that_are_set(spec: Json, settings: list[Setting]) -> None:
    document = of(normalize(spec))
    there = sent(document, changes(application(document), *claim(document, settings)))["spec"]
    names = {s.name for s in settings if isinstance(s, Helm)}
    before, after = (
        [p for p in helm_parameters(s) if p["name"] not in names] for s in (document["spec"], there)
    )
    assert after == before
    for s in settings:
        if isinstance(s, Helm) and not s.string:  # what is there already keeps its own typing
            old, new = (helm_parameters(x) for x in (document["spec"], there))
            was, now = effective(old, s.name), effective(new, s.name)
            forced = was is not None and old[was].get("forceString", False)
            assert now is not None
            assert new[now].get("forceString", False) is forced


@pytest.mark.parametrize(
    ("former", "setting", "meanwhile", "after"),
    [
        ([("a", "1"), ("a", "2")], Helm("a", "1"), [("a", "1"), ("a", "1")], [("a", "1"), ("a", "2")]),
        # Somebody changed ours: the one that was there before is not taken for it.
        ([("a", "1"), ("a", "2")], Helm("a", "1"), [("a", "1"), ("a", "3")], [("a", "1"), ("a", "3")]),
        # Somebody put one before it.
        (
            [("a", "1"), ("a", "2")],
            Helm("a", "1"),
            [("b", "x"), ("a", "1"), ("a", "1")],
            [("b", "x"), ("a", "1"), ("a", "2")],
        ),
        ([("a", "1")], Helm("a", ""), [("a", "")], [("a", "1")]),
        ([("a", "1")], Helm("a", ""), [("a", "3")], [("a", "3")]),
        ([], Helm("a", ""), [("a", "")], []),
    ],
)
def test_the_element_that_was_set_is_the_one_that_is_restored(
    former: list[tuple[str, str]],
    setting: Helm,
    meanwhile: list[tuple[str, str]],
    after: list[tuple[str, str]],
) -> None:
    def listed(pairs: list[tuple[str, str]]) -> Json:
        return normalize({"source": {"helm": {"parameters": [{"name": n, "value": v} for n, v in pairs]}}})

    _, record = claim(of(listed(former)), [setting])
    assert normalize(restored(listed(meanwhile), record)) == listed(after)


@pytest.mark.parametrize(
    ("elements", "at"),
    [
        ([], None),
        ([{"name": "b"}], None),
        ([{"name": "a"}, {"name": "b"}, {"name": "a"}], 2),
        ([{"name": "a", "forceString": True}, {"name": "a"}], 0),
        ([{"name": "a", "forceString": True}, {"name": "a", "forceString": True}, {"name": "a"}], 1),
    ],
)
def test_of_elements_with_one_name_the_one_counts_that_helm_goes_by(
    elements: list[Json], at: int | None
) -> None:
    assert effective(elements, "a") == at


def test_a_record_of_an_older_argorun_restores_a_parameter_that_is_listed_twice() -> None:
    older = Record(run="r", until=1, helm=(HelmValue("a", "1", {"name": "a", "value": "2"}),))
    spec: Json = {
        "source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}]}}
    }
    assert restored(spec, older)["source"]["helm"]["parameters"] == [
        {"name": "a", "value": "1"},
        {"name": "a", "value": "2"},
    ]


def test_a_topics_name_is_a_string_and_another_value_is_what_it_was() -> None:
    spec: Json = {
        "source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}}
    }
    ours, record = claim(of(spec), [Helm("a", TOPIC, string=True), Helm("b", "3"), Helm("c", "4")])
    assert ours["source"]["helm"]["parameters"] == [
        {"name": "a", "value": TOPIC, "forceString": True},
        {"name": "b", "value": "3"},
        {"name": "c", "value": "4"},
    ]
    typed = [{"name": "a", "value": TOPIC}]
    assert not holds({"helm": {"parameters": typed}}, [Helm("a", TOPIC, string=True)])
    assert holds({"helm": {"parameters": typed}}, [Helm("a", TOPIC)])
    assert restored(ours, record) == spec


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ({"prune": True, "enabled": False}, {"prune": True}),
        ({"prune": True, "enabled": False, "selfHeal": None}, {"prune": True}),  # another spelling of it
        ({"enabled": False}, {"enabled": False}),
        (
            {"prune": True, "selfHeal": True, "enabled": False},
            {"prune": True, "selfHeal": True, "enabled": False},
        ),
        (None, None),
    ],
)
def test_auto_sync_comes_back_only_where_it_stands_as_the_run_left_it(
    found: Json | None, left: Json | None
) -> None:
    _, record = claim(of({"source": {}, "syncPolicy": {"automated": {"prune": True}}}), [Helm("a", TOPIC)])
    spec = with_automated({"source": {}, "syncPolicy": {"automated": found}}, record)
    assert spec["syncPolicy"]["automated"] == left


def test_a_parameter_that_someone_changed_or_added_meanwhile_stays_theirs() -> None:
    spec: Json = {
        "source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}}
    }
    ours, record = claim(of(spec), [Helm("a", TOPIC), Helm("b", f"{TOPIC}b"), Helm("c", f"{TOPIC}c")])
    elements = ours["source"]["helm"]["parameters"]
    assert [e["value"] for e in elements] == [TOPIC, f"{TOPIC}b", f"{TOPIC}c"]
    elements[0]["value"] = "theirs"
    elements.append({"name": "d", "value": "new"})
    assert restored(ours, record)["source"]["helm"]["parameters"] == [
        {"name": "a", "value": "theirs"},
        {"name": "b", "value": "2"},
        {"name": "d", "value": "new"},
    ]


def test_of_a_parameter_that_is_listed_twice_the_last_one_counts_as_in_argo_cd() -> None:
    spec: Json = {
        "source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}}
    }
    ours, record = claim(of(spec), [Helm("a", TOPIC)])
    assert ours["source"]["helm"]["parameters"] == [
        {"name": "a", "value": "1"},
        {"name": "a", "value": TOPIC},
    ]
    assert holds(ours["source"], [Helm("a", TOPIC)])
    assert original_value(application(of(spec)), Helm("a", TOPIC), []) == "2"
    assert restored(ours, record) == spec


def test_auto_sync_that_someone_set_meanwhile_stays_theirs() -> None:
    spec: Json = {"source": {}, "syncPolicy": {"automated": {"prune": True}}}
    ours, record = claim(of(spec), [Helm("a", TOPIC)])
    assert ours["syncPolicy"] == {"automated": {"prune": True, "enabled": False}}
    assert record.automated == {"prune": True}
    assert with_automated(ours, record)["syncPolicy"] == {"automated": {"prune": True}}
    theirs = ours | {"syncPolicy": {"automated": {"selfHeal": True}}}
    assert with_automated(theirs, record) == theirs
    assert with_automated({"source": {}}, record) == {"source": {}}


def test_force_string_stays_with_the_parameter() -> None:
    spec: Json = {"source": {"helm": {"parameters": [{"name": "a", "value": "1", "forceString": True}]}}}
    ours, record = claim(of(spec), [Helm("a", TOPIC)])
    assert ours["source"]["helm"]["parameters"] == [{"name": "a", "value": TOPIC, "forceString": True}]
    assert record.helm == (HelmValue("a", TOPIC, {"name": "a", "value": "1", "forceString": True}),)


@pytest.mark.parametrize(
    ("source", "settings", "held"),
    [
        (None, [Helm("a", "x")], False),
        ({}, [], True),
        ({"helm": {"parameters": [{"name": "a", "value": "x"}]}}, [Helm("a", "x")], True),
        ({"helm": {"parameters": [{"name": "a", "value": "y"}]}}, [Helm("a", "x")], False),
        ({"helm": {"parameters": [{"name": "a", "value": "x"}]}}, [Helm("a", "x"), Helm("b", "y")], False),
        (
            {"kustomize": {"patches": [{"patch": f'[{{"value": "{TOPIC}"}}]'}]}},
            [Kustomize("c", "k", TOPIC)],
            True,
        ),
        (
            {"kustomize": {"patches": [{"patch": f'[{{"value": "{TOPIC}0"}}]'}]}},
            [Kustomize("c", "k", TOPIC)],
            False,
        ),
    ],
)
def test_a_captured_source_holds_our_values_or_not(
    source: Json | None, settings: list[Setting], held: bool
) -> None:
    assert holds(source, settings) is held


def test_the_value_before_is_the_parameters_or_the_config_maps() -> None:
    app = application(of({"source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "b"}]}}}))
    settings = [Helm("a", ""), Helm("b", ""), Helm("c", "")]
    assert [original_value(app, s, MANIFESTS) for s in settings] == ["1", "", None]
    kustomized = [
        Kustomize("topic-config", "topic_name", ""),
        Kustomize("topic-config", "x", ""),
        Kustomize("y", "x", ""),
    ]
    assert [original_value(app, s, MANIFESTS) for s in kustomized] == ["was", None, None]


# -- what cannot take a parameter --------------------------------------------------------------------------


def refused(document: Json, settings: list[Setting]) -> tuple[str, str]:
    with pytest.raises(UsageError) as e:
        check_source(application(document), settings)
    return e.value.message, e.value.hint


DEDICATED = "use a dedicated Application with one spec.source"


UNRENDERED = (
    "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = Unknown "
    "desc = config/helm: app path does not exist"
)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            {"metadata": {"name": "weather", "deletionTimestamp": "x"}},
            "Application weather is being deleted",
            "",
        ),
        (
            {"spec": {"sources": [{}]}},
            "Application weather has several sources (spec.sources), which argorun does not support yet",
            DEDICATED,
        ),
        (
            {"spec": {"sourceHydrator": {"drySource": {}}}},
            "Application weather uses a source hydrator: Argo CD ignores its parameters",
            "",
        ),
        (
            {"status": {"sourceType": "Directory"}},
            "Application weather has a directory source, which takes no parameters",
            "argorun needs a Helm or a Kustomize source",
        ),
        (
            {"status": {}},
            "Argo CD has not rendered Application weather yet",
            "try again, or look at it in Argo CD",
        ),
        (
            {
                "spec": {"source": {"repoURL": "https://git/a.git", "path": "config/helm"}},
                "status": {
                    "conditions": [
                        {"type": "ComparisonError", "message": UNRENDERED},
                        {"type": "SharedResourceWarning", "message": "not about this"},
                        {"type": "InvalidSpecError", "message": "destination is missing"},
                    ]
                },
            },
            "Argo CD cannot render Application weather: ComparisonError: config/helm: app path does not "
            "exist; InvalidSpecError: destination is missing",
            "fix its source in Argo CD (repoURL: https://git/a.git, path: config/helm)",
        ),
        (
            {"status": {"sourceType": "Kustomize"}},
            "Application weather has a Kustomize source, which takes no Helm parameter",
            "write the parameter as {kustomize: {configmap: NAME, key: KEY}}",
        ),
    ],
)
def test_an_application_that_cannot_take_it_is_refused(change: Json, message: str, hint: str) -> None:
    document = of({"source": {}}) | {"status": {"sourceType": "Helm"}}
    check_source(application(document), [Helm("a", "x")])
    assert refused(document | change, [Helm("a", "x")]) == (message, hint)


def test_a_helm_source_takes_no_kustomize_parameter() -> None:
    document = of({"source": {}}) | {"status": {"sourceType": "Helm"}}
    assert refused(document, [Kustomize("c", "k", "x")]) == (
        "Application weather has a Helm source, which takes no Kustomize parameter",
        "write the parameter as {helm: NAME}",
    )


@pytest.mark.parametrize(
    ("setting", "manifests", "message", "hint"),
    [
        (Kustomize("c", "k", ""), [], "Application weather renders no ConfigMap c", "it has none at all"),
        (
            Kustomize("c", "k", ""),
            MANIFESTS,
            "Application weather renders no ConfigMap c",
            "it has: topic-config",
        ),
        (
            Kustomize("topic-config", "k", ""),
            MANIFESTS,
            "ConfigMap topic-config of Application weather has no key k",
            "it has: topic_name",
        ),
        (
            Kustomize("empty", "k", ""),
            [{"kind": "ConfigMap", "metadata": {"name": "empty"}}],
            "ConfigMap empty of Application weather has no key k",
            "it is empty",
        ),
    ],
)
def test_a_config_map_or_key_that_is_not_rendered_is_refused(
    setting: Setting, manifests: list[Json], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as e:
        check_rendered("weather", [setting], manifests)
    assert (e.value.message, e.value.hint) == (message, hint)


def test_what_is_rendered_or_is_helms_is_not_refused() -> None:
    assert (
        check_rendered("w", [Kustomize("topic-config", "topic_name", ""), Helm("a", "")], MANIFESTS) is None
    )  # type: ignore[func-returns-value]


# -- secrets ------------------------------------------------------------------------------------------


def test_the_password_in_a_parameters_address_is_secret() -> None:
    values = ["postgres://u:hunter22@db/x", "someone@example.com", "https://example.com"]
    parameters_spec = [{"name": f"n{i}", "value": v} for i, v in enumerate(values)]
    assert secrets(application(of({"source": {"helm": {"parameters": parameters_spec}}}))) == ["hunter22"]


def test_values_that_are_secret_by_their_names_are_known_also_where_a_former_run_put_them_away() -> None:
    written = Record(
        run="r",
        until=1,
        helm=(
            HelmValue("db.password", "new", {"name": "db.password", "value": "old"}),
            HelmValue("image.tag", "2", {"name": "image.tag", "value": "1"}),
            HelmValue("auth.token", "t"),
        ),
    )
    now = [{"name": "db.password", "value": "now"}, {"name": "kafka.topic", "value": "weather"}]
    app = Application(
        metadata=Metadata(annotations={RECORD: msgspec.json.encode(written).decode()}),
        spec={"source": {"helm": {"parameters": now}}},
    )
    assert parameters_spec.secrets(app) == ["now", "old"]
    assert parameters_spec.secrets(Application()) == []
