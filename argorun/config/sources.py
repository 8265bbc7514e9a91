"""Remembers where each value of the configuration was given."""

from __future__ import annotations

import re

CLI_LOGIN = "the argocd CLI's login"


def with_value(source: str, value: str) -> str:
    """A value with its source: `ARGOCD_SERVER=a:1`, `--server a:1`, `a:1, weather.yaml:4`."""
    if re.fullmatch("[A-Z][A-Z0-9_]*", source):
        return f"{source}={value}"
    if source.startswith("--"):
        return f"{source} {value}"
    return f"{value}, {source}" if source else value


def named(key: str, source: str, value: str) -> str:
    """Where a value was given, for a hint: `ARGOCD_SERVER=a:1`, `--ca FILE`, `argocd.server (a.yaml:4)`."""
    if not source:
        return key
    if source.startswith("--") or source.isupper():
        return with_value(source, value)
    return f"{key} ({source})"
