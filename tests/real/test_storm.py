"""Two runs on one Application, stopped, signalled and killed at any moment, their requests arriving late.

ARGORUN_STORM says how many rounds (default 2); ARGORUN_STORM_SEED gives the same moments again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.real import support
from tests.real.cluster import Stack, eventually
from tests.real.delaying import Delaying
from tests.real.support import RECORD, TOPIC, Before, Bench, Running

ROUNDS = int(os.environ.get("ARGORUN_STORM", "2"))
SEED = int(os.environ.get("ARGORUN_STORM_SEED", "0")) or time.time_ns() % 1_000_000
LENGTH = 10.0  # seconds that a run takes, or somewhat more
LIMITS = {"run": "30s", "busy": "60s", "cleanup": "20s"}
FOREIGN = "storm-foreign"  # a consumer group that only looks like the runs'
INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
STOP, CONT = signal.SIGSTOP, signal.SIGCONT

Deed = tuple[tuple[float, signal.Signals], ...]  # signals, each so many seconds after the one before


def deed(chance: random.Random) -> Deed:
    """What is done to one run."""
    at = chance.uniform(0.3, LENGTH * 1.2)
    deeds: list[Deed] = [
        (),
        ((at, INT),),
        ((at, TERM),),
        ((at, INT), (7.5, TERM), (2.5, KILL)),
        ((at, KILL),),
        ((at, STOP), (chance.uniform(0.5, 8), CONT)),
        # Its record says that it is dead by then.
        ((at, STOP), (chance.uniform(52, 60), CONT)),
        ((at, STOP), (chance.uniform(1, 55), CONT), (chance.uniform(0, 3), INT)),
    ]
    return chance.choice(deeds)


class Struck:
    """A run, with what is done to it, in a thread of its own."""

    def __init__(self, bench: Bench, after: float, what: Deed, server: str) -> None:
        self._bench, self._after, self.deed, self._server = bench, after, what, server
        self.run: Running | None = None
        self.code: int | None = None
        self.thread = threading.Thread(target=self._go)
        self.thread.start()

    def _go(self) -> None:
        time.sleep(self._after)
        topics = [{"prefix": self._bench.prefix, "parameter": "kafka.topic", "groups": "storm-"}]
        config = self._bench.config(topics=topics, timeouts=LIMITS)
        with self._bench.start(config=config, environment={"ARGOCD_SERVER": self._server}) as self.run:
            for seconds, signum in self.deed:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.run.process.wait(seconds)
                    break
                self.run.send(signum)
            self.code = self.run.end(200)

    @property
    def was_killed(self) -> bool:
        return self.code == -KILL

    @property
    def topics(self) -> set[str]:
        """Its topics: each that it may have made."""
        assert self.run is not None
        started = self.run.all("step_started", step="topics")
        return {e["detail"] for e in started}

    @property
    def left(self) -> str:
        assert self.run is not None
        return " ".join(e["what"] for e in self.run.all("left_behind"))

    def __str__(self) -> str:
        sent = ", ".join(f"+{s:.1f} {n.name}" for s, n in self.deed) or "undisturbed"
        return f"after {self._after:.1f} s: {sent}: exit {self.code}\n{self.run}"


@pytest.fixture
def bench(stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    checks = support.job("checks", "echo on $TOPIC; sleep 1", "PostSync", TOPIC=TOPIC)
    hook = support.configmap("prepared", topic=TOPIC)
    hook["metadata"]["annotations"] = {
        "argocd.argoproj.io/hook": "PreSync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    }
    files = support.chart(
        support.configmap("settings", topic=TOPIC),
        support.configmap("of-{{ .Values.kafka.topic | default `nobody` | replace `_` `-` }}", a="b"),
        support.deployment("workload", TOPIC=TOPIC),
        support.deployment("reader", TOPIC=support.key_of("settings", "topic")),
        hook,
        checks,
    )
    with support.bench(stack, tmp_path, files, name="storm") as made:
        yield made


@pytest.fixture
def foreign(stack: Stack, bench: Bench) -> Iterator[tuple[str, str]]:
    """Somebody else's topic, and a group that has an offset in it."""
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    topic, group = f"storm_{bench.app.name}", f"{FOREIGN}-{bench.app.name}"
    admin = AdminClient({"bootstrap.servers": stack.kafka, "allow.auto.create.topics": False})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    at = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])]

    def committed() -> bool:
        with contextlib.suppress(KafkaException):  # until the new topic has a leader
            altered = admin.alter_consumer_group_offsets(at)[group].result(10)
            return all(p.error is None for p in altered.topic_partitions) and group in stack.groups(group)
        return False

    eventually(committed, 30, "the foreign group's offset")
    yield topic, group
    admin.delete_consumer_groups([group])[group].result(30)
    admin.delete_topics([topic])[topic].result(30)


def test_what_befalls_two_runs_leaves_nothing_but_what_they_say(
    bench: Bench, foreign: tuple[str, str], stack: Stack
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds")
    before, found, codes = bench.before(), list[str](), list[int | None]()
    with Delaying(stack.server, chance, share=0.02, longest=12.0).up() as proxy:
        for n in range(ROUNDS):
            servers = [chance.choice((stack.server, proxy.address)) for _ in range(2)]
            starts = 0.0, chance.choice((0.0, chance.uniform(0, LENGTH), chance.uniform(40, 60)))
            runs = [Struck(bench, s, deed(chance), server) for s, server in zip(starts, servers, strict=True)]
            for struck in runs:
                struck.thread.join()
            codes += [struck.code for struck in runs]
            flaws = [*wrong(bench, before, runs)]
            flaws += made_clean(bench, before, runs)
            topic, group = foreign
            if topic not in stack.topics("storm_") or group not in stack.groups(FOREIGN):
                flaws.append("somebody else's topic or group is gone")
            if flaws:
                told = "\n\n".join(map(str, runs))
                found.append(f"round {n}:\n" + "\n".join(flaws) + f"\n{told}")
                print(found[-1])
            print(f"round {n}: {[str(s).partition(chr(10))[0] for s in runs]} {len(flaws)} flaws", flush=True)
        print(f"{len(proxy.held)} requests were late, at most {max(proxy.held, default=0):.1f} s")
    print(f"exit codes {sorted(codes, key=str)}")
    assert not found, f"seed {SEED}\n" + "\n\n".join(found)


def wrong(bench: Bench, before: Before, runs: Sequence[Struck]) -> Iterator[str]:
    """What is left and was not said, or was said and is not true."""
    eventually(lambda: not bench.app.running or any(r.was_killed for r in runs), 90, "the settling's end")
    for struck in runs:
        yield from wrong_of(struck)
    if any(r.was_killed for r in runs):
        return  # the sweep tells
    left = " ".join(r.left for r in runs)
    if unnamed := {t for t in bench.topics() if t not in left}:
        yield f"topics are left and not named: {unnamed}"
    if "the parameters" not in left and bench.app.spec != before.spec:
        yield f"the spec is {bench.app.spec}"
    if RECORD in bench.app.annotations and not left:
        yield f"a record is left and not named: {bench.app.annotations[RECORD]}"
    for what in naming(bench, runs):
        if what not in left and "the workloads' settings" not in left:
            yield f"{what} names a topic and is not named"


def wrong_of(struck: Struck) -> Iterator[str]:
    run = struck.run
    assert run is not None
    signals = {-KILL, 130, 143}
    if struck.code not in {0, 3, 4, 5, 7, 8, 10} | signals:
        yield f"exit {struck.code}"
    if struck.code == 0 and struck.left:
        yield f"exit 0, and left {struck.left}"
    if struck.code == 10 and not struck.left:
        yield "exit 10, and nothing is left"
    lines = {e["text"] for e in run.all("log_line") if e["text"].startswith("on ")}
    if lines - {f"on {topic}" for topic in struck.topics}:
        yield f"lines of another's log: {lines}, and not of {struck.topics}"
    if struck.code == 0 and not lines and all(e["complete"] for e in run.all("log_ended")):
        yield "exit 0 without a line of its test, and it does not say that a log is incomplete"
    if "Traceback" in str(run):
        yield "a traceback"


def naming(bench: Bench, runs: Sequence[Struck]) -> set[str]:
    """The live objects, hooks' Jobs and pods aside, that name a topic of these runs."""
    names = {spelled for r in runs for t in r.topics for spelled in (t, t.replace("_", "-"))}
    return {what for what, text in live(bench).items() if any(name in text for name in names)}


def live(bench: Bench) -> dict[str, str]:
    """The live ConfigMaps and Deployments as text, without what kubectl has noted for itself."""
    found = {}
    for o in (
        o for kind in ("configmaps", "deployments") for o in bench.stack.objects(kind, bench.app.namespace)
    ):
        (o["metadata"].get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
        found[f"{o['kind']} {o['metadata']['name']}"] = json.dumps(o)
    return found


def made_clean(bench: Bench, before: Before, runs: Sequence[Struck]) -> Iterator[str]:
    """The commands that the runs gave, and a sweep for one that was killed, take back what is left."""
    for struck in runs:
        assert struck.run is not None
        for left in struck.run.all("left_behind"):
            try:
                if left["command"]:
                    bench.by_hand(left["command"])
            except AssertionError as e:
                if "test failed" not in str(e):  # a patch that came late has done it meanwhile
                    yield f"by hand: {e}"
    if RECORD in bench.app.annotations:
        bench.expire()
    swept = bench.sweep("--older-than", "0s")
    if swept.code != 0:
        yield f"the sweep: {swept}"
    try:
        support.nothing_left(bench, before)
    except AssertionError as e:
        yield f"after the sweep: {e}"
    for what, text in live(bench).items():
        if bench.prefix in text or bench.prefix.replace("_", "-") in text:
            yield f"after the sweep: {what} names a topic"
