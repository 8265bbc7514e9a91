"""Runs that are ended at any moment, many at once, leave nothing, whatever they were at.

ARGORUN_CHAOS=300 for a soak, ARGORUN_CHAOS_SEED to have the same moments again.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.chaos.ground import App, Ground
from tests.chaos.processes import Blow, INT, KILL, Outcome, Plan, TERM, random_plan, run
from tests.chaos.verdicts import flaws

COUNT = int(os.environ.get("ARGORUN_CHAOS", "12"))
SEED = int(os.environ.get("ARGORUN_CHAOS_SEED", "0")) or time.time_ns() % 1_000_000
AT_ONCE = 4  # processes


@pytest.fixture(scope="module")
def length(ground: Ground) -> float:
    """How long a run takes when it is left alone, in seconds."""
    began = time.monotonic()
    outcome = run(Plan(), ground.application())
    assert flaws(outcome) + outcome.app.left() == []
    return time.monotonic() - began


def test_runs_that_are_ended_at_any_moment_leave_nothing(ground: Ground, length: float) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}, {COUNT} runs, an undisturbed one takes {length:.1f} s")
    shared = [ground.application() for _ in range(3)]

    def one(plan: Plan) -> Outcome:
        # Who leaves before it has cleaned up would hold up the others.
        app = ground.application() if plan.twice else apps[plan]
        return run(plan, app)

    plans = [random_plan(chance, length) for _ in range(COUNT)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(one, plans))
    found = [flaw for o in outcomes for flaw in flaws(o)]
    for app in shared:
        app.until(lambda a: "operation" not in a)
        found += [f"{app.name}: {what}" for what in app.left()]
    report(outcomes)
    assert found == [], f"seed {SEED}\n" + "\n\n".join(found)


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
    for what, seconds in took.items():
        print(f"{what}: median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s, {len(seconds)}")
