"""What a run's operation changed goes back object by object, and is looked at before that is said."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest

from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key
from argorun.argocd.settle.plan import Plan
from argorun.argocd.settle.remains import Remains
from argorun.argocd.settle.settlement import Settlement, destination
from argorun.argocd.types import ManagedResource, ResourceStatus
from argorun.errors import OperationFailed
from argorun.recovery import restore_object
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

TOPIC = "weather_1700000000_0a1b2c3d"
HOOK = "argocd.argoproj.io/hook"
DENIED = Denied("change ConfigMap hook", 403, "permission denied", "")


def configmap(name: str, value: str = "TOPIC", **annotations: str) -> Json:
    metadata = {"name": name} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"topic": value}}


def secret(name: str, **annotations: str) -> Json:
    """As Argo CD renders it: what it holds is hidden."""
    return configmap(name, "++++++++", **annotations) | {"kind": "Secret"}


def deployment(name: str, spec: Json) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": spec}},
    }


def key(name: str, kind: str = "ConfigMap") -> Key:
    return Key("apps" if kind == "Deployment" else "", kind, "n", name)


class Stage:
    """An Application that is synced with its former parameters; `run` noted it, then synced its own."""

    def __init__(self, *manifests: Json) -> None:
        self.argocd = FakeArgoCD({"source": {"repoURL": "git"}, "destination": {"namespace": "n"}})
        self.argocd.source = list(manifests)
        self.settlement = Settlement(self.argocd.client, APP, [TOPIC])
        self.puts("former")
        for manifest in self.argocd.renders():
            self.argocd.made(manifest)

    def puts(self, value: str) -> None:
        self.argocd.spec["source"]["helm"] = {"parameters": [{"name": "kafka.topic", "value": value}]}

    def status(self, *resources: Json, sync: str = "OutOfSync") -> None:
        self.argocd.document["status"] |= {"sync": {"status": sync}, "resources": list(resources)}

    async def note(self, *, without: bool = False) -> list[Remains]:
        """Before the sync; with `without` it renders nothing without our values."""
        former = [] if without else self.argocd.renders()
        self.puts(TOPIC)
        tree = await self.argocd.tree(APP)
        return await self.settlement.take_snapshot(self.argocd.seen(), tree, self.argocd.renders(), former)

    def syncs(self, *, except_for: str = "") -> None:
        for manifest in self.argocd.renders():
            if manifest["metadata"]["name"] != except_for:
                self.argocd.made(manifest)

    async def plan(self) -> Plan:
        self.puts("former")
        return await self.settlement.plan("abc")

    def planned(self) -> Plan:
        """Note, sync, and plan."""

        async def whole() -> Plan:
            await self.note()
            self.syncs()
            return await self.plan()

        return run(whole())

    def looked(self, patience: float = 0.0) -> list[tuple[str, str, bool]]:
        left = run(self.settlement.find_remains(patience))
        return [(str(r.key), r.why, r.delete) for r in left]


# -- before the sync -------------------------------------------------------------------------------------


def test_only_what_may_be_changed_is_read_beforehand() -> None:
    stage = Stage(configmap("settings"), configmap("same", "x"), configmap("hook", "x", **{HOOK: "PreSync"}))
    assert run(stage.note()) == []
    assert sorted(c for c in stage.argocd.calls if c.startswith("live")) == ["live hook", "live settings"]


def test_where_it_renders_nothing_without_our_values_what_names_the_topic_is_read() -> None:
    stage = Stage(configmap("settings"), configmap("same", "x"))
    run(stage.note(without=True))
    assert [c for c in stage.argocd.calls if c.startswith("live")] == ["live settings"]


def test_a_data_hook_that_cannot_be_put_back_later_is_told_before_the_sync() -> None:
    stage = Stage(configmap("hook", **{HOOK: "PreSync"}), configmap("other", "x", **{HOOK: "PreSync"}))
    stage.argocd.meets("patch hook", DENIED)
    assert run(stage.note()) == [Remains(key("hook"), "permission denied")]
    assert "patch other" not in stage.argocd.calls, "it does not name the topic"


def test_whether_a_data_hook_can_be_put_back_is_tried_by_a_patch_that_changes_nothing() -> None:
    stage = Stage(configmap("hook", **{HOOK: "PreSync"}))
    before = copy.deepcopy(stage.argocd.objects[key("hook")]["data"])
    assert run(stage.note()) == []
    assert stage.argocd.resource_patches == [("hook", {})]
    assert stage.argocd.objects[key("hook")]["data"] == before


def test_a_data_hook_that_is_not_there_yet_may_be_put_back_if_argo_cd_says_no_more_than_that() -> None:
    stage = Stage(configmap("hook", **{HOOK: "PreSync"}))
    stage.argocd.objects.clear()
    assert run(stage.note()) == []


def test_a_hook_that_is_a_secret_cannot_be_put_back_for_nobody_may_see_it() -> None:
    stage = Stage(secret("hook", **{HOOK: "PreSync"}))
    assert run(stage.note()) == [Remains(key("hook", "Secret"), "Argo CD hides a Secret's values")]


def test_the_destinations_namespace_is_that_of_what_names_none() -> None:
    assert destination(FakeArgoCD({"destination": {"namespace": "n"}}).seen()) == "n"
    assert destination(FakeArgoCD({"source": {}}).seen()) == ""


# -- the way back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", ["Synced", "OutOfSync"])
def test_what_our_operation_changed_is_settled_whatever_argo_cd_says_of_the_whole(sync: str) -> None:
    stage = Stage(configmap("settings"), configmap("same", "x"))
    stage.status(sync=sync)
    plan = stage.planned()
    assert plan == Plan(settle=(key("settings"),))
    assert stage.settlement.changed == (key("settings"),)
    wanted = ResourceStatus(kind="ConfigMap", namespace="n", name="settings")
    assert stage.settlement.resources_to_sync(plan) == [wanted]


def test_what_our_operation_did_not_come_to_is_left_alone() -> None:
    stage = Stage(configmap("settings"), configmap("later"))

    async def whole() -> Plan:
        await stage.note()
        stage.syncs(except_for="later")
        return await stage.plan()

    assert run(whole()) == Plan(settle=(key("settings"),))


def test_what_somebody_else_changed_meanwhile_is_left_alone() -> None:
    stage = Stage(configmap("settings"), configmap("theirs", "x"))

    async def whole() -> Plan:
        await stage.note()
        stage.argocd.made(configmap("theirs", "by hand"))
        return await stage.plan()

    assert run(whole()) == Plan()


def test_what_exists_only_with_our_values_is_pruned_unless_argo_cd_does_not() -> None:
    kept = configmap("kept-TOPIC", **{"argocd.argoproj.io/sync-options": "Prune=false"})
    stage = Stage(configmap("extra-TOPIC"), kept)
    stage.argocd.objects.clear()
    plan = stage.planned()
    assert plan == Plan(prune=(key(f"extra-{TOPIC}"),), stay=(key(f"kept-{TOPIC}"),))
    assert [r.name for r in stage.settlement.resources_to_sync(plan)] == [f"extra-{TOPIC}"]


def test_an_applications_own_option_keeps_what_is_not_to_be_pruned() -> None:
    stage = Stage(configmap("extra-TOPIC"))
    stage.argocd.objects.clear()
    stage.argocd.spec["syncPolicy"] = {"syncOptions": ["Prune=confirm"]}
    assert stage.planned() == Plan(stay=(key(f"extra-{TOPIC}"),))


def test_a_data_hook_is_patched_back_to_what_it_was_before_and_what_fails_is_told() -> None:
    stage = Stage(configmap("hook", **{HOOK: "PreSync"}))
    plan = stage.planned()
    patch = {"data": {"topic": "former"}}
    assert plan == Plan(patch=((key("hook"), patch),))
    stage.argocd.meets("patch hook", DENIED, DOWN)
    assert run(stage.settlement.apply_patches(plan)) == [Remains(key("hook"), "permission denied", patch)]
    assert run(stage.settlement.apply_patches(plan)) == [Remains(key("hook"), DOWN.message, patch)]
    assert run(stage.settlement.apply_patches(plan)) == []
    assert stage.argocd.objects[key("hook")]["data"] == {"topic": "former"}


@pytest.mark.parametrize(("status", "settled"), [("OutOfSync", True), ("Synced", False)])
def test_a_secret_is_settled_where_argo_cd_calls_it_out_of_sync(status: str, settled: bool) -> None:
    stage = Stage(secret("password"))
    stage.status({"kind": "Secret", "namespace": "n", "name": "password", "status": status})
    plan = stage.planned()
    assert plan == Plan(settle=(key("password", "Secret"),) if settled else ())


IGNORED: Json = {"ignoreDifferences": [{"kind": "Secret", "jsonPointers": ["/data"]}]}


def kept(live: str, name: str = "s") -> ManagedResource:
    """As Argo CD shows it: a value that differs from Git's is hidden in another way."""
    states = (json.dumps({"data": {"topic": value}}) for value in ("+++", live))
    target, now = states
    return ManagedResource("", "Secret", "n", name, target, now)


@pytest.mark.parametrize("back", [True, False])
def test_a_secret_in_which_argo_cd_compares_not_all_is_settled_and_back_once_it_was_written_again(
    back: bool,
) -> None:
    stage = Stage(secret("s"), secret("same"))
    stage.argocd.spec.update(IGNORED)
    stage.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "Synced"}, sync="Synced")

    async def whole() -> Plan:
        await stage.note()
        stage.syncs(except_for="same")
        return await stage.plan()

    stage.argocd.kept = [kept("+++++"), kept("+++++", "same")]
    plan = run(whole())
    assert plan.settle == (key("s", "Secret"),)
    if back:
        stage.argocd.kept = [kept("+++")]
    why = "it differs from Git, which ignoreDifferences hides"
    assert stage.looked() == ([] if back else [("Secret s", why, False)])


def test_a_secret_that_the_run_gave_what_git_has_is_no_matter_of_the_way_back() -> None:
    stage = Stage(secret("s"))
    stage.argocd.spec.update(IGNORED)
    stage.argocd.kept = [kept("+++")]
    assert stage.planned().changed == ()


@pytest.mark.parametrize("secrets", [True, False])
def test_a_hook_that_is_a_secret_is_named_at_the_end_where_the_topic_may_be_in_it(secrets: bool) -> None:
    stage = Stage(secret("hook", **{HOOK: "PreSync"}))
    stage.settlement = Settlement(stage.argocd.client, APP, [TOPIC], secrets=secrets)
    stage.planned()
    left = run(stage.settlement.find_remains(5))
    assert [(r.key, r.hook) for r in left] == ([(key("hook", "Secret"), True)] if secrets else [])
    assert [restore_object(APP, r) for r in left] == (["argocd app sync weather"] if secrets else [])
    assert stage.settlement.topic_sources() == ({key("hook", "Secret")} if secrets else set())
    assert stage.settlement.uncertain_sources() == set()


def test_a_secret_that_our_operation_did_not_change_is_left_alone() -> None:
    stage = Stage(secret("password"))
    stage.status({"kind": "Secret", "namespace": "n", "name": "password", "status": "OutOfSync"})

    async def whole() -> Plan:
        await stage.note()
        return await stage.plan()

    assert run(whole()) == Plan()


def test_an_application_that_cannot_be_compared_is_not_called_settled() -> None:
    stage = Stage(configmap("settings"))
    stage.status(sync="Unknown")
    conditions = [{"type": "ComparisonError", "message": "git is down"}, {"type": "x", "message": "y"}]
    stage.argocd.document["status"]["conditions"] = conditions
    with pytest.raises(OperationFailed, match="Argo CD cannot compare weather with Git: git is down"):
        stage.planned()


def test_where_it_cannot_be_rendered_any_more_what_names_the_topic_is_still_looked_for() -> None:
    stage = Stage(configmap("settings"), configmap("same", "x"))
    stage.argocd.meets("manifests", ApiError("render", 500, 2, "git is down"))
    with pytest.raises(OperationFailed, match="cannot render weather without the topic: git is down"):
        stage.planned()
    assert stage.settlement.changed == (key("settings"),)
    assert [what for what, _, _ in stage.looked()] == ["ConfigMap settings"]


# -- who may use it --------------------------------------------------------------------------------------

READS = {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}


def test_what_held_the_topic_and_who_reads_it_is_known() -> None:
    stage = Stage(
        configmap("settings"),
        deployment("reads", READS),
        deployment("named", {"topic": "TOPIC"}),
        secret("s"),
    )
    stage.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    stage.planned()
    assert stage.settlement.topic_sources() == {key("settings"), key("s", "Secret")}
    assert stage.settlement.uncertain_sources() == {key("s", "Secret")}
    assert set(stage.settlement.pod_owners()) == {
        key("settings"),
        key("named", "Deployment"),
        key("s", "Secret"),
        key("reads", "Deployment"),
    }


def test_a_configmap_that_differs_otherwise_held_no_topic() -> None:
    stage = Stage(configmap("settings", "TOPIC"))
    stage.settlement = Settlement(stage.argocd.client, APP, ["another"])
    stage.planned()
    assert stage.settlement.topic_sources() == set()


# -- the look --------------------------------------------------------------------------------------------


def test_what_still_names_a_topic_is_told_with_what_a_person_can_do() -> None:
    extra = configmap("extra-TOPIC")
    hook = configmap("hook", **{HOOK: "PreSync"})
    stage = Stage(configmap("settings"), hook, extra)
    del stage.argocd.objects[key("extra-former")]
    stage.planned()
    assert stage.looked() == [
        ("ConfigMap settings", f"it still names {TOPIC}", False),
        (f"ConfigMap extra-{TOPIC}", f"it still names {TOPIC}", True),
        ("ConfigMap hook", f"it still names {TOPIC}", False),
    ]
    patches = {r.key.name: r.patch for r in run(stage.settlement.find_remains(0))}
    assert patches["hook"] == {"data": {"topic": "former"}}


def test_what_names_it_in_kubernetes_own_spelling_is_told() -> None:
    stage = Stage(configmap("settings"))
    stage.planned()
    stage.argocd.made(configmap("settings", TOPIC.replace("_", "-")))
    assert stage.looked() == [("ConfigMap settings", f"it still names {TOPIC}", False)]


def test_nothing_is_left_once_it_is_back() -> None:
    stage = Stage(configmap("settings"))
    stage.planned()
    stage.syncs()
    assert stage.looked() == []


@pytest.mark.parametrize(
    ("status", "left"), [("Synced", False), ("", False), ("OutOfSync", True), ("Unknown", True)]
)
def test_a_secret_is_back_when_argo_cd_says_so(status: str, left: bool) -> None:
    stage = Stage(secret("password"))
    said = {"kind": "Secret", "namespace": "n", "name": "password", "status": "OutOfSync"}
    stage.status(said)
    stage.planned()
    stage.status(*([said | {"status": status}] if status else []))
    assert stage.looked() == ([("Secret password", f"Argo CD reports it as {status}", False)] if left else [])


def deleting(stage: Stage, name: str) -> None:
    stage.argocd.objects[key(name)]["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:09Z"


def test_what_is_being_deleted_is_waited_for() -> None:
    stage = Stage(configmap("extra-TOPIC"))
    stage.argocd.objects.clear()
    stage.planned()
    name = f"extra-{TOPIC}"
    deleting(stage, name)

    async def looked() -> tuple[list[Remains], float]:
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(5, stage.argocd.objects.pop, key(name))
        return await stage.settlement.find_remains(20), asyncio.get_running_loop().time() - began

    left, seconds = run(looked())
    assert left == []
    assert 5 <= seconds < 6


def test_what_does_not_go_though_it_is_being_deleted_is_told_when_patience_is_over() -> None:
    stage = Stage(configmap("extra-TOPIC"))
    stage.argocd.objects.clear()
    stage.planned()
    deleting(stage, f"extra-{TOPIC}")
    (left,) = run(stage.settlement.find_remains(5))
    assert (str(left.key), left.why) == (
        f"ConfigMap extra-{TOPIC}",
        "it is being deleted, but is not gone yet",
    )
    assert left.command == "", "to delete it again does nothing"


def test_what_a_finalizer_holds_is_told_with_the_command_that_takes_it_off() -> None:
    stage = Stage(configmap("extra-TOPIC"))
    stage.argocd.objects.clear()
    stage.planned()
    deleting(stage, f"extra-{TOPIC}")
    stage.argocd.objects[key(f"extra-{TOPIC}")]["metadata"]["finalizers"] = ["example.com/hold"]
    (left,) = run(stage.settlement.find_remains(5))
    assert (
        "its finalizer example.com/hold holds it; find out what set it, or remove it: kubectl patch"
        in left.why
    )
    assert left.command == ""


def test_a_secret_is_looked_at_again_until_argo_cd_has_compared_it_anew() -> None:
    """Just after a sync its comparison may be one with the cluster as it was before."""
    stage = Stage(secret("password"))
    said = {"kind": "Secret", "namespace": "n", "name": "password"}
    stage.status(said | {"status": "OutOfSync"})
    stage.planned()

    async def looked() -> list[Remains]:
        asyncio.get_running_loop().call_later(3, stage.status, said | {"status": "Synced"})
        return await stage.settlement.find_remains(20)

    assert run(looked()) == []


def test_what_exists_only_with_the_runs_values_and_stays_is_left_whatever_it_is_called() -> None:
    """Its name may hold the topic's only as a checksum."""
    stage = Stage(configmap("settings", "x"))
    kept = configmap("kept-fd04b6c7", "x", **{"argocd.argoproj.io/sync-options": "Prune=false"})

    async def whole() -> Plan:
        former, tree = stage.argocd.renders(), await stage.argocd.tree(APP)
        await stage.settlement.take_snapshot(stage.argocd.seen(), tree, [*former, kept], former)
        stage.argocd.made(kept)
        return await stage.settlement.plan("abc")

    assert run(whole()) == Plan(stay=(key("kept-fd04b6c7"),))
    why = "the run created it, and it is still there"
    assert stage.looked() == [("ConfigMap kept-fd04b6c7", why, True)]


def test_before_there_is_a_plan_the_look_goes_by_the_renderings() -> None:
    stage = Stage(configmap("settings"))

    async def whole() -> None:
        await stage.note()
        stage.syncs()

    run(whole())
    assert stage.looked() == [("ConfigMap settings", f"it still names {TOPIC}", False)]


@pytest.mark.parametrize("error", [DOWN, Denied("show", 403, "permission denied", "")])
def test_what_could_not_be_seen_is_not_called_back(error: Any) -> None:
    stage = Stage(configmap("settings"))
    stage.planned()
    stage.syncs()
    stage.argocd.meets("live settings", error)
    with pytest.raises(type(error)):
        stage.looked()


# -- after a run that died -------------------------------------------------------------------------------


def after_death(stage: Stage, *, stands: bool) -> Plan:
    async def whole() -> Plan:
        if stands:
            stage.puts(TOPIC)
        await stage.settlement.reconstruct(stage.argocd.seen(), 0.0, "abc", stands=stands, synced=True)
        return await stage.plan()

    return run(whole())


def test_after_a_run_that_died_what_its_values_changed_is_settled() -> None:
    stage = Stage(configmap("settings"), configmap("same", "x"))
    stage.puts(TOPIC)
    stage.syncs()
    assert after_death(stage, stands=True) == Plan(settle=(key("settings"),))


@pytest.mark.parametrize("stands", [True, False])
def test_where_a_dead_runs_values_render_nothing_or_are_gone_argo_cds_comparison_tells(stands: bool) -> None:
    stage = Stage(configmap("settings"))
    stage.puts(TOPIC)
    stage.syncs()
    if stands:
        stage.argocd.meets("manifests", ApiError("render", 500, 2, "no such commit"))
    stage.status({"kind": "ConfigMap", "namespace": "n", "name": "settings", "status": "OutOfSync"})
    assert after_death(stage, stands=stands) == Plan(settle=(key("settings"),))


def test_where_nobody_can_render_a_dead_runs_values_only_what_names_the_topic_is_its_own() -> None:
    """Others have changed and made things since it died: they stay."""
    stage = Stage(configmap("settings"), configmap("drifted", "x"))
    stage.argocd.source.append(configmap("hook", "former", **{HOOK: "PreSync"}))
    stage.puts(TOPIC)
    stage.syncs()
    stage.argocd.made(configmap("drifted", "by hand"))
    stage.argocd.made(configmap("precious", "by hand"))
    stage.argocd.made(configmap("hook", TOPIC, **{HOOK: "PreSync"}))
    stage.argocd.made(configmap(f"of-{TOPIC.replace('_', '-')}", "x", **{HOOK: "PreSync"}))
    out: list[Json] = [
        {"kind": "ConfigMap", "namespace": "n", "name": n, "status": "OutOfSync"}
        for n in ("settings", "drifted", "precious")
    ]
    out[-1]["requiresPruning"] = True
    stage.status(*out)
    plan = after_death(stage, stands=False)
    assert (plan.settle, plan.prune) == ((key("settings"),), ())
    assert [k for k, _ in plan.patch] == [key("hook")]
    assert plan.delete == (key(f"of-{TOPIC.replace('_', '-')}"),)


def test_a_secret_that_may_be_a_dead_runs_is_left_and_named_where_nobody_can_tell() -> None:
    stage = Stage(secret("s"))
    stage.syncs()
    stage.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    assert after_death(stage, stands=False) == Plan()
    why = "it differs from Git, and Argo CD does not show whether the run changed it"
    assert stage.looked() == [("Secret s", why, False)]


# -- what Kubernetes or Argo CD makes under names of their own -------------------------------------------


def test_a_data_hook_with_a_generated_name_is_told_before_the_sync_and_named_at_the_end() -> None:
    hook = configmap("", **{HOOK: "PreSync"})
    hook["metadata"]["generateName"] = "settings-"
    del hook["metadata"]["name"]
    stage = Stage(configmap("other", "x"))
    stage.argocd.source.append(hook)
    told = run(stage.note())
    assert told == [Remains(key("settings-"), "each sync creates another one")]
    for name in ("settings-abc-presync-1", "another-abc-presync-1"):
        stage.argocd.made(configmap(name, TOPIC, **{HOOK: "PreSync"}))
    run(stage.plan())
    assert stage.looked() == [("ConfigMap settings-abc-presync-1", f"it still names {TOPIC}", True)]


@pytest.mark.parametrize(
    ("policy", "kept"), [({}, True), ({"whenDeleted": "Retain"}, True), ({"whenDeleted": "Delete"}, False)]
)
def test_a_volume_claim_that_kubernetes_keeps_without_its_stateful_set_is_named(
    policy: Json, kept: bool
) -> None:
    stateful: Json = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "store-TOPIC"},
        "spec": {"persistentVolumeClaimRetentionPolicy": policy},
    }
    stage = Stage(stateful)
    stage.argocd.objects.clear()

    async def whole() -> Plan:
        await stage.note()
        stage.syncs()
        (made,) = stage.argocd.objects.values()
        reference = {"kind": "StatefulSet", "name": f"store-{TOPIC}", "uid": made["metadata"]["uid"]}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-store-0"}}
        claim["metadata"]["ownerReferences"] = [reference]  # type: ignore[index]
        stage.argocd.made(claim)
        return await stage.plan()

    plan = run(whole())
    assert [k.kind for k in plan.prune] == ["StatefulSet"]
    stage.argocd.objects.clear()
    claims = [(str(r.key), restore_object(APP, r)) for r in run(stage.settlement.find_remains(0))]
    delete = "kubectl delete persistentvolumeclaim data-store-0 --namespace n"
    assert claims == ([("PersistentVolumeClaim data-store-0", delete)] if kept else [])


def test_a_secret_that_is_back_in_no_way_is_named_once() -> None:
    stage = Stage(secret("s"))
    stage.argocd.spec.update(IGNORED)
    stage.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    stage.argocd.kept = [kept("+++++")]
    stage.planned()
    assert stage.looked() == [("Secret s", "Argo CD reports it as OutOfSync", False)]
