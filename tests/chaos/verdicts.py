"""What may not be, after a run that was struck at any moment: each flaw as a sentence."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from argorun.events import Notice, RunEnded
from argorun.kinds import Subject
from tests.chaos.processes import TRACES, Outcome

NEAR = 0.3  # seconds around a run's last event within which a signal may find it over or not


def flaws(outcome: Outcome, passed: int = 0) -> list[str]:
    """All that is wrong with a run; `passed` is the exit code of its tests left alone."""
    return [f"{flaw}\n{outcome}" for flaw in _flaws(outcome, passed)]


def _flaws(outcome: Outcome, passed: int) -> Iterator[str]:
    if trace := TRACES.search(outcome.out):
        yield f"a traceback is shown: {trace[0]}"
    if outcome.code not in (allowed := codes(outcome, passed)):
        yield f"exit {outcome.code}, not one of {sorted(allowed)}"
    told = [e.exit_code for e in outcome.events if isinstance(e, RunEnded)]
    if outcome.code not in (told or [outcome.code]):
        yield f"exit {outcome.code}, but the last event says {told}"
    named = " ".join(e.what for e in outcome.left_behind)
    if unnamed := [t for t in outcome.app.ground.topics(outcome.prefix) if t not in named]:
        yield f"topics are left and not named: {unnamed}"
    if named and not outcome.plan.twice and not late(outcome):
        yield f"left behind: {named}"


def late(outcome: Outcome) -> bool:
    """Whether GitHub's second signal came: what may be left then is only what is patient anyway.

    So is the operation once Argo CD has agreed to end it, and is seen at it.
    """
    patient = {
        "the workloads' settings",
        "requests without an answer",
        "topics that a terminating pod brings back",
    }
    if any("ending the run's operation" in e.text for e in outcome.events if isinstance(e, Notice)):
        patient.add("the run's operation")
    left = {e.what for e in outcome.left_behind if e.kind is not Subject.POD}
    return len(outcome.sent) > 1 and left <= patient


def codes(outcome: Outcome, passed: int) -> set[int]:
    """The exit codes that the run may have."""
    if not outcome.sent:
        return {passed}
    first, signum = outcome.sent[0]
    over = next((e for e in outcome.events if isinstance(e, RunEnded)), None)
    verdict = outcome.verdict
    if verdict is not None and not verdict.ok and verdict.exit_code < 128:
        return {verdict.exit_code}
    by_signal = {128 + signum}
    if over is not None and first > over.time + NEAR:
        return {passed}
    if (over is not None and first > over.time - NEAR) or (over is None and verdict is not None):
        return by_signal | {passed}
    return by_signal


def report(outcomes: Sequence[Outcome]) -> None:
    """Figures for people: the codes, and how soon everything was back after a signal."""
    codes: dict[int, int] = {}
    for o in outcomes:
        codes[o.code] = codes.get(o.code, 0) + 1
    print(f"exit codes {dict(sorted(codes.items()))}")
    took: dict[str, list[float]] = {}
    for o in outcomes:
        if not o.plan.twice:
            for what, seconds in o.back_after.items():
                took.setdefault(what, []).append(seconds)
            if (lasted := o.lasted) is not None:
                took.setdefault("the process ended", []).append(lasted)
    for what, all_of in took.items():
        median, most = statistics.median(all_of), max(all_of)
        print(f"{what}: median {median:.2f} s, at most {most:.2f} s, {len(all_of)} times")
