"""A test Job's log: live, every line once and in order, and never a line of the run before."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from argorun.argocd.hooks.ownership import Rendered
from argorun.argocd.http.errors import ApiError
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import LogEntry, ResourceResult
from tests.unit.argocd.containers import EPOCH, GONE, LAST, SECOND, A, B, Cluster, RecordingListener, entry
from tests.unit.argocd.fakes import APP, DOWN
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import TOPIC, Scenario
from tests.unit.virtual import run


class FollowedJobs(Scenario):
    """A cluster, and the logs of an operation in it that began at 00:00:05."""

    argocd: Cluster

    def __init__(self, *, before: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        super().__init__(argocd=Cluster())
        self.logged, self.before = RecordingListener(), before
        self.wanted = lambda kind, name: (kind, name) == ("Job", "tests")
        self.ran: list[str] = []
        self.rendered: list[Json] = []
        self.topics: list[str] = []
        self.parallel = False

    async def follow(
        self,
        *,
        confirm: str = "",
        since: str = "2024-01-01T00:00:05Z",
        until: str = "",
        wait: float = 20,
    ) -> None:
        others = asyncio.all_tasks()
        live = LiveTree(self.argocd.client, APP)
        rendered = Rendered(self.rendered, "ns", self.topics)
        job_logs = self.logs = JobLogs(
            self.argocd.client,
            APP,
            live,
            self.before,
            self.wanted,
            self.logged,
            rendered,
            "ours",
            lambda job: self.parallel,
        )
        if since:
            job_logs.operation_started(since)
        if until:
            job_logs.operation_ended(until)
        if confirm:
            job_logs.confirm(confirm)
        await live.read()
        await asyncio.sleep(wait)
        await job_logs.finish(15, 60, self.ran)
        assert asyncio.all_tasks() <= others  # nothing of it lives on

    def followed(self, **options: Any) -> list[tuple[object, ...]]:
        run(self.follow(**options))
        return self.logged.all


def job_with_pod(*streams: list[Any], **pod: Any) -> FollowedJobs:
    """Job j1 and its pod p1, whose container writes these streams one after the other."""
    scenario = FollowedJobs()
    scenario.argocd.job("j1")
    scenario.argocd.pod("p1", "j1", *streams, **pod)
    return scenario


def whole(pod: str, *texts: str, attempt: int = 1) -> list[tuple[object, ...]]:
    return [
        ("started", pod, "main", attempt),
        *(("line", pod, "main", t) for t in texts),
        ("ended", pod, "main", len(texts), True, ""),
    ]


def test_a_jobs_log_is_reported_from_its_first_line_to_its_end() -> None:
    scenario = job_with_pod([A, B, LAST])
    assert scenario.followed() == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_job_that_was_there_before_is_never_read_not_even_under_the_name_of_this_runs() -> None:
    scenario = FollowedJobs(before={"old"})
    scenario.argocd.job("old")
    scenario.argocd.pod("p0", "old", [entry(EPOCH, "another run's"), LAST])
    assert scenario.followed(confirm="tests") == []


def test_of_two_jobs_of_one_name_only_the_operations_own_is_read() -> None:
    scenario = FollowedJobs(before={"old"})
    for uid, pod, text in (("old", "p0", "another run's"), ("new", "p1", "ours")):
        scenario.argocd.job(uid)
        scenario.argocd.pod(pod, uid, [entry(EPOCH, text), LAST])
    assert scenario.followed(confirm="tests") == [("appeared", "new"), *whole("p1", "ours")]


@pytest.mark.parametrize("since", ["", "2024-01-01T00:00:06Z"])
def test_a_job_older_than_the_operation_is_read_only_once_the_operation_names_it(since: str) -> None:
    for confirm, lines in (("", 0), ("other", 0), ("tests", 1)):
        scenario = job_with_pod([A, LAST])
        scenario.followed(since=since, confirm=confirm)
        assert len(scenario.logged.texts()) == lines


def test_a_job_that_is_no_test_is_reported_and_its_log_is_not_read() -> None:
    scenario = FollowedJobs()
    scenario.argocd.job("j1", name="create-topic")
    scenario.argocd.pod("p1", "j1", [A, LAST])
    assert scenario.followed() == [("appeared", "j1")]


def test_a_jobs_second_pod_is_its_second_attempt() -> None:
    scenario = FollowedJobs()
    scenario.argocd.job("j1")
    scenario.argocd.pod("p2", "j1", [B, LAST])
    scenario.argocd.pod("p1", "j1", [A, LAST])
    scenario.argocd.nodes[-1]["health"] = {"status": "Degraded"}
    assert sorted(map(str, scenario.followed())) == sorted(
        map(str, [("appeared", "j1"), *whole("p1", "a"), *whole("p2", "b", attempt=2)])
    )


def test_every_container_is_read_init_containers_too() -> None:
    scenario = job_with_pod([A, LAST], initContainers=[{"name": "init"}])
    scenario.argocd.streams["p1", "init"] = [[B, LAST]]
    logged = scenario.followed()
    assert [e[:3] for e in logged if e[0] == "started"] == [
        ("started", "p1", "init"),
        ("started", "p1", "main"),
    ]
    assert [e[2:] for e in logged if e[0] == "line"] == [("init", "b"), ("main", "a")]


def test_an_init_containers_log_that_hangs_holds_up_no_other() -> None:
    scenario = job_with_pod([A, LAST], initContainers=[{"name": "init"}])
    scenario.argocd.streams["p1", "init"] = [[asyncio.Event()]]
    assert [e[2:] for e in scenario.followed() if e[0] == "line"] == [("main", "a")]


def test_a_pod_that_cannot_be_looked_into_is_read_by_its_only_containers_default_name() -> None:
    scenario = job_with_pod(containers=("",))
    scenario.argocd.streams["p1", ""] = [[A, LAST]]
    scenario.argocd.pods["p1"] = GONE
    assert scenario.followed() == [
        ("appeared", "j1"),
        ("started", "p1", "", 1),
        ("line", "p1", "", "a"),
        ("ended", "p1", "", 1, True, ""),
    ]


def test_a_stream_that_breaks_is_taken_up_where_it_was() -> None:
    scenario = job_with_pod([DOWN], [A, DOWN], [A], [A, B, LAST])
    assert scenario.followed() == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_an_end_of_the_stream_while_the_container_runs_is_not_the_logs_end() -> None:
    scenario = job_with_pod([A, LAST], [A, B, LAST])
    scenario.argocd.stands("p1", "main", "running")

    async def later() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(10)
        assert scenario.logged.texts() == ["a", "b"]
        assert "ended" not in [e[0] for e in scenario.logged.all]
        scenario.argocd.stands("p1", "main", "terminated")
        await following

    run(later())
    assert scenario.logged.all == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_pod_that_is_gone_before_its_log_was_read_leaves_it_incomplete_and_says_why() -> None:
    scenario = job_with_pod([A, DOWN], [GONE])

    async def gone() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(5)
        scenario.argocd.pods["p1"] = GONE
        await following

    run(gone())
    assert scenario.logged.all[-1] == ("ended", "p1", "main", 1, False, GONE.message)


def test_a_log_that_does_not_end_does_not_keep_the_run() -> None:
    scenario = job_with_pod([A, asyncio.Event()])
    scenario.argocd.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await scenario.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 35
    assert scenario.logged.all[-1] == ("ended", "p1", "main", 1, False, "the run ended before the log did")


class Talkative(Cluster):
    """One whose containers write a line every half a second, forever."""

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        begun = asyncio.get_running_loop().time()
        for i in itertools.count():
            yield [entry(EPOCH + int(begun + i) * SECOND // 2, f"still here {i}")]
            await asyncio.sleep(0.5)


def test_a_log_that_never_falls_silent_does_not_keep_the_run_and_is_reported_as_not_complete() -> None:
    scenario = FollowedJobs()
    scenario.argocd = Talkative()
    scenario.argocd.job("j1")
    scenario.argocd.pod("p1", "j1")
    scenario.argocd.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await scenario.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 80
    lines = len(scenario.logged.texts())
    assert scenario.logged.all[-1][3:] == (lines, False, "the run ended before the log did")


def test_a_bare_pod_that_lives_on_is_not_waited_for() -> None:
    scenario = FollowedJobs()
    scenario.argocd, scenario.wanted = Talkative(), lambda kind, name: True
    scenario.argocd.pod("p1", "")
    scenario.argocd.nodes[-1]["info"] = [{"name": "Status Reason", "value": "Running"}]
    scenario.argocd.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await scenario.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 20
    lines = len(scenario.logged.texts())
    assert scenario.logged.all[-1][3:] == (lines, False, "the run ended before the log did")


def test_an_argo_cd_that_does_not_answer_does_not_keep_the_run_either() -> None:
    scenario = FollowedJobs()

    async def timed() -> float:
        following = asyncio.create_task(scenario.follow(wait=20))
        await asyncio.sleep(10)
        scenario.argocd.hangs = True
        began = asyncio.get_running_loop().time()
        await following
        return asyncio.get_running_loop().time() - began

    assert run(timed()) <= 10 + 60


def test_pods_that_run_side_by_side_are_no_attempts() -> None:
    for parallel, attempts in ((True, {1}), (False, {1, 2})):
        scenario = FollowedJobs()
        scenario.parallel = parallel
        scenario.argocd.job("j1")
        for pod in ("p1", "p2", "p3"):
            scenario.argocd.pod(pod, "j1", [A, LAST])
            scenario.argocd.nodes[-1]["health"] = {"status": "Progressing" if pod == "p2" else "Degraded"}
        assert {e[3] for e in scenario.followed() if e[0] == "started"} == attempts


def test_a_job_that_shows_only_when_the_operation_is_over_is_still_read() -> None:
    scenario = FollowedJobs()

    async def late() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(10)
        scenario.argocd.job("j1")
        scenario.argocd.pod("p1", "j1", [A, LAST])
        await following

    run(late())
    assert scenario.logged.all == [("appeared", "j1"), *whole("p1", "a")]


def test_the_stream_of_a_pod_that_has_ended_holds_nobody_up() -> None:
    scenario = job_with_pod([A, asyncio.Event()], [A, B, LAST])
    assert scenario.followed(wait=1) == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_container_that_never_ran_has_no_log() -> None:
    scenario = job_with_pod([LAST], initContainers=[{"name": "init"}])
    scenario.argocd.streams["p1", "init"] = [[A, LAST]]
    scenario.argocd.stands("p1", "main", "waiting", phase="Failed")
    scenario.argocd.stands("p1", "init", "terminated", phase="Failed", code=1)
    assert scenario.followed() == [
        ("appeared", "j1"),
        ("started", "p1", "init", 1),
        ("line", "p1", "init", "a"),
        ("ended", "p1", "init", 1, True, ""),
    ]


def test_a_hook_that_has_failed_is_read_from_its_first_line() -> None:
    scenario = FollowedJobs()
    scenario.argocd.job("j1", name="create-topic")
    scenario.argocd.pod("p1", "j1", [A, LAST])
    failed: list[str] = []
    scenario.wanted = lambda kind, name: name in failed

    async def fails() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(10)
        assert scenario.logged.all == [("appeared", "j1")]
        failed.append("create-topic")
        await following

    run(fails())
    assert scenario.logged.all == [("appeared", "j1"), *whole("p1", "a")]


def test_a_bare_pod_is_read_where_it_is_wanted() -> None:
    for wanted, logged in ((False, []), (True, whole("p1", "a"))):
        scenario = FollowedJobs()
        scenario.wanted = lambda kind, name, w=wanted: w and (kind, name) == ("Pod", "p1")  # type: ignore[misc]
        scenario.argocd.pod("p1", "", [A, LAST])
        assert scenario.followed() == [("appeared", "uid-p1"), *logged]


def test_a_job_whose_pod_was_gone_before_it_was_seen_is_reported_as_a_log_that_is_missing() -> None:
    scenario = FollowedJobs()
    scenario.ran = ["tests"]
    assert scenario.followed(confirm="tests") == [
        ("ended", "", "", 0, False, "its pod was gone before it was read")
    ]


def test_attempts_are_counted_also_when_the_pod_of_the_first_is_gone() -> None:
    scenario = job_with_pod([A, LAST])

    async def retried() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(8)
        scenario.argocd.nodes.pop()
        scenario.argocd.pod("p2", "j1", [B, LAST])
        await following

    run(retried())
    assert scenario.logged.all == [("appeared", "j1"), *whole("p1", "a"), *whole("p2", "b", attempt=2)]


# -- whose they are ----------------------------------------------------------------------------------------

TRACKING = "argocd.argoproj.io/tracking-id"


def tracked(app: str, spec: Json | None = None) -> Json:
    """What is rendered for, or made by, this Application."""
    metadata = {"name": "tests", "annotations": {TRACKING: f"{app}:batch/Job:ns/tests"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec or {}}


def a_job(scenario: FollowedJobs, app: str, spec: Json | None = None, **more: Any) -> None:
    made = tracked(app, spec)
    scenario.argocd.job(
        "j1", metadata={"annotations": made["metadata"]["annotations"]}, spec=made["spec"], **more
    )
    scenario.argocd.pod("p1", "j1", [A, LAST])


def test_a_job_of_another_application_is_never_read_and_never_appears() -> None:
    scenario = FollowedJobs()
    scenario.rendered = [tracked("weather")]
    a_job(scenario, "team_other")
    assert scenario.followed(confirm="tests") == [("stranger", "j1", "Application team/other")]
    assert scenario.argocd.asked == []


def test_a_job_that_was_not_rendered_for_this_runs_topic_is_another_runs() -> None:
    scenario = FollowedJobs()
    scenario.topics, scenario.rendered = [TOPIC], [tracked("weather", {"env": TOPIC})]
    a_job(scenario, "weather", {"env": "weather_1600000000_ffffffff"})
    assert scenario.followed(confirm="tests") == [
        ("stranger", "j1", f"another run: it does not name {TOPIC}")
    ]


def test_a_job_of_this_application_and_topic_is_this_runs() -> None:
    scenario = FollowedJobs()
    scenario.topics, scenario.rendered = [TOPIC], [tracked("weather", {"env": TOPIC})]
    a_job(scenario, "weather", {"env": TOPIC})
    assert scenario.followed() == [("appeared", "j1"), *whole("p1", "a")]


LATER = "another operation, which came after this run's"


@pytest.mark.parametrize(
    ("created", "logged"),
    [
        ("2024-01-01T00:00:20Z", [("appeared", "j1"), *whole("p1", "a")]),
        ("2024-01-01T00:00:21Z", [("stranger", "j1", LATER)]),
    ],
)
def test_a_job_that_was_made_after_the_runs_operations_end_is_not_its_own(
    created: str, logged: list[Any]
) -> None:
    scenario = FollowedJobs()
    scenario.argocd.runs("ours", phase="Succeeded", finishedAt="2024-01-01T00:00:20Z")
    a_job(scenario, "weather", created=created)
    assert scenario.followed() == logged


def test_nor_is_it_asked_after_once_the_end_is_known() -> None:
    scenario = FollowedJobs()
    a_job(scenario, "weather", created="2024-01-01T00:00:21Z")
    assert scenario.followed(until="2024-01-01T00:00:20Z", confirm="tests") == []
    assert "application" not in scenario.argocd.calls


def test_a_job_that_is_seen_when_another_operation_has_begun_is_not_this_runs() -> None:
    """The next one may have made it: its state has taken the place of this run's."""
    scenario = FollowedJobs()
    scenario.argocd.runs("theirs")
    a_job(scenario, "weather")
    assert scenario.followed(confirm="tests") == [("stranger", "j1", LATER)]


def test_a_job_that_was_made_anew_under_its_name_before_it_was_read_is_not_this_runs() -> None:
    scenario = FollowedJobs()
    a_job(scenario, "weather")
    made = scenario.argocd.jobs["tests"]
    assert isinstance(made, dict)
    made["metadata"]["uid"] = "j2"
    assert scenario.followed() == []
    assert (scenario.logs.uids, scenario.logs.strangers) == (set(), {})


@pytest.mark.parametrize(("owner", "whose"), [("other", "Application other"), ("weather", ""), ("", "")])
def test_a_former_job_is_anothers_only_where_it_says_so_whatever_topic_it_names(
    owner: str, whose: str
) -> None:
    async def asked() -> str:
        scenario = FollowedJobs()
        rendered = Rendered([tracked("weather", {"topic": "mine"})], "ns", ["mine"])
        live = LiveTree(scenario.argocd.client, APP)
        logs = JobLogs(
            scenario.argocd.client, APP, live, (), scenario.wanted, scenario.logged, rendered, "ours"
        )
        hook = ResourceResult(group="batch", version="v1", kind="Job", namespace="ns", name="tests")
        try:
            return logs.others(hook, tracked(owner) if owner else {"metadata": {"name": "tests"}})
        finally:
            await logs.close()

    assert run(asked()) == whose


@pytest.mark.parametrize(
    ("health", "conditions", "seconds"),
    [
        ("Healthy", [], 10.0),
        ("Degraded", [], 10.0),
        ("Progressing", [], None),
        ("Progressing", [{"type": "Failed", "status": "True"}], 10.0),
    ],
    ids=["passed", "failed", "runs", "ended-and-the-tree-is-old"],
)
def test_a_test_whose_place_another_took_is_given_up_once_that_has_ended(
    health: str, conditions: list[Json], seconds: float | None
) -> None:
    """While the other's still runs, to end our operation would delete it."""

    async def displaced() -> float:
        scenario = FollowedJobs()
        scenario.rendered = [tracked("weather")]
        a_job(scenario, "other")
        scenario.argocd.nodes[0]["health"] = {"status": health}
        made = scenario.argocd.jobs["tests"]
        assert isinstance(made, dict)
        made["status"] = {"conditions": conditions}
        live = LiveTree(scenario.argocd.client, APP)
        rendered = Rendered(scenario.rendered, "ns", ())
        logs = JobLogs(
            scenario.argocd.client,
            APP,
            live,
            (),
            scenario.wanted,
            scenario.logged,
            rendered,
            "ours",
            lambda job: False,
        )
        logs.confirm("tests")
        await live.read()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(600):
                node, whose = await logs.displaced(scenario.wanted)
        finally:
            await logs.close()
        assert (node.name, whose) == ("tests", "Application other")
        return asyncio.get_running_loop().time() - began

    if seconds is None:
        with pytest.raises(TimeoutError):
            run(displaced())
    else:
        assert seconds <= run(displaced()) < seconds + 6


def test_a_job_of_a_cronjob_is_no_hook_of_this_run() -> None:
    scenario = FollowedJobs()
    a_job(scenario, "weather")
    scenario.argocd.nodes[0]["parentRefs"] = [{"kind": "CronJob", "uid": "cron"}]
    assert scenario.followed(confirm="tests") == []


@pytest.mark.parametrize("gone", [GONE, ApiError("show Job tests", 400, 3, "not found")])
def test_a_job_that_is_gone_before_it_was_read_is_not_said_to_be_this_runs(gone: Exception) -> None:
    scenario = FollowedJobs()
    a_job(scenario, "weather")
    scenario.argocd.jobs["tests"] = gone
    assert scenario.followed() == []


def test_whose_a_job_is_is_asked_again_where_argo_cd_did_not_answer() -> None:
    scenario = FollowedJobs()
    a_job(scenario, "weather")
    job = scenario.argocd.jobs["tests"]
    scenario.argocd.jobs["tests"] = DOWN

    async def back() -> None:
        following = asyncio.create_task(scenario.follow())
        await asyncio.sleep(8)
        assert scenario.logged.all == []
        scenario.argocd.jobs["tests"] = job
        await following

    run(back())
    assert scenario.logged.all == [("appeared", "j1"), *whole("p1", "a")]


def hook() -> ResourceResult:
    return ResourceResult(group="batch", version="v1", kind="Job", namespace="ns", name="tests")


def test_what_was_made_and_what_stood_in_its_place_is_known_to_the_verdict() -> None:
    for app, made, in_place in (("weather", True, ""), ("other", False, "Application other")):
        scenario = FollowedJobs()
        scenario.rendered = [tracked("weather")]
        a_job(scenario, app)
        scenario.followed()
        assert scenario.logs.made("Job", "ns", "tests") is made
        assert scenario.logs.in_place_of(hook()) == in_place
        assert [n.uid for n in scenario.logs.jobs()] == (["j1"] if made else [])


@pytest.mark.parametrize(("app", "whose"), [("weather", ""), ("other", "Application other")])
@pytest.mark.parametrize("seen", [True, False])
def test_whose_the_live_job_of_a_hook_is_is_reported_whether_it_was_seen_before_or_not(
    app: str, whose: str, seen: bool
) -> None:
    scenario = FollowedJobs()
    scenario.rendered = [tracked("weather")]
    a_job(scenario, app)
    node = scenario.argocd.nodes.pop(0)
    if seen:
        scenario.argocd.nodes.insert(0, node)

    async def asked() -> str:
        await scenario.follow()
        return await scenario.logs.whose_is(hook(), "j1")

    assert run(asked()) == whose
    assert scenario.logs.made("Job", "ns", "tests") is (not whose)
