"""What a run's operation changed, and how each object goes back: by live state, never by words."""

from __future__ import annotations

from typing import Any

import pytest

from argorun.argocd.manifests.hooks import is_applied
from argorun.argocd.manifests.keys import Key, by_key, key_of
from argorun.argocd.settle.plan import Plan, plan_from_cluster, plan_from_renderings, rendered_differently
from argorun.argocd.settle.snapshot import Snapshot
from argorun.argocd.types import Node, Tree
from tests.unit.argocd.gopatch import Json
from tests.unit.argocd.objects import FORMER, OURS, TOPIC, X, hooked, thing, was


def nameless(value: str) -> Json:
    made = hooked(value=value)
    made["metadata"]["generateName"] = made["metadata"].pop("name")
    return made


PATCHED = {"data": {"topic": "former"}}  # from a topic's name, as a JSON merge patch


def planned(
    live: Json | None,
    ours: Json | None,
    former: Json | None,
    before: Snapshot,
    options: tuple[str, ...] = (),
) -> Plan:
    def one(manifest: Json | None) -> dict[Key, Json]:
        return by_key([] if manifest is None else [manifest], "n")

    return plan_from_cluster(one(live), one(ours), one(former), before, options)


# -- the plan -------------------------------------------------------------------------------------------


def test_what_git_has_with_the_former_parameters_is_settled() -> None:
    before = was(thing(uid="u", version="1"))
    live = thing(value=TOPIC, uid="u", version="2")
    assert planned(live, OURS, FORMER, before) == Plan(settle=(X,))


def test_what_git_has_and_was_not_live_before_is_settled_and_not_pruned() -> None:
    """It is missing no more: that is what Git wants."""
    assert planned(thing(value=TOPIC, uid="u", version="2"), OURS, FORMER, was()) == Plan(settle=(X,))


def test_what_exists_only_with_our_values_and_was_not_there_before_is_pruned() -> None:
    assert planned(thing(value=TOPIC, uid="u", version="2"), OURS, None, was()) == Plan(prune=(X,))


def test_what_exists_only_with_our_values_and_stood_there_before_becomes_what_it_was() -> None:
    before = was(thing(value="somebody's", uid="u", version="1"))
    plan = planned(thing(value=TOPIC, uid="u", version="2"), OURS, None, before)
    assert plan == Plan(patch=((X, {"data": {"topic": "somebody's"}}),))
    assert plan.alone == ()


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_what_exists_only_with_our_values_and_was_not_read_before_is_kept_and_looked_at(kind: str) -> None:
    """Nobody knows how it was."""
    before = Snapshot({"u": "1"})
    live, ours = thing(kind, value=TOPIC, uid="u", version="2"), thing(kind, value=TOPIC)
    plan = planned(live, ours, None, before)
    assert plan == Plan(foreign=(key_of(live, "n"),))
    assert (plan.alone, plan.changed) == ((), plan.foreign)


@pytest.mark.parametrize(("there", "plan"), [(True, Plan(foreign=(X,))), (False, Plan(delete=(X,)))])
def test_a_hook_that_exists_only_with_our_values_is_somebodys_where_it_stood_there_before(
    there: bool, plan: Plan
) -> None:
    before = Snapshot({"u": "1"} if there else {})
    assert planned(hooked(value=TOPIC, uid="u", version="2"), hooked(value=TOPIC), None, before) == plan


@pytest.mark.parametrize("was_made_anew", [False, True])
def test_what_our_operation_did_not_change_is_left_alone(was_made_anew: bool) -> None:
    live = thing(uid="u", version="1")
    assert planned(live, OURS, FORMER, was(live)) == Plan()
    changed_by_a_controller = thing(uid="u", version="7")  # another version of the same content
    assert planned(changed_by_a_controller, OURS, FORMER, was(live)) == Plan()
    another = thing(uid="v" if was_made_anew else "u", version="7")
    assert planned(another, OURS, FORMER, was(live)) == Plan(settle=(X,) if was_made_anew else ())


@pytest.mark.parametrize(
    ("option", "options", "kept"),
    [
        ("", (), False),
        ("", ("Prune=false",), True),
        ("", ("Prune=confirm",), True),
        ("", ("Prune=true", "ServerSideApply=true"), False),
        ("Prune=false", (), True),
        ("Prune=confirm", (), True),
        ("Validate=false, Prune=false", (), True),
        ("Validate=false", ("Prune=false",), True),
        ("Prune=true", ("Prune=false",), False),  # the object's own wins
        ("Delete=false", (), False),
    ],
)
def test_what_argo_cd_does_not_prune_stays_and_is_told(
    option: str, options: tuple[str, ...], kept: bool
) -> None:
    annotated = {"argocd.argoproj.io__sync-options": option} if option else {}
    live = thing(value=TOPIC, uid="u", version="2", **annotated)
    plan = planned(live, OURS, None, was(), options)
    assert plan == (Plan(stay=(X,)) if kept else Plan(prune=(X,)))


def job(topic: str, uid: str = "", **annotations: str) -> Json:
    made = thing("Job", "load", uid=uid, version="7", api="batch/v1", **annotations)
    made["spec"] = {"template": {"env": topic}}
    return made


FORCE = {"argocd.argoproj.io__sync-options": "Force=true,Replace=true"}
LOAD = Key("batch", "Job", "n", "load")


@pytest.mark.parametrize(
    ("live", "former", "plan"),
    [
        (job(TOPIC, "new"), job("former"), Plan(stay=(LOAD,))),
        (job(TOPIC, "new", **FORCE), job("former", **FORCE), Plan(settle=(LOAD,))),
        (job("former", "new"), job("former", note="x"), Plan(settle=(LOAD,))),
    ],
)
def test_what_is_immutable_is_not_settled_by_a_sync_that_can_only_fail(
    live: Json, former: Json, plan: Plan
) -> None:
    assert planned(live, live, former, Snapshot()) == plan


@pytest.mark.parametrize(
    ("ours", "former", "there", "plan"),
    [
        (OURS, FORMER, False, Plan(settle=(X,))),
        (OURS, FORMER, True, Plan(settle=(X,))),
        (OURS, None, False, Plan(prune=(X,))),
        (OURS, None, True, Plan(settle=(X,))),
        (job(TOPIC), job("former"), False, Plan(stay=(LOAD,))),
        (job(TOPIC), job("former"), True, Plan(settle=(LOAD,))),
        (hooked(value=TOPIC), hooked(), False, Plan(patch=((X, PATCHED),))),
        (hooked(value=TOPIC), hooked(), True, Plan(patch=((X, PATCHED),))),
        (hooked(value=TOPIC), None, False, Plan(delete=(X,))),
        (hooked(value=TOPIC), None, True, Plan()),
        (hooked("Secret", value=TOPIC), hooked("Secret"), True, Plan()),
        (nameless(TOPIC), nameless("former"), False, Plan()),
    ],
)
def test_the_plan_by_the_renderings_deletes_nothing_that_stood_there_before(
    ours: Json, former: Json | None, there: bool, plan: Plan
) -> None:
    key = key_of(ours, "n")
    node = Node(group=key.group, kind=key.kind, namespace=key.namespace, name=key.name, uid="u")
    others = {Key("", "ConfigMap", "n", "other"): FORMER}
    formerly = others | ({} if former is None else {key: former})
    tree = Tree(nodes=[node] if there else [])
    assert plan_from_renderings({key: ours}, formerly, [key], tree) == plan


@pytest.mark.parametrize("phase", ["test", "post-delete"])
def test_a_helm_hook_that_no_sync_runs_is_in_no_command(phase: str) -> None:
    pods = [thing("Pod", value=value) for value in (TOPIC, "former")]
    for pod in pods:
        pod["metadata"]["annotations"] = {"helm.sh/hook": phase}
    ours, former = (by_key([pod], "n") for pod in pods)
    assert plan_from_renderings(ours, former, list(ours), Tree()) == Plan()
    assert not is_applied(pods[0])


def test_where_nobody_can_render_the_former_values_all_is_synced_by_hand() -> None:
    assert plan_from_renderings({X: OURS}, {}, [X], Tree()) == Plan(settle=(X,))


def test_a_hook_that_holds_data_is_patched_back_to_what_it_was() -> None:
    before = was(hooked(value="somebody's", uid="u", version="1"))
    live = hooked(value=TOPIC, uid="u", version="2")
    plan = planned(live, hooked(value=TOPIC), hooked(), before)
    assert plan == Plan(patch=((X, {"data": {"topic": "somebody's"}}),))


def test_a_hook_that_holds_data_and_was_made_anew_is_patched_back_to_what_it_was() -> None:
    """Most are: BeforeHookCreation."""
    before = was(hooked(uid="u", version="1"))
    plan = planned(hooked(value=TOPIC, uid="v", version="2"), hooked(value=TOPIC), hooked(), before)
    assert plan == Plan(patch=((X, {"data": {"topic": "former"}}),))


def test_what_others_have_put_into_a_hook_that_holds_data_meanwhile_stays() -> None:
    before, live = hooked(uid="u", version="1"), hooked(value=TOPIC, uid="v", version="2")
    before["data"] |= {"lost": "by the sync", "same": "x"}
    live["data"] |= {"added": "by hand", "same": "y"}
    ours = hooked(value=TOPIC)
    ours["data"] |= {"same": "x"}
    plan = planned(live, ours, hooked(), was(before))
    assert plan == Plan(patch=((X, {"data": {"topic": "former", "lost": "by the sync"}}),))


def immutable(value: str) -> Json:
    return thing(value=value) | {"immutable": True}


def of_kind(kind: str, **spec: Any) -> Json:
    return thing(kind, uid="u", version="1") | {"spec": spec}


@pytest.mark.parametrize(
    ("ours", "former", "fixed"),
    [
        (immutable(TOPIC), immutable("former"), True),
        (thing(value=TOPIC), thing(), False),
        (of_kind("Deployment", selector=TOPIC), of_kind("Deployment", selector="x"), True),
        (of_kind("Deployment", template=TOPIC), of_kind("Deployment", template="x"), False),
        (of_kind("StatefulSet", volumeClaimTemplates=[TOPIC]), of_kind("StatefulSet"), True),
        (of_kind("StatefulSet", template=TOPIC), of_kind("StatefulSet"), False),
    ],
)
def test_a_new_object_that_nobody_may_change_is_not_settled_by_a_sync(
    ours: Json, former: Json, fixed: bool
) -> None:
    live = ours | {"metadata": ours["metadata"] | {"uid": "u", "resourceVersion": "2"}}
    key = key_of(ours, "n")
    assert planned(live, ours, former, was()) == (Plan(stay=(key,)) if fixed else Plan(settle=(key,)))


def test_a_hook_that_holds_data_and_was_not_there_before_becomes_what_git_has() -> None:
    live = hooked(value=TOPIC, uid="v", version="2")
    plan = planned(live, hooked(value=TOPIC), hooked(), was())
    assert plan == Plan(patch=((X, {"data": {"topic": "former"}}),))


def test_a_hook_that_holds_data_and_exists_only_with_our_values_is_to_be_deleted() -> None:
    live = hooked(value=TOPIC, uid="v", version="2")
    assert planned(live, hooked(value=TOPIC), None, was()) == Plan(delete=(X,))


def test_a_plan_names_every_object_that_the_operation_changed() -> None:
    a, b, c, d, e, f = (Key("", "ConfigMap", "n", name) for name in "abcdef")
    plan = Plan(settle=(a,), prune=(b,), patch=((c, {}),), delete=(d,), stay=(e,), foreign=(f,))
    assert plan.changed == (a, b, c, d, e, f)


# -- what differs ---------------------------------------------------------------------------------------


def test_an_object_differs_by_its_content_or_by_being_only_on_one_side() -> None:
    ours = by_key([OURS, thing(name="same"), thing(name="new")], "n")
    former = by_key([FORMER, thing(name="same"), thing(name="old")], "n")
    assert [k.name for k in rendered_differently(ours, former)] == ["x", "new", "old"]


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_a_hook_that_runs_is_no_matter_for_settling(kind: str) -> None:
    ours, former = (by_key([hooked(kind, value=v)], "n") for v in (TOPIC, "former"))
    assert rendered_differently(ours, former) == []
    assert rendered_differently(ours, {}) == []


def test_a_job_that_is_no_hook_is() -> None:
    ours, former = (by_key([thing("Job", value=v)], "n") for v in (TOPIC, "former"))
    assert [k.name for k in rendered_differently(ours, former)] == ["x"]
