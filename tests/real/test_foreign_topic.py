"""A topic that exists is nobody's to adopt: not used, not deleted."""

from __future__ import annotations

import subprocess
import sys

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import TOPIC, events_of

# argorun, but the first name that it draws is this one.
DRAWS = """
import sys
from argorun.__main__ import main
from argorun.kafka import names
draw, taken = names.draw, iter([sys.argv.pop(1)])
names.draw = lambda prefix, now: next(taken, None) or draw(prefix, now)
main()
"""


def test_another_name_is_drawn(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = support.chart(
        support.configmap("settings", topic=TOPIC),
        support.job("checks", "echo $TOPIC", "PostSync", TOPIC=TOPIC),
    )
    with support.bench(stack, tmp_path_factory.mktemp("foreign"), files, name="foreign") as bench:
        before = bench.before()
        theirs = f"{bench.prefix}_1700000000_0badcafe"
        properties: dict[str, str | int | float | bool] = {
            "bootstrap.servers": stack.kafka,
            "allow.auto.create.topics": False,
        }
        admin = AdminClient(properties)
        admin.create_topics([NewTopic(theirs, 1, 1)])[theirs].result(30)
        producer = Producer(properties)
        producer.produce(theirs, "theirs")
        assert producer.flush(30) == 0
        done = subprocess.run(
            [sys.executable, "-c", DRAWS, theirs, "run", "-f", str(bench.config()), "--output", "json"],
            cwd=bench.folder,
            env=bench.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        events = events_of(done.stdout)
        (ours,) = [e["topic"] for e in events if e["event"] == "topic_created"]
        assert ours != theirs
        assert [e["text"] for e in events if e["event"] == "log_line"] == [ours]
        assert any(theirs in e["text"] for e in events if e["event"] == "notice"), "it says so"
        assert bench.topics() == {theirs}
        assert support.messages(stack, theirs) == 1
        bench.tidy()
        support.nothing_left(bench, before)
