"""Argo CD's time is known from its answers' dates, whatever this machine's clock says and does."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.clock import Clock, date, stamp, steady
from argorun.argocd.rest_client import RestClient
from argorun.config.model import ApplicationRef
from tests.unit.argocd.test_rest_client import settings
from tests.unit.argocd.web import Server, answer

NOW = 1_800_000_000.0
APP = ApplicationRef(name="weather")


class World:
    """The right time, which passes here only; Argo CD goes by it, this machine's clock may be wrong."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.time, self.wrong = NOW, wrong
        self.clock = Clock(steady=lambda: self.time - 5e8, local=lambda: self.time + self.wrong)

    def asks(self, there: float = 0.0, back: float = 0.0, **headers: str) -> None:
        """A request that takes so many seconds to Argo CD, and its answer back."""
        sent = self.clock.sent()
        self.time += there
        told = {"date": email.utils.formatdate(self.time, usegmt=True)} | headers
        self.time += back
        self.clock.answered(told, sent)

    @property
    def error(self) -> float:
        return abs(self.clock.now() - self.time)


def test_before_the_first_answer_it_is_this_machines_time() -> None:
    world = World(wrong=1200)
    assert (world.clock.known, world.error, world.clock.ahead()) == (False, 1200, 0)


@pytest.mark.parametrize("wrong", [1200, -1200, 7 * 3600, 31, -NOW])
def test_one_answer_sets_a_clock_that_is_wrong_to_the_second(wrong: float) -> None:
    world = World(wrong)
    world.asks(0.1, 0.1)
    assert world.clock.known
    assert world.error <= 0.6
    assert abs(world.clock.ahead() - wrong) <= 0.6


def test_a_clock_that_is_right_is_not_made_wrong_by_whole_seconds() -> None:
    world = World()
    world.time += 0.9
    world.asks(0.1, 0.1)
    assert (world.error, world.clock.ahead()) == (0, 0)


def test_a_clock_that_is_set_during_the_run_does_no_harm() -> None:
    world = World(wrong=1200)
    world.asks()
    world.wrong = -86400
    world.time += 60
    assert world.error <= 0.5
    world.asks()
    assert world.error <= 0.5


@pytest.mark.parametrize(("there", "back"), [(600, 0), (0, 600), (300, 300)])
def test_a_sleep_between_request_and_answer_spoils_nothing_and_what_comes_after_it_narrows_it(
    there: float, back: float
) -> None:
    """SIGSTOP, or a laptop's lid."""
    world = World(wrong=1200)
    world.asks(0.1, 0.1)
    world.asks(there, back)
    assert world.error <= 0.6
    world = World(wrong=1200)
    world.asks(there, back)
    assert world.error <= 301
    world.asks(0.1, 0.1)
    assert world.error <= 0.6


def test_each_answer_narrows_it() -> None:
    world = World(wrong=1200)
    for tenth in range(10):
        world.time = int(world.time) + 1 + tenth / 10
        world.asks()
    assert world.error <= 0.06


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30), st.floats(0, 30)), min_size=1, max_size=20),
)
def test_the_quickest_answer_says_how_wrong_it_can_be(
    wrong: float, answers: list[tuple[float, float, float]]
) -> None:
    world = World(wrong)
    for pause, there, back in answers:
        world.time += pause
        world.asks(there, back)
    quickest = min(there + back for _, there, back in answers)
    assert world.error <= quickest + 1 + 1e-3


def test_where_argo_cds_clock_is_set_the_newest_answer_counts() -> None:
    world = World()
    world.asks()
    world.asks(date=email.utils.formatdate(world.time + 3600, usegmt=True))
    assert abs(world.clock.now() - world.time - 3600) <= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"date": ""},
        {"date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"date": "Wed, 31 Dec 9999 23:59:59 GMT"},
        {"date": "yesterday"},
        {"date": "Fri, 15 Jan 2027 25:00:00 GMT"},
        {"date": "Fri, 99 Jan 2027 08:00:00 GMT"},
        {"date": "Fri, 15 Foo 2027 08:00:00 GMT"},
        {"date": "Fri, 15 Jan 2027 08:00:00 +0100"},
        {"age": "0"},
        {"age": "3600"},
    ],
)
def test_a_date_that_is_none_and_an_answer_from_a_cache_tell_nothing(headers: dict[str, str]) -> None:
    world = World(wrong=1200)
    world.asks(**headers)
    assert (world.clock.known, world.error) == (False, 1200)
    world.asks()
    known = world.clock.now()
    world.asks(**headers)
    assert world.clock.now() == known


@given(st.text())
def test_no_date_breaks_it(text: str) -> None:
    assert date(text) is None


@given(st.integers(10**9, 10**10 - 1))
def test_a_time_is_read_as_http_writes_it(seconds: int) -> None:
    assert date(email.utils.formatdate(seconds, usegmt=True)) == seconds


def test_a_time_is_written_as_argo_cd_writes_it() -> None:
    assert stamp(NOW + 0.9) == "2027-01-15T08:00:00Z"


def test_the_steady_clock_goes_forward() -> None:
    first = steady()
    assert steady() >= first


# -- over HTTP -------------------------------------------------------------------------------------------


def test_every_answer_of_argo_cd_tells_the_time_and_a_gateways_error_does_not() -> None:
    tomorrow = time.time() + 86400
    right, wrong = ({"Date": email.utils.formatdate(t, usegmt=True)} for t in (tomorrow, 1.1e9))
    server = Server([answer(503, **wrong), answer(200, **right)])

    async def main() -> float:
        async with server.up(), RestClient(settings(server.port)) as client:
            await client.application(APP)
            assert len(server.requests) == 2
            return client.clock.now()

    assert abs(asyncio.run(main()) - tomorrow) < 60
