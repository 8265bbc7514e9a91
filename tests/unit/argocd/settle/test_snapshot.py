"""An object is changed or new by what stood there before the operation."""

from __future__ import annotations

import datetime

import pytest

from argorun.argocd.manifests.objects import content
from argorun.argocd.settle.snapshot import Snapshot
from argorun.argocd.types import Node, Tree
from tests.unit.argocd.gopatch import Json
from tests.unit.argocd.objects import FORMER, TOPIC, X, thing, was


@pytest.mark.parametrize(
    ("created", "new"), [("2026-01-01T00:00:00Z", False), ("2026-01-01T00:10:00Z", True)]
)
def test_what_was_there_before_is_not_new_though_argo_cd_did_not_show_it(created: str, new: bool) -> None:
    """Under a name that nothing had yet been rendered to."""
    live = thing(value=TOPIC, uid="u", version="2")
    live["metadata"]["creationTimestamp"] = created
    noted = datetime.datetime.fromisoformat("2026-01-01T00:10:10Z").timestamp()
    assert Snapshot({}, taken_at=noted).is_new(live) is new
    assert Snapshot({}).is_new(live)


@pytest.mark.parametrize(
    ("before", "live", "changed"),
    [
        (thing(uid="u", version="1"), thing(uid="u", version="1"), False),
        (thing(uid="u", version="1"), thing(uid="u", version="2"), False),
        (thing(uid="u", version="1"), thing(uid="u", version="2", value=TOPIC), True),
        (thing(uid="u", version="1"), thing(uid="v", version="1"), True),
    ],
    ids=["untouched", "another version", "another content", "another uid"],
)
def test_an_object_is_changed_by_uid_version_and_content(before: Json, live: Json, changed: bool) -> None:
    assert was(before).changed(X, live) is changed


def test_an_object_whose_content_nobody_read_is_changed_by_its_version() -> None:
    before = Snapshot({"u": "1"})
    assert not before.changed(X, thing(uid="u", version="1"))
    assert before.changed(X, thing(uid="u", version="2"))


def test_an_object_of_which_no_version_was_told_is_changed_by_its_content() -> None:
    before = Snapshot({"u": ""}, {X: content(FORMER)})
    assert not before.changed(X, thing(uid="u", version="2"))
    assert before.changed(X, thing(uid="u", version="2", value=TOPIC))


@pytest.mark.parametrize(
    ("created", "new"),
    [
        ("2024-01-01T00:00:00Z", True),
        ("2024-01-01T00:00:01Z", True),
        ("2023-12-31T23:59:59Z", False),
        ("", False),
    ],
)
def test_after_a_run_that_died_what_was_created_since_it_began_is_new(created: str, new: bool) -> None:
    live = thing(uid="u", version="1")
    live["metadata"]["creationTimestamp"] = created
    assert Snapshot(since=1704067200.0).is_new(live) is new


def test_before_is_what_the_tree_shows() -> None:
    tree = Tree(nodes=[Node(uid="u", resource_version="1"), Node(name="missing")])
    assert Snapshot.of(tree, {}).versions == {"u": "1"}
