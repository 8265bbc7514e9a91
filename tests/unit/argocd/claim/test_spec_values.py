"""Every value of a spec that may hold a topic's name is found, and can be removed."""

from __future__ import annotations

from argorun.argocd.claim.spec_values import removal, spec_values
from tests.unit.argocd.gopatch import Json


def test_every_place_of_every_source_is_looked_at_and_can_be_taken_out() -> None:
    helm = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c", "value": "3"}]
    patches = [{"patch": "p"}, {"patch": "q", "target": {"kind": "ConfigMap"}}]
    spec: Json = {
        "source": {"helm": {"parameters": helm}, "kustomize": {"patches": patches}},
        "sources": [{"chart": "x"}, {"helm": {"parameters": helm[:1]}}],
    }
    found = spec_values(spec)
    assert [(p.what, p.pointer, p.text) for p in found] == [
        ("helm: a", "/spec/source/helm/parameters/0", "1"),
        ("helm: b", "/spec/source/helm/parameters/1", "2"),
        ("helm: c", "/spec/source/helm/parameters/2", "3"),
        ("kustomize patch 0", "/spec/source/kustomize/patches/0", "p"),
        ("kustomize patch 1", "/spec/source/kustomize/patches/1", "q"),
        ("helm: a", "/spec/sources/1/helm/parameters/0", "1"),
    ]
    assert removal(found[:1]) == [
        {"op": "test", "path": "/spec/source/helm/parameters/0", "value": helm[0]},
        {"op": "remove", "path": "/spec/source/helm/parameters/0"},
    ]
    assert [o["path"][-1] for o in removal(found[:2])] == ["1", "1", "0", "0"], "the last one first"
