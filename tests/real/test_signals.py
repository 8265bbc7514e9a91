"""A signal in any step: exit 128 + its number, our operation ended, nothing left but leaving pods."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, scripted

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    always = {"workload": True}
    folder = tmp_path_factory.mktemp("signals")
    with support.bench(stack, folder, scripted(), name="signals", always=always) as made:
        yield made


MOMENTS: dict[str, dict[str, Any]] = {
    "look": {"event": "step_started", "step": "look"},
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
