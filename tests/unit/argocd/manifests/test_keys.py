"""An object is known by its group, kind, namespace and name."""

from __future__ import annotations

import pytest

from argorun.argocd.manifests import keys
from argorun.argocd.manifests.keys import Key, find_node, key_of
from argorun.argocd.types import Node, ResourceResult, Tree
from tests.unit.argocd.gopatch import Json
from tests.unit.argocd.objects import thing


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        (thing("Deployment", api="apps/v1"), Key("apps", "Deployment", "n", "x")),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, Key("", "Secret", "d", "s")),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}}, Key("", "Pod", "d", "p-")),
        ({}, Key("", "", "d", "")),
    ],
)
def test_an_object_is_known_by_group_kind_namespace_and_name(manifest: Json, key: Key) -> None:
    assert key_of(manifest, "d") == key


def test_a_cluster_scoped_object_is_found_though_it_renders_into_a_namespace() -> None:
    role = Node(group="rbac", kind="ClusterRole", name="r", uid="u")
    tree = Tree(nodes=[role, Node(group="other", kind="ClusterRole", namespace="n", name="r", uid="v")])
    assert find_node(tree, Key("rbac", "ClusterRole", "n", "r")) == role
    assert find_node(tree, Key("rbac", "ClusterRole", "n", "q")) is None


def test_what_an_operation_has_applied_is_told_without_its_hooks() -> None:
    applied = ResourceResult(group="apps", kind="Deployment", namespace="n", name="d")
    hook = ResourceResult(group="batch", kind="Job", namespace="n", name="j", hook_type="PostSync")
    assert keys.applied([applied, hook]) == {Key("apps", "Deployment", "n", "d")}
