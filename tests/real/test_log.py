"""The test Job's log: every line once and in order, while the Job still runs, and never another run's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, scripted


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("log"), scripted(), name="log") as made:
        yield made


def test_twenty_thousand_lines_each_once_and_in_order(bench: Bench) -> None:
    bench.scripts(test="seq -f 'line %g' 20000")
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 0, str(result)
    assert result.out == "".join(f"line {n}\n" for n in range(1, 20001))


def test_lines_that_come_in_bursts_over_a_while(bench: Bench) -> None:
    """Between the bursts the stream is cut and read again, as Argo CD or a proxy in front of it may do."""
    bench.scripts(test="for i in 1 2 3 4 5; do seq -f \"$i.%g\" 400; sleep 0.5; done; printf 'no newline'")
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 0, str(result)
    expected = [f"{burst}.{n}" for burst in range(1, 6) for n in range(1, 401)]
    assert result.out.splitlines() == [*expected, "no newline"]


def test_a_line_is_shown_while_the_job_still_runs(bench: Bench) -> None:
    """The Job goes on only when the test has seen its first line."""
    go = bench.folder / "go"
    script = f"echo first; until [ -e {go} ]; do sleep 0.1; done; echo last"
    bench.scripts(test=script)
    with bench.as_it_was(), bench.start() as run:
        run.until("log_line", text="first")
        assert bench.app.running
        go.touch()
        code = run.end()
    assert code == 0, str(run)
    assert [e["text"] for e in run.all("log_line")] == ["first", "last"]


def test_nothing_of_the_run_before(bench: Bench) -> None:
    """Its Job is still there under the same name when the next run begins."""
    bench.scripts(test="sleep 1; echo from $TOPIC; echo red; exit 1")
    with bench.as_it_was():
        first = bench.run()
    bench.scripts(test="sleep 1; echo from $TOPIC; echo green")
    with bench.as_it_was():
        second = bench.run()
    assert (first.code, second.code) == (1, 0), f"{first}\n{second}"
    (from_first, red), (from_second, green) = first.out.splitlines(), second.out.splitlines()
    assert (red, green) == ("red", "green")
    assert from_first.startswith(f"from {bench.prefix}_")
    assert from_second.startswith(f"from {bench.prefix}_")
    assert from_first != from_second


def test_every_attempt_of_a_job_that_is_retried(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    checks = support.job("checks", "echo try in $HOSTNAME; exit 1", "PostSync")
    checks["spec"]["backoffLimit"] = 1
    files = support.chart(support.configmap("settings", topic=support.TOPIC), checks)
    with support.bench(stack, tmp_path_factory.mktemp("retried"), files, name="log-r") as bench:
        with bench.as_it_was(), bench.start() as run:
            code = run.end()
        assert code == 1, str(run)
        lines = run.all("log_line")
        assert [e["attempt"] for e in lines] == [1, 2], str(run)
        assert [e["text"] for e in lines] == [f"try in {e['pod']}" for e in lines]
        assert lines[0]["pod"] != lines[1]["pod"]


def test_what_a_terminal_would_obey_is_not_passed_on(bench: Bench) -> None:
    bench.scripts(test=r"printf 'plain \033[2J\033]0;title\007text ü 天気\n'")
    with bench.as_it_was():
        result = bench.run("--output", "plain")
    assert result.code == 0, str(result)
    assert "\033" not in result.out + result.err
    assert "text ü 天気" in result.out
