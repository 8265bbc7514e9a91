"""Hooks that hold data are told from those that run."""

from __future__ import annotations

import pytest

from argorun.argocd.manifests.hooks import is_data_hook, is_hook
from tests.unit.argocd.gopatch import Json
from tests.unit.argocd.objects import HOOK


@pytest.mark.parametrize(
    ("annotations", "data", "hook"),
    [
        (HOOK, True, True),
        ({"helm.sh/hook": "pre-install"}, True, True),
        ({"argocd.argoproj.io/hook": "Skip"}, False, True),
        ({}, False, False),
    ],
)
def test_hooks_that_hold_data_are_told_from_those_that_run(annotations: Json, data: bool, hook: bool) -> None:
    for kind in ("ConfigMap", "Secret", "Job", "Pod"):
        manifest = {"kind": kind, "metadata": {"annotations": annotations}}
        assert is_hook(manifest) is hook
        assert is_data_hook(manifest) is (data and kind not in ("Job", "Pod"))
