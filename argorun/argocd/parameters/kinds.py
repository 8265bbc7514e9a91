"""The kinds of parameters that argorun supports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from argorun.argocd.parameters import helm, kustomize
from argorun.argocd.parameters.kind import ParameterKind, Setting

KINDS: dict[str, ParameterKind[Any]] = {
    "helm": helm,
    "kustomize": kustomize,
}
"""Each kind by its name in argorun.yaml, which is also its field in config.model.Parameter."""


def by_kind(settings: Iterable[Setting]) -> dict[str, list[Setting]]:
    """The settings of each kind that has some, in the order of KINDS."""
    listed = list(settings)
    grouped = {name: [s for s in listed if s.kind == name] for name in KINDS}
    return {name: ours for name, ours in grouped.items() if ours}
