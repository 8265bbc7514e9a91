"""A container that is started again in its pod: each instance's log, and what is lost of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from argorun import argocd
from argorun.argocd.hooks.ownership import Rendered
from argorun.argocd.http.errors import Denied, Unauthenticated
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.logs.pod import LOST, PodLogs
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node, Tree
from argorun.errors import ArgorunError
from tests.unit.argocd.containers import EPOCH, GONE, LAST, SECOND, A, B, Cluster, RecordingListener, entry
from tests.unit.argocd.fakes import APP, DOWN
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

C = entry(EPOCH + 2 * SECOND, "c")
D = entry(EPOCH + 3 * SECOND, "d")
Act = Callable[[], None]


class RestartedPod(Scenario):
    """A pod of one container that is started again when it fails, and the log that is read of it."""

    argocd: Cluster

    def __init__(self) -> None:
        super().__init__(argocd=Cluster())
        self.logged = RecordingListener()
        self.argocd.pod("p1", "j1", restartPolicy="OnFailure")
        self.main = ("p1", "main")

    def stands(self, state: str, restarts: int = 0, phase: str = "Running", code: int = 0) -> None:
        self.argocd.stands("p1", "main", state, restarts, phase=phase, code=code)

    def read(self, *acts: Act) -> list[tuple[object, ...]]:
        """Read the pod, with an act every ten seconds, the first one at once."""

        async def follow() -> None:
            live = LiveTree(self.argocd.client, APP)
            pod = Node(kind="Pod", namespace="ns", name="p1", uid="uid-p1")
            logs = PodLogs(self.argocd.client, APP, live, self.logged, "tests", pod, 1)
            acts[0]()
            reading = asyncio.create_task(logs.read())
            for act in acts[1:]:
                await asyncio.sleep(10)
                act()
            await asyncio.sleep(10)
            assert reading.done()
            await reading

        run(follow())
        return self.logged.all


def instance(restart: int, *texts: str, reason: str = "") -> list[tuple[object, ...]]:
    return [
        ("started", "p1", "main", 1, *([restart] if restart else [])),
        *(("line", "p1", "main", t) for t in texts),
        ("ended", "p1", "main", len(texts), not reason, reason),
    ]


def test_each_instance_has_a_log_of_its_own() -> None:
    scenario = RestartedPod()

    def first() -> None:
        scenario.stands("running")
        scenario.argocd.streams[scenario.main] = [[A, LAST]]

    def fails() -> None:
        scenario.stands("waiting", 1)

    def again() -> None:
        scenario.stands("running", 1)
        scenario.argocd.streams[scenario.main] = [[B, LAST]]

    def ends() -> None:
        scenario.stands("terminated", 1, "Succeeded")

    assert scenario.read(first, fails, again, ends) == [*instance(0, "a"), *instance(1, "b")]


def test_what_the_stream_of_the_former_instance_missed_is_read_as_previous() -> None:
    scenario = RestartedPod()

    def first() -> None:
        scenario.stands("running")
        scenario.argocd.streams[scenario.main] = [[A, DOWN]]

    def again() -> None:
        scenario.stands("terminated", 1, "Succeeded")
        scenario.argocd.previous[scenario.main] = [A, B, LAST]
        scenario.argocd.streams[scenario.main] = [[C, LAST]]

    assert scenario.read(first, again) == [*instance(0, "a", "b"), *instance(1, "c")]


def test_a_pod_that_is_met_after_its_first_restart_is_read_from_the_instance_before() -> None:
    scenario = RestartedPod()

    def met() -> None:
        scenario.stands("terminated", 1, "Succeeded")
        scenario.argocd.previous[scenario.main] = [A, LAST]
        scenario.argocd.streams[scenario.main] = [[B, LAST]]

    assert scenario.read(met) == [*instance(0, "a"), *instance(1, "b")]


def test_of_many_restarts_only_the_last_two_can_be_read_and_the_others_are_named() -> None:
    scenario = RestartedPod()

    def met() -> None:
        scenario.stands("terminated", 3, "Failed", code=1)
        scenario.argocd.previous[scenario.main] = [C, LAST]
        scenario.argocd.streams[scenario.main] = [[D, LAST]]

    assert scenario.read(met) == [
        *instance(0, reason=LOST),
        ("ended", "p1", "main", 0, False, LOST),
        *instance(2, "c"),
        *instance(3, "d"),
    ]


@pytest.mark.parametrize("counts_late", [False, True])
def test_a_pod_that_is_met_while_it_waits_for_a_restart_repeats_no_line(counts_late: bool) -> None:
    """A kubelet counts a restart when the container is started, others when it has ended."""
    scenario = RestartedPod()
    after = 2 if counts_late else 1

    def met() -> None:
        scenario.stands("waiting", 1)
        scenario.argocd.streams[scenario.main] = [[A, LAST]]

    def again() -> None:
        scenario.stands("terminated", after, "Succeeded")
        scenario.argocd.previous[scenario.main] = [A, LAST]
        scenario.argocd.streams[scenario.main] = [[B, LAST]]

    logged = scenario.read(met, again)
    assert scenario.logged.texts() == ["a", "b"]
    assert [e for e in logged if e[0] == "ended" and not e[4]] == []


def test_a_container_that_waits_for_its_restart_is_not_asked_for_its_log_again_and_again() -> None:
    scenario = RestartedPod()

    def first() -> None:
        scenario.stands("waiting", 1)
        scenario.argocd.streams[scenario.main] = [[A, LAST]]

    def nothing() -> None:
        pass

    def ends() -> None:
        scenario.stands("waiting", 1, "Failed")

    scenario.read(first, nothing, nothing, ends)
    assert scenario.argocd.asked == [{"follow": "true"}, {"tailLines": "10"}]


def test_a_pod_whose_manifest_is_not_as_expected_is_read_by_its_only_containers_default_name() -> None:
    scenario = RestartedPod()
    scenario.argocd.streams["p1", ""] = [[A, LAST]]

    def not_as_expected() -> None:
        scenario.argocd.pods["p1"] = {"spec": {"containers": "none"}, "status": []}

    def gone() -> None:
        scenario.argocd.pods["p1"] = GONE

    assert scenario.read(not_as_expected, gone) == [
        ("started", "p1", "", 1),
        ("line", "p1", "", "a"),
        ("ended", "p1", "", 1, True, ""),
    ]


def test_no_answer_of_argo_cd_is_made_a_typed_value_but_where_a_wrong_one_becomes_an_error() -> None:
    files = Path(argocd.__file__).parent.rglob("*.py")
    converting = {p.name for p in files if "msgspec.convert(" in p.read_text(encoding="utf-8")}
    assert converting == {"errors.py"}


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Unauthenticated("the token expired"), "the token expired"),
        (Denied("show Pod", 403, "permission denied", ""), "permission denied"),
        (GONE, "its pod was gone before all was read"),
    ],
)
def test_a_pod_that_may_not_be_looked_at_is_not_called_gone(refusal: Exception, reason: str) -> None:
    scenario = RestartedPod()

    def runs() -> None:
        scenario.stands("running")
        scenario.argocd.streams[scenario.main] = [[A, DOWN], [DOWN]]

    def refused() -> None:
        scenario.argocd.pods["p1"] = refusal

    *_, (_, _, _, lines, complete, logged) = scenario.read(runs, refused)
    assert (lines, complete) == (1, False)
    assert reason in str(logged)


@pytest.mark.parametrize("error", [Unauthenticated("the token expired"), DOWN])
def test_where_the_tree_cannot_be_read_no_pod_is_called_gone(error: ArgorunError) -> None:
    logged = RecordingListener()

    class Refusing(Cluster):
        async def tree(self, app: object) -> Tree:
            raise error

    async def finish() -> None:
        cluster = Refusing()
        live = LiveTree(cluster.client, APP)
        rendered = Rendered((), "ns", ())
        logs = JobLogs(cluster.client, APP, live, (), lambda kind, name: True, logged, rendered, "mine")
        await logs.finish(1.0, 5.0, ["tests"])

    run(finish())
    assert logged.all == [("ended", "", "", 0, False, error.message)]
