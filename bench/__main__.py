"""`make bench`: measures argorun and the script in turn, and rewrites bench/README.md."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import big, contest, report
from bench.report import Bar, Row, ratio, spread
from tests.real import cluster, support
from tests.real.cluster import Stack
from tests.real.support import Bench

ROUNDS = int(os.environ.get("ROUNDS", "5"))
LINES = 200_000
WRITES = "i=0; while [ $i -lt 40 ]; do date +%s.%N; i=$((i+1)); sleep 0.1; done"


def main() -> None:
    """Measure everything and write the report; without a real stack, only what needs none."""
    report.put("big", big.said(), "", *big.lines(big.measure()))
    if "ARGOCD_SERVER" not in os.environ:
        print("no real stack: only the big Application was measured", file=sys.stderr)
        return
    stack = Stack.from_environment(os.environ)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, bars = whole_runs(stack, folder)
        rows += lines_as_written(stack, folder) + many_lines(stack, folder)
    rows += [start_up()]
    where = f"{ROUNDS} rounds on {os.cpu_count()} cores, Python {platform.python_version()}"
    said = f"{where}, argorun and the script in turn; medians, with minimum and maximum in parentheses."
    report.write(rows, bars, said)


def whole_runs(stack: Stack, folder: Path) -> tuple[list[Row], list[Bar]]:
    """The example: the script, argorun, and argorun without settling, one after the other in each round."""
    files = cluster.example("helm")
    with support.bench(stack, folder, files, "helm", name="bench") as bench:
        config = bench.config(tests={"jobs": [contest.JOB]})
        contestants: dict[str, Callable[[], contest.Measured]] = {
            "script": lambda: contest.script(bench),
            "argorun": lambda: contest.argorun(bench, config),
            "argorun --no-settle": lambda: contest.argorun(bench, config, "--no-settle"),
        }
        first = alternate(bench, contestants, first=True)
        again = alternate(bench, contestants, first=False)
        canceled = cancel(bench, config)
    rows = [
        *wall_rows("First run", *first.values()),
        *wall_rows("Later run", *again.values()),
        *other_rows(*again.values()),
        canceled,
    ]
    return rows, [bar(name, runs) for name, runs in again.items()]


def alternate(
    bench: Bench, contestants: dict[str, Callable[[], contest.Measured]], *, first: bool
) -> dict[str, list[contest.Measured]]:
    """All contestants in turn, ROUNDS times; `first`: with no hook Job there that Argo CD must delete."""
    seen: dict[str, list[contest.Measured]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            wait_until_settled(bench)
            if first:
                bench.stack.kubectl("delete", "jobs", "--all", "-n", bench.app.namespace)
            measured = run()
            assert measured.code == 0, f"{name}: exit {measured.code}\n{measured.out[-20:]}"
            seen[name].append(measured)
    return seen


def wait_until_settled(bench: Bench) -> None:
    """The script leaves the workloads on its topic: the next one starts from a Synced Application."""
    if bench.app.get("normal")["status"]["sync"]["status"] != "Synced":
        bench.app.deploy()


def wall_rows(
    when: str,
    script: Sequence[contest.Measured],
    settled: Sequence[contest.Measured],
    plain: Sequence[contest.Measured],
) -> list[Row]:
    theirs, ours, unsettled = [[m.wall for m in runs] for runs in (script, settled, plain)]
    return [
        Row(
            f"{when}, without settling",
            ratio(unsettled, theirs),
            "≤ 0.55",
            spread(unsettled),
            spread(theirs),
        ),
        Row(f"{when}, with settling", ratio(ours, theirs), "≤ 0.70", spread(ours), spread(theirs)),
    ]


def other_rows(
    script: Sequence[contest.Measured], settled: Sequence[contest.Measured], _: Sequence[contest.Measured]
) -> list[Row]:
    late = [m.after_operation / m.operation for m in settled]
    late_script = [m.after_operation / m.operation for m in script]
    requests = [float(m.requests) for m in settled]
    requests_script = [float(m.requests) for m in script]
    memory, memory_script = [m.memory for m in settled], [m.memory for m in script]
    return [
        Row(
            "From the operation's end to the verdict, as a share of the operation",
            f"**{statistics.median(late):.3f}**",
            "< 0.05",
            spread([m.after_operation for m in settled], 2),
            f"{spread([m.after_operation for m in script], 2)}, {statistics.median(late_script):.3f}",
        ),
        Row(
            "Argo CD's own operation, nudged and not nudged",
            ratio([m.operation for m in settled], [m.operation for m in script]),
            "",
            spread([m.operation for m in settled]),
            spread([m.operation for m in script]),
        ),
        Row(
            "API calls a run",
            ratio(requests, requests_script),
            "< 60",
            spread(requests, 0, ""),
            spread(requests_script, 0, ""),
        ),
        Row(
            "Memory of the largest process",
            ratio(memory, memory_script),
            "",
            spread(memory, 0, "MiB"),
            spread(memory_script, 0, "MiB") + ", a JVM",
        ),
    ]


def bar(name: str, runs: Sequence[contest.Measured]) -> Bar:
    def middle(pick: Callable[[contest.Measured], float]) -> float:
        return statistics.median(map(pick, runs))

    return Bar(
        name,
        before=middle(lambda m: m.before),
        operation=middle(lambda m: m.operation),
        after=middle(lambda m: m.wall - m.before - m.operation),
    )


def cancel(bench: Bench, config: Path) -> Row:
    """Ctrl-C while the test runs: how long until the process is gone, and what is left then."""
    times: dict[str, list[float]] = {"argorun": [], "script": []}
    left: dict[str, list[str]] = {"argorun": [], "script": []}
    argorun = [*contest.ARGORUN, "run", "-f", str(config), "--output", "plain"]
    commands = {
        "argorun": (argorun, bench.environment(), bench.prefix),
        "script": (contest.script_command(bench), bench.tools(), "weather_updates_"),
    }
    for _ in range(ROUNDS):
        for name, (command, environment, prefix) in commands.items():
            wait_until_settled(bench)
            times[name].append(contest.canceled(bench, command, environment))
            left[name].append(what_is_left(bench, prefix))
            tidy(bench, prefix)
    return Row(
        "Ctrl-C during the test: seconds to the end, and what is left",
        "",  # how fast a script dies is no figure
        "≤ 6 s",
        f"{spread(times['argorun'])}, {most_common(left['argorun'])}",
        f"{spread(times['script'])}, {most_common(left['script'])}",
    )


def what_is_left(bench: Bench, prefix: str) -> str:
    """In words, for the table."""
    app = bench.app.get()
    parameters = app["spec"]["source"].get("helm", {}).get("parameters")
    found = {
        "the topic": bool(bench.stack.topics(prefix)),
        "the parameter": bool(parameters),
        "a running operation": bench.app.running,
    }
    return ", ".join(what for what, there in found.items() if there) or "nothing"


def most_common(said: Sequence[str]) -> str:
    return statistics.mode(said) + " left"


def tidy(bench: Bench, prefix: str) -> None:
    """Remove what a canceled script left."""
    from confluent_kafka.admin import AdminClient

    bench.app.terminate()
    if "parameters" in bench.app.spec["source"].get("helm", {}):
        bench.app.patch({"op": "remove", "path": "/spec/source/helm"})
    if topics := sorted(bench.stack.topics(prefix)):
        admin = AdminClient({"bootstrap.servers": bench.stack.kafka, "allow.auto.create.topics": False})
        for deleted in admin.delete_topics(topics).values():
            deleted.result(30)


# -- logs ----------------------------------------------------------------------------------------------


def lines_as_written(stack: Stack, folder: Path) -> list[Row]:
    """A Job that writes the time every tenth of a second: when is each line shown?"""
    with support.bench(stack, folder, support.scripted(), name="bench-live") as bench:
        bench.scripts(test=WRITES)
        late: list[float] = []
        first: list[float] = []
        while_running: list[bool] = []
        for _ in range(ROUNDS):
            measured = contest.argorun(bench, bench.config())
            assert measured.code == 0, measured.out[-20:]
            events = [(at, json.loads(line)) for at, line in measured.out]
            shown = [(at, float(e["text"])) for at, e in events if e["event"] == "log_line"]
            late += [at - written for at, written in shown]
            first.append(shown[0][0] - shown[0][1])
            ended = next(at for at, e in events if e["event"] == "step_ended" and e["step"] == "follow")
            while_running.append(shown[0][0] < ended)
    middle, worst = statistics.median(late), statistics.quantiles(late, n=20)[-1]
    assert all(while_running)
    return [
        Row("Delay of the first log line", "", "< 0.5 s", spread(first, 2), "after the Job's end"),
        Row(
            "Delay of any log line",
            "",
            "",
            f"{middle:.2f} s, 95 % in {worst:.2f} s",
            "after the Job's end",
        ),
    ]


def many_lines(stack: Stack, folder: Path) -> list[Row]:
    """200,000 lines of one Job: argorun's reading of them, and curl's and the CLI's from the same pod."""
    ours: list[float] = []
    curl: list[float] = []
    cli: list[float] = []
    memory: list[float] = []
    with support.bench(stack, folder, support.scripted(), name="bench-many") as bench:
        bench.scripts(test=f"seq -f 'line %g' {LINES}")
        for _ in range(ROUNDS):
            out = bench.folder / "out.jsonl"
            command = [*contest.ARGORUN, "run", "-f", str(bench.config()), "--output", "json"]
            with out.open("wb") as stream:
                process = subprocess.Popen(command, env=bench.environment(), cwd=bench.folder, stdout=stream)
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            memory.append(usage.ru_maxrss / 1024)
            ours.append(reading_time(out))
            curl.append(timed(curl_command(bench, folder)))
            tool = [
                "argocd",
                "app",
                "logs",
                bench.app.name,
                "--group",
                "batch",
                "--kind",
                "Job",
                "--name",
                "checks",
            ]
            cli.append(timed(tool, bench.tools()))
    return [
        Row(
            f"{LINES:,} lines, against curl on the same endpoint",
            ratio(ours, curl),
            "≤ 1.2",
            spread(ours, 2),
            f"{spread(curl, 2)}; `argocd app logs` {spread(cli, 2)}",
        ),
        Row("Memory with these lines", "", "flat", spread(memory, 0, "MiB"), ""),
    ]


def reading_time(out: Path) -> float:
    """From the beginning of the log to its end, by argorun's own events; every line must be there."""
    began = ended = 0.0
    lines = 0
    with out.open("rb") as stream:
        for raw in stream:
            lines += raw.startswith(b'{"event":"log_line"')
            if raw.startswith((b'{"event":"log_started"', b'{"event":"log_ended"')):
                event = json.loads(raw)
                began, ended = (
                    (event["time"], ended) if event["event"] == "log_started" else (began, event["time"])
                )
    assert lines == LINES, lines
    return ended - began


def curl_command(bench: Bench, folder: Path) -> list[str]:
    (pod,) = (p for p in bench.app.pods() if p.startswith("checks-"))
    header = folder / "header"
    header.write_text(f"Authorization: Bearer {bench.stack.token}\n", encoding="utf-8")
    query = f"namespace={bench.app.namespace}&container=main&follow=true"
    url = f"https://{bench.stack.server}/api/v1/applications/{bench.app.name}/pods/{pod}/logs?{query}"
    return ["curl", "-sk", "-H", f"@{header}", "-o", os.devnull, url]


def timed(command: Sequence[str], environment: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def start_up() -> Row:
    """`argorun --version` against a bare interpreter, in turn."""
    program = str(Path(sys.executable).with_name("argorun"))
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(4 * ROUNDS):
        ours.append(1000 * timed([program, "--version"]))
        bare.append(1000 * timed([sys.executable, "-c", "pass"]))
    row = "`argorun --version`, against a bare interpreter"
    return Row(row, ratio(ours, bare), "≤ 3", spread(ours, 0, "ms"), spread(bare, 0, "ms"))


if __name__ == "__main__":
    main()
