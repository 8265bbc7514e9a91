"""What an Application's source renders to: its hook Jobs, told from the manifests' annotations. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from argorun.argocd.types import Json

ARGO = "argocd.argoproj.io/hook"
HELM = "helm.sh/hook"
# Which of Helm's hooks Argo CD runs, and as what (source: gitops-engine pkg/sync/hook/helm/type.go).
FROM_HELM = {
    "crd-install": "PreSync",
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
PHASES = ("PreSync", "Sync", "PostSync", "SyncFail")


@dataclass(frozen=True)
class HookJob:
    """A Job that the sync will run as a hook; with `generated`, Argo CD adds to its name."""

    name: str
    phases: tuple[str, ...]
    generated: bool = False
    parallel: bool = False  # by its own manifest it runs several pods, which are no attempts

    def is_called(self, job: str) -> bool:
        """Whether a person means this Job by that name."""
        return self.name == job or (self.generated and self.name.rstrip("-") == job.rstrip("-"))

    def became(self, job: str) -> bool:
        """Whether a live Job of this name was made from it."""
        return job.startswith(self.name) if self.generated else job == self.name


def hook_jobs(manifests: Iterable[Json]) -> list[HookJob]:
    """The Jobs among the manifests that run as hooks in a sync."""
    return [hook for m in manifests if (hook := hook_job(m)) is not None]


def hook_job(manifest: Json) -> HookJob | None:
    """The manifest as a Job that runs as a hook; None where it is something else."""
    metadata = manifest.get("metadata") or {}
    phases = hook_phases(metadata.get("annotations") or {})
    if manifest.get("kind") != "Job" or not phases:
        return None
    name = metadata.get("name")
    called = str(name or metadata.get("generateName", ""))
    return HookJob(called, phases, generated=not name, parallel=is_parallel(manifest))


def is_parallel(job: Json) -> bool:
    """Whether a Job runs more than one pod though none fails (source: kubernetes.io/docs, Jobs)."""
    spec = job.get("spec") or {}
    numbers = [spec.get(name) for name in ("parallelism", "completions")]
    return any(isinstance(number, int) and number > 1 for number in numbers)


def unused(values: Iterable[str], manifests: Sequence[Json]) -> list[str]:
    """The values that no manifest holds, or only a Secret: Argo CD hides those."""
    text = json.dumps(manifests)
    return [v for v in values if v not in text]


def hook_phases(annotations: Json) -> tuple[str, ...]:
    """The phases of a sync in which an object with these annotations is a hook."""
    if ARGO in annotations:
        named = [p.strip() for p in str(annotations[ARGO]).split(",")]
        return tuple(p for p in named if p in PHASES)
    named = [FROM_HELM.get(p.strip(), "") for p in str(annotations.get(HELM, "")).split(",")]
    return tuple(dict.fromkeys(p for p in named if p))


def required(hooks: Sequence[HookJob], jobs: Sequence[str]) -> list[HookJob]:
    """The test Jobs among them: those that are named, or, where none is, every PostSync Job."""
    if not jobs:
        return [h for h in hooks if "PostSync" in h.phases]
    return [h for h in hooks if any(h.is_called(j) for j in jobs)]
