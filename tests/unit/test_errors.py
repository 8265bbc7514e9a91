"""Each way to end badly has its own exit code, the one that the design lists."""

from __future__ import annotations

import signal

import pytest

from argorun import errors
from argorun.argocd.http import errors as http_errors
from argorun.errors import EXIT_CODES, ArgorunError, Interrupted

DESIGN = {
    "TestsFailed": 1,
    "UsageError": 2,
    "OperationFailed": 3,
    "TimedOut": 4,
    "StillBusy": 5,
    "AccessDenied": 6,
    "KafkaFailed": 7,
    "ArgoCDFailed": 8,
    "NoTestRan": 9,
    "CleanupIncomplete": 10,
    "InternalError": 70,
    "Interrupted": 130,
}
TREE = [
    c
    for c in vars(errors).values()
    if isinstance(c, type) and issubclass(c, ArgorunError) and c is not ArgorunError
]


def test_the_exit_codes_are_those_of_the_design() -> None:
    assert {c.__name__: c.exit_code for c in TREE} == DESIGN


def test_no_two_classes_share_an_exit_code() -> None:
    assert len({c.exit_code for c in TREE}) == len(TREE)


def test_none_derives_from_another_so_that_no_except_takes_too_much() -> None:
    assert {c.__name__: c.__bases__ for c in TREE} == dict.fromkeys(DESIGN, (ArgorunError,))


@pytest.mark.parametrize(
    "kind", [http_errors.Unreachable, http_errors.InvalidResponse, http_errors.ApiError, http_errors.Denied]
)
def test_what_the_client_raises_keeps_its_parents_exit_code(kind: type[ArgorunError]) -> None:
    parent = errors.AccessDenied if kind is http_errors.Denied else errors.ArgoCDFailed
    assert (issubclass(kind, parent), kind.exit_code) == (True, parent.exit_code)


@pytest.mark.parametrize(("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_with_the_shells_code_and_says_its_name(name: str, code: int) -> None:
    error = Interrupted(getattr(signal, name))
    assert (error.exit_code, error.message) == (code, f"interrupted by {name}")
    assert Interrupted.exit_code == 130  # the class itself is left alone


def test_an_error_is_its_message_with_advice_and_reason_beside_it() -> None:
    error = errors.OperationFailed("what", "do this", reason="why")
    assert (str(error), error.message, error.hint, error.reason) == ("what", "what", "do this", "why")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [
        line.replace("├──", "").replace("└──", "").split(maxsplit=1)
        for line in (errors.__doc__ or "").splitlines()
        if "──" in line
    ]
    codes = {name: str(code) for name, code in DESIGN.items()} | {"Interrupted": "129, 130, 143"}
    assert drawn == [[name, code] for name, code in codes.items()]


def test_each_exit_code_has_one_meaning() -> None:
    listed = [code for row in EXIT_CODES for code in row.codes]
    assert listed == sorted({0, 129, 143, *DESIGN.values()})
    assert len({row.meaning for row in EXIT_CODES}) == len(EXIT_CODES)
