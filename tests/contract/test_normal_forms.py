"""What Argo CD stores of a spec is its normal form, and a `test` compares with how Go writes that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples

from argorun.argocd.normal_form import normalize
from argorun.argocd.parameters import spec as parameters_spec
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.patch import changes
from argorun.argocd.parameters.record import record_of
from argorun.argocd.parameters.spec import claimed, restored
from tests.contract.manifests import TOPIC, configmap
from tests.contract.targets import App, Target, good
from tests.normal_forms import KUSTOMIZE_SPELLINGS, ODD, PARAMETERS, SPELLINGS

Json = dict[str, Any]


@pytest.fixture(scope="module")
def chart(argocd: Target) -> Iterator[App]:
    with argocd.application("normal", configmap("settings", topic=TOPIC)) as app:
        yield app


@pytest.fixture(scope="module")
def kustomization(argocd: Target) -> Iterator[App]:
    with argocd.application("normal", configmap("settings", topic="x"), form="kustomize") as app:
        yield app


def stored(app: App, spec: Json) -> Json:
    """What the server keeps of a spec that is sent by a patch, and shows afterwards."""
    good(app.patch({"op": "add", "path": "/spec", "value": spec}))
    kept: Json = app.get()["spec"]
    return kept


def bare(app: App) -> Json:
    """The Application's spec without what the checks put into it."""
    spec: Json = app.get()["spec"]
    source = {k: v for k, v in spec["source"].items() if k not in ("helm", "kustomize")}
    return {**{k: v for k, v in spec.items() if k != "syncPolicy"}, "source": source}


@pytest.mark.parametrize(("sent", "kept"), SPELLINGS)
def test_a_charts_source_is_stored_in_its_normal_form(chart: App, sent: Json, kept: Json) -> None:
    base = bare(chart)
    spec = base | {"source": base["source"] | sent}
    assert stored(chart, spec) == normalize(spec) == base | {"source": base["source"] | kept}


@pytest.mark.parametrize(("sent", "kept"), KUSTOMIZE_SPELLINGS)
def test_a_kustomizations_source_is_stored_in_its_normal_form(
    kustomization: App, sent: Json, kept: Json
) -> None:
    base = bare(kustomization)
    spec = base | {"source": base["source"] | sent}
    assert stored(kustomization, spec) == normalize(spec) == base | {"source": base["source"] | kept}


@given(PARAMETERS)
@examples(max_examples=25, deadline=None)
def test_any_parameters_are_stored_in_their_normal_form(chart: App, written: list[Json] | None) -> None:
    base = bare(chart)
    spec = base | {"source": base["source"] | {"helm": {"parameters": written}}}
    assert stored(chart, spec) == normalize(spec)


OFF: Json = {"enabled": False}


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"automated": None, "syncOptions": []},
        {"automated": OFF},
        {"automated": OFF | {"prune": False, "selfHeal": None, "allowEmpty": True}},
        {"retry": {"limit": 0, "refresh": False, "backoff": {"duration": "", "factor": 2}}},
        {"managedNamespaceMetadata": {"labels": {}, "annotations": {"a": ""}}},
    ],
)
def test_a_sync_policy_is_stored_in_its_normal_form(chart: App, policy: Json) -> None:
    spec = bare(chart) | {"syncPolicy": policy, "info": [{"name": "a", "value": ""}], "ignoreDifferences": []}
    expected = normalize(spec)
    if chart.is_before_3_2 and (automated := (expected.get("syncPolicy") or {}).get("automated")):
        expected["syncPolicy"]["automated"] = {k: v for k, v in automated.items() if v or k == "enabled"}
    assert stored(chart, spec) == expected


def test_what_argo_cds_types_do_not_have_is_lost(chart: App) -> None:
    base = bare(chart)
    odd = {"parameters": [{"name": "a", "value": "1", "unheardOf": 1}]}
    spec = base | {"source": base["source"] | {"helm": odd, "unheardOf": 1}}
    known = {"helm": {"parameters": [{"name": "a", "value": "1"}]}}
    assert stored(chart, spec) == base | {"source": base["source"] | known}


NUMBERS: Json = {"small": 1e-7, "whole": 2.0, "large": 1e21, "long": 1e16, "big": 2**53, "plain": 0.25}


async def test_a_test_of_whatever_argo_cd_shows_holds(chart: App) -> None:
    base = bare(chart)
    values = {"parameters": [{"name": "odd", "value": ODD}], "valuesObject": NUMBERS | {"odd": ODD}}
    stored(chart, base | {"source": base["source"] | {"helm": values}})
    async with chart.client() as client:
        seen = await client.application(chart.ref)
        helm = seen.spec["source"]["helm"]
        assert helm["valuesObject"] == NUMBERS | {"odd": ODD}
        shown: Json = {"op": "test", "path": "/spec/source/helm", "value": helm}
        await client.patch(chart.ref, [shown, {"op": "remove", "path": "/spec/source/helm"}])
    assert "helm" not in chart.get()["spec"]["source"]


def test_a_test_is_of_texts_so_that_another_spelling_fails(chart: App) -> None:
    base = bare(chart)
    values = {"parameters": [{"name": "a", "value": "<"}], "valuesObject": {"n": 1e-7}}
    stored(chart, base | {"source": base["source"] | {"helm": values}})
    at = "/spec/source/helm"
    for path, spelling, holds in (
        (f"{at}/parameters/0/value", '"<"', False),
        (f"{at}/parameters/0/value", '"\\u003c"', True),
        (f"{at}/valuesObject/n", "1e-07", False),
        (f"{at}/valuesObject/n", "1e-7", True),
    ):
        patch = f'[{{"op": "test", "path": "{path}", "value": {spelling}}}]'
        answer = chart.request("PATCH", "", {"patch": patch, "patchType": "json"})
        assert (answer.status_code == 200) is holds, spelling


FORMER: list[list[Json]] = [
    [],
    [{"name": "a", "value": "1"}],
    [{"name": "a"}],
    [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "a", "value": "2"}],
    [{"name": "a", "value": ODD}, {"name": "a", "value": "1"}, {"name": "a", "value": "1"}],
    [{"name": "a", "value": "1", "forceString": True}, {"name": "a", "value": "2"}],
]


@pytest.mark.parametrize(
    "settings",
    [
        [Helm("a", "")],
        [Helm("a", "1")],
        [Helm("a", "1", string=True), Helm("b", "&")],
        [Helm("a", "", string=True), Helm("c", ODD)],
    ],
)
@pytest.mark.parametrize("former", FORMER)
async def test_what_is_set_comes_back_as_it_was(
    chart: App, former: list[Json], settings: list[Setting]
) -> None:
    base = bare(chart) | {"syncPolicy": {"automated": {"prune": False, "enabled": False}}}
    before = stored(chart, base | {"source": base["source"] | {"helm": {"parameters": former}}})
    annotations = chart.get()["metadata"].get("annotations")
    async with chart.client() as client:
        seen = await client.application(chart.ref)
        spec, record = claimed(seen, settings, [], "run", 0)
        taken = await client.patch(chart.ref, changes(seen, spec, record))
        assert parameters_spec.holds(taken.spec["source"], settings)
        kept = record_of(taken)
        assert kept == record
        await client.patch(chart.ref, changes(taken, restored(taken.spec, kept), None))
    after = chart.get()
    assert (after["spec"], after["metadata"].get("annotations")) == (before, annotations)
