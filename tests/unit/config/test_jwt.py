"""The time when a token expires is read from it; an odd token has none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.config.jwt import account, expires


def token(claims: Any) -> str:
    """A JWT with these claims, as Argo CD writes it; a string is taken as it is."""
    text = claims if isinstance(claims, str) else json.dumps(claims)
    parts = ('{"alg": "HS256", "typ": "JWT"}', text)
    encoded = [base64.urlsafe_b64encode(p.encode()).rstrip(b"=").decode() for p in parts]
    return ".".join([*encoded, "c2ln"])


@pytest.mark.parametrize("exp", [1795656277, 1795656277.5, 1])
def test_a_jwt_says_when_it_expires(exp: float) -> None:
    assert expires(token({"iss": "argocd", "sub": "ci:apiKey", "exp": exp, "jti": "é?>"})) == exp


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "t0ken",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "x.é.y",
        token("{"),
        token("[]"),
        token("null"),
        token("7"),
        token({}),
        token({"exp": None}),
        token({"exp": "1795656277"}),
        token({"exp": True}),
        token({"exp": 0}),
        token({"exp": -1}),
        token({"exp": 10**400}),
        token('{"exp": 1e400}'),
        token('{"exp": NaN}'),
        token({"exp": 1e300}),
        token("[" * 100_000),
    ],
)
def test_whatever_says_nothing_of_its_end_has_none(odd: str) -> None:
    assert expires(odd) is None


@given(st.text())
def test_no_token_breaks_it(text: str) -> None:
    assert expires(text) is None or text.count(".") == 2
    assert expires(f"a.{text}.c") is None or text


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"iss": "argocd", "sub": "ci:apiKey"}, "ci"),
        ({"iss": "argocd", "sub": "admin:login"}, "admin"),
        ({"iss": "argocd", "sub": "ci"}, "ci"),
        ({"iss": "argocd", "sub": "proj:team-a:run"}, "proj:team-a:run"),
        ({"iss": "https://sso.example.com", "sub": "someone"}, ""),
        ({"iss": "argocd", "sub": "a, b\nc"}, ""),
        ({"iss": "argocd"}, ""),
        ("{", ""),
    ],
)
def test_a_jwt_of_argocds_own_says_whom_a_policy_names(claims: Any, named: str) -> None:
    assert account(token(claims)) == named
