"""A check that fails keeps only those from being made that depend on it, and all that is wrong is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from argorun.argocd.http.errors import ApiError, InvalidResponse, Slow, Unauthenticated, Unreachable
from argorun.errors import AccessDenied, ArgorunError, KafkaFailed, UsageError
from argorun.kafka.errors import LoginRefused
from argorun.kafka.errors import Unreachable as KafkaUnreachable
from argorun.run.checks import catalog
from argorun.run.checks.check import (
    APPLICATION,
    ARGOCD,
    KAFKA,
    TOPICS,
    Check,
    Context,
    Outcome,
    ends,
    examine,
    together,
)
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

Look = Callable[[Context], Awaitable[str]]


def finds(fact: str = "fine") -> Look:
    async def look(context: Context) -> str:
        return fact

    return look


def fails(error: ArgorunError) -> Look:
    async def look(context: Context) -> str:
        raise error

    return look


def check(name: str, look: Look, *needs: str, of: tuple[str, ...] = (ARGOCD,)) -> Check:
    return Check(name, "?", look, of, needs)


def context() -> Context:
    scenario = Scenario()
    nothing = cast(Any, None)
    return Context(scenario.config, scenario.argocd.client, nothing, scenario.emitter, nothing, nothing)


def outcomes(*checks: Check, **missing: str) -> list[tuple[str, str]]:
    """Each check's name, with what came of it."""

    async def all_of() -> list[Outcome]:
        return [o async for o in examine(checks, context(), missing)]

    made = run(all_of())
    return [(o.check.name, o.error.message if o.error else o.skipped or o.fact) for o in made]


def test_what_does_not_depend_on_a_failed_check_is_made() -> None:
    denied = AccessDenied("may not")
    assert outcomes(
        check("a", fails(denied)),
        check("b", finds(), "a"),
        check("c", finds(), "b"),
        check("d", finds()),
        check("e", finds(), of=(KAFKA,)),
    ) == [("a", "may not"), ("b", "see a"), ("c", "see a"), ("d", "fine"), ("e", "fine")]


def test_a_service_that_does_not_answer_is_asked_nothing_more() -> None:
    assert outcomes(
        check("a", fails(Unreachable("refused"))),
        check("b", finds()),
        check("c", fails(LoginRefused("who?")), of=(KAFKA,)),
        check("d", finds(), of=(KAFKA, TOPICS)),
        check("e", finds(), of=()),
    ) == [("a", "refused"), ("b", "see a"), ("c", "who?"), ("d", "see c"), ("e", "fine")]


def test_a_setting_that_is_missing_skips_what_is_about_it() -> None:
    assert outcomes(
        check("a", finds()),
        check("b", finds(), of=(ARGOCD, APPLICATION)),
        check("c", finds(), "b"),
        application="no Application to run",
    ) == [("a", "fine"), ("b", "no Application to run"), ("c", "no Application to run")]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (Unreachable("refused"), True),
        (InvalidResponse("a web page"), True),
        (Unauthenticated("who?"), True),
        (KafkaUnreachable("refused"), True),
        (LoginRefused("wrong password"), True),
        (ApiError("show", 503, 14, "no healthy upstream"), True),
        (ApiError("render", 500, 2, "app path does not exist"), False),
        (Slow("rendering"), False),
        (AccessDenied("may not"), False),
        (UsageError("no such key"), False),
        (KafkaFailed("policy"), False),
    ],
)
def test_only_a_service_that_answers_nobody_ends_its_other_checks(error: ArgorunError, ended: bool) -> None:
    assert ends(error) is ended


def test_of_several_errors_the_first_decides_and_the_others_are_told_with_it() -> None:
    error = together([
        AccessDenied("may not", "add this", reason="why"),
        KafkaFailed("refused", "check that\nand this"),
        UsageError("no such key"),
    ])  # fmt: skip
    assert (type(error), error.message, error.hint) == (AccessDenied, "may not", "add this")
    assert error.reason == "why\nalso: refused\n  check that\n  and this\nalso: no such key"


@pytest.mark.parametrize("checks", [catalog.RUN, catalog.DRY_RUN, catalog.DOCTOR])
def test_each_check_comes_after_those_that_it_needs_and_has_a_name_of_its_own(
    checks: tuple[Check, ...],
) -> None:
    names = [c.name for c in checks]
    assert len(set(names)) == len(names)
    for at, each in enumerate(checks):
        assert set(each.needs) <= set(names[:at])


def test_the_doctor_makes_every_check_of_a_run() -> None:
    doctor = {c.name for c in catalog.DOCTOR}
    assert {c.name for c in (*catalog.RUN, *catalog.DRY_RUN)} <= doctor
