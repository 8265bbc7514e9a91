"""A tree's index finds what a search through all its nodes finds, and goes through them once."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.types import Node, Ref, Tree
from tests.unit.argocd.fakes import Visited

UIDS = st.sampled_from(["a", "b", "c", "d"])
NAMES = UIDS | st.just("")  # what is not there yet has no uid
NODES = st.lists(
    st.builds(
        Node,
        group=st.sampled_from(["", "batch"]),
        kind=st.sampled_from(["Pod", "Job"]),
        name=NAMES,
        uid=NAMES,
        created_at=st.sampled_from(["1", "2"]),
        parent_refs=st.none() | st.lists(st.builds(Ref, uid=UIDS), max_size=2),
    ),
    unique_by=lambda n: n.uid or id(n),
    max_size=8,
)


def owners(node: Node) -> set[str]:
    return {p.uid for p in node.parent_refs or ()}


def under(nodes: list[Node], uids: set[str]) -> list[Node]:
    below = set(uids)
    while more := {n.uid for n in nodes if n.uid and owners(n) & below} - below:
        below |= more
    pods = [n for n in nodes if n.uid in below and n.uid and n.kind == "Pod"]
    return sorted(pods, key=lambda n: (n.created_at, n.name))


@given(NODES, st.sets(UIDS))
def test_what_the_index_finds_is_what_a_search_through_all_nodes_finds(
    nodes: list[Node], uids: set[str]
) -> None:
    tree = Tree(nodes=nodes)
    live = [n for n in nodes if n.uid]
    for n in live:
        same = [m for m in live if (m.kind, m.name) == (n.kind, n.name)]
        assert tree.find(n.kind, "", n.name) is same[0]
        assert tree.find(n.kind, "", n.name, n.group) is next(m for m in same if m.group == n.group)
        assert tree.find_uid(n.uid) is n
        assert list(tree.children(n.uid)) == [m for m in nodes if n.uid in owners(m)]
    assert list(tree.of_kind("Job")) == [n for n in nodes if n.kind == "Job"]
    pods = tree.pods_under(uids)
    assert sorted(map(repr, pods)) == sorted(map(repr, under(nodes, uids)))
    assert [(n.created_at, n.name) for n in pods] == sorted((n.created_at, n.name) for n in pods)


def test_nothing_is_found_in_an_empty_tree() -> None:
    tree = Tree()
    assert (tree.find("Job", "n", "x"), tree.find_uid("x"), tree.pods_under({"x"})) == (None, None, [])
    assert (tree.children("x"), tree.of_kind("Job")) == ((), ())


def test_thousands_of_look_ups_go_through_the_nodes_once() -> None:
    nodes = Visited([Node(kind="Pod", name=f"p-{i}", uid=f"{i}") for i in range(2000)])
    tree = Tree(nodes=nodes)
    for i in range(2000):
        assert tree.find("Pod", "", f"p-{i}") is tree.find_uid(f"{i}")
        assert len(tree.pods_under({f"{i}"})) == 1
    assert nodes.visits == 2000


def test_a_node_s_resource_version_is_read() -> None:
    answer = b'{"nodes": [{"kind": "Job", "uid": "u", "resourceVersion": "17"}]}'
    (node,) = msgspec.json.decode(answer, type=Tree).of_kind("Job")
    assert node.resource_version == "17"
