"""Runs that are ended in each step, or many at once at any moment, leave nothing, whatever they were at.

ARGORUN_CHAOS=300 for a soak, ARGORUN_CHAOS_SEED to have the same moments again.
"""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal
import time

import pytest

from argorun.events import Step
from tests.chaos.ground import App, Ground
from tests.chaos.processes import HUP, INT, KILL, TERM, Blow, Outcome, Plan, random_plan, run
from tests.chaos.verdicts import flaws, report

COUNT = int(os.environ.get("ARGORUN_CHAOS", "40"))
SEED = int(os.environ.get("ARGORUN_CHAOS_SEED", "0")) or time.time_ns() % 1_000_000
AT_ONCE = 4  # processes


@pytest.fixture(scope="module")
def length(ground: Ground) -> float:
    """How long a run takes when it is left alone, in seconds."""
    began = time.monotonic()
    outcome = run(Plan(), ground.application())
    assert flaws(outcome) + outcome.app.left() == []
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("step", "signum"), [(step, (INT, TERM, HUP)[number % 3]) for number, step in enumerate(Step)]
)
def test_a_run_that_is_ended_in_a_step_leaves_nothing(
    ground: Ground, step: Step, signum: signal.Signals
) -> None:
    app = ground.application()
    outcome = run(Plan([Blow(0.0, signum, step)]), app)
    assert outcome.sent, f"the signal found the run over\n{outcome}"
    app.until(lambda a: "operation" not in a)
    assert not (found := [*flaws(outcome), *app.left()]), "\n".join(found)


@pytest.mark.full
def test_runs_that_are_ended_at_any_moment_leave_nothing(ground: Ground, length: float) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}, {COUNT} runs, an undisturbed one takes {length:.1f} s")
    shared = [ground.application() for _ in range(3)]

    def one(plan: Plan, app: App | None) -> Outcome:
        return run(plan, app or ground.application())

    plans = [random_plan(chance, length) for _ in range(COUNT)]
    # Who leaves before it has cleaned up would hold up the others; half of the others share an Application.
    apps = [None if p.twice or chance.random() < 0.5 else chance.choice(shared) for p in plans]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(one, plans, apps))
    found = [flaw for o in outcomes for flaw in flaws(o)]
    for app in {o.app.name: o.app for o in outcomes if not o.plan.twice}.values():
        assert isinstance(app, App)
        app.until(lambda a: "operation" not in a)
        found += [f"{app.name}: {what}" for what in app.left()]
    report(outcomes)
    assert not found, f"seed {SEED}\n" + "\n\n".join(found)


@pytest.mark.parametrize(("signum", "code"), [(HUP, 129), (INT, 130), (TERM, 143)])
def test_a_signal_while_argorun_starts_is_its_code_and_nothing_was_touched(
    ground: Ground, signum: signal.Signals, code: int
) -> None:
    outcome = run(Plan([Blow(0.0, signum)]), ground.application())
    assert (outcome.code, outcome.out, list(outcome.events)) == (
        code,
        f"argorun: interrupted by {signum.name}\n",
        [],
    )
    assert outcome.app.ground.topics(outcome.prefix) == []


def test_ctrl_c_reaches_the_whole_process_group_and_the_shell_tells_the_code(
    ground: Ground, length: float
) -> None:
    outcome = run(Plan([Blow(length / 2, INT)], shell=True), ground.application())
    assert not (found := flaws(outcome)), "\n".join(found)
    assert outcome.code == 130


def test_what_a_killed_run_leaves_is_all_that_its_events_said(ground: Ground, length: float) -> None:
    """A SIGKILL cannot be answered: what stays is for `argorun sweep`, and for the next run."""
    app = ground.application("sleep 5")
    outcome = run(Plan([Blow(length / 2, KILL)]), app)
    assert outcome.code == 137
    app.until(lambda a: "operation" not in a)
    left = app.left()
    topics = ground.topics(outcome.prefix)
    assert len(topics) <= 1, topics
    if any(what.startswith("spec") for what in left):
        assert topics, "whoever changes the spec has a topic"
        assert any(topics[0] in what for what in left if what.startswith("record")), left


@pytest.mark.full
def test_the_run_after_a_killed_one_puts_everything_back(ground: Ground, length: float) -> None:
    chance = random.Random(SEED)
    apps = [ground.application("sleep 1") for _ in range(max(4, COUNT // 20))]

    def one(app: App, moment: float) -> list[str]:
        killed = run(Plan([Blow(moment, KILL)]), app)
        app.until(lambda a: "operation" not in a)
        if app.holds_until_its_time:
            print(f"{killed.plan}: killed between patch and sync: the others wait until its time is over")
            return []
        following = run(Plan(), app)
        app.until(lambda a: "operation" not in a)
        return [*flaws(following), *(f"{what}\n{killed}\n{following}" for what in app.left())]

    with concurrent.futures.ThreadPoolExecutor(len(apps)) as pool:
        moments = [chance.uniform(0.2, 1.0) * length for _ in apps]
        found = [flaw for flaws_of in pool.map(one, apps, moments) for flaw in flaws_of]
    assert not found, f"seed {SEED}\n" + "\n\n".join(found)
