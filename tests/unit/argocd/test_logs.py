"""A test Job's log: live, every line once and in order, and never a line of the run before."""

from __future__ import annotations

import asyncio
import copy
import datetime
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argorun.argocd import logs
from argorun.argocd.answers import Denied
from argorun.argocd.logs import Container, JobLogs, Listener, Position, Reader, sortable
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import LogEntry, Node, Tree
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
TESTS = Container("tests", "ns", "tests-x", "main", 1)
LAST = LogEntry(last=True, time_stamp_str="0001-01-01T00:00:00Z")


def stamped(nanoseconds: int) -> str:
    """RFC 3339 as Go writes it: no zeros at the end."""
    seconds, rest = divmod(nanoseconds, SECOND)
    head = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return head + f".{rest:09d}".rstrip("0").rstrip(".") + "Z"


def entry(nanoseconds: int, text: str) -> LogEntry:
    return LogEntry(content=text, time_stamp_str=stamped(nanoseconds), pod_name="tests-x")


class Told(Listener):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.all: list[tuple[object, ...]] = []

    def appeared(self, job: Node) -> None:
        self.all.append(("appeared", job.uid))

    def started(self, container: Container) -> None:
        self.all.append(("started", container.pod, container.name, container.attempt))

    def line(self, container: Container, stamp: str, text: str) -> None:
        self.lines.append((stamp, text))
        self.all.append(("line", container.pod, container.name, text))

    def ended(self, container: Container, lines: int, complete: bool, reason: str) -> None:
        self.all.append(("ended", container.pod, container.name, lines, complete, reason))


# -- one container's log, however often its stream breaks -------------------------------------------------


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_stamps_sort_as_the_times_they_stand_for(a: int, b: int) -> None:
    a, b = EPOCH + a % (10**6 * SECOND), EPOCH + b % (10**6 * SECOND)
    assert (sortable(stamped(a)) < sortable(stamped(b))) == (a < b)
    assert (sortable(stamped(a)) == sortable(stamped(b))) == (a == b)


class Kubelet:
    """A container's log, and the streams that will be cut out of it."""

    patience = 10.0

    def __init__(self, log: list[tuple[int, str]], told: Told) -> None:
        self.log, self.told = log, told
        self.streams: list[tuple[int, int, str]] = []
        self.asked: list[dict[str, str]] = []

    async def logs(self, app: object, pod: str, ns: str, name: str, **extra: str) -> AsyncGenerator[LogEntry]:
        self.asked.append(extra)
        offset, stop, end = self.streams.pop(0) if self.streams else (-5 * SECOND, len(self.log), "last")
        shown = self.log[:stop]
        if "sinceSeconds" in extra:
            newest = max(t for t, _ in self.log[: len(self.told.lines)])
            shown = [(t, text) for t, text in shown if t >= newest + offset]
        for t, text in shown:
            yield entry(t, text)
        if end == "last":
            yield LAST
        elif end == "broken":
            raise DOWN


# Steps of nothing (equal stamps), of some seconds, and a little back: two outputs, two writers.
STEPS = st.sampled_from([0, 0, 1, 400, 3 * SECOND, 100 * SECOND])
LOGS = st.lists(
    st.tuples(STEPS, st.sampled_from([0, 0, 0, 300, 1000]), st.sampled_from(["", "a", "b", "same"])),
    max_size=14,
)
# Where a resumed stream starts, from the newest line seen: earlier, or too late, which leaves a gap.
STREAMS = st.lists(
    st.tuples(
        st.sampled_from([-SECOND, -5 * SECOND, -200 * SECOND, 1, 3 * SECOND]),
        st.integers(0, 14),
        st.sampled_from(["broken", "ended", "last"]),
    ),
    max_size=8,
)


@settings(max_examples=500)
@given(LOGS, STREAMS)
def test_every_line_is_told_once_and_in_order_however_the_streams_are_cut(
    steps: list[tuple[int, int, str]], streams: list[tuple[int, int, str]]
) -> None:
    log, now = [], EPOCH
    for step, back, text in steps:
        now += step
        log.append((now - back, text))
    told = Told()
    kubelet = Kubelet(log, told)
    reached = 0
    for offset, stop, end in streams:
        reached = max(reached, stop)  # a log does not shrink
        kubelet.streams.append((offset, reached, end))
    reader = Reader(kubelet, APP, TESTS, told)  # type: ignore[arg-type]
    wanted = [(sortable(stamped(t)), text) for t, text in log]

    async def read() -> None:
        complete = False
        for _ in range(len(streams)):
            with_error = False
            try:
                await reader.read(follow=True)
            except type(DOWN):
                with_error = True
            assert told.lines == wanted[: len(told.lines)], with_error
        for _ in range(2):  # at most one of them finds a gap, and the other reads all
            complete = complete or await reader.read(follow=False)
        assert complete

    run(read())
    assert told.lines == wanted
    assert reader.lines == len(log)


@pytest.mark.parametrize("end", ["broken", "ended", "last"])
def test_a_resumed_stream_that_begins_too_late_is_read_again_from_the_first_line(end: str) -> None:
    told = Told()
    kubelet = Kubelet([(EPOCH, "a"), (EPOCH + SECOND, "missed"), (EPOCH + 9 * SECOND, "b")], told)
    kubelet.streams = [(0, 1, "ended"), (5 * SECOND, 3, end)]
    reader = Reader(kubelet, APP, TESTS, told)  # type: ignore[arg-type]

    async def read() -> list[bool]:
        return [await reader.read(follow=True) for _ in range(3)]

    assert run(read()) == [False, False, True]
    assert [text for _, text in told.lines] == ["a", "missed", "b"]
    assert ["sinceSeconds" in asked for asked in kubelet.asked] == [False, True, False]


def test_lines_with_one_stamp_and_one_text_are_still_so_many_lines() -> None:
    position = Position()
    assert [position.is_new("1") for _ in range(3)] == [True] * 3
    position.resume()
    assert [position.is_new("1") for _ in range(5)] == [False, False, False, True, True]


def test_a_line_that_is_stamped_a_little_earlier_than_the_one_before_it_is_not_lost() -> None:
    position = Position()
    assert [position.is_new(s) for s in ("5", "3", "5")] == [True] * 3
    position.resume()
    assert [position.is_new(s) for s in ("1", "5", "3", "5", "4", "6", "5")] == [False] * 4 + [True] * 3


def test_a_resumed_stream_asks_for_the_time_since_the_newest_line_and_some_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    told = Told()
    kubelet = Kubelet([(EPOCH, "a")], told)
    kubelet.streams = [(0, 1, "ended"), (-SECOND, 1, "ended")]
    reader = Reader(kubelet, APP, TESTS, told)  # type: ignore[arg-type]

    async def read() -> None:
        for _ in range(3):
            await reader.read(follow=True)
            now[0] += 30.2

    run(read())
    # The repeated line is no newer for being seen again.
    assert kubelet.asked == [
        {"follow": "true"},
        {"follow": "true", "sinceSeconds": "36"},
        {"follow": "true", "sinceSeconds": "66"},
    ]


def test_a_failure_to_open_a_log_is_a_state_and_no_output() -> None:
    told = Told()
    argocd = Cluster()
    waiting = LogEntry(
        content="container main is waiting to start: ContainerCreating", time_stamp_str="0001-01-01"
    )
    argocd.streams["tests-x", "main"] = [[waiting, LAST], [entry(EPOCH, "a"), LAST]]
    reader = Reader(argocd.client, APP, TESTS, told)
    assert (run(reader.read(follow=True)), reader.state, told.lines) == (False, waiting.content, [])
    assert (run(reader.read(follow=True)), reader.state) == (True, "")
    assert [text for _, text in told.lines] == ["a"]


# -- the Jobs of an operation -------------------------------------------------------------------------------


class Cluster(FakeArgoCD):
    """An Argo CD that also has a tree, pods and logs. A stream is entries, and what breaks or holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Json] = []
        self.pods: dict[str, Json | Exception] = {}
        self.streams: dict[tuple[str, str], list[list[LogEntry | Exception | asyncio.Event]]] = {}

    def job(self, uid: str, name: str = "tests", created: str = "2024-01-01T00:00:05Z") -> None:
        self.nodes.append({"kind": "Job", "namespace": "ns", "name": name, "uid": uid, "createdAt": created})

    def pod(
        self, name: str, job: str, *streams: list[Any], containers: tuple[str, ...] = ("main",), **more: Any
    ) -> None:
        parents = [{"kind": "Job", "uid": job}]
        node = {"kind": "Pod", "namespace": "ns", "name": name, "uid": f"uid-{name}", "parentRefs": parents}
        self.nodes.append(node | {"createdAt": name})
        spec = {"containers": [{"name": c} for c in containers], "restartPolicy": "Never"}
        self.pods[name] = {"spec": spec | more, "status": {"phase": "Succeeded"}}
        self.streams[name, containers[0]] = list(streams)

    async def tree(self, app: object) -> Tree:
        await asyncio.sleep(0)
        return msgspec.convert({"nodes": copy.deepcopy(self.nodes)}, Tree)

    async def live(self, app: object, group: str, version: str, kind: str, namespace: str, name: str) -> Json:
        await asyncio.sleep(0)
        pod = self.pods[name]
        if isinstance(pod, Exception):
            raise pod
        return pod

    async def logs(self, app: object, pod: str, ns: str, name: str, **extra: str) -> AsyncGenerator[LogEntry]:
        await asyncio.sleep(0)
        streams = self.streams[pod, name]
        for item in streams.pop(0) if len(streams) > 1 else streams[0]:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
            else:
                yield item


A, B = entry(EPOCH, "a"), entry(EPOCH + SECOND, "b")
GONE = Denied("show Pod", 404, "not found", "")


class Stage:
    """A cluster, and the logs of an operation in it that began at 00:00:05."""

    def __init__(self, *, before: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.cluster, self.told, self.before = Cluster(), Told(), before

    async def follow(
        self, *, confirm: str = "", since: str = "2024-01-01T00:00:05Z", wait: float = 20
    ) -> None:
        others = asyncio.all_tasks()
        live = LiveTree(self.cluster.client, APP)
        job_logs = JobLogs(self.cluster.client, APP, live, self.before, lambda j: j == "tests", self.told)
        if since:
            job_logs.operation_started(since)
        if confirm:
            job_logs.confirm(confirm)
        await live.read()
        await asyncio.sleep(wait)
        await job_logs.finish(15)
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
        assert len(stage.told.lines) == lines


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
    assert {e[2:] for e in told if e[0] == "line"} == {("main", "a"), ("init", "b")}


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
    stage.cluster.pods["p1"]["status"] = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}  # type: ignore[index]

    async def later() -> None:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(10)
        assert [text for _, text in stage.told.lines] == ["a", "b"]
        assert "ended" not in [e[0] for e in stage.told.all]
        terminated = {"name": "main", "state": {"terminated": {"exitCode": 0}}}
        stage.cluster.pods["p1"]["status"] = {"containerStatuses": [terminated]}  # type: ignore[index]
        await following

    run(later())
    assert stage.told.all == [("appeared", "j1"), *whole("p1", "a", "b")]


@pytest.mark.parametrize(
    ("policy", "exit_code", "over"), [("Never", 1, True), ("OnFailure", 1, False), ("OnFailure", 0, True)]
)
def test_a_container_that_will_be_started_again_has_not_ended(
    policy: str, exit_code: int, over: bool
) -> None:
    stage = Stage()
    stage.cluster.job("j1")
    stage.cluster.pod("p1", "j1", [A, LAST], restartPolicy=policy)
    terminated = {"name": "main", "state": {"terminated": {"exitCode": exit_code}}}
    stage.cluster.pods["p1"]["status"] = {"phase": "Running", "containerStatuses": [terminated]}  # type: ignore[index]

    async def watched() -> bool:
        following = asyncio.create_task(stage.follow())
        await asyncio.sleep(10)
        ended = ("ended", "p1", "main", 1, True, "") in stage.told.all
        await following
        return ended

    assert run(watched()) is over


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

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        await stage.follow(wait=20)
        return asyncio.get_running_loop().time() - began

    assert run(timed()) == 35
    assert stage.told.all[-1] == ("ended", "p1", "main", 1, False, "the run ended before the log did")


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
