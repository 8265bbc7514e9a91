"""The test Job's log: every line once and in order, while the Job still runs, and never another run's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from argorun.humanize import count
from tests.real import support
from tests.real.cluster import Json, Stack
from tests.real.cutting import Cutting
from tests.real.support import Bench, Running, scripted


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


def test_what_a_terminal_would_obey_is_not_passed_on(bench: Bench) -> None:
    bench.scripts(test=r"printf 'plain \033[2J\033]0;title\007text ü 天気\n'")
    with bench.as_it_was():
        result = bench.run("--output", "plain")
    assert result.code == 0, str(result)
    assert "\033" not in result.out + result.err
    assert "text ü 天気" in result.out


# -- Jobs of every kind: a chart whose hooks are the manifests in its value `hooks` ----------------------


@pytest.fixture(scope="module")
def hooks(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    files = support.chart(support.configmap("settings", topic=support.TOPIC))
    each = "---\n{{ tpl (toJson .) $ }}\n"
    files["chart/templates/hooks.yaml"] = f"{{{{ range .Values.hooks }}}}\n{each}{{{{ end }}}}\n"
    with support.bench(stack, tmp_path_factory.mktemp("hooks"), files, name="log-h") as made:
        yield made


def pod_spec(job: Json) -> Json:
    spec: Json = job["spec"]["template"]["spec"]
    return spec


def annotated(job: Json, **annotations: str) -> Json:
    job["metadata"]["annotations"] |= {
        f"argocd.argoproj.io/{k.replace('_', '-')}": v for k, v in annotations.items()
    }
    return job


def told(run: Running, **fields: object) -> list[str]:
    return [e["text"] for e in run.all("log_line", **fields)]


def read(bench: Bench, *arguments: str | Path, code: int = 0) -> Running:
    """A run to its end; nothing is left, and every log that was begun has an end."""
    with bench.as_it_was(), bench.start(*arguments) as run:
        ended = run.end()
    assert ended == code, str(run)
    return run


def ends(run: Running) -> list[tuple[str, str, int, int, bool]]:
    return [(e["job"], e["container"], e["restart"], e["lines"], e["complete"]) for e in run.all("log_ended")]


def test_every_attempt_of_a_job_that_is_retried(hooks: Bench) -> None:
    checks = support.job("retried", "echo try in $HOSTNAME; exit 1", "PostSync")
    checks["spec"]["backoffLimit"] = 1
    hooks.scripts(hooks=[checks])
    run = read(hooks, code=1)
    lines = run.all("log_line")
    assert [e["attempt"] for e in lines] == [1, 2], str(run)
    assert [e["text"] for e in lines] == [f"try in {e['pod']}" for e in lines]
    assert lines[0]["pod"] != lines[1]["pod"]
    assert [e["complete"] for e in run.all("log_ended")] == [True, True]
    (verdict,) = run.all("verdict")
    assert verdict["log_of"] == f"attempt 2, pod {lines[1]['pod']}"
    assert verdict["last_lines"] == [lines[1]["text"]]


def test_pods_that_run_side_by_side_are_no_attempts(hooks: Bench) -> None:
    wide = support.job("wide", "echo one of three; sleep 2; exit 4", "PostSync")
    wide["spec"] |= {"parallelism": 3, "completions": 3}
    hooks.scripts(hooks=[wide])
    run = read(hooks, code=1)
    lines = run.all("log_line")
    assert [(e["attempt"], e["text"]) for e in lines] == [(1, "one of three")] * 3, str(run)
    (verdict,) = run.all("verdict")
    assert verdict["title"] == "wide: the test exited with code 4 in 3 pods"
    assert sorted(verdict["last_lines"]) == sorted(f"{e['pod']} | one of three" for e in lines)


def test_every_instance_of_a_container_that_is_started_again_in_its_pod(hooks: Bench) -> None:
    count = "echo x >> $HOME/count; n=$(wc -l < $HOME/count)"
    again = support.job("again", f'{count}; seq -f "$n.%g" 100; [ $n = 3 ]', "PostSync")
    pod_spec(again)["restartPolicy"] = "OnFailure"
    again["spec"]["backoffLimit"] = 5
    hooks.scripts(hooks=[again])
    run = read(hooks)
    for restart in range(3):
        assert told(run, restart=restart) == [f"{restart + 1}.{n}" for n in range(1, 101)], str(run)
    assert ends(run) == [("again", "main", restart, 100, True) for restart in range(3)]


def test_init_containers_have_their_logs_too(hooks: Bench) -> None:
    checks = support.job("prepared", "echo main", "PostSync")
    setup = pod_spec(support.job("x", "echo one; echo two", None))["containers"][0] | {"name": "setup"}
    pod_spec(checks)["initContainers"] = [setup]
    hooks.scripts(hooks=[checks])
    run = read(hooks)
    assert [(e["container"], e["text"]) for e in run.all("log_line")] == [
        ("setup", "one"),
        ("setup", "two"),
        ("main", "main"),
    ]
    assert sorted(ends(run)) == [("prepared", "main", 0, 1, True), ("prepared", "setup", 0, 2, True)]


def test_a_failed_init_container_says_why_and_the_container_that_never_ran_says_nothing(
    hooks: Bench,
) -> None:
    checks = support.job("unprepared", "echo never", "PostSync")
    setup = pod_spec(support.job("x", "echo no database; exit 1", None))["containers"][0] | {"name": "setup"}
    pod_spec(checks)["initContainers"] = [setup]
    hooks.scripts(hooks=[checks])
    run = read(hooks, code=1)
    assert told(run) == ["no database"]
    assert ends(run) == [("unprepared", "setup", 0, 1, True)]


def test_two_jobs_at_once_are_read_at_once(hooks: Bench) -> None:
    """Each waits for the other's first line to be shown."""
    go = hooks.folder / "both"
    wait = f"until [ -e {go} ]; do sleep 0.1; done"
    jobs = [support.job(name, f"echo {name} 0; {wait}; seq -f '{name} %g' 300", "PostSync") for name in "ab"]
    hooks.scripts(hooks=jobs)
    with hooks.as_it_was(), hooks.start() as run:
        for name in "ab":
            run.until("log_line", text=f"{name} 0")
        go.touch()
        code = run.end()
    assert code == 0, str(run)
    for name in "ab":
        assert told(run, job=name) == [f"{name} {n}" for n in range(301)]
    assert sorted(ends(run)) == [("a", "main", 0, 301, True), ("b", "main", 0, 301, True)]


@pytest.mark.parametrize(
    ("logs", "shown"),
    [("tests", ["test"]), ("hooks", ["pre", "bare", "test"]), ("all", ["pre", "bare", "test"])],
)
def test_whose_logs_are_shown(hooks: Bench, logs: str, shown: list[str]) -> None:
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "annotations": {"argocd.argoproj.io/hook": "Sync"}},
        "spec": support.pod("echo bare", "busybox", {}, "Never"),
    }
    jobs = [support.job("pre", "echo pre", "PreSync"), bare, support.job("test", "echo test", "PostSync")]
    hooks.scripts(hooks=jobs)
    run = read(hooks, "--logs", logs)
    assert told(run) == shown
    (step,) = run.all("step_ended", step="logs")
    assert step["detail"] == f"complete: {count(len(shown), 'line')} of {count(len(shown), 'log')}"


def test_a_failed_presync_hooks_log_is_always_shown(hooks: Bench) -> None:
    pre = support.job("pre", "seq -f 'why %g' 300; exit 1", "PreSync")
    hooks.scripts(hooks=[pre, support.job("test", "echo test", "PostSync")])
    with hooks.as_it_was():
        result = hooks.run()
    assert result.code == 3, str(result)
    assert result.out.splitlines() == [f"why {n}" for n in range(1, 301)]


def test_a_job_that_argo_cd_deletes_when_it_has_succeeded_is_read_or_missed_aloud(hooks: Bench) -> None:
    checks = support.job("fleeting", "seq 500; sleep 0.2; seq 501 1000", "PostSync")
    hooks.scripts(hooks=[annotated(checks, hook_delete_policy="HookSucceeded")])
    run = read(hooks)
    lines = told(run)
    assert lines == [str(n) for n in range(1, len(lines) + 1)]
    (end,) = run.all("log_ended")
    assert (end["lines"], end["complete"]) == (len(lines), len(lines) == 1000)
    assert end["complete"] or end["reason"]
    (step,) = run.all("step_ended", step="logs")
    assert (step["detail"] == "complete: 1,000 lines of 1 log") is end["complete"]


# -- whole logs ---------------------------------------------------------------------------------------------


def from_argocd(bench: Bench, job: str) -> dict[str, bytes]:
    """What Argo CD itself answers for each pod of a Job: the contents, each with its newline."""
    logs = {}
    path = f"applications/{bench.app.name}"
    for node in bench.stack.api("GET", f"{path}/resource-tree")["nodes"]:
        if node["kind"] == "Pod" and node["name"].startswith(f"{job}-"):
            query = {"namespace": node["namespace"], "container": "main"}
            answer = bench.stack.http.get(f"{path}/pods/{node['name']}/logs", params=query)
            entries = [json.loads(line)["result"] for line in answer.text.split("\n") if line]
            text = "".join(e["content"] + "\n" for e in entries if e["podName"])
            logs[f"{job}/{node['name']}.main.log"] = text.encode()
    return logs


def kept(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.log")}


def test_two_hundred_thousand_lines_each_once_and_in_order(bench: Bench, tmp_path: Path) -> None:
    bench.scripts(test="seq -f 'line %g of a test' 200000")
    with bench.as_it_was():
        result = bench.run("--log-dir", tmp_path / "logs")
    assert result.code == 0, str(result)
    expected = "".join(f"line {n} of a test\n" for n in range(1, 200001))
    assert "log complete (200,000 lines)" in result.err, str(result.err)
    assert kept(tmp_path / "logs") == from_argocd(bench, "checks")
    assert list(kept(tmp_path / "logs").values()) == [expected.encode()]
    assert result.out == expected


def test_odd_lines_are_shown_sanely_and_kept_as_argo_cd_gave_them(bench: Bench, tmp_path: Path) -> None:
    script = (
        "head -c 1000000 /dev/zero | tr '\\0' x; echo; "  # a line of 1 MB
        r"printf '10 %%\r50 %%\r100 %%\n'; printf 'bytes \377\376\001\n'; "
        r"printf '\033[31mred\033[0m\n'; printf '  indented\n\n'; printf 'no newline'"
    )
    bench.scripts(test=script)
    events = tmp_path / "events"
    with bench.as_it_was():
        result = bench.run("--log-dir", tmp_path / "logs", "--events", events)
    assert result.code == 0, str(result)
    shown = result.out.splitlines()
    assert shown[0].startswith("x" * 1000)
    assert shown[0].endswith("(1,000,000 characters; --log-dir and --events keep them all)")
    assert shown[1:] == [
        "10 %",
        "50 %",
        "100 %",
        "bytes \ufffd\ufffd\\x01",
        "red",
        "  indented",
        "",
        "no newline",
    ]
    theirs = from_argocd(bench, "checks")
    assert kept(tmp_path / "logs") == theirs
    lines = [e["text"] for e in support.events_of(events.read_text()) if e["event"] == "log_line"]
    assert "".join(f"{line}\n" for line in lines).encode() == next(iter(theirs.values()))


def test_a_log_directory_that_cannot_be_made_is_bad_usage(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = bench.run("--log-dir", tmp_path / "file")
    assert (result.code, result.out) == (2, "")
    assert "the log directory" in result.err


@pytest.mark.parametrize("fate", ["cut", "stall"])
def test_streams_that_a_proxy_cuts_or_lets_stall_lose_and_repeat_nothing(
    bench: Bench, fate: Literal["cut", "stall"]
) -> None:
    bench.scripts(test='for i in 1 2 3 4; do seq -f "$i.%g of a test" 1000; sleep 0.3; done')
    with Cutting(bench.stack.server, fate, after=150_000, times=3).up() as proxy:
        environment = {"ARGOCD_SERVER": proxy.address}
        with bench.as_it_was():
            result = bench.run(environment=environment)
    assert result.code == 0, str(result)
    assert proxy.met > 0
    expected = [f"{i}.{n} of a test" for i in range(1, 5) for n in range(1, 1001)]
    assert result.out.splitlines() == expected, result.err


def test_when_time_runs_out_the_run_says_that_the_log_is_not_complete(bench: Bench) -> None:
    bench.scripts(test="echo begun; sleep 300")
    config = bench.config(timeouts={"run": "20s", "cleanup": "60s"})
    with bench.as_it_was(), bench.start(config=config) as run:
        code = run.end()
    assert code == 4, str(run)
    (told,) = [e["detail"] for e in run.all("step_ended", step="logs")]
    assert told == "1 line, but 1 of 1 logs is not complete: checks"


def test_a_test_that_never_falls_silent_does_not_outlast_the_limits(bench: Bench) -> None:
    bench.scripts(test="while true; do echo still here; sleep 0.2; done")
    config = bench.config(timeouts={"run": "10s", "cleanup": "60s"})
    with bench.as_it_was(), bench.start(config=config) as run:
        code = run.end()
    assert code == 4, str(run)
    assert run.all("left_behind") == [], str(run)
    (verdict,) = run.all("verdict")
    (line,) = verdict["last_lines"]
    assert line.startswith("still here (repeated "), "one line, and how often"
