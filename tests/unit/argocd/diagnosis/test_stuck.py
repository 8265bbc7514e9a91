"""What cannot start is noticed after its time, what may still start is not; and a red run is asked about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from msgspec.structs import replace

from argorun.argocd.diagnosis import waiting
from argorun.argocd.diagnosis.analyze import Finding
from argorun.argocd.diagnosis.stuck import AT_ONCE, Delay, Watch
from argorun.argocd.http.errors import ApiError
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import (
    ClusterEvent,
    Health,
    Info,
    Json,
    LogEntry,
    Node,
    OperationState,
    Ref,
    ResourceResult,
    SyncResult,
    Tree,
)
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD, Visited
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

TESTS = ResourceResult(
    group="batch", kind="Job", namespace="n", name="checks", hook_type="PostSync", hook_phase="Running"
)
WEB = ResourceResult(group="apps", kind="Deployment", namespace="n", name="web", hook_phase="Running")
UNBOUND = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


class Cluster(FakeArgoCD):
    """What Argo CD answers about live objects; what is asked is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.found_live: dict[str, Json] = {}
        self.warnings: dict[str, list[ClusterEvent]] = {}
        self.log: list[str] = []
        self.asked: list[str] = []
        self.trees: list[Tree] = []
        self.broken: Exception | None = None
        self.slow = 0.0

    async def _answer(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(self.slow)
        if self.broken is not None:
            raise self.broken

    async def tree(self, app: object) -> Tree:
        await self._answer("tree")
        return self.trees[-1]

    async def live(self, app: object, group: str, version: str, kind: str, namespace: str, name: str) -> Json:
        await self._answer(f"{kind} {name}")
        if name not in self.found_live:
            raise ApiError("show", 400, 3, f"{name} not found")
        return {"metadata": {"uid": f"uid of {name}"}} | self.found_live[name]

    async def events(self, app: object, node: Node) -> list[ClusterEvent]:
        await self._answer(f"events of {node.name}")
        return self.warnings.get(node.name, [])

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        await self._answer(f"log of {pod}/{container} {extra}")
        for line in self.log:
            yield [LogEntry(content=line, pod_name=pod)]
        yield [LogEntry(last=True)]


def node(
    kind: str, name: str, parent: str = "", reason: str = "", health: str = "Progressing", revision: str = ""
) -> Node:
    info = {"Status Reason": reason, "Revision": revision}
    return Node(
        kind=kind,
        namespace="n",
        name=name,
        uid=f"uid of {name}",
        parent_refs=[Ref(uid=f"uid of {parent}")] if parent else None,
        info=[Info(name=k, value=v) for k, v in info.items() if v] or None,
        health=Health(status=health),
    )


class StuckPods(Scenario):
    """An operation that waits for something, and its tree."""

    argocd: Cluster

    def __init__(self, *waits: ResourceResult) -> None:
        super().__init__(argocd=Cluster())
        self.live = LiveTree(self.argocd.client, APP)
        self.delays: list[Delay] = []
        self.watch = Watch(self.argocd.client, APP, self.live, delayed=self.delays.append)
        self.stands(*waits)

    def stands(self, *results: ResourceResult) -> None:
        state = OperationState(phase="Running", sync_result=SyncResult(resources=list(results)))
        self.watch.update(state)

    async def shows(self, *nodes: Node) -> None:
        self.argocd.trees.append(Tree(nodes=list(nodes)))
        await self.live.put(self.argocd.trees[-1])

    async def until_stuck(self, limit: float, within: float = 600) -> tuple[float, ResourceResult] | None:
        """After how many seconds what is found to be stuck; None where nothing is `within` so many."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(within):
                found = await self.watch.stuck(limit)
        except TimeoutError:
            return None
        return clock() - began, found


def job_with(reason: str) -> tuple[Node, ...]:
    return node("Job", "checks"), node("Pod", "checks-a", "checks", reason)


# -- stuck --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "Init:ErrImagePull", "CreateContainerConfigError"])
def test_a_hook_whose_pod_cannot_start_is_stuck_after_its_time(reason: str) -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with(reason))
        assert await scenario.until_stuck(60) == (60.0, TESTS)
        assert scenario.watch.found == TESTS
        assert scenario.argocd.asked == ["tree"], "which says enough, read once more"

    run(main())


def test_a_deployment_s_new_pod_that_cannot_start_is_stuck_too() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB)
        await scenario.shows(
            node("Deployment", "web"),
            node("ReplicaSet", "web-1", "web"),
            node("Pod", "web-1-a", "web-1", "ImagePullBackOff", "Degraded"),
        )
        assert await scenario.until_stuck(60) == (60.0, WEB)

    run(main())


def test_a_deployment_that_may_make_no_new_pod_is_stuck_though_its_old_ones_run() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB)
        await scenario.shows(
            node("Deployment", "web"),
            node("ReplicaSet", "web-taken-up-again", "web", revision="Rev:10"),
            node("ReplicaSet", "web-before", "web", revision="Rev:9"),
            node("Pod", "web-before-a", "web-before", "Running", "Healthy"),
        )
        scenario.argocd.warnings["web-taken-up-again"] = [ClusterEvent(type="Warning", reason="FailedCreate")]
        assert await scenario.until_stuck(60) == (60.0, WEB)

    run(main())


def test_an_old_pod_that_could_not_start_either_is_no_matter_once_the_new_one_runs() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB)
        await scenario.shows(
            node("Deployment", "web"),
            node("ReplicaSet", "web-1", "web", revision="Rev:1"),
            node("ReplicaSet", "web-2", "web", revision="Rev:2"),
            node("Pod", "web-1-a", "web-1", "ImagePullBackOff", "Degraded"),
            node("Pod", "web-2-a", "web-2", "Running"),
        )
        assert await scenario.until_stuck(60) is None

    run(main())


def test_while_argo_cd_is_away_nothing_is_stuck_whatever_it_said_last() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("ImagePullBackOff"))
        scenario.argocd.broken = DOWN
        assert await scenario.until_stuck(60, within=130) is None
        assert scenario.argocd.asked == ["tree", "tree"]
        scenario.argocd.broken = None
        scenario.argocd.trees.append(Tree(nodes=list(job_with("Running"))))
        assert await scenario.until_stuck(60) is None, "it runs by now"

    run(main())


def test_the_time_counts_without_a_break_and_for_one_pod() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("ImagePullBackOff"))
        waiting = asyncio.create_task(scenario.until_stuck(60))
        await asyncio.sleep(50)
        await scenario.shows(*job_with("Running"))
        await asyncio.sleep(50)
        await scenario.shows(*job_with("ErrImagePull"))
        await asyncio.sleep(30)
        await scenario.shows(*job_with("ImagePullBackOff"))  # the two take turns
        assert await waiting == (160.0, TESTS)

    run(main())


def test_a_time_of_zero_is_forever() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("ImagePullBackOff"))
        assert await scenario.until_stuck(0) is None

    run(main())


@pytest.mark.parametrize("reason", ["Running", "Error", "CrashLoopBackOff", "Completed", "Terminating"])
def test_a_pod_that_has_started_is_never_stuck(reason: str) -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with(reason))
        assert await scenario.until_stuck(60) is None
        assert scenario.argocd.asked == []

    run(main())


def test_what_the_operation_does_not_wait_for_is_nobody_s_business() -> None:
    async def main() -> None:
        scenario = StuckPods(ResourceResult(kind="Job", namespace="n", name="other", hook_phase="Running"))
        await scenario.shows(*job_with("ImagePullBackOff"))
        assert await scenario.until_stuck(60) is None

    run(main())


@pytest.mark.parametrize("reason", ["Pending", "ContainerCreating", "Init:0/1"])
def test_a_pod_that_may_still_start_is_asked_about_when_its_time_is_over_and_no_oftener(reason: str) -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with(reason))
        scenario.argocd.found_live = {"checks-a": {"status": {"phase": "Pending"}}}
        assert await scenario.until_stuck(60, within=130) is None
        assert scenario.argocd.asked.count("Pod checks-a") == 2

    run(main())


def test_a_pod_that_no_node_takes_is_stuck_once_its_conditions_say_so() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("Pending"))
        scenario.argocd.found_live = {"checks-a": {"status": {"phase": "Pending", "conditions": [UNBOUND]}}}
        assert await scenario.until_stuck(60) == (60.0, TESTS)

    run(main())


def test_a_job_that_may_make_no_pod_is_stuck_by_its_event_and_a_suspended_one_is_not() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(node("Job", "checks"))
        assert await scenario.until_stuck(60, within=130) is None
        scenario.argocd.warnings["checks"] = [
            ClusterEvent(type="Warning", reason="FailedCreate", message="quota")
        ]
        assert await scenario.until_stuck(60) == (60.0, TESTS)

    run(main())


@pytest.mark.parametrize("error", [DOWN, ApiError("show", 500, 2, "x")])
def test_where_nothing_can_be_asked_nothing_is_stuck(error: Exception) -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("Pending"))
        scenario.argocd.broken = error
        assert await scenario.until_stuck(60) is None

    run(main())


# -- why -------------------------------------------------------------------------------------------------

FAILED = {
    "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]
}


def test_a_failed_job_is_asked_about_once_it_and_its_pods() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("Error"))
        scenario.argocd.found_live = {"checks-a": {"status": FAILED}}
        assert await scenario.watch.why([TESTS]) == Finding(
            "exit code 3", ("pod checks-a: exit code 3",), exit_code=3
        )
        assert sorted(scenario.argocd.asked) == [
            "Job checks",
            "Pod checks-a",
            "events of checks",
            "events of checks-a",
            "tree",
        ]

    run(main())


def test_of_a_deployment_only_the_bad_pods_are_asked_about_and_the_log_of_the_one_that_ended() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB)
        await scenario.shows(
            node("Deployment", "web"),
            node("ReplicaSet", "web-1", "web"),
            node("Pod", "web-1-good", "web-1", "Running", "Healthy"),
            node("Pod", "web-1-bad", "web-1", "CrashLoopBackOff", "Degraded"),
        )
        scenario.argocd.found_live = {"web-1-bad": {"status": FAILED}}
        scenario.argocd.log = ["starting", "no broker"]
        assert await scenario.watch.why([WEB]) == Finding(
            "exit code 3", ("pod web-1-bad: exit code 3",), log=("starting", "no broker"), exit_code=3
        )
        assert "events of web-1" in scenario.argocd.asked
        assert "log of web-1-bad/main {'tailLines': '10'}" in scenario.argocd.asked
        assert not [a for a in scenario.argocd.asked if "good" in a]

    run(main())


def leaving(pod: Node) -> Node:
    message = "Pending deletion; blocked by finalizers: batch.kubernetes.io/job-tracking"  # Argo CD 3.6's
    return replace(pod, health=Health(message=message))


def test_a_pod_that_is_gone_is_reported_as_it_was_before_it_was_deleted() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        watching = asyncio.create_task(scenario.until_stuck(60))
        job, pod = job_with("ImagePullBackOff")
        for nodes in ((job, pod), (job, leaving(job_with("Error")[1])), (job,), ()):
            await scenario.shows(*nodes)
            await asyncio.sleep(1)
        watching.cancel()
        found = await scenario.watch.why([TESTS])
        assert found.evidence == ("pod checks-a: the image cannot be pulled (ImagePullBackOff), now gone",)

    run(main())


def test_the_pods_of_the_job_of_the_run_before_are_not_this_one_s() -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        watching = asyncio.create_task(scenario.until_stuck(60))
        await scenario.shows(*job_with("ImagePullBackOff"))
        await asyncio.sleep(1)
        await scenario.shows(Node(kind="Job", namespace="n", name="checks", uid="another"))
        await asyncio.sleep(1)
        watching.cancel()
        assert await scenario.watch.why([TESTS]) == Finding()

    run(main())


@pytest.mark.parametrize("error", [DOWN, ApiError("show", 400, 3, "not found")])
def test_where_argo_cd_says_nothing_the_tree_still_does(error: Exception) -> None:
    async def main() -> None:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with("OOMKilled"))
        scenario.argocd.broken = error
        found = await scenario.watch.why([TESTS])
        assert found == Finding(
            "out of memory (OOMKilled)",
            ("pod checks-a: out of memory (OOMKilled)",),
            "raise the container's resources.limits.memory",
        )

    run(main())


def test_an_argo_cd_that_hangs_costs_a_few_seconds() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB)
        await scenario.shows(
            node("Deployment", "web"), node("Pod", "web-a", "web", "CrashLoopBackOff", "Degraded")
        )
        scenario.argocd.slow = 3600
        clock: Any = asyncio.get_running_loop().time
        began = clock()
        assert (await scenario.watch.why([WEB])).cause == "it keeps crashing (CrashLoopBackOff)"
        assert clock() - began <= 10

    run(main())


def test_what_could_not_be_applied_needs_no_question() -> None:
    async def main() -> None:
        scenario = StuckPods()
        await scenario.shows()
        refused = ResourceResult(
            kind="ConfigMap", name="c", status="SyncFailed", message="field is immutable"
        )
        assert (await scenario.watch.why([refused])).cause == "it cannot be applied"
        assert scenario.argocd.asked == ["tree"]

    run(main())


# -- what holds it up ------------------------------------------------------------------------------------

WEB_SERVICE = ResourceResult(kind="Service", namespace="n", name="web", hook_phase="Running")
NO_ADDRESS = "it is of type LoadBalancer and has no address"
FIXED_BY = "set its type to ClusterIP, or wait for the cloud's load balancer"


async def named(scenario: StuckPods, within: float = 60) -> list[str]:
    said: list[str] = []
    naming = asyncio.create_task(scenario.watch.report_obstacles(said.append))
    await asyncio.sleep(within)
    naming.cancel()
    return said


def balancer(ingress: list[Json]) -> Json:
    return {
        "kind": "Service",
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def test_a_service_without_an_address_is_named_once_while_it_is_waited_for() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB_SERVICE)
        await scenario.shows(node("Service", "web"))
        scenario.argocd.found_live = {"web": balancer([])}
        assert await named(scenario, within=9) == []
        assert await named(scenario) == [f"Argo CD waits for Service web: {NO_ADDRESS}; {FIXED_BY}"]
        found = await scenario.watch.why([WEB_SERVICE], late=True)
        assert (found.cause, found.hint) == (NO_ADDRESS, FIXED_BY)

    run(main())


def test_what_is_waited_for_is_asked_about_again_soon_where_there_was_no_answer() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB_SERVICE)
        await scenario.shows(node("Service", "web"))
        scenario.argocd.slow = 3600
        naming = asyncio.create_task(named(scenario, within=19))
        await asyncio.sleep(14)
        scenario.argocd.slow, scenario.argocd.found_live = 0, {"web": balancer([])}
        assert await naming == [f"Argo CD waits for Service web: {NO_ADDRESS}; {FIXED_BY}"]

    run(main())


def test_many_that_nothing_is_known_of_are_asked_about_a_few_at_a_time() -> None:
    async def main() -> None:
        names = [f"c{i}" for i in range(50)]
        scenario = StuckPods(*(replace(WEB_SERVICE, kind="Certificate", name=n) for n in names))
        await scenario.shows(*(node("Certificate", n) for n in names))
        assert await named(scenario, within=60) == []
        asked = [a for a in scenario.argocd.asked if a.startswith("Certificate")]
        assert 3 <= len(asked) <= 3 * 60 / 5
        assert len(set(asked)) > 10, "each in its turn"

    run(main())


def test_a_service_that_has_its_address_by_then_is_not_named() -> None:
    async def main() -> None:
        scenario = StuckPods(WEB_SERVICE)
        await scenario.shows(node("Service", "web"))
        scenario.argocd.found_live = {"web": balancer([{"ip": "192.0.2.1"}])}
        assert await named(scenario) == []

    run(main())


def deleting(finalizers: list[str]) -> Json:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "uid": "uid of checks",
            "name": "checks",
            "namespace": "n",
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": finalizers,
        },
    }


def waits_for_deletion(message: str = "waiting for deletion of hook batch/Job/checks") -> OperationState:
    return OperationState(phase="Running", message=message)


def test_the_finalizer_that_holds_the_former_hook_is_named_with_the_command_that_takes_it_off() -> None:
    async def main() -> None:
        scenario = StuckPods()
        scenario.watch.update(waits_for_deletion())
        await scenario.shows(replace(node("Job", "checks"), group="batch"))
        scenario.argocd.found_live = {"checks": deleting(["foregroundDeletion", "example.com/hold"])}
        assert await named(scenario) == [
            "Argo CD waits until the former Job checks is deleted: its finalizer example.com/hold holds it; "
            "find out what set it, or remove it: kubectl patch job checks --namespace n --type merge "
            """--patch '{"metadata": {"finalizers": null}}'"""
        ]
        assert (await scenario.watch.why([], late=True)).cause == "its finalizer example.com/hold holds it"

    run(main())


def test_of_a_former_hook_that_is_gone_in_time_nothing_is_said() -> None:
    async def main() -> None:
        scenario = StuckPods()
        scenario.watch.update(waits_for_deletion())
        await scenario.shows(replace(node("Job", "checks"), group="batch"))
        scenario.argocd.found_live = {"checks": deleting(["example.com/hold"])}
        naming = asyncio.create_task(named(scenario))
        await asyncio.sleep(5)
        scenario.stands(TESTS)
        assert await naming == []

    run(main())


def test_pods_that_take_their_time_to_end_are_what_holds_the_former_hook() -> None:
    async def main() -> None:
        scenario = StuckPods()
        scenario.watch.update(waits_for_deletion())
        job, pod = job_with("Terminating")
        await scenario.shows(replace(job, group="batch"), pod)
        scenario.argocd.found_live = {
            "checks": deleting(["foregroundDeletion"]),
            "checks-a": {"metadata": {"uid": "uid of checks-a", "name": "checks-a"}},
        }
        found = await scenario.watch.why([], late=True)
        assert found.cause == "not all of its pods have ended: checks-a"

    run(main())


def test_where_several_are_to_be_deleted_those_that_are_not_named_by_argo_cd_are_found_too() -> None:
    tree = Tree(
        nodes=[
            replace(node("Job", "checks"), group="batch"),
            replace(node("Job", "other"), group="batch", health=Health(message="Pending deletion")),
            replace(leaving(job_with("Error")[1])),
            node("Service", "web"),
        ]
    )
    one = waits_for_deletion()
    more = waits_for_deletion(one.message + " and 1 more hooks")
    assert [n.name for n in waiting.leaving(one, tree)] == ["checks"]
    assert [n.name for n in waiting.leaving(more, tree)] == ["checks", "other"]
    done = replace(more, phase="Failed")
    assert waiting.waited_objects(done, [WEB_SERVICE], tree) == {}, "nothing is waited for by then"


@pytest.mark.parametrize(
    ("live", "cause"),
    [
        ({"kind": "Ingress"}, "it has no address"),
        ({"kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}, "no volume is bound to it"),
        ({"kind": "CronJob", "spec": {"suspend": True}}, "it is stopped by spec.suspend"),
        ({"kind": "Deployment", "spec": {"paused": True}}, "it is stopped by spec.paused"),
    ],
)
def test_whatever_else_comes_by_no_pod_is_named_as_well(live: Json, cause: str) -> None:
    async def main() -> None:
        scenario = StuckPods(ResourceResult(kind=live["kind"], namespace="n", name="x", hook_phase="Running"))
        health = "Suspended" if "spec" in live else "Progressing"
        await scenario.shows(node(live["kind"], "x", health=health))
        scenario.argocd.found_live = {"x": live}
        (said,) = await named(scenario)
        assert said.startswith(f"Argo CD waits for {live['kind']} x: {cause}; ")

    run(main())


def test_of_a_resource_that_argorun_does_not_know_argo_cd_s_own_words_are_reported() -> None:
    async def main() -> None:
        scenario = StuckPods(
            ResourceResult(kind="Certificate", namespace="n", name="web", hook_phase="Running")
        )
        health = Health(status="Progressing", message="Issuing certificate as Secret does not exist")
        await scenario.shows(replace(node("Certificate", "web"), health=health))
        assert await named(scenario) == [f"Argo CD waits for Certificate web: {health.message}"]

    run(main())


# -- big Applications ------------------------------------------------------------------------------------


def rollouts(count: int) -> tuple[list[ResourceResult], list[Node]]:
    results, nodes = [], []
    for i in range(count):
        results.append(replace(WEB, name=f"web-{i}"))
        nodes += [node("Deployment", f"web-{i}"), node("ReplicaSet", f"web-{i}-1", f"web-{i}")]
        nodes.append(node("Pod", f"web-{i}-1-a", f"web-{i}-1", "Pending"))
    return results, nodes


async def looks(count: int, limit: float, within: float = 1) -> tuple[int, list[str]]:
    """Visits of each node of the tree, and the requests, with so many Deployments whose pods are Pending."""
    results, listed = rollouts(count)
    scenario, nodes = StuckPods(*results), Visited(listed)
    scenario.argocd.trees.append(Tree(nodes=nodes))
    await scenario.live.read()
    scenario.argocd.asked.clear()
    await scenario.until_stuck(limit, within=within)
    return nodes.visits // len(listed), scenario.argocd.asked


def test_what_cannot_start_is_reported_once_with_its_image_and_the_time_that_is_left() -> None:
    async def main() -> list[Delay]:
        scenario = StuckPods(TESTS)
        job, pod = job_with("ErrImagePull")
        pulling = replace(pod, images=["example/nope:1"])
        await scenario.shows(job, pulling)
        await scenario.until_stuck(60, within=5)
        await scenario.shows(job, replace(pod, info=None, health=Health(status="Healthy")))
        await scenario.until_stuck(60, within=5)
        return scenario.delays

    pulled = Delay(
        TESTS, pod="checks-a", reason="ErrImagePull", detail="example/nope:1", certain=True, limit=60
    )
    assert run(main()) == [pulled, Delay(TESTS)]


@pytest.mark.parametrize("reason", ["Pending", "ContainerCreating"])
def test_what_may_be_normal_is_reported_after_a_while_and_without_a_limit(reason: str) -> None:
    async def main() -> list[Delay]:
        scenario = StuckPods(TESTS)
        await scenario.shows(*job_with(reason))
        await scenario.until_stuck(60, within=9)
        assert scenario.delays == []
        await scenario.until_stuck(60, within=16)
        return scenario.delays

    (delay,) = run(main())
    assert (delay.pod, delay.reason, delay.certain, delay.limit) == ("checks-a", reason, False, 0)
    assert 10 <= delay.seconds < 16


def test_a_failed_test_is_named_with_its_pods_exit_code() -> None:
    async def main() -> str:
        scenario = StuckPods(TESTS)
        failed = Health(status="Degraded", message='container "main" failed with exit code 3')
        job, pod = job_with("Error")
        await scenario.shows(job, replace(pod, health=failed))
        return scenario.watch.exit_of(TESTS)

    assert run(main()) == "exit code 3"


def test_a_tree_is_gone_through_once_however_much_of_it_is_waited_for() -> None:
    async def main() -> None:
        visits, _ = await looks(1000, limit=60)
        assert visits == 1

    run(main())


def test_a_big_application_costs_no_request_where_nothing_is_ever_stuck() -> None:
    async def main() -> None:
        assert await looks(1000, limit=0, within=600) == (1, [])

    run(main())


def test_of_a_thousand_pods_that_are_pending_a_few_at_a_time_are_asked_about() -> None:
    async def main() -> None:
        _, asked = await looks(1000, limit=60, within=69)
        assert [a for a in asked if a == "tree"] == ["tree"] * 2, "at 60 s, and 5 s later"
        pods = [a for a in asked if a.startswith("Pod ")]
        assert len(pods) == len(set(pods)) == 2 * AT_ONCE

    run(main())
