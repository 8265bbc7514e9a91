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
