"""Reads from a token when it expires."""

from __future__ import annotations

import base64

import msgspec

NEVER = 1e11  # seconds since the epoch, some 3,000 years on


class Claims(msgspec.Struct):
    """The claims of a JWT that are read (RFC 7519, 4.1.4)."""

    exp: float | None = None


def expires(token: str) -> float | None:
    """When a JWT expires, in seconds since the epoch; None where it does not say so, or is no JWT.

    Nothing is verified: the server does that.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        exp = msgspec.json.decode(payload, type=Claims).exp
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return exp if exp is not None and 0 < exp < NEVER else None
