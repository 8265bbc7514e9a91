"""A test Job's end is its own: Argo CD may take a running Job for ended, or an earlier sync's for its."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack, eventually
from tests.real.support import Bench, chart, configmap, job, key_of

POLICY = "argocd.argoproj.io/hook-delete-policy"
RESUMED = '{"spec": {"suspend": false}}'
STILL_RUNS = "Argo CD reported checks as ended, but it still runs: argorun waits for its end"


def bench_with(stack: Stack, folder: pytest.TempPathFactory, tests: Json) -> Iterator[Bench]:
    files = chart(configmap("settings", topic=support.TOPIC), tests)
    with support.bench(stack, folder.mktemp("ends"), files, name="ends") as made:
        yield made


@pytest.fixture(scope="module")
def suspended(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Its test Job waits to be resumed, as Kueue's do; it is red where there is a file `red`."""
    folder = tmp_path_factory.mktemp("suspended")
    script = f"echo begun; while [ ! -e {folder}/end ]; do sleep 0.1; done; [ ! -e {folder}/red ]"
    tests = job("checks", script, "PostSync")
    tests["spec"]["suspend"] = True
    for made in bench_with(stack, tmp_path_factory, tests):
        made.folder = folder
        yield made


@pytest.mark.parametrize(("is_red", "code"), [(False, 0), (True, 1)])
def test_a_resumed_job_is_waited_for_though_argo_cd_calls_it_complete(
    suspended: Bench, is_red: bool, code: int
) -> None:
    bench = suspended
    (bench.folder / "end").unlink(missing_ok=True)
    if is_red:
        (bench.folder / "red").touch()
    with bench.as_it_was(), bench.start() as run:
        run.until("hook_changed", name="checks", status="running")
        bench.stack.kubectl("patch", "job", "checks", "-n", bench.app.namespace, "-p", RESUMED)
        run.until("log_line", text="begun")
        run.until("operation_changed", phase="Succeeded")
        run.until("notice", text=STILL_RUNS)
        (bench.folder / "end").touch()
        assert run.end() == code, str(run)
    statuses = [e["status"] for e in run.all("hook_changed", name="checks")]
    assert statuses == ["running", "succeeded", "running", "failed" if is_red else "succeeded"], str(run)
    (log,) = run.all("log_ended")
    assert log["complete"], str(run)


def test_one_that_outlives_a_canceled_run_is_named_with_the_command_that_ends_it(suspended: Bench) -> None:
    """Argo CD's operation is over: there is nothing to end, and a run may only read the rest."""
    bench = suspended
    (bench.folder / "end").unlink(missing_ok=True)
    config = bench.config(timeouts={"run": "3m", "busy": "60s", "cleanup": "10s"})
    with bench.as_it_was(), bench.start(config=config) as run:
        run.until("hook_changed", name="checks", status="running")
        bench.stack.kubectl("patch", "job", "checks", "-n", bench.app.namespace, "-p", RESUMED)
        run.until("log_line", text="begun")
        run.until("notice", text=STILL_RUNS)
        run.send(signal.SIGINT)
        assert run.end() == 130, str(run)
        bench.app.wait_operation()  # settling was started and not awaited
    (left,) = run.all("left_behind")
    assert left["what"].startswith("pod checks-"), str(run)
    assert left["command"].startswith("kubectl delete job checks "), str(run)
    bench.by_hand(left["command"])
    eventually(
        lambda: not bench.stack.objects("pods", bench.app.namespace, "job-name=checks"), 30, "it ended"
    )


@pytest.fixture(scope="module")
def kept(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Its test Job is not deleted before the next one, and looks the same in each run."""
    tests = job("checks", "true", "PostSync")
    tests["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "TOPIC", "valueFrom": key_of("settings", "topic")}
    ]
    tests["metadata"]["annotations"][POLICY] = "HookFailed"
    yield from bench_with(stack, tmp_path_factory, tests)


def test_the_job_of_the_run_before_is_no_test_of_this_one(kept: Bench) -> None:
    with kept.as_it_was():
        first = kept.run()
    assert first.code == 0, str(first)
    with kept.as_it_was():
        second = kept.run()
    assert second.code == 9, str(second)
    assert "no test ran: checks did not end in this operation" in second.err
    assert "did not create it anew" in second.err, str(second)
    assert "BeforeHookCreation" in second.err
    state = kept.app.get()["status"]["operationState"]
    eventually(lambda: state["phase"] == "Succeeded", 1, "Argo CD takes the old one's end")
