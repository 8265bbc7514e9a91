"""Many runs at once: each has its own topic, result and log; on one Application they take turns."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import cluster, support
from tests.real.cluster import Stack
from tests.real.support import Bench, Running, scripted

ON_ONE, APPLICATIONS = 8, 20
TELL = "echo begun; echo $TOPIC; echo {}; sleep 0.5; exit {}"


def own_log(run: Running) -> list[str]:
    return [e["text"] for e in run.all("log_line")]


def own_topic(run: Running) -> str:
    (topic,) = {e["topic"] for e in run.all("topic_created")}
    return str(topic)


def spans(runs: list[Running]) -> list[tuple[float, float]]:
    """From when to when each run's operation was followed, in their order."""
    found = []
    for run in runs:
        began = float(run.all("sync_started")[-1]["time"])
        found.append((began, float(run.all("step_ended", step="follow")[-1]["time"])))
    return sorted(found)


def test_eight_runs_on_one_application_take_turns_and_each_tests_its_own_topic(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with support.bench(stack, tmp_path_factory.mktemp("many"), scripted(), name="many") as bench:
        bench.scripts(test=TELL.format("on one", 0))
        config = bench.config(timeouts={"run": "10m", "busy": "9m", "cleanup": "60s"})
        with bench.as_it_was(), contextlib.ExitStack() as stack_of_runs:
            runs = [stack_of_runs.enter_context(bench.start(config=config)) for _ in range(ON_ONE)]
            codes = [run.end(timeout=540) for run in runs]
        assert codes == [0] * ON_ONE, "\n\n".join(map(str, runs))
        assert len({own_topic(run) for run in runs}) == ON_ONE
        for run in runs:
            assert own_log(run) == ["begun", own_topic(run), "on one"], str(run)
        followed = spans(runs)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(followed))
        waited = [run for run in runs if run.all("waiting")]
        assert len(waited) >= ON_ONE - 1, "all but the first waited"
        ids = {e["run_id"] for run in runs for e in run.all("run_started")}
        for run in waited:
            told = [e["reason"] for e in run.all("waiting")]
            assert any(f"run {other}" in reason for reason in told for other in ids), told


def test_twenty_runs_on_twenty_applications_have_each_its_own_result(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("twenty")
    repo = cluster.make_repo(stack, folder, scripted())
    with contextlib.ExitStack() as made:
        benches = []
        for n in range(APPLICATIONS):
            own = folder / str(n)
            own.mkdir()
            benches.append(made.enter_context(one_of_many(stack, own, repo, n)))
        with contextlib.ExitStack() as looks, contextlib.ExitStack() as under_way:
            for bench in benches:
                looks.enter_context(bench.as_it_was())
            # Twenty at once keep a small machine's Argo CD busy.
            slow = {"run": "10m", "busy": "60s", "cleanup": "4m"}
            runs = [
                under_way.enter_context(bench.start(config=bench.config(timeouts=slow))) for bench in benches
            ]
            codes = [run.end(timeout=600) for run in runs]
        assert codes == [n % 2 for n in range(APPLICATIONS)], "\n\n".join(map(str, runs))
        for n, run in enumerate(runs):
            assert own_log(run) == ["begun", own_topic(run), f"number {n}"], str(run)
            in_its_way = [waiting for waiting in run.all("waiting") if waiting["step"] != "cleanup"]
            assert in_its_way == []


@contextlib.contextmanager
def one_of_many(stack: Stack, folder: Path, repo: cluster.GitRepo, n: int) -> Iterator[Bench]:
    """An Application whose test says its number and fails where that is odd."""
    values = {"test": TELL.format(f"number {n}", n % 2)}
    source = {"repoURL": repo.url, "path": "chart", "helm": {"valuesObject": values}}
    app = cluster.Application(stack, cluster.unique("twenty"), source)
    try:
        app.wait_compared(120)
        app.deploy()
        yield Bench(stack, app, repo, folder)
    finally:
        app.delete()
