"""With auto-sync on the tests run once, on the run's topic, and nothing starts by itself afterwards."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack, eventually
from tests.real.support import TOPIC, Bench, Running

QUIET = 15.0  # seconds in which nothing may start: automated syncs came within 2 s
HEALING: Json = {"prune": True, "selfHeal": True}
PLAIN: Json = {}
PARAMETERS: dict[str, Json] = {
    "helm": {"helm": "kafka.topic"},
    "kustomize": {"kustomize": {"configmap": "topics", "key": "main"}},
}


@dataclasses.dataclass(frozen=True)
class AutoSyncedApplication:
    """An Application with auto-sync; its test Job does as the files `red` and `slow` say."""

    bench: Bench
    form: str
    folder: Path

    def start(self, *arguments: str) -> Running:
        topics = [{"prefix": self.bench.prefix, "parameter": PARAMETERS[self.form]}]
        return self.bench.start(*arguments, config=self.bench.config(topics=topics))

    def operation(self) -> Json:
        """The last operation, by what tells it from another."""
        state = self.bench.app.get()["status"]["operationState"]
        return {"startedAt": state["startedAt"], "operation": state["operation"]}

    def jobs(self) -> list[tuple[str, str]]:
        """The test Jobs in the cluster: uid and pods."""
        namespace = self.bench.app.namespace
        pods = self.bench.stack.objects("pods", namespace, "job-name=checks")
        return [
            (j["metadata"]["uid"], ",".join(sorted(p["metadata"]["uid"] for p in pods)))
            for j in self.bench.stack.objects("jobs", namespace)
        ]

    def stays_quiet(self, run: Running, tested: list[str]) -> None:
        """What the run tested was its topic, once; and for a while nobody starts anything."""
        (topic,) = [e["topic"] for e in run.all("topic_created")]
        assert [e["text"] for e in run.all("log_line")] == [line.replace("TOPIC", topic) for line in tested]
        before, jobs = self.operation(), self.jobs()
        assert not before["operation"].get("initiatedBy", {}).get("automated"), f"{before}\n{run}"
        assert [i["value"].partition("/")[0] for i in before["operation"]["info"]] == [run_id(run)], before
        self.bench.app.get("normal")  # a refresh is when Argo CD would start an operation
        until = time.monotonic() + QUIET
        while time.monotonic() < until:
            assert "operation" not in self.bench.app.get()
            time.sleep(0.5)
        assert self.operation() == before
        assert self.jobs() == jobs, "nobody ran the tests again"


def run_id(run: Running) -> str:
    return str(run.all("run_started")[0]["run_id"])


@pytest.fixture(
    scope="module",
    params=[("helm", HEALING), ("helm", PLAIN), ("kustomize", HEALING), ("kustomize", PLAIN)],
    ids=lambda p: f"{p[0]}-{'healing' if p[1] else 'plain'}",
)
def auto(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[AutoSyncedApplication]:
    form, policy = request.param
    folder = tmp_path_factory.mktemp(f"auto-{form}")
    slow, red = folder / "slow", folder / "red"
    script = (
        f"[ ! -e {slow} ] || echo begun; while [ -e {slow} ]; do sleep 0.1; done; "
        f'[ -z "$TOPIC" ] || echo $TOPIC; [ ! -e {red} ]'
    )
    topic: Any = TOPIC if form == "helm" else support.key_of("topics", "main")
    manifests = (
        support.configmap("topics", main=TOPIC if form == "helm" else ""),
        support.deployment("workload", TOPIC=topic),
        support.job("checks", script, "PostSync", TOPIC=topic),
    )
    files = support.chart(*manifests) if form == "helm" else support.kustomization(*manifests)
    where = "chart" if form == "helm" else "base"
    policies = {"automated": policy}
    with support.bench(stack, folder, files, where, name="auto", deploy=False, syncPolicy=policies) as bench:
        bench.app.wait_synced()
        bench.app.wait_idle()
        yield AutoSyncedApplication(bench, form, folder)


def test_a_green_run_is_the_only_one(auto: AutoSyncedApplication) -> None:
    with auto.bench.as_it_was(), auto.start() as run:
        code = run.end()
    assert code == 0, str(run)
    auto.stays_quiet(run, ["TOPIC"])
    support.nothing_left(auto.bench, auto.bench.before())


def test_without_settling_it_is_settled_anyway(auto: AutoSyncedApplication) -> None:
    """Left OutOfSync, it would be synced by Argo CD itself, hooks and all."""
    with auto.bench.as_it_was(), auto.start("--no-settle") as run:
        code = run.end()
    assert code == 0, str(run)
    auto.stays_quiet(run, ["TOPIC"])


def test_an_application_that_had_drifted_is_tested_once_too(auto: AutoSyncedApplication) -> None:
    app = auto.bench.app
    if app.spec["syncPolicy"]["automated"].get("selfHeal"):
        pytest.skip("Argo CD takes a drift back by itself here: there is none to begin with")
    drift = '{"data": {"main": "drifted"}}'
    auto.bench.stack.kubectl("patch", "configmap", "topics", "-n", app.namespace, "-p", drift)
    eventually(lambda: app.get("normal")["status"]["sync"]["status"] == "OutOfSync", 30, "it has drifted")
    with auto.bench.as_it_was(), auto.start() as run:
        code = run.end()
    assert code == 0, str(run)
    auto.stays_quiet(run, ["TOPIC"])


def test_a_red_run_is_not_tried_again(auto: AutoSyncedApplication) -> None:
    (auto.folder / "red").touch()
    try:
        with auto.bench.as_it_was(), auto.start() as run:
            code = run.end()
        assert code == 1, str(run)
        auto.stays_quiet(run, ["TOPIC"])
    finally:
        (auto.folder / "red").unlink()


def test_a_canceled_run_is_not_tried_again(auto: AutoSyncedApplication) -> None:
    (auto.folder / "slow").touch()
    try:
        before = auto.bench.before()
        with auto.start() as run:
            run.until("log_line", text="begun")
            run.send(signal.SIGINT)
            code = run.end()
        assert code == 130, str(run)
        assert auto.bench.app.spec == before.spec
        # In a hurry settling is started and not awaited: the one operation that may still run.
        auto.bench.app.wait_operation()
        support.nothing_left(auto.bench, before)
        auto.stays_quiet(run, ["begun"])
    finally:
        (auto.folder / "slow").unlink()
