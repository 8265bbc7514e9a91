"""What the command line's flags do on a real Argo CD."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.checkout import ARGORUN
from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import TOPIC, Bench, events_of, scripted


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("flags"), scripted(), name="flags") as made:
        yield made


def test_dry_run_touches_nothing_and_says_what_it_would_do(bench: Bench) -> None:
    bench.scripts(test="true")
    operation = bench.app.get()["status"]["operationState"]["startedAt"]
    with bench.as_it_was():
        result = bench.run("--dry-run", "--job", "checks")
    assert result.code == 0, str(result)
    assert f"create topic {bench.prefix}_" in result.out
    assert f"sync {bench.app.name}" in result.out
    assert "wait for checks" in result.out
    assert "==> create topic" not in result.err
    assert bench.app.get()["status"]["operationState"]["startedAt"] == operation


def test_keep_topics(bench: Bench) -> None:
    bench.scripts(test="true")
    before = bench.before()
    result = bench.run("--keep-topics")
    assert result.code == 0, str(result)
    (kept,) = bench.topics()
    assert kept.startswith(f"{bench.prefix}_")
    assert kept in result.err, "it says which"
    bench.tidy()
    support.nothing_left(bench, before)


def test_no_settle_leaves_the_workloads_on_the_topic(bench: Bench) -> None:
    bench.scripts(test="true")
    before = bench.before()
    with bench.start("--no-settle") as run:
        code = run.end()
    assert code == 0, str(run)
    (topic,) = [e["topic"] for e in run.all("topic_created")]
    settings = bench.stack.objects("configmaps", bench.app.namespace)
    assert topic in [c["data"].get("topic") for c in settings]
    assert bench.app.spec == before.spec
    assert bench.app.get("normal")["status"]["sync"]["status"] == "OutOfSync"
    bench.app.deploy()
    support.nothing_left(bench, before)


def test_revision_syncs_that_commit_and_settles_at_the_one_that_was_deployed(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Not at the newest, which nobody has deployed: a second run finds the same."""
    folder = tmp_path_factory.mktemp("revision")
    with support.bench(stack, folder, commit("one"), name="flags-r") as bench:
        second = bench.repo.commit(commit("two"))
        bench.repo.commit(commit("three"))
        bench.app.get("hard")
        before = bench.before()
        for _ in range(2):
            with bench.start("--revision", second) as run:
                code = run.end()
            assert code == 0, str(run)
            assert [e["text"] for e in run.all("log_line")] == ["two"]
            assert [e["revision"] for e in run.all("sync_started")] == [second]
            (settings,) = [
                c for c in stack.objects("configmaps", bench.app.namespace) if "commit" in c.get("data", {})
            ]
            assert settings["data"] == {"commit": "one", "topic": ""}
            assert bench.app.spec == before.spec
            assert bench.topics() == set()


def commit(name: str) -> dict[str, str]:
    return support.chart(
        support.configmap("settings", topic=TOPIC, commit=name),
        support.job("checks", f"echo {name}", "PostSync"),
    )


def test_events_in_a_file_beside_what_is_shown(bench: Bench) -> None:
    bench.scripts(test="echo hello")
    file = bench.folder / "events.jsonl"
    with bench.as_it_was():
        result = bench.run("--output", "plain", "--events", file)
    assert result.code == 0, str(result)
    text = file.read_text(encoding="utf-8")
    events = events_of(text)
    assert [e["event"] for e in (events[0], events[-1])] == ["run_started", "run_ended"]
    assert [e["text"] for e in events if e["event"] == "log_line"] == ["hello"]
    assert bench.stack.token not in text


def test_an_events_file_that_cannot_be_written_is_told_before_anything_is_done(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run("--events", bench.folder / "nowhere" / "events.jsonl")
    assert result.code == 2, str(result)
    assert "==>" not in result.err


def test_json_is_one_event_a_line_and_nothing_else_on_stdout(bench: Bench) -> None:
    bench.scripts(test="echo hello")
    with bench.as_it_was():
        result = bench.run("--output", "json")
    assert result.code == 0, str(result)
    assert result.err == ""
    assert all("event" in e and "time" in e for e in events_of(result.out))
    assert events_of(result.out)[-1]["exit_code"] == 0


def test_everything_by_flags_without_a_file(bench: Bench) -> None:
    bench.scripts(test='echo "$TOPIC $TAG"')
    arguments = ["--topic", bench.prefix, "--parameter", "kafka.topic", "--job", "checks", "--timeout", "2m"]
    ca = {"SSL_CERT_FILE": str(bench.stack.ca)} if bench.stack.ca else {}
    with bench.as_it_was():
        done = subprocess.run(
            [*ARGORUN, "run", bench.app.name, *arguments, "--set", "tag=new"],
            cwd=bench.folder,
            env=bench.environment(ca),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{bench.prefix}_")
    assert done.stdout.endswith(" new\n")


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 1", 1)], ids=["green", "red"])
def test_a_reader_of_stdout_that_goes_away_is_no_verdict(bench: Bench, script: str, code: int) -> None:
    bench.scripts(test=f"seq 5000; {script}")
    told = bench.folder / f"stderr-{code}"
    shell = 'exec 3>&1; { "$@" 2>"$TOLD"; echo "exit $?" >&3; } | head -1'
    with bench.as_it_was():
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *ARGORUN, "run", "-f", str(bench.config())],
            cwd=bench.folder,
            env=bench.environment() | {"TOLD": str(told)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout.splitlines() == ["1", f"exit {code}"], done.stdout + told.read_text()
