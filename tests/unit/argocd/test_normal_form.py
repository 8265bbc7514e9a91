"""A spec's normal form is what Argo CD would store of it; tests/contract holds it to the real one."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.normal_form import differing, go_json, go_number, normalize, number, same
from argorun.argocd.types import Json
from tests.normal_forms import KUSTOMIZE_SPELLINGS, SPELLINGS

BARE: Json = {"repoURL": "git"}


def stored(source: Json | None = None, **spec: Any) -> Json:
    """A spec as it is stored, with what is always there."""
    return {"source": BARE | (source or {}), "project": "default", "destination": {}} | spec


@pytest.mark.parametrize(("sent", "kept"), SPELLINGS + KUSTOMIZE_SPELLINGS)
def test_a_source_has_one_normal_form_however_it_is_written(sent: Json, kept: Json) -> None:
    assert normalize({"source": BARE | sent}) == stored(kept)
    assert normalize(stored(kept)) == stored(kept)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"syncPolicy": {}}, {}),
        ({"syncPolicy": None}, {}),
        ({"syncPolicy": {"syncOptions": []}}, {}),
        ({"syncPolicy": {"automated": None}}, {}),
        ({"syncPolicy": {"automated": {}}}, {"syncPolicy": {"automated": {}}}),
        (
            {"syncPolicy": {"automated": {"prune": False, "selfHeal": None}}},
            {"syncPolicy": {"automated": {"prune": False}}},
        ),
        ({"syncPolicy": {"retry": {"limit": 0}}}, {"syncPolicy": {"retry": {}}}),
        ({"ignoreDifferences": [], "info": None, "revisionHistoryLimit": None}, {}),
        ({"revisionHistoryLimit": 0}, {"revisionHistoryLimit": 0}),
        ({"project": "", "destination": {"name": "", "namespace": "x"}}, {"destination": {"namespace": "x"}}),
        ({"info": [{"name": "a"}]}, {"info": [{"name": "a", "value": ""}]}),
        ({"unheardOf": ""}, {"unheardOf": ""}),
    ],
)
def test_what_is_beside_the_source_has_one_normal_form_too(sent: Json, kept: Json) -> None:
    assert normalize({"source": BARE} | sent) == stored() | kept
    assert same(stored() | sent, stored() | kept)


def test_the_spec_that_is_given_stays_as_it_is() -> None:
    spec: Json = {"source": {"helm": {"parameters": [{"name": "a", "value": ""}]}}}
    before = copy.deepcopy(spec)
    normalize(spec)
    assert spec == before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "1e-7"),
        (1e-6, "0.000001"),
        (1.5e-9, "1.5e-9"),
        (1e16, "10000000000000000"),
        (1e21, "1e+21"),
        (-2.5e300, "-2.5e+300"),
        (2.0, "2"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (12345678901234567890.0, "12345678901234567000"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert go_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_go_writes_it_is_the_same_number(value: float) -> None:
    assert float(go_number(value)) == value
    assert number(number(value)) == number(value)


def test_what_is_no_number_in_json_is_refused() -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="cannot be written as JSON"):
            go_number(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_what_is_written_for_go_is_the_same_json_without_its_signs(value: object) -> None:
    text = go_json(value)
    assert json.loads(text) == value
    assert not set("&<>\u2028\u2029") & set(text)


@pytest.mark.parametrize(
    ("other", "places"),
    [
        ({"source": {"repoURL": "git", "helm": {"parameters": []}}, "project": "default"}, []),
        (
            {"source": {"repoURL": "git", "helm": {"parameters": [{"name": "a", "value": "1"}]}}},
            ["source.helm"],
        ),
        ({"source": {"repoURL": "git", "targetRevision": "v2"}}, ["source.targetRevision"]),
        (
            {"source": {"repoURL": "hub"}, "syncPolicy": {"retry": {"limit": 3}}},
            ["source.repoURL", "syncPolicy"],
        ),
    ],
)
def test_where_two_specs_mean_something_else_is_told(other: Json, places: list[str]) -> None:
    assert differing({"source": {"repoURL": "git"}}, other) == places
