"""A signal in any step: exit 128 + its number, the run's operation ended, nothing left but leaving pods."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ARGORUN
from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, Running, scripted

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    always = {"workload": True}
    folder = tmp_path_factory.mktemp("signals")
    with support.bench(stack, folder, scripted(), name="signals", always=always) as made:
        yield made


MOMENTS: dict[str, dict[str, Any]] = {
    "preflight": {"event": "step_started", "step": "preflight"},
    "topics": {"event": "step_started", "step": "topics"},
    "topic-created": {"event": "topic_created"},
    "parameters": {"event": "step_started", "step": "parameters"},
    "parameter-set": {"event": "parameter_set"},
    "sync": {"event": "step_started", "step": "sync"},
    "sync-started": {"event": "sync_started"},
    "presync-hook": {"event": "hook_changed", "hook": "PreSync", "status": "running"},
    "workload": {"event": "resource_changed", "kind": "Deployment"},
    "log": {"event": "log_line", "text": "begun"},
}


@pytest.mark.parametrize("signum", [INT, TERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_a_signal_leaves_nothing(bench: Bench, moment: dict[str, Any], signum: signal.Signals) -> None:
    # The test sleeps for so long that no signal can come too late.
    bench.scripts(pre="sleep 1", test="echo begun; sleep 300")
    with bench.as_it_was(), bench.start() as run:
        run.until(**moment)
        run.send(signum)
        code = run.end()
    assert code == 128 + signum, str(run)
    assert run.all("left_behind") == [], str(run)
    assert [e["exit_code"] for e in run.all("run_ended")] == [code]


@pytest.mark.parametrize("signum", [INT, TERM, HUP], ids=["INT", "TERM", "HUP"])
def test_a_signal_in_the_clean_up_of_a_green_run(bench: Bench, signum: signal.Signals) -> None:
    bench.scripts(test="true")
    with bench.as_it_was(), bench.start() as run:
        run.until("step_started", step="cleanup")
        run.send(signum)
        code = run.end()
    assert code == 128 + signum, str(run)
    assert run.all("left_behind") == [], str(run)
    assert [e["ok"] for e in run.all("verdict")] == [True]


def test_a_signal_after_a_red_verdict_does_not_hide_it(bench: Bench) -> None:
    bench.scripts(test="exit 1")
    with bench.as_it_was(), bench.start() as run:
        run.until("step_started", step="cleanup")
        run.send(INT)
        code = run.end()
    assert code == 1, str(run)


def test_a_signal_while_another_operation_is_waited_for_does_not_end_that(bench: Bench) -> None:
    with support.other_operation(bench, 8) as before:
        with bench.start() as run:
            run.until("waiting")
            run.send(INT)
            code = run.end()
        assert bench.app.running, "it is not ours to end"
        assert bench.topics() == set()
        assert bench.app.spec == before.spec
    support.nothing_left(bench, before)
    assert code == 130, str(run)


# -- as a step of a GitHub job: `bash -e SCRIPT`, and the signals go to bash alone -----------------------


def step(bench: Bench, *lines: str) -> Running:
    """A step of these lines, where ARGORUN stands for a whole `argorun run`."""
    command = shlex.join([*ARGORUN, "run", "-f", str(bench.config()), "--output", "json"])
    script = bench.folder / "step.sh"
    script.write_text("\n".join(lines).replace("ARGORUN", command), encoding="utf-8")
    process = subprocess.Popen(
        ["bash", "-e", str(script)],
        cwd=bench.folder,
        env=bench.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Running(process)


@pytest.mark.parametrize("moment", ["topics", "parameter-set", "sync-started", "log"])
def test_a_canceled_step_that_execs_argorun_leaves_nothing_in_githubs_time(bench: Bench, moment: str) -> None:
    bench.scripts(pre="sleep 1", test="echo begun; sleep 300")
    with bench.as_it_was(), step(bench, "cd .", "exec ARGORUN") as run:
        run.until(**MOMENTS[moment])
        for signum, seconds in ((INT, 7.5), (TERM, 2.5), (signal.SIGKILL, 10.0)):  # actions/runner's own
            run.send(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(seconds)
                break
        code = run.end()
    assert code == 130, str(run)
    assert [e["what"] for e in run.all("left_behind")] == [], str(run)


def test_a_canceled_step_with_argorun_among_its_lines_never_tells_argorun(bench: Bench) -> None:
    bench.scripts(test="echo begun; sleep 300")
    with bench.as_it_was(), step(bench, "cd .", "ARGORUN", "echo after") as run:
        run.until(**MOMENTS["log"])
        (argorun,) = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
        run.send(INT)
        run.send(TERM)
        assert run.process.wait(30) == -TERM, "bash is gone"
        assert Path(f"/proc/{argorun}").exists(), "and argorun goes on"
        assert run.all("verdict") == [], str(run)
        os.kill(int(argorun), INT)
        run.until("run_ended", exit_code=130)
        run.end()


def test_a_second_signal_ends_the_clean_up_and_what_it_prints_does_the_rest(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("twice")
    with support.bench(stack, folder, scripted(), name="signals", always={"workload": True}) as bench:
        bench.scripts(test="echo begun; sleep 300")
        before = bench.before()
        with bench.start() as run:
            run.until("log_line", text="begun")
            run.send(INT)
            run.until("step_started", step="cleanup")
            run.send(TERM)
            code = run.end()
        assert code == 130, str(run)
        for e in run.all("left_behind"):
            bench.by_hand(e["command"])
        support.nothing_left(bench, before)
