"""Finds the test Jobs among an Application's hooks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from argorun.argocd.manifests.hooks import RUNNING, hooks_of
from argorun.argocd.parameters.topic_like import words
from argorun.argocd.types import Application, Json

_TESTS = re.compile("tests?|checks?|verify|verification|e2e|smoke|integration|automation|acceptance")
_OTHER = re.compile(
    "creat(e|ion)|make|delet(e|ion)|remove|clean(up)?|teardown|drop|purge|notify|notification|slack|migrat(e|ion)"
    "|backup|seed|setup|prepare|wait|announce|publish|sync"
)
# What Argo CD appends to a generateName: revision, phase, time (docs/argocd-facts.md#generated-names).
_GENERATED = re.compile(r"[0-9a-f]{7}-[a-z]+-[0-9]{10}$")


_Hook = tuple[str, str, tuple[str, ...], str]  # kind, name, phases, where it was seen


@dataclass(frozen=True)
class PostSyncHook:
    """A Job or bare Pod of the phase PostSync, which decides a verdict if it is a test."""

    kind: str
    name: str
    phases: tuple[str, ...]
    seen: str
    is_test: bool  # as far as its name and phases tell

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({', '.join(self.phases)})"


def find_tests(manifests: Sequence[Json], live: Sequence[Json], app: Application) -> list[PostSyncHook]:
    """The PostSync hooks: those that are rendered, else those that are live, else those of the last sync.

    A chart may render its hooks only with a topic. Their Jobs stay in the cluster until the next sync.
    """
    found = _post_sync(manifests, "among the manifests") or _post_sync(live, "in the cluster")
    found = found or _of_last_operation(app)
    return [PostSyncHook(*each, is_test=_looks_like_test(each[1], each[2])) for each in found]


def _post_sync(objects: Sequence[Json], seen: str) -> list[_Hook]:
    return [(h.kind, h.name, h.phases, seen) for h in hooks_of(objects) if "PostSync" in h.phases]


def _of_last_operation(app: Application) -> list[_Hook]:
    state = app.status.operation_state
    results = (state.sync_result.resources if state and state.sync_result else None) or ()
    phases: dict[tuple[str, str], list[str]] = {}
    for r in results:
        if r.hook_type and r.kind in RUNNING:
            phases.setdefault((r.kind, _ungenerated(r.name)), []).append(r.hook_type)
    ran = ((kind, name, tuple(each), "ran in the last sync") for (kind, name), each in phases.items())
    return [hook for hook in ran if "PostSync" in hook[2]]


def _ungenerated(name: str) -> str:
    return _GENERATED.sub("", name)


def _looks_like_test(name: str, phases: Sequence[str]) -> bool:
    """Whether its name says so first, or else says nothing against it, and it has no part in clean-ups."""
    said = next((w for w in words(name) if _TESTS.fullmatch(w) or _OTHER.fullmatch(w)), "")
    if said:
        return _TESTS.fullmatch(said) is not None
    return "SyncFail" not in phases and "PreSync" not in phases
