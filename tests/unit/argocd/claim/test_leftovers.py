"""What a dead run left in an Application is undone as its own clean-up would have, and nothing else is."""

from __future__ import annotations

import copy

import msgspec
import pytest

from argorun.argocd.claim import leftovers
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import Record
from argorun.argocd.parameters.spec import claimed
from argorun.argocd.types import Tree
from argorun.errors import OperationFailed
from argorun.kinds import Subject
from argorun.recovery import restore_object
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import AUTOMATED, PAST, SPEC, TOPIC, Scenario
from tests.unit.virtual import run

WORKLOAD: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "w", "namespace": "n"},
    "spec": {"topic": "TOPIC"},
}
HOOK: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hook", "namespace": "n", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
    "data": {"topic": "TOPIC"},
}
DRIFTED: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "drifted", "namespace": "n"}}
SECRET: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}}


def status_of(manifest: Json, status: str = "OutOfSync", **more: object) -> Json:
    group = str(manifest["apiVersion"]).rpartition("/")[0]
    named = {"group": group, "kind": manifest["kind"], "namespace": "n", "name": manifest["metadata"]["name"]}
    return named | {"status": status} | more


class DeadRun(Scenario):
    """An Argo CD with an Application that run `dead` has left as it had made it, workloads and all."""

    def __init__(self, spec: Json = SPEC, synced: bool = True, pinned: bool = False) -> None:
        super().__init__(spec, {"kept": "x"})
        self.argocd.document["status"]["sync"] = {
            "status": "Synced" if synced else "OutOfSync",
            "revision": "aaa",
        }
        seen = self.argocd.seen()
        settings = [Helm("kafka.topic", TOPIC)]
        new, self.record = claimed(seen, settings, [], "dead", PAST, topics=[TOPIC], pinned=pinned)
        self.argocd.document["spec"] = new
        self.annotate(self.record)
        self.argocd.document["status"]["sync"]["status"] = "OutOfSync"
        self.argocd.document["status"]["resources"] = [status_of(WORKLOAD)]
        self.argocd.source = [WORKLOAD]
        self.argocd.made(self.argocd.renders()[0])

    def ran(self, run_id: str = "dead", phase: str = "Failed", revision: str = "bbb") -> None:
        self.argocd.runs(run_id, phase=phase, syncResult={"revision": revision})

    def undo(self) -> list[str]:
        """Undo it, while a controller ends and finishes operations; what was done."""
        return list(self.undone().did.values())

    def undone(self) -> leftovers.UndoResult:
        undoing = leftovers.undo(self.argocd.client, APP, self.record, 90, self.emitter.warn)
        return run(self.with_controller(undoing))

    @property
    def is_as_it_was(self) -> bool:
        return self.argocd.document["metadata"]["annotations"] == {"kept": "x"}


def test_its_operation_is_ended_its_values_go_and_the_workloads_settle() -> None:
    dead = DeadRun(AUTOMATED)
    dead.ran(phase="Running")
    assert dead.undo() == [
        "operation of run dead ended",
        "parameters put back",
        "workloads settled on what they had before",
        "auto-sync switched on again",
        "record removed",
    ]
    assert (dead.argocd.spec, dead.is_as_it_was, dead.notices) == (AUTOMATED, True, [])
    (sync,) = dead.argocd.syncs
    del sync["infos"], sync["retryStrategy"]
    wanted = {k: v for k, v in status_of(WORKLOAD).items() if k != "status"}
    # Nothing that was committed since is brought in.
    assert sync == {"revision": "bbb", "resources": [wanted]}


def test_a_run_that_takes_the_application_meanwhile_keeps_its_hooks() -> None:
    """The plan takes a while: a machine may sleep."""
    dead = DeadRun()
    hook = copy.deepcopy(HOOK)
    dead.argocd.source = [hook]
    dead.argocd.made(dead.argocd.renders()[0])
    read = dead.argocd.tree

    async def tree(app: object) -> Tree:
        dead.annotate(Record("other", 9_000_000_000))
        return await read(app)

    dead.argocd.tree = tree  # type: ignore[method-assign]
    assert dead.undo() == ["parameters put back"]
    assert dead.argocd.resource_patches == []


def test_auto_sync_stays_off_until_the_settling_has_begun() -> None:
    """Else Argo CD would start a full sync, hooks and all."""
    dead = DeadRun(AUTOMATED)
    off: list[Json] = []
    dead.argocd.meets("sync", lambda a: off.append(a.spec["syncPolicy"]["automated"]))
    dead.undo()
    assert off == [{"prune": True, "enabled": False}]


def test_a_run_of_another_commit_is_settled_at_the_one_before_it() -> None:
    dead = DeadRun(pinned=True)
    dead.ran(revision="theirs")
    dead.undo()
    assert dead.argocd.syncs[0]["revision"] == "aaa"


@pytest.mark.parametrize("synced", [True, False])
def test_of_an_application_that_was_not_synced_before_only_what_names_the_topic_is_settled(
    synced: bool,
) -> None:
    dead = DeadRun(synced=synced)
    dead.ran()
    dead.argocd.source = [WORKLOAD, DRIFTED]
    dead.argocd.made(DRIFTED | {"data": {"by": "hand"}})
    dead.argocd.document["status"]["resources"] += [status_of(DRIFTED)]
    done = dead.undo()
    assert done == ["parameters put back", "workloads settled on what they had before", "record removed"]
    assert (dead.argocd.spec, dead.is_as_it_was) == (SPEC, True)
    (sync,) = dead.argocd.syncs
    assert [r["name"] for r in sync["resources"]] == ["w"]


@pytest.mark.parametrize(("synced", "settled"), [(True, ["w", "s"]), (False, ["w"])])
def test_a_secret_is_settled_where_all_that_differs_is_the_runs(synced: bool, settled: list[str]) -> None:
    """Argo CD hides what it holds: where it was OutOfSync before, nobody can tell whose change it is."""
    dead = DeadRun(synced=synced)
    dead.ran()
    dead.argocd.source = [WORKLOAD, SECRET]
    dead.argocd.made(SECRET)
    dead.argocd.document["status"]["resources"] += [status_of(SECRET)]
    dead.undo()
    (sync,) = dead.argocd.syncs
    assert [r["name"] for r in sync["resources"]] == settled


def test_pods_that_go_on_with_the_topic_of_a_dead_run_are_named_once_a_rollout_has_had_its_time() -> None:
    dead = DeadRun()
    dead.ran()
    workload = dead.argocd.objects[Key("apps", "Deployment", "n", "w")]
    reference = {"kind": "Deployment", "name": "w", "uid": workload["metadata"]["uid"]}
    for name, topic in (("w-1", TOPIC), ("w-2", "weather")):
        dead.argocd.made(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "n", "ownerReferences": [reference]},
                "spec": {"containers": [{"name": "main", "env": [{"name": "TOPIC", "value": topic}]}]},
                "status": {"phase": "Running"},
            }
        )
    done = dead.undone()
    why = "it still runs: its own manifest names the topic"
    assert [(str(r.key), r.why) for r in done.left] == [("Pod w-1", why)]
    delete = "kubectl delete pod w-1 --namespace n --ignore-not-found"
    assert [restore_object(APP, r) for r in done.left] == [delete]


def test_what_was_made_since_the_run_began_and_git_does_not_have_is_pruned() -> None:
    dead = DeadRun()
    dead.ran()
    dead.record = msgspec.structs.replace(dead.record, since=PAST)
    dead.annotate(dead.record)
    extra = copy.deepcopy(WORKLOAD)
    extra["metadata"]["name"] = "extra-TOPIC"
    dead.argocd.source = [WORKLOAD, extra]
    dead.argocd.made(dead.argocd.renders()[1])
    dead.undo()
    (sync,) = dead.argocd.syncs
    assert ([r["name"] for r in sync["resources"]], sync["prune"]) == (["w", f"extra-{TOPIC}"], True)
    assert f"extra-{TOPIC}" not in [k.name for k in dead.argocd.objects]


def test_what_still_names_the_topic_is_left_and_not_called_settled() -> None:
    dead = DeadRun()
    dead.ran()
    dead.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    done = dead.undone()
    assert [(r.key.name, r.why) for r in done.left] == [("w", f"it still names {TOPIC}")]
    assert list(done.did) == [Subject.PARAMETERS, Subject.RECORD]


def test_an_application_that_renders_nothing_without_the_topic_keeps_its_record() -> None:
    dead = DeadRun(AUTOMATED)
    dead.ran()
    broken = ApiError("render", 500, 2, "no such chart")
    dead.argocd.meets("manifests", None, *[broken] * 9)
    with pytest.raises(OperationFailed, match="cannot render weather without the topic: no such chart"):
        dead.undo()
    assert dead.argocd.spec["syncPolicy"] == {"automated": {"prune": True, "enabled": False}}
    assert not dead.is_as_it_was


@pytest.mark.parametrize("whose", ["", "another"])
def test_nobody_elses_operation_is_ended(whose: str) -> None:
    dead = DeadRun()
    dead.ran(whose, phase="Running")
    with pytest.raises(OperationFailed, match="could not be settled"):
        dead.undo()
    assert "terminate" not in dead.argocd.calls
    assert dead.argocd.spec == SPEC, "the parameters are back"
    assert not dead.is_as_it_was, "the record stays: it can be done again"


def test_a_sweep_that_was_killed_while_settling_is_done_again() -> None:
    dead = DeadRun(AUTOMATED)
    dead.argocd.spec["source"] = copy.deepcopy(AUTOMATED["source"])
    dead.record = msgspec.structs.replace(dead.record, settling=True)
    dead.annotate(dead.record)
    assert dead.undo() == [
        "workloads settled on what they had before",
        "auto-sync switched on again",
        "record removed",
    ]
    assert (dead.argocd.spec, dead.is_as_it_was) == (AUTOMATED, True)


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_run_that_has_taken_the_application_meanwhile_keeps_it(when: str) -> None:
    dead = DeadRun()
    taken: list[Json] = []

    def takes(argocd: FakeArgoCD) -> None:
        parameters = [{"name": "kafka.topic", "value": "theirs"}]
        argocd.document["spec"]["source"]["helm"] = {"parameters": parameters}
        dead.annotate(Record(run="theirs", until=9_000_000_000))
        taken.append(copy.deepcopy(argocd.document))

    before = when == "before"
    dead.argocd.meets("application", *([takes] if before else [None, None, None, takes]))
    assert dead.undo() == ([] if before else ["parameters put back"])
    assert [dead.argocd.document] == taken
    assert dead.argocd.syncs == []


def test_what_somebody_changed_since_stays() -> None:
    dead = DeadRun()
    dead.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": "theirs"}]
    dead.argocd.spec["source"]["targetRevision"] = "theirs"
    changed = copy.deepcopy(dead.argocd.spec)
    dead.undo()
    assert (dead.argocd.spec, dead.is_as_it_was) == (changed, True)


def test_where_the_workloads_cannot_be_settled_auto_sync_stays_off_and_the_record_stands() -> None:
    """Switched on, it would sync the Application as the run has left it, with all its hooks."""
    dead = DeadRun(AUTOMATED)
    dead.argocd.meets("sync", Denied("sync", 403, "permission denied", ""))
    with pytest.raises(Denied):
        dead.undo()
    assert dead.argocd.spec == AUTOMATED | {"syncPolicy": {"automated": {"prune": True, "enabled": False}}}
    assert not dead.is_as_it_was
    dead.undo()
    assert (dead.argocd.spec, dead.is_as_it_was) == (AUTOMATED, True)


def test_lost_answers_are_ridden_out() -> None:
    dead = DeadRun(AUTOMATED)
    dead.argocd.meets("patch", DOWN, DOWN)
    dead.argocd.meets("sync", DOWN)
    dead.undo()
    assert (dead.argocd.spec, dead.is_as_it_was) == (AUTOMATED, True)
