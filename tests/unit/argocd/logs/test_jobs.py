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
from tests.unit.argocd.containers import EPOCH, GONE, LAST, SECOND, A, B, Cluster, Told, entry
from tests.unit.argocd.fakes import APP, DOWN
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run


class Stage:
    """A cluster, and the logs of an operation in it that began at 00:00:05."""

    def __init__(self, *, before: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.cluster, self.told, self.before = Cluster(), Told(), before
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
        live = LiveTree(self.cluster.client, APP)
        rendered = Rendered(self.rendered, "ns", self.topics)
        job_logs = self.logs = JobLogs(
            self.cluster.client,
            APP,
            live,
            self.before,
            self.wanted,
            self.told,
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
        return self.told.all


def whole(pod: str, *texts: str, attempt: int = 1) -> list[tuple[object, ...]]:
    return [
        ("started", pod, "main", attempt),
        *(("line", pod, "main", t) for t in texts),
        ("ended", pod, "main", len(texts), True, ""),
    ]


def test_a_jobs_log_is_told_from_its_first_line_to_its_end() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, B, LAST])
    assert stage.followed() == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_job_that_was_there_before_is_never_read_not_even_under_the_name_of_ours() -> None:
    stage = Stage(before={"old"})
    stage.cluster.job("old")
    stage.cluster.pod("p0", "old", [entry(EPOCH, "another run's"), LAST])
    assert stage.followed(confirm="tests") == []


def test_of_two_jobs_of_one_name_only_the_operations_own_is_read() -> None:
    stage = Stage(before={"old"})
    for uid, pod, text in (("old", "p0", "another run's"), ("new", "p1", "ours")):
        stage.cluster.job(uid)
        stage.cluster.pod(pod, uid, [entry(EPOCH, text), LAST])
    assert stage.followed(confirm="tests") == [("appeared", "new"), *whole("p1", "ours")]


@pytest.mark.parametrize("since", ["", "2024-01-01T00:00:06Z"])
def test_a_job_older_than_the_operation_is_read_only_once_the_operation_names_it(since: str) -> None:
    for confirm, lines in (("", 0), ("other", 0), ("tests", 1)):
        stage = Stage()
        stage.cluster.job("j1")
        stage.cluster.pod("p1", "j1", [A, LAST])
        stage.followed(since=since, confirm=confirm)
        assert len(stage.told.texts()) == lines


def test_a_job_that_is_no_test_is_told_and_its_log_is_not_read() -> None:
    stage = Stage()
    stage.cluster.job("j1", name="create-topic")
    stage.cluster.pod("p1", "j1", [A, LAST])
    assert stage.followed() == [("appeared", "j1")]


def test_a_jobs_second_pod_is_its_second_attempt() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p2", "j1", [B, LAST])
    stage.cluster.pod("p1", "j1", [A, LAST])
    stage.cluster.nodes[-1]["health"] = {"status": "Degraded"}
    assert sorted(map(str, stage.followed())) == sorted(
        map(str, [("appeared", "j1"), *whole("p1", "a"), *whole("p2", "b", attempt=2)])
    )


def test_every_container_is_read_init_containers_too() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, LAST], initContainers=[{"name": "init"}])
    stage.cluster.streams["p1", "init"] = [[B, LAST]]
    told = stage.followed()
    assert [e[:3] for e in told if e[0] == "started"] == [
        ("started", "p1", "init"),
        ("started", "p1", "main"),
    ]
    assert [e[2:] for e in told if e[0] == "line"] == [("init", "b"), ("main", "a")]


def test_an_init_containers_log_that_hangs_holds_up_no_other() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, LAST], initContainers=[{"name": "init"}])
    stage.cluster.streams["p1", "init"] = [[asyncio.Event()]]
    assert [e[2:] for e in stage.followed() if e[0] == "line"] == [("main", "a")]


def test_a_pod_that_cannot_be_looked_into_is_read_by_its_only_containers_default_name() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", containers=("",))
    stage.cluster.streams["p1", ""] = [[A, LAST]]
    stage.cluster.pods["p1"] = GONE
    assert stage.followed() == [
        ("appeared", "j1"),
        ("started", "p1", "", 1),
        ("line", "p1", "", "a"),
        ("ended", "p1", "", 1, True, ""),
    ]


def test_a_stream_that_breaks_is_taken_up_where_it_was() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [DOWN], [A, DOWN], [A], [A, B, LAST])
    assert stage.followed() == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_an_end_of_the_stream_while_the_container_runs_is_not_the_logs_end() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, LAST], [A, B, LAST])
    stage.cluster.stands("p1", "main", "running")

    async def later() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(10)
        assert stage.told.texts() == ["a", "b"]
        assert "ended" not in [e[0] for e in stage.told.all]
        stage.cluster.stands("p1", "main", "terminated")
        await following

    run(later())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_pod_that_is_gone_before_its_log_was_read_leaves_it_incomplete_and_says_why() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, DOWN], [GONE])

    async def gone() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(5)
        stage.cluster.pods["p1"] = GONE
        await following

    run(gone())
    assert stage.told.all[-1] == ("ended", "p1", "main", 1, False, GONE.message)


def test_a_log_that_does_not_end_does_not_keep_the_run() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, asyncio.Event()])
    stage.cluster.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 35
    assert stage.told.all[-1] == ("ended", "p1", "main", 1, False, "the run ended before the log did")


class Talkative(Cluster):
    """One whose containers write a line every half a second, forever."""

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        begun = asyncio.get_running_loop().time()
        for i in itertools.count():
            yield [entry(EPOCH + int(begun + i) * SECOND // 2, f"still here {i}")]
            await asyncio.sleep(0.5)


def test_a_log_that_never_falls_silent_does_not_keep_the_run_and_is_told_as_not_complete() -> None:
    stage = Stage()
    stage.cluster = Talkative()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1")
    stage.cluster.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 80
    assert stage.told.all[-1][3:] == (len(stage.told.texts()), False, "the run ended before the log did")


def test_a_bare_pod_that_lives_on_is_not_waited_for() -> None:
    stage = Stage()
    stage.cluster, stage.wanted = Talkative(), lambda kind, name: True
    stage.cluster.pod("p1", "")
    stage.cluster.nodes[-1]["info"] = [{"name": "Status Reason", "value": "Running"}]
    stage.cluster.stands("p1", "main", "running")

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 20
    assert stage.told.all[-1][3:] == (len(stage.told.texts()), False, "the run ended before the log did")


def test_an_argo_cd_that_does_not_answer_does_not_keep_the_run_either() -> None:
    stage = Stage()

    async def timed() -> float:
        following = asyncio.create_task(stage.follow(wait=20))
        await asyncio.sleep(10)
        stage.cluster.hangs = True
        began = asyncio.get_running_loop().time()
        await following
        return asyncio.get_running_loop().time() - began

    assert run(timed()) <= 10 + 60


def test_pods_that_run_side_by_side_are_no_attempts() -> None:
    for parallel, attempts in ((True, {1}), (False, {1, 2})):
        stage = Stage()
        stage.parallel = parallel
        stage.cluster.job("j1")
        for pod in ("p1", "p2", "p3"):
            stage.cluster.pod(pod, "j1", [A, LAST])
            stage.cluster.nodes[-1]["health"] = {"status": "Progressing" if pod == "p2" else "Degraded"}
        assert {e[3] for e in stage.followed() if e[0] == "started"} == attempts


def test_a_job_that_shows_only_when_the_operation_is_over_is_still_read() -> None:
    stage = Stage()

    async def late() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(10)
        stage.cluster.job("j1")
        stage.cluster.pod("p1", "j1", [A, LAST])
        await following

    run(late())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a")]


def test_the_stream_of_a_pod_that_has_ended_holds_nobody_up() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, asyncio.Event()], [A, B, LAST])
    assert stage.followed(wait=1) == [("appeared", "j1"), *whole("p1", "a", "b")]


def test_a_container_that_never_ran_has_no_log() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [LAST], initContainers=[{"name": "init"}])
    stage.cluster.streams["p1", "init"] = [[A, LAST]]
    stage.cluster.stands("p1", "main", "waiting", phase="Failed")
    stage.cluster.stands("p1", "init", "terminated", phase="Failed", code=1)
    assert stage.followed() == [
        ("appeared", "j1"),
        ("started", "p1", "init", 1),
        ("line", "p1", "init", "a"),
        ("ended", "p1", "init", 1, True, ""),
    ]


def test_a_hook_that_has_failed_is_read_from_its_first_line() -> None:
    stage = Stage()
    stage.cluster.job("j1", name="create-topic")
    stage.cluster.pod("p1", "j1", [A, LAST])
    failed: list[str] = []
    stage.wanted = lambda kind, name: name in failed

    async def fails() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(10)
        assert stage.told.all == [("appeared", "j1")]
        failed.append("create-topic")
        await following

    run(fails())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a")]


def test_a_bare_pod_is_read_where_it_is_wanted() -> None:
    for wanted, told in ((False, []), (True, whole("p1", "a"))):
        stage = Stage()
        stage.wanted = lambda kind, name, w=wanted: w and (kind, name) == ("Pod", "p1")  # type: ignore[misc]
        stage.cluster.pod("p1", "", [A, LAST])
        assert stage.followed() == [("appeared", "uid-p1"), *told]


def test_a_job_whose_pod_was_gone_before_it_was_seen_is_told_as_a_log_that_is_missing() -> None:
    stage = Stage()
    stage.ran = ["tests"]
    assert stage.followed(confirm="tests") == [
        ("ended", "", "", 0, False, "its pod was gone before it was read")
    ]


def test_attempts_are_counted_also_when_the_pod_of_the_first_is_gone() -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, LAST])

    async def retried() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(8)
        stage.cluster.nodes.pop()
        stage.cluster.pod("p2", "j1", [B, LAST])
        await following

    run(retried())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a"), *whole("p2", "b", attempt=2)]


# -- whose they are ----------------------------------------------------------------------------------------

TOPIC = "weather_1700000000_0a1b2c3d"
TRACKING = "argocd.argoproj.io/tracking-id"


def tracked(app: str, spec: Json | None = None) -> Json:
    """What is rendered for, or made by, this Application."""
    metadata = {"name": "tests", "annotations": {TRACKING: f"{app}:batch/Job:ns/tests"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec or {}}


def a_job(stage: Stage, app: str, spec: Json | None = None, **more: Any) -> None:
    made = tracked(app, spec)
    stage.cluster.job(
        "j1", metadata={"annotations": made["metadata"]["annotations"]}, spec=made["spec"], **more
    )
    stage.cluster.pod("p1", "j1", [A, LAST])


def test_a_job_of_another_application_is_never_read_and_never_appears() -> None:
    stage = Stage()
    stage.rendered = [tracked("weather")]
    a_job(stage, "team_other")
    assert stage.followed(confirm="tests") == [("stranger", "j1", "Application team/other")]
    assert stage.cluster.asked == []


def test_a_job_that_was_not_rendered_for_this_runs_topic_is_another_runs() -> None:
    stage = Stage()
    stage.topics, stage.rendered = [TOPIC], [tracked("weather", {"env": TOPIC})]
    a_job(stage, "weather", {"env": "weather_1600000000_ffffffff"})
    assert stage.followed(confirm="tests") == [("stranger", "j1", f"another run: it does not name {TOPIC}")]


def test_a_job_of_this_application_and_topic_is_ours() -> None:
    stage = Stage()
    stage.topics, stage.rendered = [TOPIC], [tracked("weather", {"env": TOPIC})]
    a_job(stage, "weather", {"env": TOPIC})
    assert stage.followed() == [("appeared", "j1"), *whole("p1", "a")]


LATER = "another operation, which came after this run's"


@pytest.mark.parametrize(
    ("created", "told"),
    [
        ("2024-01-01T00:00:20Z", [("appeared", "j1"), *whole("p1", "a")]),
        ("2024-01-01T00:00:21Z", [("stranger", "j1", LATER)]),
    ],
)
def test_a_job_that_was_made_after_our_operations_end_is_not_ours(created: str, told: list[Any]) -> None:
    stage = Stage()
    stage.cluster.runs("ours", phase="Succeeded", finishedAt="2024-01-01T00:00:20Z")
    a_job(stage, "weather", created=created)
    assert stage.followed() == told


def test_nor_is_it_asked_after_once_the_end_is_known() -> None:
    stage = Stage()
    a_job(stage, "weather", created="2024-01-01T00:00:21Z")
    assert stage.followed(until="2024-01-01T00:00:20Z", confirm="tests") == []
    assert "application" not in stage.cluster.calls


def test_a_job_that_is_seen_when_another_operation_has_begun_is_not_ours() -> None:
    """The next one may have made it: its state has taken the place of ours."""
    stage = Stage()
    stage.cluster.runs("theirs")
    a_job(stage, "weather")
    assert stage.followed(confirm="tests") == [("stranger", "j1", LATER)]


def test_a_job_that_was_made_anew_under_its_name_before_it_was_read_is_not_ours() -> None:
    stage = Stage()
    a_job(stage, "weather")
    made = stage.cluster.jobs["tests"]
    assert isinstance(made, dict)
    made["metadata"]["uid"] = "j2"
    assert stage.followed() == []
    assert (stage.logs.uids, stage.logs.strangers) == (set(), {})


@pytest.mark.parametrize(("owner", "whose"), [("other", "Application other"), ("weather", ""), ("", "")])
def test_a_former_job_is_anothers_only_where_it_says_so_whatever_topic_it_names(
    owner: str, whose: str
) -> None:
    async def asked() -> str:
        stage = Stage()
        rendered = Rendered([tracked("weather", {"topic": "mine"})], "ns", ["mine"])
        live = LiveTree(stage.cluster.client, APP)
        logs = JobLogs(stage.cluster.client, APP, live, (), stage.wanted, stage.told, rendered, "ours")
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
        stage = Stage()
        stage.rendered = [tracked("weather")]
        a_job(stage, "other")
        stage.cluster.nodes[0]["health"] = {"status": health}
        made = stage.cluster.jobs["tests"]
        assert isinstance(made, dict)
        made["status"] = {"conditions": conditions}
        live = LiveTree(stage.cluster.client, APP)
        rendered = Rendered(stage.rendered, "ns", ())
        logs = JobLogs(
            stage.cluster.client, APP, live, (), stage.wanted, stage.told, rendered, "ours", lambda job: False
        )
        logs.confirm("tests")
        await live.read()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(600):
                node, whose = await logs.displaced(stage.wanted)
        finally:
            await logs.close()
        assert (node.name, whose) == ("tests", "Application other")
        return asyncio.get_running_loop().time() - began

    if seconds is None:
        with pytest.raises(TimeoutError):
            run(displaced())
    else:
        assert seconds <= run(displaced()) < seconds + 6


def test_a_job_of_a_cronjob_is_no_hook_of_ours() -> None:
    stage = Stage()
    a_job(stage, "weather")
    stage.cluster.nodes[0]["parentRefs"] = [{"kind": "CronJob", "uid": "cron"}]
    assert stage.followed(confirm="tests") == []


@pytest.mark.parametrize("gone", [GONE, ApiError("show Job tests", 400, 3, "not found")])
def test_a_job_that_is_gone_before_it_was_read_is_not_said_to_be_ours(gone: Exception) -> None:
    stage = Stage()
    a_job(stage, "weather")
    stage.cluster.jobs["tests"] = gone
    assert stage.followed() == []


def test_whose_a_job_is_is_asked_again_where_argo_cd_did_not_answer() -> None:
    stage = Stage()
    a_job(stage, "weather")
    job = stage.cluster.jobs["tests"]
    stage.cluster.jobs["tests"] = DOWN

    async def back() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(8)
        assert stage.told.all == []
        stage.cluster.jobs["tests"] = job
        await following

    run(back())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a")]


def hook() -> ResourceResult:
    return ResourceResult(group="batch", version="v1", kind="Job", namespace="ns", name="tests")


def test_what_was_made_and_what_stood_in_its_place_is_known_to_the_verdict() -> None:
    for app, made, in_place in (("weather", True, ""), ("other", False, "Application other")):
        stage = Stage()
        stage.rendered = [tracked("weather")]
        a_job(stage, app)
        stage.followed()
        assert stage.logs.made("Job", "ns", "tests") is made
        assert stage.logs.in_place_of(hook()) == in_place
        assert [n.uid for n in stage.logs.jobs()] == (["j1"] if made else [])


@pytest.mark.parametrize(("app", "whose"), [("weather", ""), ("other", "Application other")])
@pytest.mark.parametrize("seen", [True, False])
def test_whose_the_live_job_of_a_hook_is_is_told_whether_it_was_seen_before_or_not(
    app: str, whose: str, seen: bool
) -> None:
    stage = Stage()
    stage.rendered = [tracked("weather")]
    a_job(stage, app)
    node = stage.cluster.nodes.pop(0)
    if seen:
        stage.cluster.nodes.insert(0, node)

    async def asked() -> str:
        await stage.follow()
        return await stage.logs.whose_is(hook(), "j1")

    assert run(asked()) == whose
    assert stage.logs.made("Job", "ns", "tests") is (not whose)
