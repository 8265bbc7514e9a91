"""One argorun as a process, what is done to it while it runs, and what is seen of it afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from argorun.events import Event, LeftBehind, RunStarted, Step, StepStarted, Undone, Verdict
from argorun.reporters.json_lines import decode
from tests.chaos.ground import LIMIT
from tests.checkout import ARGORUN

INT, TERM, HUP, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
TRACES = re.compile(r"Traceback \(most recent|Fatal Python|Exception ignored|never retrieved|never awaited")


class Place(Protocol):
    """The servers that argorun talks to, the stand-in's or the real stack's."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]: ...
    def topics(self, prefix: str) -> list[str]: ...


class Target(Protocol):
    """An Application that is run."""

    @property
    def name(self) -> str: ...
    @property
    def ground(self) -> Place: ...


@dataclasses.dataclass(frozen=True)
class Blow:
    """A signal, so many seconds after the one before (the first: after the start), or after a step begins."""

    after: float
    signum: signal.Signals
    step: Step | None = None


# What GitHub does to a step whose run is canceled; who has ended by then is spared the rest.
GITHUB = (Blow(0.0, INT), Blow(7.5, TERM), Blow(2.5, KILL))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done to one run. Where `shell` is set, it is the child of a shell in a process group,
    and the whole group gets every signal, as a terminal's Ctrl-C does it."""

    blows: Sequence[Blow] = ()
    output: str = "plain"
    shell: bool = False
    arguments: Sequence[str] = ()

    @property
    def kills(self) -> bool:
        return any(b.signum is KILL for b in self.blows) and not self.githubs

    @property
    def githubs(self) -> bool:
        return tuple(b.signum for b in self.blows) == (INT, TERM, KILL)

    @property
    def twice(self) -> bool:
        """Whether argorun may leave before it has cleaned up."""
        return len(self.blows) > 1 and not self.githubs

    def __str__(self) -> str:
        blows = ", ".join(f"{b.signum.name} {b.step or ''}+{b.after:.3f}" for b in self.blows)
        return f"{blows or 'undisturbed'}{' (shell)' if self.shell else ''} {self.output}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended. `code` is as a shell has it; `sent` are the signals that found it alive."""

    plan: Plan
    app: Target
    prefix: str
    code: int
    out: str
    events: Sequence[Event]
    sent: Sequence[tuple[float, signal.Signals]]
    ended: float  # seconds since the epoch

    @property
    def left_behind(self) -> list[LeftBehind]:
        return [e for e in self.events if isinstance(e, LeftBehind)]

    @property
    def verdict(self) -> Verdict | None:
        return next((e for e in self.events if isinstance(e, Verdict)), None)

    @property
    def back_after(self) -> dict[str, float]:
        """Seconds from the first signal to each thing undone after it."""
        if not self.sent:
            return {}
        first = self.sent[0][0]
        undone = (e for e in self.events if isinstance(e, Undone) and e.time >= first)
        return {re.sub("topic .*", "topic", e.what): e.time - first for e in undone}

    @property
    def lasted(self) -> float | None:
        """Seconds from the first signal to the end of the process."""
        return self.ended - self.sent[0][0] if self.sent else None

    def __str__(self) -> str:
        sent = ", ".join(f"{s.name} {t:.3f}" for t, s in self.sent)
        return (
            f"{self.app.name} {self.prefix}: {self.plan}: exit {self.code}; sent {sent}\n{self.out[-5000:]}"
        )


def run(plan: Plan, app: Target) -> Outcome:
    """argorun, once, with the plan carried out on it."""
    prefix = f"c{secrets.token_hex(5)}_updates"
    folder = app.ground.folder
    file = folder / f"{prefix}.jsonl"
    command = [
        *ARGORUN, "run", app.name, "--topic", prefix, "--parameter", "kafka.topic",
        "--output", plan.output, "--events", str(file), *plan.arguments,
    ]  # fmt: skip
    if plan.shell:
        command = ["sh", "-c", 'trap : INT TERM HUP; "$@"; exit $?', "sh", *command]
    with started(command, app, folder) as process:
        sent = list(carried_out(plan, process, file))
        out, _ = process.communicate(timeout=LIMIT)
        ended = time.time()
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    events = told(file) if not plan.kills else []
    return Outcome(plan, app, prefix, code, out, events, sent, ended)


@contextlib.contextmanager
def started(command: Sequence[str], app: Target, folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=app.ground.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, KILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def told(file: Path) -> list[Event]:
    """The events of a run that may still go on."""
    return list(decode(file.read_bytes().rpartition(b"\n")[0].splitlines())) if file.exists() else []


def carried_out(
    plan: Plan, process: subprocess.Popen[str], file: Path
) -> Iterator[tuple[float, signal.Signals]]:
    """Send the plan's signals for as long as the process lives."""
    started_up(process)
    for blow in plan.blows:
        if blow.step is not None:
            reached(blow.step, process, file)
        try:
            process.wait(blow.after)
        except subprocess.TimeoutExpired:
            now = time.time()
            with contextlib.suppress(ProcessLookupError):
                if plan.shell:
                    os.killpg(process.pid, blow.signum)
                else:
                    process.send_signal(blow.signum)
            yield now, blow.signum
        else:
            return


def started_up(process: subprocess.Popen[str]) -> None:
    """Wait until argorun hears signals: before that it is Python that answers them, as it likes."""
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and not any(hears(pid) for pid in session(process.pid)):
        assert time.monotonic() < deadline, "argorun does not start"
        time.sleep(0.002)


def reached(step: Step, process: subprocess.Popen[str], file: Path) -> None:
    """Wait until this step of the run has begun."""
    deadline = time.monotonic() + LIMIT
    while step not in map(begun, told(file)):
        assert process.poll() is None, f"the run ended before its step {step}"
        assert time.monotonic() < deadline, f"step {step} does not begin"
        time.sleep(0.01)


def begun(event: Event) -> Step | None:
    """The step that an event says has begun."""
    if isinstance(event, RunStarted):
        return Step.PLAN
    return event.step if isinstance(event, StepStarted) else None


def session(leader: int) -> list[int]:
    """The processes that one has started, itself included."""
    found = [leader]
    with contextlib.suppress(OSError):
        found += map(int, Path(f"/proc/{leader}/task/{leader}/children").read_text().split())
    return found


def hears(pid: int) -> bool:
    """Whether a Python catches SIGTERM: argorun's handlers are there."""
    with contextlib.suppress(OSError):
        status, name = Path(f"/proc/{pid}/status").read_text(), Path(f"/proc/{pid}/comm").read_text()
        caught = int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16)
        return name.startswith("python") and bool(caught >> (TERM - 1) & 1)
    return False


def random_plan(chance: random.Random, length: float) -> Plan:
    """One of the ways to go; `length` is how long an undisturbed run takes, in seconds."""
    at = chance.uniform(0, length * 1.1)
    ways: list[tuple[int, Sequence[Blow], bool]] = [
        (2, (), False),
        (6, (Blow(at, INT),), False),
        (6, (Blow(at, TERM),), False),
        (2, (Blow(at, HUP),), False),
        (6, (Blow(at, INT), *GITHUB[1:]), False),
        (3, (Blow(at, INT), *GITHUB[1:]), True),
        (2, (Blow(at, INT), Blow(chance.uniform(0, 0.45), INT)), False),
        (2, (Blow(at, INT), Blow(chance.uniform(0.6, 2.0), INT)), False),
        (2, (Blow(at, INT), Blow(chance.uniform(0, 1.0), TERM)), False),
    ]
    _, blows, shell = chance.choices(ways, [weight for weight, _, _ in ways])[0]
    return Plan(blows, chance.choice(["plain", "json", "rich"]), shell)
