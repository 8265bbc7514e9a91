"""Reads from a token when it expires, and whose it is."""

from __future__ import annotations

import base64
import re

import msgspec

NEVER = 1e11  # seconds since the epoch, some 3,000 years on
_SUBJECT = re.compile(r"(?P<account>proj:[\w.-]+:[\w.-]+|[\w.@-]+)(:apiKey|:login)?")


class Claims(msgspec.Struct):
    """The claims of a JWT that are read (RFC 7519, 4.1.4)."""

    exp: float | None = None
    iss: str = ""
    sub: str = ""


def expires(token: str) -> float | None:
    """When a JWT expires, in seconds since the epoch; None where it does not say so, or is no JWT."""
    exp = _claims(token).exp
    return exp if exp is not None and 0 < exp < NEVER else None


def account(token: str) -> str:
    """The account of a token that Argo CD has made, or its project's role; empty for any other token.

    `ci` of `ci:apiKey`, or `proj:team:run`: a policy names both like this (source: Argo CD's
    util/rbac/rbac.go, GetSubjectAccountAndCapability in util/session/sessionmanager.go).
    """
    claims = _claims(token)
    named = _SUBJECT.fullmatch(claims.sub)
    return named["account"] if claims.iss == "argocd" and named else ""


def _claims(token: str) -> Claims:
    """What a token says of itself. Nothing is verified: the server does that."""
    parts = token.split(".")
    if len(parts) != 3:
        return Claims()
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=Claims)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return Claims()
