"""Ignore rules take out of an object what Argo CD would take out of it, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.manifests import ignore_differences, json_pointer
from argorun.argocd.types import IgnoreRule, Json

OWN = {"group": "argoproj.io", "kind": "Application"}


def thing() -> Json:
    return {
        "metadata": {"annotations": {"argorun.dev/run": "r", "other": "o"}},
        "spec": {
            "source": {"helm": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}},
            "syncPolicy": {"automated": {"prune": True, "enabled": False}},
        },
    }


def by_pointer(*pointers: str) -> Json:
    return ignore_differences.without(thing(), [IgnoreRule(json_pointers=list(pointers))])


def by_jq(*expressions: str) -> Json:
    return ignore_differences.without(thing(), [IgnoreRule(jq_path_expressions=list(expressions))])


def left(found: Json) -> list[Any]:
    """What is left of the parameters, the annotations and the switch."""
    helm = found["spec"]["source"].get("helm", {})
    automated = found["spec"]["syncPolicy"].get("automated", {})
    annotations = found["metadata"].get("annotations", {})
    return [[p.get("value") for p in helm.get("parameters", [])], list(annotations), list(automated)]


ALL = [["1", "2"], ["argorun.dev/run", "other"], ["prune", "enabled"]]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/spec/source/helm/parameters", [[], *ALL[1:]]),
        ("/spec/source/helm/parameters/0", [["2"], *ALL[1:]]),
        ("/spec/source/helm/parameters/1/value", [["1", None], *ALL[1:]]),
        ("/spec/source/helm/parameters/7", ALL),
        ("/spec/source/helm", [[], *ALL[1:]]),
        ("/metadata/annotations/argorun.dev~1run", [ALL[0], ["other"], ALL[2]]),
        ("/metadata/annotations/argorun.dev/run", ALL),
        ("/spec/syncPolicy/automated/enabled", [*ALL[:2], ["prune"]]),
        ("/spec/syncPolicy/automated", [*ALL[:2], []]),
        ("/spec/not/there", ALL),
        ("", ALL),
    ],
)
def test_a_pointer_takes_out_what_it_names(pointer: str, expected: list[Any]) -> None:
    assert left(by_pointer(pointer)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (".spec.source.helm.parameters", [[], *ALL[1:]]),
        (".spec.source.helm.parameters[]", [[], *ALL[1:]]),
        (".spec.source.helm.parameters[]?", [[], *ALL[1:]]),
        (".spec.source.helm.parameters[1]", [["1"], *ALL[1:]]),
        ('.spec.source.helm.parameters[] | select(.name == "a")', [["2"], *ALL[1:]]),
        ('.spec.source.helm.parameters[] | select(.name == "a").value', [[None, "2"], *ALL[1:]]),
        ('.spec.source.helm.parameters[]|select(.name=="b")|.value', [["1", None], *ALL[1:]]),
        ('.spec.source.helm.parameters[] | select(.name == "a" or .name == "b")', [[], *ALL[1:]]),
        ('.spec.source.helm.parameters[] | select(.name == "c")', ALL),
        ('.metadata.annotations["argorun.dev/run"]', [ALL[0], ["other"], ALL[2]]),
        ('.metadata.annotations."argorun.dev/run"', [ALL[0], ["other"], ALL[2]]),
        ('.["metadata"].annotations["argorun.dev/run"]?', [ALL[0], ["other"], ALL[2]]),
        (".metadata.annotations, .spec.syncPolicy.automated.enabled", [ALL[0], [], ["prune"]]),
        (".spec | .source.helm.parameters, .syncPolicy.automated.enabled", [[], ALL[1], ["prune"]]),
        (".spec.sources[].helm", ALL),
        (".spec.sources[]?.helm, .metadata.annotations", [ALL[0], [], ALL[2]]),
        (".spec.sources[].helm, .metadata.annotations", ALL),
        (".spec.source[0]", ALL),
        (". | .metadata.annotations", [ALL[0], [], ALL[2]]),
    ],
)
def test_a_jq_path_takes_out_what_jq_would(expression: str, expected: list[Any]) -> None:
    assert ignore_differences.not_understood([IgnoreRule(jq_path_expressions=[expression])]) == []
    assert left(by_jq(expression)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "..",
        ".. | select(.name?)",
        ".",
        "",
        "paths",
        ".spec | to_entries[]",
        '.spec.source.helm.parameters[] | select(.name | startswith("kafka."))',
        ".spec.source.helm.parameters[] | select(.name != 1)",
        '.spec.source.helm.parameters[] | select(.name == "a"',
        ".spec.source.helm.parameters[] | select(.value > 1)",
        '.metadata.annotations["a\\u0062"]',
        ".spec.source.helm.parameters[-1]",
        ".spec,",
        ".spec)",
        ".a-b",
    ],
)
def test_an_expression_that_is_not_understood_takes_nothing_out_and_is_named(expression: str) -> None:
    assert ignore_differences.not_understood([IgnoreRule(jq_path_expressions=[expression])]) == [expression]
    assert by_jq(expression) == thing()


@given(st.text(alphabet='.[]"|,?()= abselect\\/0', max_size=40))
def test_any_text_is_either_understood_or_not(expression: str) -> None:
    rules = [IgnoreRule(jq_path_expressions=[expression])]
    found = ignore_differences.without(thing(), rules)
    if ignore_differences.not_understood(rules):
        assert found == thing()


NAMES = st.text(alphabet="ab/~01.", min_size=1, max_size=4)
TREES = st.recursive(
    st.integers(0, 3),
    lambda t: st.dictionaries(NAMES, t, max_size=3) | st.lists(t, max_size=3),
    max_leaves=12,
)


def places(tree: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = list(
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    )
    return [p for key, value in inner for p in [(*before, key), *places(value, (*before, key))]]


@given(st.dictionaries(NAMES, TREES, max_size=4), st.data())
def test_pointer_and_jq_path_of_a_place_take_out_that_place_alone(tree: Json, data: st.DataObject) -> None:
    there = places(tree)
    path = data.draw(st.sampled_from(there)) if there else ("absent",)
    pointer = "".join("/" + str(s).replace("~", "~0").replace("/", "~1") for s in path)
    jq = "." + "".join(f"[{json.dumps(s)}]" for s in path)
    expected = copy.deepcopy(tree)
    if there:
        parent = json_pointer.at(expected, path[:-1])
        del parent[path[-1]]
    before = copy.deepcopy(tree)
    assert ignore_differences.without(tree, [IgnoreRule(json_pointers=[pointer])]) == expected
    assert ignore_differences.without(tree, [IgnoreRule(jq_path_expressions=[jq])]) == expected
    assert tree == before


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (OWN, True),
        ({"group": "*", "kind": "*"}, True),
        ({"group": "argoproj.*", "kind": "App*"}, True),
        (OWN | {"name": "weather"}, True),
        (OWN | {"name": "weath*"}, False),
        (OWN | {"name": "other"}, False),
        (OWN | {"namespace": "argocd"}, True),
        (OWN | {"namespace": "apps"}, False),
        ({"kind": "Application"}, False),
        ({"group": "apps", "kind": "Deployment"}, False),
    ],
)
def test_a_rule_is_about_the_objects_that_it_names(rule: Json, matches: bool) -> None:
    rules = [IgnoreRule(**rule)]
    assert ignore_differences.matching(rules, "weather", "argocd") == (rules if matches else [])
