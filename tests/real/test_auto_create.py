"""A broker that creates topics on demand, and a workload that goes on producing to the run's topic."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.faults import brokers
from tests.faults.brokers import Broker
from tests.real import support
from tests.real.cluster import Stack, eventually
from tests.real.support import TOPIC, Bench, Running

PRODUCER = """
import os, time
from confluent_kafka import Producer
topic = os.environ["TOPIC"]
producer = Producer({"bootstrap.servers": "SERVERS", "linger.ms": 0, "log_level": 0})
while True:
    if topic:
        producer.produce(topic, b"weather")
    producer.poll(0.05)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.broker(tmp_path_factory.mktemp("kafka"), auto_create_topics_enable="true") as made:
        yield made


@pytest.fixture
def bench(stack: Stack, own: Broker, tmp_path: Path) -> Iterator[Bench]:
    """A workload that writes to its topic for as long as it lives; a test that waits for the file `go`."""
    workload = support.deployment("workload", "", TOPIC=TOPIC)
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    script = PRODUCER.replace("SERVERS", own.plain)
    container |= {"image": "python", "command": ["sh", "-c", f"exec python -c {shlex.quote(script)}"]}
    checks = f"echo begun; until [ -e {tmp_path}/go ]; do sleep 0.1; done"
    files = support.chart(workload, support.job("checks", checks, "PostSync", TOPIC=TOPIC))
    with support.bench(stack, tmp_path, files, name="live") as made:
        yield made


def start(bench: Bench, own: Broker, *arguments: str) -> Running:
    return bench.start(*arguments, environment={"KAFKA_BOOTSTRAP_SERVERS": own.plain})


def on_broker(bench: Bench, own: Broker) -> set[str]:
    """The run's topics that are there; asking for all of them makes none."""
    admin = AdminClient({"bootstrap.servers": own.plain, "allow.auto.create.topics": False})
    return {t for t in admin.list_topics(timeout=15).topics if t.startswith(bench.prefix)}


def only_quiet_pods(bench: Bench) -> bool:
    """Whether the workload is off the topic: one pod, and not on its way out."""
    pods = bench.stack.objects("pods", bench.app.namespace, "app=workload")
    envs = [c["env"] for p in pods for c in p["spec"]["containers"]]
    return len(pods) == 1 and envs == [[{"name": "TOPIC"}]]


def test_settling_takes_the_workload_off_the_topic_before_it_is_deleted(bench: Bench, own: Broker) -> None:
    (bench.folder / "go").touch()
    with bench.as_it_was(), start(bench, own) as run:
        code = run.end()
    assert code == 0, str(run)
    assert only_quiet_pods(bench)
    assert on_broker(bench, own) == set()
    assert run.all("left_behind") == []


def test_a_workload_that_stays_on_the_topic_brings_it_back_and_that_is_told(
    bench: Bench, own: Broker
) -> None:
    (bench.folder / "go").touch()
    before = bench.before()
    with start(bench, own, "--no-settle") as run:
        code = run.end()
    assert code == 10, str(run)
    assert bench.app.spec == before.spec
    (topic,) = on_broker(bench, own)
    left = [e for e in run.all("left_behind") if e["what"] == f"topic {topic}"]
    assert [e["command"] for e in left] == [
        f"kafka-topics --bootstrap-server {own.plain} --delete --if-exists --topic '{topic}([-._].*)?'"
    ], str(run)
    assert "came back" in left[0]["why"]
    assert "the broker creates topics on demand" in left[0]["why"]


def test_a_canceled_run_tells_of_every_topic_that_comes_back(bench: Bench, own: Broker) -> None:
    """In a hurry the topic goes before the workload has left it."""
    before = bench.before()
    with start(bench, own) as run:
        run.until("log_line", text="begun")
        run.send(signal.SIGINT)
        code = run.end()
    assert code == 130, str(run)
    assert bench.app.spec == before.spec
    assert support.RECORD not in bench.app.annotations
    (topic,) = [e["topic"] for e in run.all("topic_created")]
    again = f"topic {topic} came back after its deletion; deleting it again"
    assert again in [e["text"] for e in run.all("notice")], str(run)
    bench.app.wait_operation()
    eventually(lambda: only_quiet_pods(bench), 60, "the workload is off the topic")
    assert on_broker(bench, own) <= left_topics(run), str(run)


@pytest.mark.parametrize("times", [1, 2])
def test_a_canceled_run_that_leaves_its_workload_on_the_topic_tells_of_it(
    bench: Bench, own: Broker, times: int
) -> None:
    """Canceled once, it has tried without success; canceled twice, it has not tried for long."""
    before = bench.before()
    with start(bench, own, "--no-settle") as run:
        run.until("log_line", text="begun")
        run.send(signal.SIGINT)
        if times == 2:
            run.until("undone", what="parameters put back")
            run.send(signal.SIGTERM)
        code = run.end()
    assert code == 130, str(run)
    assert bench.app.spec == before.spec
    (topic,) = eventually(lambda: on_broker(bench, own), 10, "the workload brings it back")
    assert left_topics(run) == {topic}, str(run)


def left_topics(run: Running) -> set[str]:
    """The topics that are told to be left, each with the command that deletes it."""
    commands = [e["command"] for e in run.all("left_behind") if e["what"].startswith("topic ")]
    assert all(c.startswith("kafka-topics --bootstrap-server ") and "--delete" in c for c in commands)
    return {shlex.split(c)[-1].removesuffix("([-._].*)?") for c in commands}
