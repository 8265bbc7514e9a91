"""Two whole runs as events, for every reporter's tests."""

from __future__ import annotations

import dataclasses

import pytest

from argorun.events import (
    Event,
    HookChanged,
    HookStatus,
    LeftBehind,
    LogEnded,
    LogLines,
    LogStarted,
    Notice,
    OperationChanged,
    ParameterSet,
    ResourceChanged,
    RunEnded,
    RunStarted,
    Step,
    StepEnded,
    StepStarted,
    SyncStarted,
    TopicCreated,
    Undone,
    Verdict,
    Waiting,
)

T = 1767225600.0
TOPIC = "weather_updates_1767225600_0badcafe"
URL = "https://argocd.example.com/applications/argocd/weather"
JOB = "run-automation-tests-job"
POD = "run-automation-tests-job-x7k2p"


def _step(step: Step, start: float, seconds: float, *, detail: str = "", ok: bool = True) -> list[Event]:
    return [
        StepStarted(time=T + start, step=step),
        StepEnded(time=T + start + seconds, step=step, ok=ok, seconds=seconds, detail=detail),
    ]


def _hook(at: float, phase: str, name: str, status: HookStatus, seconds: float, message: str = "") -> Event:
    return HookChanged(
        time=T + at,
        hook=phase,
        kind="Job",
        name=name,
        namespace="weather",
        status=status,
        message=message,
        required=name == JOB,
        seconds=seconds,
    )


def _line(at: float, text: str) -> Event:
    return LogLines(
        time=T + at,
        job=JOB,
        pod=POD,
        container="tests",
        attempt=1,
        stamps=("2026-01-01T00:00:05.000000001Z",),
        texts=(text,),
    )


def _until_the_test_runs() -> list[Event]:
    return [
        RunStarted(time=T, run_id="0badcafe", application="weather", url=URL, version="0.1.0"),
        *_step(Step.PLAN, 0.0, 0.1),
        *_step(Step.PREFLIGHT, 0.1, 0.3),
        StepStarted(time=T + 0.4, step=Step.TOPICS, detail=TOPIC),
        TopicCreated(time=T + 1.2, topic=TOPIC, partitions=1, replication_factor=3, seconds=0.8),
        StepEnded(time=T + 1.2, step=Step.TOPICS, ok=True, seconds=0.8),
        StepStarted(time=T + 1.2, step=Step.PARAMETERS),
        Waiting(time=T + 1.3, step=Step.PARAMETERS, reason="another operation runs, started by ci"),
        ParameterSet(time=T + 3.2, place="helm: kafka.topic", value=TOPIC, original="weather"),
        StepEnded(time=T + 3.2, step=Step.PARAMETERS, ok=True, seconds=2.0),
        StepStarted(time=T + 3.2, step=Step.SYNC),
        SyncStarted(time=T + 3.4, run_id="0badcafe", revision="53e28ff"),
        StepEnded(time=T + 3.4, step=Step.SYNC, ok=True, seconds=0.2),
        StepStarted(time=T + 3.4, step=Step.FOLLOW),
        OperationChanged(time=T + 3.5, phase="Running", message="waiting for hook create-schema"),
        _hook(3.5, "PreSync", "create-schema", HookStatus.RUNNING, 0.0),
        _hook(6.6, "PreSync", "create-schema", HookStatus.SUCCEEDED, 3.1),
        ResourceChanged(
            time=T + 7,
            kind="Deployment",
            name="weather",
            namespace="weather",
            status="Synced",
            message="deployment.apps/weather configured",
        ),
        _hook(8.0, "PostSync", JOB, HookStatus.RUNNING, 0.0),
        StepStarted(time=T + 8, step=Step.LOGS),
        LogStarted(time=T + 8, job=JOB, pod=POD, container="tests", attempt=1),
        _line(9.0, "collected 2 items"),
    ]


def _until_all_is_undone(start: float) -> list[Event]:
    return [
        StepStarted(time=T + start, step=Step.CLEANUP),
        Undone(time=T + start + 0.4, what="helm: kafka.topic = weather", seconds=0.4),
    ]


def _log_end(at: float, lines: int) -> list[Event]:
    return [
        LogEnded(time=T + at, job=JOB, pod=POD, container="tests", attempt=1, lines=lines, complete=True),
        StepEnded(time=T + at, step=Step.LOGS, ok=True, seconds=at - 8),
    ]


@pytest.fixture
def green() -> list[Event]:
    """The tests pass and nothing is left."""
    return [
        *_until_the_test_runs(),
        _line(10.0, "test_rain.py ..  [100%]"),
        *_log_end(20.0, 2),
        _hook(20.0, "PostSync", JOB, HookStatus.SUCCEEDED, 12.0),
        OperationChanged(time=T + 20, phase="Succeeded", message="successfully synced"),
        StepEnded(time=T + 20, step=Step.FOLLOW, ok=True, seconds=16.6),
        Verdict(time=T + 20, ok=True, exit_code=0, title="1 test Job passed", url=URL),
        *_until_all_is_undone(20.0),
        Undone(time=T + 21, what=f"topic {TOPIC}", seconds=0.5),
        StepEnded(time=T + 21, step=Step.CLEANUP, ok=True, seconds=1.0),
        RunEnded(time=T + 21, exit_code=0, seconds=21.0),
    ]


@pytest.fixture
def red() -> list[Event]:
    """A test fails, and then Kafka is gone when the topic is to be deleted."""
    return [
        *_until_the_test_runs(),
        _line(10.0, "\x1b[31mtest_rain.py F.\x1b[0m  [100%]"),
        _line(10.1, "::error::not a command"),
        *_log_end(70.0, 3),
        _hook(70.0, "PostSync", JOB, HookStatus.FAILED, 62.0, "Job has reached the specified backoff limit"),
        OperationChanged(time=T + 70, phase="Failed", message="one or more hooks failed"),
        StepEnded(time=T + 70, step=Step.FOLLOW, ok=False, seconds=66.6),
        Verdict(
            time=T + 70,
            ok=False,
            exit_code=1,
            title=f"{JOB} failed",
            reason="Job has reached the specified backoff limit\n##[error]exit code 1",
            hint="read the test's log above",
            last_lines=(
                "    assert rain == 3",
                "\x1b[31mE   AssertionError\x1b[0m",
                "::error::not a command",
            ),
            url=URL,
        ),
        *_until_all_is_undone(70.0),
        Notice(time=T + 71, level="warning", text="Kafka does not answer"),
        LeftBehind(
            time=T + 80,
            what=f"topic {TOPIC}",
            why="Kafka cannot be reached",
            command=f"kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic {TOPIC}",
        ),
        StepEnded(time=T + 80, step=Step.CLEANUP, ok=False, seconds=10.0),
        RunEnded(time=T + 80, exit_code=1, seconds=80.0),
    ]


@pytest.fixture
def secretive() -> Event:
    """An event with text in every kind of field."""
    return Verdict(
        time=T, ok=False, exit_code=1, title="t", reason="r", hint="h", last_lines=("a", "b"), url="u"
    )


@pytest.fixture
def line() -> LogLines:
    event = _line(1.0, "text")
    assert isinstance(event, LogLines)
    return dataclasses.replace(event)
