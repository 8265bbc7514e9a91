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
from tests.unit.scenario import TOPIC, Scenario
from tests.unit.virtual import run

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


class SettledSync(Scenario):
    """An Application that is synced with its former parameters; `run` noted it, then synced its own."""

    def __init__(self, *manifests: Json) -> None:
        super().__init__({"source": {"repoURL": "git"}, "destination": {"namespace": "n"}})
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
    scenario = SettledSync(
        configmap("settings"), configmap("same", "x"), configmap("hook", "x", **{HOOK: "PreSync"})
    )
    assert run(scenario.note()) == []
    assert sorted(c for c in scenario.argocd.calls if c.startswith("live")) == ["live hook", "live settings"]


def test_where_it_renders_nothing_without_our_values_what_names_the_topic_is_read() -> None:
    scenario = SettledSync(configmap("settings"), configmap("same", "x"))
    run(scenario.note(without=True))
    assert [c for c in scenario.argocd.calls if c.startswith("live")] == ["live settings"]


def test_a_data_hook_that_cannot_be_put_back_later_is_reported_before_the_sync() -> None:
    scenario = SettledSync(
        configmap("hook", **{HOOK: "PreSync"}), configmap("other", "x", **{HOOK: "PreSync"})
    )
    scenario.argocd.meets("patch hook", DENIED)
    assert run(scenario.note()) == [Remains(key("hook"), "permission denied")]
    assert "patch other" not in scenario.argocd.calls, "it does not name the topic"


def test_whether_a_data_hook_can_be_put_back_is_tried_by_a_patch_that_changes_nothing() -> None:
    scenario = SettledSync(configmap("hook", **{HOOK: "PreSync"}))
    before = copy.deepcopy(scenario.argocd.objects[key("hook")]["data"])
    assert run(scenario.note()) == []
    assert scenario.argocd.resource_patches == [("hook", {})]
    assert scenario.argocd.objects[key("hook")]["data"] == before


def test_a_data_hook_that_is_not_there_yet_may_be_put_back_if_argo_cd_says_no_more_than_that() -> None:
    scenario = SettledSync(configmap("hook", **{HOOK: "PreSync"}))
    scenario.argocd.objects.clear()
    assert run(scenario.note()) == []


def test_a_hook_that_is_a_secret_cannot_be_put_back_for_nobody_may_see_it() -> None:
    scenario = SettledSync(secret("hook", **{HOOK: "PreSync"}))
    assert run(scenario.note()) == [Remains(key("hook", "Secret"), "Argo CD hides a Secret's values")]


def test_the_destinations_namespace_is_that_of_what_names_none() -> None:
    assert destination(FakeArgoCD({"destination": {"namespace": "n"}}).seen()) == "n"
    assert destination(FakeArgoCD({"source": {}}).seen()) == ""


# -- restoring -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sync", ["Synced", "OutOfSync"])
def test_what_the_runs_operation_changed_is_settled_whatever_argo_cd_says_of_the_whole(sync: str) -> None:
    scenario = SettledSync(configmap("settings"), configmap("same", "x"))
    scenario.status(sync=sync)
    plan = scenario.planned()
    assert plan == Plan(settle=(key("settings"),))
    assert scenario.settlement.changed == (key("settings"),)
    wanted = ResourceStatus(kind="ConfigMap", namespace="n", name="settings")
    assert scenario.settlement.resources_to_sync(plan) == [wanted]


def test_what_the_runs_operation_did_not_come_to_is_left_alone() -> None:
    scenario = SettledSync(configmap("settings"), configmap("later"))

    async def whole() -> Plan:
        await scenario.note()
        scenario.syncs(except_for="later")
        return await scenario.plan()

    assert run(whole()) == Plan(settle=(key("settings"),))


def test_what_somebody_else_changed_meanwhile_is_left_alone() -> None:
    scenario = SettledSync(configmap("settings"), configmap("theirs", "x"))

    async def whole() -> Plan:
        await scenario.note()
        scenario.argocd.made(configmap("theirs", "by hand"))
        return await scenario.plan()

    assert run(whole()) == Plan()


def test_what_exists_only_with_our_values_is_pruned_unless_argo_cd_does_not() -> None:
    kept = configmap("kept-TOPIC", **{"argocd.argoproj.io/sync-options": "Prune=false"})
    scenario = SettledSync(configmap("extra-TOPIC"), kept)
    scenario.argocd.objects.clear()
    plan = scenario.planned()
    assert plan == Plan(prune=(key(f"extra-{TOPIC}"),), stay=(key(f"kept-{TOPIC}"),))
    assert [r.name for r in scenario.settlement.resources_to_sync(plan)] == [f"extra-{TOPIC}"]


def test_an_applications_own_option_keeps_what_is_not_to_be_pruned() -> None:
    scenario = SettledSync(configmap("extra-TOPIC"))
    scenario.argocd.objects.clear()
    scenario.argocd.spec["syncPolicy"] = {"syncOptions": ["Prune=confirm"]}
    assert scenario.planned() == Plan(stay=(key(f"extra-{TOPIC}"),))


def test_a_data_hook_is_patched_back_to_what_it_was_before_and_what_fails_is_reported() -> None:
    scenario = SettledSync(configmap("hook", **{HOOK: "PreSync"}))
    plan = scenario.planned()
    patch = {"data": {"topic": "former"}}
    assert plan == Plan(patch=((key("hook"), patch),))
    scenario.argocd.meets("patch hook", DENIED, DOWN)
    assert run(scenario.settlement.apply_patches(plan)) == [Remains(key("hook"), "permission denied", patch)]
    assert run(scenario.settlement.apply_patches(plan)) == [Remains(key("hook"), DOWN.message, patch)]
    assert run(scenario.settlement.apply_patches(plan)) == []
    assert scenario.argocd.objects[key("hook")]["data"] == {"topic": "former"}


@pytest.mark.parametrize(("status", "settled"), [("OutOfSync", True), ("Synced", False)])
def test_a_secret_is_settled_where_argo_cd_calls_it_out_of_sync(status: str, settled: bool) -> None:
    scenario = SettledSync(secret("password"))
    scenario.status({"kind": "Secret", "namespace": "n", "name": "password", "status": status})
    plan = scenario.planned()
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
    scenario = SettledSync(secret("s"), secret("same"))
    scenario.argocd.spec.update(IGNORED)
    scenario.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "Synced"}, sync="Synced")

    async def whole() -> Plan:
        await scenario.note()
        scenario.syncs(except_for="same")
        return await scenario.plan()

    scenario.argocd.kept = [kept("+++++"), kept("+++++", "same")]
    plan = run(whole())
    assert plan.settle == (key("s", "Secret"),)
    if back:
        scenario.argocd.kept = [kept("+++")]
    why = "it differs from Git, which ignoreDifferences hides"
    assert scenario.looked() == ([] if back else [("Secret s", why, False)])


def test_a_secret_that_the_run_gave_what_git_has_is_no_matter_of_restoring() -> None:
    scenario = SettledSync(secret("s"))
    scenario.argocd.spec.update(IGNORED)
    scenario.argocd.kept = [kept("+++")]
    assert scenario.planned().changed == ()


@pytest.mark.parametrize("secrets", [True, False])
def test_a_hook_that_is_a_secret_is_named_at_the_end_where_the_topic_may_be_in_it(secrets: bool) -> None:
    scenario = SettledSync(secret("hook", **{HOOK: "PreSync"}))
    scenario.settlement = Settlement(scenario.argocd.client, APP, [TOPIC], secrets=secrets)
    scenario.planned()
    left = run(scenario.settlement.find_remains(5))
    assert [(r.key, r.hook) for r in left] == ([(key("hook", "Secret"), True)] if secrets else [])
    assert [restore_object(APP, r) for r in left] == (["argocd app sync weather"] if secrets else [])
    assert scenario.settlement.topic_sources() == ({key("hook", "Secret")} if secrets else set())
    assert scenario.settlement.uncertain_sources() == set()


def test_a_secret_that_the_runs_operation_did_not_change_is_left_alone() -> None:
    scenario = SettledSync(secret("password"))
    scenario.status({"kind": "Secret", "namespace": "n", "name": "password", "status": "OutOfSync"})

    async def whole() -> Plan:
        await scenario.note()
        return await scenario.plan()

    assert run(whole()) == Plan()


def test_an_application_that_cannot_be_compared_is_not_called_settled() -> None:
    scenario = SettledSync(configmap("settings"))
    scenario.status(sync="Unknown")
    conditions = [{"type": "ComparisonError", "message": "git is down"}, {"type": "x", "message": "y"}]
    scenario.argocd.document["status"]["conditions"] = conditions
    said = "Argo CD cannot compare weather with Git: ComparisonError: git is down"
    with pytest.raises(OperationFailed, match=said):
        scenario.planned()


def test_where_it_can_no_longer_be_rendered_what_names_the_topic_is_still_looked_for() -> None:
    scenario = SettledSync(configmap("settings"), configmap("same", "x"))
    scenario.argocd.meets("manifests", ApiError("render", 500, 2, "git is down"))
    with pytest.raises(OperationFailed, match="cannot render weather without the topic: git is down"):
        scenario.planned()
    assert scenario.settlement.changed == (key("settings"),)
    assert [what for what, _, _ in scenario.looked()] == ["ConfigMap settings"]


# -- who may use it --------------------------------------------------------------------------------------

READS = {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}


def test_what_held_the_topic_and_who_reads_it_is_known() -> None:
    scenario = SettledSync(
        configmap("settings"),
        deployment("reads", READS),
        deployment("named", {"topic": "TOPIC"}),
        secret("s"),
    )
    scenario.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    scenario.planned()
    assert scenario.settlement.topic_sources() == {key("settings"), key("s", "Secret")}
    assert scenario.settlement.uncertain_sources() == {key("s", "Secret")}
    assert set(scenario.settlement.pod_owners()) == {
        key("settings"),
        key("named", "Deployment"),
        key("s", "Secret"),
        key("reads", "Deployment"),
    }


def test_a_configmap_that_differs_otherwise_held_no_topic() -> None:
    scenario = SettledSync(configmap("settings", "TOPIC"))
    scenario.settlement = Settlement(scenario.argocd.client, APP, ["another"])
    scenario.planned()
    assert scenario.settlement.topic_sources() == set()


# -- the look --------------------------------------------------------------------------------------------


def test_what_still_names_a_topic_is_reported_with_what_a_person_can_do() -> None:
    extra = configmap("extra-TOPIC")
    hook = configmap("hook", **{HOOK: "PreSync"})
    scenario = SettledSync(configmap("settings"), hook, extra)
    del scenario.argocd.objects[key("extra-former")]
    scenario.planned()
    assert scenario.looked() == [
        ("ConfigMap settings", f"it still names {TOPIC}", False),
        (f"ConfigMap extra-{TOPIC}", f"it still names {TOPIC}", True),
        ("ConfigMap hook", f"it still names {TOPIC}", False),
    ]
    patches = {r.key.name: r.patch for r in run(scenario.settlement.find_remains(0))}
    assert patches["hook"] == {"data": {"topic": "former"}}


def test_what_names_it_in_kubernetes_own_spelling_is_reported() -> None:
    scenario = SettledSync(configmap("settings"))
    scenario.planned()
    scenario.argocd.made(configmap("settings", TOPIC.replace("_", "-")))
    assert scenario.looked() == [("ConfigMap settings", f"it still names {TOPIC}", False)]


def test_nothing_is_left_once_it_is_back() -> None:
    scenario = SettledSync(configmap("settings"))
    scenario.planned()
    scenario.syncs()
    assert scenario.looked() == []


@pytest.mark.parametrize(
    ("status", "left"), [("Synced", False), ("", False), ("OutOfSync", True), ("Unknown", True)]
)
def test_a_secret_is_back_when_argo_cd_says_so(status: str, left: bool) -> None:
    scenario = SettledSync(secret("password"))
    said = {"kind": "Secret", "namespace": "n", "name": "password", "status": "OutOfSync"}
    scenario.status(said)
    scenario.planned()
    scenario.status(*([said | {"status": status}] if status else []))
    assert scenario.looked() == (
        [("Secret password", f"Argo CD reports it as {status}", False)] if left else []
    )


def deleting(scenario: SettledSync, name: str) -> None:
    scenario.argocd.objects[key(name)]["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:09Z"


def test_what_is_being_deleted_is_waited_for() -> None:
    scenario = SettledSync(configmap("extra-TOPIC"))
    scenario.argocd.objects.clear()
    scenario.planned()
    name = f"extra-{TOPIC}"
    deleting(scenario, name)

    async def looked() -> tuple[list[Remains], float]:
        began = asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(5, scenario.argocd.objects.pop, key(name))
        return await scenario.settlement.find_remains(20), asyncio.get_running_loop().time() - began

    left, seconds = run(looked())
    assert left == []
    assert 5 <= seconds < 6


def test_what_does_not_go_though_it_is_being_deleted_is_reported_when_the_time_is_up() -> None:
    scenario = SettledSync(configmap("extra-TOPIC"))
    scenario.argocd.objects.clear()
    scenario.planned()
    deleting(scenario, f"extra-{TOPIC}")
    (left,) = run(scenario.settlement.find_remains(5))
    assert (str(left.key), left.why) == (
        f"ConfigMap extra-{TOPIC}",
        "it is being deleted, but is not gone yet",
    )
    assert left.command == "", "to delete it again does nothing"


def test_what_a_finalizer_holds_is_reported_with_the_command_that_takes_it_off() -> None:
    scenario = SettledSync(configmap("extra-TOPIC"))
    scenario.argocd.objects.clear()
    scenario.planned()
    deleting(scenario, f"extra-{TOPIC}")
    scenario.argocd.objects[key(f"extra-{TOPIC}")]["metadata"]["finalizers"] = ["example.com/hold"]
    (left,) = run(scenario.settlement.find_remains(5))
    assert (
        "its finalizer example.com/hold holds it; find out what set it, or remove it: kubectl patch"
        in left.why
    )
    assert left.command == ""


def test_a_secret_is_looked_at_again_until_argo_cd_has_compared_it_anew() -> None:
    """Just after a sync its comparison may be one with the cluster as it was before."""
    scenario = SettledSync(secret("password"))
    said = {"kind": "Secret", "namespace": "n", "name": "password"}
    scenario.status(said | {"status": "OutOfSync"})
    scenario.planned()

    async def looked() -> list[Remains]:
        asyncio.get_running_loop().call_later(3, scenario.status, said | {"status": "Synced"})
        return await scenario.settlement.find_remains(20)

    assert run(looked()) == []


def test_what_exists_only_with_the_runs_values_and_stays_is_left_whatever_it_is_called() -> None:
    """Its name may hold the topic's only as a checksum."""
    scenario = SettledSync(configmap("settings", "x"))
    kept = configmap("kept-fd04b6c7", "x", **{"argocd.argoproj.io/sync-options": "Prune=false"})

    async def whole() -> Plan:
        former, tree = scenario.argocd.renders(), await scenario.argocd.tree(APP)
        await scenario.settlement.take_snapshot(scenario.argocd.seen(), tree, [*former, kept], former)
        scenario.argocd.made(kept)
        return await scenario.settlement.plan("abc")

    assert run(whole()) == Plan(stay=(key("kept-fd04b6c7"),))
    why = "the run created it, and it is still there"
    assert scenario.looked() == [("ConfigMap kept-fd04b6c7", why, True)]


def test_before_there_is_a_plan_the_look_goes_by_the_renderings() -> None:
    scenario = SettledSync(configmap("settings"))

    async def whole() -> None:
        await scenario.note()
        scenario.syncs()

    run(whole())
    assert scenario.looked() == [("ConfigMap settings", f"it still names {TOPIC}", False)]


@pytest.mark.parametrize("error", [DOWN, Denied("show", 403, "permission denied", "")])
def test_what_could_not_be_seen_is_not_called_back(error: Any) -> None:
    scenario = SettledSync(configmap("settings"))
    scenario.planned()
    scenario.syncs()
    scenario.argocd.meets("live settings", error)
    with pytest.raises(type(error)):
        scenario.looked()


# -- after a run that died -------------------------------------------------------------------------------


def after_death(scenario: SettledSync, *, stands: bool) -> Plan:
    async def whole() -> Plan:
        if stands:
            scenario.puts(TOPIC)
        await scenario.settlement.reconstruct(scenario.argocd.seen(), 0.0, "abc", stands=stands, synced=True)
        return await scenario.plan()

    return run(whole())


def test_after_a_run_that_died_what_its_values_changed_is_settled() -> None:
    scenario = SettledSync(configmap("settings"), configmap("same", "x"))
    scenario.puts(TOPIC)
    scenario.syncs()
    assert after_death(scenario, stands=True) == Plan(settle=(key("settings"),))


@pytest.mark.parametrize("stands", [True, False])
def test_where_a_dead_runs_values_render_nothing_or_are_gone_argo_cds_comparison_decides(
    stands: bool,
) -> None:
    scenario = SettledSync(configmap("settings"))
    scenario.puts(TOPIC)
    scenario.syncs()
    if stands:
        scenario.argocd.meets("manifests", ApiError("render", 500, 2, "no such commit"))
    scenario.status({"kind": "ConfigMap", "namespace": "n", "name": "settings", "status": "OutOfSync"})
    assert after_death(scenario, stands=stands) == Plan(settle=(key("settings"),))


def test_where_nobody_can_render_a_dead_runs_values_only_what_names_the_topic_is_its_own() -> None:
    """Others have changed and made things since it died: they stay."""
    scenario = SettledSync(configmap("settings"), configmap("drifted", "x"))
    scenario.argocd.source.append(configmap("hook", "former", **{HOOK: "PreSync"}))
    scenario.puts(TOPIC)
    scenario.syncs()
    scenario.argocd.made(configmap("drifted", "by hand"))
    scenario.argocd.made(configmap("precious", "by hand"))
    scenario.argocd.made(configmap("hook", TOPIC, **{HOOK: "PreSync"}))
    scenario.argocd.made(configmap(f"of-{TOPIC.replace('_', '-')}", "x", **{HOOK: "PreSync"}))
    out: list[Json] = [
        {"kind": "ConfigMap", "namespace": "n", "name": n, "status": "OutOfSync"}
        for n in ("settings", "drifted", "precious")
    ]
    out[-1]["requiresPruning"] = True
    scenario.status(*out)
    plan = after_death(scenario, stands=False)
    assert (plan.settle, plan.prune) == ((key("settings"),), ())
    assert [k for k, _ in plan.patch] == [key("hook")]
    assert plan.delete == (key(f"of-{TOPIC.replace('_', '-')}"),)


def test_a_secret_that_may_be_a_dead_runs_is_left_and_named_where_nobody_can_tell() -> None:
    scenario = SettledSync(secret("s"))
    scenario.syncs()
    scenario.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    assert after_death(scenario, stands=False) == Plan()
    why = "it differs from Git, and Argo CD does not show whether the run changed it"
    assert scenario.looked() == [("Secret s", why, False)]


# -- what Kubernetes or Argo CD makes under names of their own -------------------------------------------


def test_a_data_hook_with_a_generated_name_is_reported_before_the_sync_and_named_at_the_end() -> None:
    hook = configmap("", **{HOOK: "PreSync"})
    hook["metadata"]["generateName"] = "settings-"
    del hook["metadata"]["name"]
    scenario = SettledSync(configmap("other", "x"))
    scenario.argocd.source.append(hook)
    remains = run(scenario.note())
    assert remains == [Remains(key("settings-"), "each sync creates another one")]
    for name in ("settings-abc-presync-1", "another-abc-presync-1"):
        scenario.argocd.made(configmap(name, TOPIC, **{HOOK: "PreSync"}))
    run(scenario.plan())
    assert scenario.looked() == [("ConfigMap settings-abc-presync-1", f"it still names {TOPIC}", True)]


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
    scenario = SettledSync(stateful)
    scenario.argocd.objects.clear()

    async def whole() -> Plan:
        await scenario.note()
        scenario.syncs()
        (made,) = scenario.argocd.objects.values()
        reference = {"kind": "StatefulSet", "name": f"store-{TOPIC}", "uid": made["metadata"]["uid"]}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-store-0"}}
        claim["metadata"]["ownerReferences"] = [reference]  # type: ignore[index]
        scenario.argocd.made(claim)
        return await scenario.plan()

    plan = run(whole())
    assert [k.kind for k in plan.prune] == ["StatefulSet"]
    scenario.argocd.objects.clear()
    claims = [(str(r.key), restore_object(APP, r)) for r in run(scenario.settlement.find_remains(0))]
    delete = "kubectl delete persistentvolumeclaim data-store-0 --namespace n --ignore-not-found"
    assert claims == ([("PersistentVolumeClaim data-store-0", delete)] if kept else [])


def test_a_secret_that_is_back_in_no_way_is_named_once() -> None:
    scenario = SettledSync(secret("s"))
    scenario.argocd.spec.update(IGNORED)
    scenario.status({"kind": "Secret", "namespace": "n", "name": "s", "status": "OutOfSync"})
    scenario.argocd.kept = [kept("+++++")]
    scenario.planned()
    assert scenario.looked() == [("Secret s", "Argo CD reports it as OutOfSync", False)]
