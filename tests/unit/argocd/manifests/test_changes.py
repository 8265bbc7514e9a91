"""What a run's operation changed, and how each object goes back: by live state, never by words."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.manifests import changes
from argorun.argocd.manifests.changes import (
    Before,
    Key,
    Plan,
    by_key,
    content,
    differing,
    key_of,
    merge_patch,
    named,
)
from argorun.argocd.manifests.hooks import is_applied, is_hook
from argorun.argocd.types import Node, ResourceResult, Tree
from tests.unit.argocd.fakes import merged
from tests.unit.argocd.gopatch import Json

TOPIC = "weather_1700000000_0a1b2c3d"
SAFE = "weather-1700000000-0a1b2c3d"
HOOK = {"argocd.argoproj.io/hook": "PreSync"}


def thing(
    kind: str = "ConfigMap",
    name: str = "x",
    value: str = "former",
    uid: str = "",
    version: str = "",
    api: str = "v1",
    **annotations: str,
) -> Json:
    """An object, live where it has a uid."""
    metadata: Json = {"name": name, "namespace": "n"}
    metadata |= {"uid": uid, "resourceVersion": version} if uid else {}
    metadata |= (
        {"annotations": {k.replace("__", "/"): v for k, v in annotations.items()}} if annotations else {}
    )
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "data": {"topic": value}}


def hooked(kind: str = "ConfigMap", name: str = "x", value: str = "former", **more: Any) -> Json:
    made = thing(kind, name, value, **more)
    made["metadata"].setdefault("annotations", {}).update(HOOK)
    return made


def nameless(value: str) -> Json:
    made = hooked(value=value)
    made["metadata"]["generateName"] = made["metadata"].pop("name")
    return made


X = Key("", "ConfigMap", "n", "x")
PATCHED = {"data": {"topic": "former"}}  # from a topic's name, as a JSON merge patch


def planned(
    live: Json | None,
    ours: Json | None,
    former: Json | None,
    before: Before,
    options: tuple[str, ...] = (),
) -> Plan:
    def one(manifest: Json | None) -> dict[Key, Json]:
        return by_key([] if manifest is None else [manifest], "n")

    return changes.plan(one(live), one(ours), one(former), before, options)


def was(*objects: Json) -> Before:
    """These were live before, and their contents read."""
    versions = {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in objects}
    return Before(versions, {key_of(o, "n"): content(o) for o in objects})


OURS = thing(value=TOPIC)
FORMER = thing(value="former")


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
    before = Before({"u": "1"})
    live, ours = thing(kind, value=TOPIC, uid="u", version="2"), thing(kind, value=TOPIC)
    plan = planned(live, ours, None, before)
    assert plan == Plan(foreign=(key_of(live, "n"),))
    assert (plan.alone, plan.changed) == ((), plan.foreign)


@pytest.mark.parametrize(("there", "plan"), [(True, Plan(foreign=(X,))), (False, Plan(delete=(X,)))])
def test_a_hook_that_exists_only_with_our_values_is_somebodys_where_it_stood_there_before(
    there: bool, plan: Plan
) -> None:
    before = Before({"u": "1"} if there else {})
    assert planned(hooked(value=TOPIC, uid="u", version="2"), hooked(value=TOPIC), None, before) == plan


@pytest.mark.parametrize(
    ("created", "new"), [("2026-01-01T00:00:00Z", False), ("2026-01-01T00:10:00Z", True)]
)
def test_what_was_there_before_is_not_new_though_argo_cd_did_not_show_it(created: str, new: bool) -> None:
    """Under a name that nothing had yet been rendered to."""
    live = thing(value=TOPIC, uid="u", version="2")
    live["metadata"]["creationTimestamp"] = created
    noted = datetime.datetime.fromisoformat("2026-01-01T00:10:10Z").timestamp()
    assert Before({}, noted=noted).is_new(live) is new
    assert Before({}).is_new(live)


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
    assert planned(live, live, former, Before()) == plan


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
    assert changes.rendered_plan({key: ours}, formerly, [key], tree) == plan


@pytest.mark.parametrize("phase", ["test", "post-delete"])
def test_a_helm_hook_that_no_sync_runs_is_in_no_command(phase: str) -> None:
    pods = [thing("Pod", value=value) for value in (TOPIC, "former")]
    for pod in pods:
        pod["metadata"]["annotations"] = {"helm.sh/hook": phase}
    ours, former = (by_key([pod], "n") for pod in pods)
    assert changes.rendered_plan(ours, former, list(ours), Tree()) == Plan()
    assert not is_applied(pods[0])


def test_where_nobody_can_render_the_former_values_all_is_synced_by_hand() -> None:
    assert changes.rendered_plan({X: OURS}, {}, [X], Tree()) == Plan(settle=(X,))


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


def mock(value: str, **defaults: Any) -> Json:
    env = [{"name": "MODE", "value": "x"}, {"name": "TOPIC", "value": value}]
    made = hooked("Deployment", api="apps/v1")
    del made["data"]
    return made | {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env} | defaults]}}}}


def test_in_a_list_that_the_api_server_has_filled_in_only_what_the_run_put_there_is_taken_back() -> None:
    defaults = {"imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log"}
    before = content(mock("former", **defaults))
    patch = changes.put_back(content(mock(TOPIC, **defaults)), content(mock(TOPIC)), before)
    assert merged(content(mock(TOPIC, **defaults)), patch) == before


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
    assert [k.name for k in differing(ours, former)] == ["x", "new", "old"]


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_a_hook_that_runs_is_no_matter_for_settling(kind: str) -> None:
    ours, former = (by_key([hooked(kind, value=v)], "n") for v in (TOPIC, "former"))
    assert differing(ours, former) == []
    assert differing(ours, {}) == []


def test_a_job_that_is_no_hook_is() -> None:
    ours, former = (by_key([thing("Job", value=v)], "n") for v in (TOPIC, "former"))
    assert [k.name for k in differing(ours, former)] == ["x"]


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
    before = Before({"u": "1"})
    assert not before.changed(X, thing(uid="u", version="1"))
    assert before.changed(X, thing(uid="u", version="2"))


def test_an_object_of_which_no_version_was_told_is_changed_by_its_content() -> None:
    before = Before({"u": ""}, {X: content(FORMER)})
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
    assert Before(since=1704067200.0).is_new(live) is new


def test_before_is_what_the_tree_shows() -> None:
    tree = Tree(nodes=[Node(uid="u", resource_version="1"), Node(name="missing")])
    assert Before.of(tree, {}).versions == {"u": "1"}


# -- objects --------------------------------------------------------------------------------------------


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
    assert changes.find(tree, Key("rbac", "ClusterRole", "n", "r")) == role
    assert changes.find(tree, Key("rbac", "ClusterRole", "n", "q")) is None


def test_what_servers_and_kubectl_note_in_an_object_is_not_its_content() -> None:
    noted = thing(uid="u", version="3", **{changes.LAST_APPLIED.replace("/", "__"): f'{{"topic":"{TOPIC}"}}'})
    noted["metadata"] |= {"generation": 3, "creationTimestamp": "2024-01-01T00:00:00Z", "managedFields": [1]}
    noted["status"] = {"topic": TOPIC}
    kept = copy.deepcopy(noted)
    assert content(noted) == FORMER
    assert noted == kept, "it is not changed by being looked at"
    assert named(noted, [TOPIC]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TOPIC, True),
        (f"prefix-{TOPIC}.suffix", True),
        (SAFE, True),
        (TOPIC.upper().replace("WEATHER", "weather"), False),
        ("weather_1700000000_ffffffff", False),
    ],
)
def test_a_topic_is_named_in_either_spelling(text: str, found: bool) -> None:
    for manifest in (thing(value=text), thing(name=text), thing(note=text)):
        assert named(manifest, [TOPIC]) == ([TOPIC] if found else [])


def test_a_topic_with_capitals_is_named_where_kubernetes_wants_small_letters() -> None:
    assert named(thing(name="weather-updates-1700000000-0a1b2c3d"), ["Weather_Updates_1700000000_0a1b2c3d"])


@pytest.mark.parametrize(
    ("annotations", "data", "hook"),
    [
        (HOOK, True, True),
        ({"helm.sh/hook": "pre-install"}, True, True),
        ({"argocd.argoproj.io/hook": "Skip"}, False, True),
        ({}, False, False),
    ],
)
def test_hooks_that_hold_data_are_told_from_those_that_run(annotations: Json, data: bool, hook: bool) -> None:
    for kind in ("ConfigMap", "Secret", "Job", "Pod"):
        manifest = {"kind": kind, "metadata": {"annotations": annotations}}
        assert is_hook(manifest) is hook
        assert changes.is_data_hook(manifest) is (data and kind not in ("Job", "Pod"))


def test_what_an_operation_has_applied_is_told_without_its_hooks() -> None:
    applied = ResourceResult(group="apps", kind="Deployment", namespace="n", name="d")
    hook = ResourceResult(group="batch", kind="Job", namespace="n", name="j", hook_type="PostSync")
    assert changes.applied([applied, hook]) == {Key("apps", "Deployment", "n", "d")}


# -- the patch ------------------------------------------------------------------------------------------

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
