"""Hooks among manifests, and when a sync applies an object. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from argorun.argocd.manifests.objects import annotations_of
from argorun.argocd.types import Json

ARGO = "argocd.argoproj.io/hook"
HELM = "helm.sh/hook"
WAVE, WEIGHT = "argocd.argoproj.io/sync-wave", "helm.sh/hook-weight"
# Which of Helm's hooks Argo CD runs, and as what (source: gitops-engine pkg/sync/hook/helm/type.go;
# docs/argocd-facts.md#what-counts-as-a-hook).
FROM_HELM = {
    "crd-install": "PreSync",
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
PHASES = ("PreSync", "Sync", "PostSync", "SyncFail")
RUNNING = ("Job", "Pod")  # the kinds of hooks that run something; any other hook is only applied


@dataclass(frozen=True)
class Hook:
    """A Job or bare Pod that the sync runs as a hook; with `generated`, Argo CD adds to its name.

    See docs/argocd-facts.md#generated-names.
    """

    name: str
    phases: tuple[str, ...]
    generated: bool = False
    kind: str = "Job"
    parallel: bool = False  # its manifest asks for several pods, which are no retries

    def is_called(self, name: str) -> bool:
        """Whether a person means this hook by that name."""
        return self.name == name or (self.generated and self.name.rstrip("-") == name.rstrip("-"))

    def became(self, kind: str, name: str) -> bool:
        """Whether a live object of this kind and name was created from it."""
        return kind == self.kind and (name.startswith(self.name) if self.generated else name == self.name)


def hooks_of(manifests: Iterable[Json]) -> list[Hook]:
    """The Jobs and bare Pods among the manifests that run as hooks in a sync."""
    return [hook for m in manifests if (hook := hook_of(m)) is not None]


def hook_of(manifest: Json) -> Hook | None:
    """The manifest as a Job or bare Pod that runs as a hook; None if it is something else."""
    metadata, kind = manifest.get("metadata") or {}, manifest.get("kind")
    phases = hook_phases(annotations_of(manifest))
    if kind not in RUNNING or not phases:
        return None
    name = metadata.get("name")
    called = str(name or metadata.get("generateName", ""))
    return Hook(called, phases, generated=not name, kind=str(kind), parallel=is_parallel(manifest))


def is_parallel(job: Json) -> bool:
    """Whether a Job runs more than one pod even if none fails (source: kubernetes.io/docs, Jobs)."""
    spec = job.get("spec")
    numbers = [spec.get(n) for n in ("parallelism", "completions")] if isinstance(spec, dict) else []
    return any(isinstance(number, int) and number > 1 for number in numbers)


def hook_phases(annotations: Json) -> tuple[str, ...]:
    """The phases of a sync in which an object with these annotations is a hook."""
    if ARGO in annotations:
        named = [p.strip() for p in str(annotations[ARGO]).split(",")]
        return tuple(p for p in named if p in PHASES)
    named = [FROM_HELM.get(p.strip(), "") for p in str(annotations.get(HELM, "")).split(",")]
    return tuple(dict.fromkeys(p for p in named if p))


def is_hook(manifest: Json) -> bool:
    """Whether a sync applies an object as a hook, or not at all (`Skip`, a Helm test).

    Source: gitops-engine pkg/sync/hook/hook.go, IsHook, and pkg/sync/hook/helm/hook.go
    (docs/argocd-facts.md#what-counts-as-a-hook).
    """
    annotations = annotations_of(manifest)
    return ARGO in annotations or annotations.get(HELM, "crd-install") != "crd-install"


def is_data_hook(manifest: Json) -> bool:
    """Whether an object is a hook that holds data, such as a ConfigMap.

    A sync without hooks does not put it back.
    """
    return bool(hook_phases(annotations_of(manifest))) and manifest.get("kind") not in RUNNING


def is_applied(manifest: Json) -> bool:
    """Whether a sync applies an object at all: not if it is a deletion hook or a Helm test."""
    return bool(hook_phases(annotations_of(manifest))) or not is_hook(manifest)


class Place(NamedTuple):
    """When a sync applies an object; Argo CD goes through them in their order."""

    phase: int  # an index of PHASES
    wave: int

    def __str__(self) -> str:
        return f"{PHASES[self.phase]}, wave {self.wave}"


def places(manifest: Json) -> list[Place]:
    """When a sync applies an object, in order: a hook may belong to several phases.

    Source: gitops-engine pkg/sync/syncwaves/waves.go and pkg/sync/hook/helm/weight.go.
    """
    annotations = annotations_of(manifest)
    phases = hook_phases(annotations) or ("Sync",)
    wave = next((n for n in (_number(annotations.get(a)) for a in (WAVE, WEIGHT)) if n is not None), 0)
    return sorted(Place(PHASES.index(p), wave) for p in phases)


def _number(text: object) -> int | None:
    with contextlib.suppress(ValueError):
        return int(str(text))
    return None


def required(hooks: Sequence[Hook], jobs: Sequence[str]) -> list[Hook]:
    """The tests among the hooks: those in `jobs`, or every PostSync Job and Pod if that is empty."""
    if not jobs:
        return [h for h in hooks if "PostSync" in h.phases]
    return [h for h in hooks if any(h.is_called(j) for j in jobs)]
