"""A merge patch brings an object back, and nothing that others changed."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.manifests.objects import content
from argorun.argocd.settle.merge_patch import merge_patch, patch_back
from tests.unit.argocd.fakes import merged
from tests.unit.argocd.gopatch import Json
from tests.unit.argocd.objects import TOPIC, hooked


def mock(value: str, **defaults: Any) -> Json:
    env = [{"name": "MODE", "value": "x"}, {"name": "TOPIC", "value": value}]
    made = hooked("Deployment", api="apps/v1")
    del made["data"]
    return made | {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env} | defaults]}}}}


def test_in_a_list_that_the_api_server_has_filled_in_only_what_the_run_put_there_is_taken_back() -> None:
    defaults = {"imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log"}
    before = content(mock("former", **defaults))
    patch = patch_back(content(mock(TOPIC, **defaults)), content(mock(TOPIC)), before)
    assert merged(content(mock(TOPIC, **defaults)), patch) == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def without_nulls(value: Any) -> Any:
    """An object as the API server keeps it: a member that is null is none. Lists are kept whole."""
    if not isinstance(value, dict):
        return value
    return {k: without_nulls(v) for k, v in value.items() if v is not None}


@given(OBJECT, OBJECT)
def test_a_merge_patch_brings_any_object_to_any_other(now: Json, then: Json) -> None:
    kept = copy.deepcopy((now, then))
    assert without_nulls(merged(now, merge_patch(now, then))) == without_nulls(then)
    assert (now, then) == kept


@given(OBJECT)
def test_a_merge_patch_of_what_is_the_same_is_empty(thing: Json) -> None:
    assert merge_patch(thing, copy.deepcopy(thing)) == {}
