"""A machine whose clock is wrong harms no run, and a token that expires is told of before and after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argorun.argocd.clock import stamp
from argorun.config import jwt
from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, Running, scripted

SHIFT = "import os, time\nright = time.time\ntime.time = lambda: right() + float(os.environ['SHIFT'])\n"
SEVEN_HOURS, TWENTY_MINUTES = 7 * 3600.0, 1200.0


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("clocks")
    (folder / "clock").mkdir()
    (folder / "clock" / "sitecustomize.py").write_text(SHIFT, encoding="utf-8")
    with support.bench(stack, folder, scripted(), name="clocks", always={"workload": True}) as made:
        yield made


def shifted(bench: Bench, seconds: float) -> dict[str, str]:
    """The environment of a machine whose clock is so far ahead."""
    paths = [str(bench.folder / "clock"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "SHIFT": str(seconds)}


def waits_for(bench: Bench) -> Path:
    """The test waits until this file is there."""
    go = bench.folder / "go"
    go.unlink(missing_ok=True)
    bench.scripts(test=f"echo begun; until [ -e {go} ]; do sleep 0.1; done")
    return go


def notices(run: Running) -> str:
    return "\n".join(e["text"] for e in run.all("notice"))


def test_a_sweep_seven_hours_ahead_leaves_a_live_run_alone(bench: Bench) -> None:
    go = waits_for(bench)
    with bench.as_it_was(), bench.start() as run:
        run.until("log_line", text="begun")
        during, topics = bench.before(), bench.topics()
        for age in ((), ("--older-than", "1h")):
            result = bench.sweep(*age, environment=shifted(bench, SEVEN_HOURS))
            assert (result.code, result.out) == (0, ""), str(result)
            assert "the clock of this machine is 7h00m ahead of Argo CD's" in result.err, str(result)
        alone = shifted(bench, SEVEN_HOURS) | {"ARGOCD_SERVER": "", "ARGOCD_AUTH_TOKEN": ""}
        result = bench.sweep("--older-than", "10m", environment=alone)
        assert (result.code, "--yes" in result.err) == (2, True), str(result)
        assert (bench.before(), bench.topics(), bench.app.running) == (during, topics, True)
        go.touch()
        assert run.end() == 0, str(run)


def test_a_run_twenty_minutes_ahead_waits_for_a_live_one(bench: Bench) -> None:
    go = waits_for(bench)
    ahead = shifted(bench, TWENTY_MINUTES)
    with bench.as_it_was(), bench.start() as one:
        one.until("log_line", text="begun")
        with bench.start(environment=ahead) as other:
            other.until("waiting")
            go.touch()
            codes = [one.end(), other.end()]
        assert codes == [0, 0], f"{one}\n\n{other}"
        assert "is dead" not in notices(one) + notices(other), f"{one}\n\n{other}"
        assert "is 20m00s ahead of Argo CD's: Argo CD's time is used" in notices(other), str(other)
        drawn = [int(e["topic"].split("_")[-2]) for r in (one, other) for e in r.all("topic_created")]
        assert abs(drawn[0] - drawn[1]) < TWENTY_MINUTES / 2


def new_token(stack: Stack, seconds: int) -> str:
    """Another one of the account ci, good for so long."""
    return str(stack.api("POST", "account/ci/token", {"name": "ci", "expiresIn": seconds})["token"])


def test_a_token_that_expires_during_the_run_is_told_of_before_and_nothing_unseen_is_said(
    stack: Stack, bench: Bench
) -> None:
    go = waits_for(bench)
    before, token = bench.before(), new_token(stack, 20)
    expires = stamp(jwt.expires(token) or 0)
    with bench.start(environment={"ARGOCD_AUTH_TOKEN": token}) as run:
        assert run.end() == 6, str(run)
    (told,) = [e["text"] for e in run.all("notice") if "token" in e["text"]]
    assert told.startswith(f"the token expires at {expires} (in "), told
    (verdict,) = run.all("verdict")
    assert verdict["title"].endswith(f"the token for Argo CD expired at {expires}"), str(run)
    assert not any("gone" in e["reason"] for e in run.all("log_ended")), str(run)
    again = bench.run(environment={"ARGOCD_AUTH_TOKEN": token})
    assert (again.code, f"the token for Argo CD expired at {expires}" in again.err) == (6, True), str(again)
    go.touch()
    assert bench.sweep("--older-than", "0s").code == 0
    support.nothing_left(bench, before)
