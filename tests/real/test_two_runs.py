"""Two runs at once on one Application: one waits, and each tests its own topic."""

from __future__ import annotations

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import TOPIC, Running

# The workload's part and the test's in one: writes three messages that name the topic, reads all there are.
MESSAGES = """
import os
from confluent_kafka import Consumer, Producer
topic = os.environ["TOPIC"]
servers = {"bootstrap.servers": "kafka-broker:29092", "allow.auto.create.topics": False}
producer = Producer(servers)
for n in range(3):
    producer.produce(topic, f"{n} for {topic}")
producer.flush(30)
reading = {"group.id": topic, "auto.offset.reset": "earliest", "enable.partition.eof": True}
consumer = Consumer({**servers, **reading})
consumer.subscribe([topic])
while True:
    message = consumer.poll(30)
    if message is None or message.error():
        break
    print(message.value().decode(), flush=True)
consumer.close()
"""


def test_one_waits_and_says_so_and_each_has_its_own_messages(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checks = support.job("checks", MESSAGES, "PostSync", image="python", TOPIC=TOPIC)
    checks["spec"]["template"]["spec"]["containers"][0]["command"] = ["python3", "-c", MESSAGES]
    files = support.chart(
        support.configmap("settings", topic=TOPIC), support.deployment("workload", TOPIC=TOPIC), checks
    )
    with support.bench(stack, tmp_path_factory.mktemp("two"), files, name="two") as bench:
        with bench.as_it_was(), bench.start() as one, bench.start() as other:
            codes = [one.end(), other.end()]
        assert codes == [0, 0], f"{one}\n\n{other}"
        for run in (one, other):
            (topic,) = {e["topic"] for e in run.all("topic_created")}
            told = [e["text"] for e in run.all("log_line")]
            assert told == [f"{n} for {topic}" for n in range(3)], str(run)
        assert one.all("waiting") + other.all("waiting"), "one of them waited"
        first, second = sorted((one, other), key=sync_started)
        assert ended(first) <= sync_started(second), "they did not overlap"


def sync_started(run: Running) -> float:
    """When the operation began whose hooks were followed (one that took another's values is given up)."""
    return float(run.all("sync_started")[-1]["time"])


def ended(run: Running) -> float:
    return float(run.all("step_ended", step="follow")[0]["time"])
