"""One instance's log: every line once and in order, however often its stream breaks or stalls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argorun.argocd.logs.container import SILENCE, SILENCE_AFTER, ContainerLog
from argorun.argocd.logs.cursor import sortable
from argorun.argocd.types import LogEntry
from tests.unit.argocd.containers import (
    EPOCH,
    GONE,
    LAST,
    SECOND,
    TESTS,
    A,
    B,
    Cluster,
    RecordingListener,
    entry,
    stamped,
)
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.virtual import run

C = entry(EPOCH + 2 * SECOND, "c")


class Kubelet(FakeArgoCD):
    """A container's log, and the streams that will be cut out of it; a stream's entries come in batches."""

    def __init__(self, log: list[tuple[int, str]], logged: RecordingListener, batch: int = 1) -> None:
        super().__init__()
        self.log, self.logged, self.batch = log, logged, batch
        self.streams: list[tuple[int, int, str]] = []
        self.asked: list[dict[str, str]] = []
        self.there = len(log)

    async def logs(
        self, app: object, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        self.asked.append(extra)
        offset, stop, end = -5 * SECOND, self.there, "last"
        if "tailLines" not in extra and self.streams:
            offset, stop, end = self.streams.pop(0)
        shown = self.log[:stop]
        if "sinceSeconds" in extra:
            newest = max(t for t, _ in self.log[: len(self.logged.stamped)])
            shown = [(t, text) for t, text in shown if t >= newest + offset]
        if "tailLines" in extra:
            shown = shown[-int(extra["tailLines"]) :]
        entries = [entry(t, text) for t, text in shown] + ([LAST] if end == "last" else [])
        for at in range(0, len(entries), self.batch):
            yield entries[at : at + self.batch]
        if end == "stalled":
            await asyncio.Event().wait()
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
        st.sampled_from(["broken", "ended", "last", "stalled"]),
    ),
    max_size=8,
)


@settings(max_examples=500)
@given(LOGS, STREAMS, st.integers(1, 5))
def test_every_line_is_reported_once_and_in_order_however_the_streams_are_cut_or_stall(
    steps: list[tuple[int, int, str]], streams: list[tuple[int, int, str]], batch: int
) -> None:
    log, now = [], EPOCH
    for step, back, text in steps:
        now += step
        log.append((now - back, text))
    logged = RecordingListener()
    kubelet = Kubelet(log, logged, batch)
    reached = 0
    for offset, stop, end in streams:
        reached = max(reached, stop)  # a log does not shrink
        kubelet.streams.append((offset, reached, end))
    reader = ContainerLog(kubelet, APP, TESTS, logged)
    wanted = [(sortable(stamped(t)), text) for t, text in log]

    async def read() -> None:
        ended = asyncio.Event()
        ended.set()
        for _ in range(len(streams)):
            await reader.follow(ended)
            assert logged.stamped == wanted[: len(logged.stamped)]
        await reader.finish()

    run(read())
    assert logged.stamped == wanted
    assert (reader.lines, reader.complete) == (len(log), True)


@pytest.mark.parametrize("end", ["broken", "ended", "last"])
def test_a_resumed_stream_that_begins_too_late_is_read_again_from_the_first_line(end: str) -> None:
    logged = RecordingListener()
    kubelet = Kubelet([(EPOCH, "a"), (EPOCH + SECOND, "missed"), (EPOCH + 9 * SECOND, "b")], logged)
    kubelet.streams = [(0, 1, "ended"), (5 * SECOND, 3, end)]
    reader = ContainerLog(kubelet, APP, TESTS, logged)

    async def read() -> list[bool]:
        return [await reader.read(follow="true") for _ in range(3)]

    assert run(read()) == [False, False, True]
    assert logged.texts() == ["a", "missed", "b"]
    assert ["sinceSeconds" in asked for asked in kubelet.asked] == [False, True, False]


def test_a_resumed_stream_asks_for_the_time_since_the_newest_line_and_some_more() -> None:
    logged = RecordingListener()
    kubelet = Kubelet([(EPOCH, "a")], logged)
    kubelet.streams = [(0, 1, "ended"), (-SECOND, 1, "ended")]
    reader = ContainerLog(kubelet, APP, TESTS, logged)

    async def read() -> None:
        for _ in range(3):
            await reader.read(follow="true")
            await asyncio.sleep(30.2)

    run(read())
    # The repeated line is no newer for being seen again.
    assert kubelet.asked == [
        {"follow": "true"},
        {"follow": "true", "sinceSeconds": "36"},
        {"follow": "true", "sinceSeconds": "66"},
    ]


def test_a_failure_to_open_a_log_is_a_state_and_no_output() -> None:
    logged = RecordingListener()
    argocd = Cluster()
    waiting = LogEntry(
        content="container main is waiting to start: ContainerCreating", time_stamp_str="0001-01-01"
    )
    argocd.streams["tests-x", "main"] = [[waiting, LAST], [A, LAST]]
    reader = ContainerLog(argocd.client, APP, TESTS, logged)
    assert (run(reader.read(follow="true")), reader.state, logged.all) == (False, waiting.content, [])
    assert (run(reader.read(follow="true")), reader.state) == (True, "")
    assert logged.texts() == ["a"]


def read_from(cluster: Cluster, *, ended: bool = False) -> tuple[ContainerLog, RecordingListener, float]:
    """The reader after one stream of the container, who listened, and for how many seconds it was read."""
    logged = RecordingListener()
    reader = ContainerLog(cluster.client, APP, TESTS, logged)

    async def follow() -> float:
        over = asyncio.Event()
        if ended:
            over.set()
        began = asyncio.get_running_loop().time()
        await reader.follow(over)
        return asyncio.get_running_loop().time() - began

    return reader, logged, run(follow())


def test_a_stream_that_stalls_is_noticed_by_a_look_at_the_logs_end() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, asyncio.Event()], [A, B, LAST]]
    reader, logged, seconds = read_from(cluster)
    assert (logged.texts(), reader.reason, seconds) == (["a"], "the stream stalled", SILENCE)
    assert cluster.asked == [{"follow": "true"}, {"tailLines": "10"}]
    run(reader.follow(asyncio.Event()))
    assert (logged.texts(), reader.complete) == (["a", "b"], True)


def test_a_container_that_has_nothing_to_say_keeps_its_stream() -> None:
    cluster, speaks = Cluster(), asyncio.Event()
    cluster.streams["tests-x", "main"] = [[A, speaks, B, LAST], [A, LAST]]
    logged = RecordingListener()
    reader = ContainerLog(cluster.client, APP, TESTS, logged)

    async def follow() -> None:
        following = asyncio.create_task(reader.follow(asyncio.Event()))
        await asyncio.sleep(3.5 * SILENCE)
        speaks.set()
        await following

    run(follow())
    assert (logged.texts(), reader.complete) == (["a", "b"], True)
    assert [how for how in cluster.asked if "follow" in how] == [{"follow": "true"}]
    assert len(cluster.asked) == 1 + 3


def test_the_stream_of_a_container_that_has_ended_is_not_waited_for() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, asyncio.Event()], [A, B, LAST]]
    reader, logged, seconds = read_from(cluster, ended=True)
    assert seconds == SILENCE_AFTER
    run(reader.finish())
    assert (logged.texts(), reader.complete) == (["a", "b"], True)


def test_a_log_that_was_read_to_its_end_costs_one_look_more() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, B, LAST]]
    reader, logged, _ = read_from(cluster)
    run(reader.finish())
    assert cluster.asked == [{"follow": "true"}, {"tailLines": "10"}]
    assert (logged.texts(), reader.complete) == (["a", "b"], True)


def test_a_stream_that_ended_too_early_is_completed_when_the_container_has_ended() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, LAST], [A, B, C, LAST]]
    reader, logged, _ = read_from(cluster)
    run(reader.finish())
    assert (logged.texts(), reader.complete) == (["a", "b", "c"], True)


def test_lines_that_were_rotated_away_are_missing() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, DOWN], [C, LAST]]
    reader, logged, _ = read_from(cluster)
    run(reader.finish())
    reader.end()
    assert logged.all == [
        ("started", "tests-x", "main", 1),
        ("line", "tests-x", "main", "a"),
        ("line", "tests-x", "main", "c"),
        ("ended", "tests-x", "main", 2, False, "the log was rotated before it was read"),
    ]


def test_a_log_that_cannot_be_read_says_why() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, DOWN], [GONE]]
    reader, logged, _ = read_from(cluster)
    assert reader.reason == DOWN.message
    run(reader.finish())
    reader.end()
    assert logged.all[-1] == ("ended", "tests-x", "main", 1, False, GONE.message)


def test_the_instance_before_is_reported_to_its_end() -> None:
    cluster = Cluster()
    cluster.streams["tests-x", "main"] = [[A, DOWN]]
    cluster.previous["tests-x", "main"] = [A, B, LAST]
    reader, logged, _ = read_from(cluster)
    assert run(reader.read_previous())
    assert (logged.texts(), reader.complete) == (["a", "b"], True)


def test_a_last_read_that_stalls_is_tried_again() -> None:
    cluster, stalls = Cluster(), asyncio.Event()
    cluster.streams["tests-x", "main"] = [[A, DOWN], [A, B, stalls], [stalls], [A, B, C, LAST]]
    reader, logged, _ = read_from(cluster)
    run(reader.finish())
    assert (logged.texts(), reader.complete) == (["a", "b", "c"], True)
