"""Runs on the real stack that are ended at any moment, several at once, leave nothing.

ARGORUN_CHAOS says how many (default 12), ARGORUN_CHAOS_SEED gives the same moments again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import random
import time
from collections.abc import Iterator

import pytest

from tests.chaos.processes import Outcome, Plan, random_plan, run
from tests.chaos.verdicts import flaws, report
from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Before, Bench, scripted

COUNT = int(os.environ.get("ARGORUN_CHAOS", "12"))
SEED = int(os.environ.get("ARGORUN_CHAOS_SEED", "0")) or time.time_ns() % 1_000_000
AT_ONCE = 3


class RealGround:
    """What tests.chaos needs to know of the real stack."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self.folder = bench, bench.folder

    @property
    def environment(self) -> dict[str, str]:
        return self._bench.environment()

    def topics(self, prefix: str) -> list[str]:
        return sorted(self._bench.stack.topics(prefix))


class RealApp:
    """An Application of the real stack, as tests.chaos sees one."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.name, self.ground = bench, bench.app.name, RealGround(bench)
        self.arguments = ["-f", str(bench.config(topics=None))]
        self.before: Before = bench.before()


@pytest.fixture(scope="module")
def apps(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RealApp]]:
    with contextlib.ExitStack() as benches:
        made = []
        for n in range(2):
            folder = tmp_path_factory.mktemp(f"chaos{n}")
            bench = benches.enter_context(
                support.bench(stack, folder, scripted(), name="chaos", always={"workload": True})
            )
            bench.scripts(pre="sleep 0.2", test="echo begun; sleep 1")
            made.append(RealApp(bench))
        yield made


def test_runs_that_are_ended_at_any_moment_leave_nothing(apps: list[RealApp]) -> None:
    chance = random.Random(SEED)
    began = time.monotonic()
    first = run(Plan(arguments=apps[0].arguments), apps[0])
    assert not (found := flaws(first)), "\n".join(found)
    length = time.monotonic() - began
    print(f"seed {SEED}, {COUNT} runs, an undisturbed one takes {length:.1f} s")
    plans = [p for p in (random_plan(chance, length) for _ in range(4 * COUNT)) if not p.twice][:COUNT]

    def one(numbered: tuple[int, Plan]) -> Outcome:
        app = apps[numbered[0] % len(apps)]
        return run(dataclasses.replace(numbered[1], arguments=app.arguments), app)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(one, enumerate(plans)))
    report(outcomes)
    found = [flaw for o in outcomes for flaw in flaws(o)]
    assert not found, f"seed {SEED}\n" + "\n\n".join(found)
    for app in apps:
        app.bench.app.wait_idle()  # a settling operation may still run
        if any(
            o.left_behind for o in outcomes if o.app is app
        ):  # GitHub's time was over: the next run sees to it
            heir = run(Plan(arguments=app.arguments), app)
            assert not (found := flaws(heir)), "\n".join(found)
        try:
            support.nothing_left(app.bench, app.before)
        except AssertionError as e:
            e.add_note(f"seed {SEED}\n{app.bench.app.get()['status'].get('resources')}")
            e.add_note("\n\n".join(str(o) for o in outcomes if o.app is app))
            raise
