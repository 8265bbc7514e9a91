"""Finds likely problems with the tests in the rendered manifests, before the sync. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from argorun.argocd.manifests.hooks import ARGO, HELM, RUNNING, Hook, hook_of, hooks_of, is_hook, required
from argorun.argocd.manifests.keys import by_key, key_of
from argorun.argocd.manifests.pod_references import pod_spec, sources
from argorun.argocd.manifests.sync_options import sync_options
from argorun.argocd.types import Json
from argorun.errors import NoTestRan, UsageError
from argorun.humanize import misspelt, nearest

POLICY = "argocd.argoproj.io/hook-delete-policy"
HELM_POLICY = "helm.sh/hook-delete-policy"
FROM_HELM = {
    "before-hook-creation": "BeforeHookCreation",
    "hook-succeeded": "HookSucceeded",
    "hook-failed": "HookFailed",
}
# Workloads whose pods stay for as long as the workload is the same.
ROLLING = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout")
SOON = 600  # seconds; a Job that is kept so long after its end is read by then
IT_HAS, NO_HOOKS = "it has: ", "no hook Job or Pod at all"
FEW = 0.4  # how much a name must be like another, of few
CHECKSUM = "a checksum of it in the pod template's annotations restarts them"
FIX = f"annotate it with {ARGO}: PostSync"


def warnings(manifests: Iterable[Json], jobs: Sequence[str]) -> list[str]:
    """A sentence for each hook whose log may be lost, or that may be left behind; and the fix."""
    found = []
    for m in manifests:
        hook = hook_of(m)
        if hook is None:
            continue
        policies, ttl = delete_policies(m), (m.get("spec") or {}).get("ttlSecondsAfterFinished")
        if required([hook], jobs):
            found += list(_vanishing(hook, policies, ttl))
        if hook.generated and ttl is None and not policies & {"HookSucceeded", "HookFailed"}:
            found.append(
                f"hook {hook.kind} {hook.name}… has generateName, and no delete policy fits that: each run "
                f"leaves one more {hook.kind} behind; give it a name"
            )
    return found


def _vanishing(hook: Hook, policies: set[str], ttl: object) -> Iterable[str]:
    gone = "its log may vanish before it is read"
    for policy in sorted(policies & {"HookSucceeded", "HookFailed"}, reverse=True):
        what = f"test {hook.kind} {hook.name} has the delete policy {policy}"
        yield f"{what}: {gone}; make it BeforeHookCreation"
    if isinstance(ttl, int) and ttl < SOON:
        yield (
            f"test Job {hook.name} is deleted {ttl} s after its end (ttlSecondsAfterFinished): {gone}; leave "
            "this out: the next sync deletes the Job"
        )


def restart_warnings(
    manifests: Iterable[Json], former: Sequence[Json], configmaps: Collection[str]
) -> Iterator[str]:
    """A sentence for each workload whose pods the sync does not restart; and the fix.

    `former` is what the source renders to without the run's values, `configmaps` are the names of those that
    hold a topic's name with them. A pod reads its environment once; a file that is mounted changes later,
    while it runs (source: kubernetes.io/docs, ConfigMaps are updated automatically when mounted).
    """
    was = by_key((m for m in former if m.get("kind") in ROLLING), "")
    for m in manifests:
        spec = m.get("spec") or {}
        if m.get("kind") not in ROLLING or hook_of(m) is not None:
            continue
        what, strategy = f"{m['kind']} {m['metadata']['name']}", spec.get("updateStrategy") or {}
        if m == was.get(key_of(m, "")):
            read = [s for s in sources(pod_spec(m)) if s.name in configmaps and s.kind == "ConfigMap"]
            mounted = [s for s in read if s.mounted]
            if mounted:
                yield (
                    f"{what} mounts ConfigMap {mounted[0].name}, and the sync does not restart it: argorun "
                    "cannot see when its pods switch to the topic and away from it, so it keeps the topic "
                    f"(exit 10); {CHECKSUM}"
                )
            elif read:
                yield (
                    f"{what} reads ConfigMap {read[0].name} at its start, and the sync does not restart it: "
                    f"its pods keep the former topic; {CHECKSUM}"
                )
        elif strategy.get("type") == "OnDelete" or (strategy.get("rollingUpdate") or {}).get("partition"):
            how = "OnDelete" if strategy.get("type") == "OnDelete" else "a partition"
            yield f"{what} has {how} in its update strategy: pods that the sync leaves keep the former topic"


def run_again(manifests: Iterable[Json], former: Sequence[Json], options: Collection[str]) -> Iterator[str]:
    """A sentence for each plain Job or Pod that runs on the topic, and again when it is restored.

    `former` is what the source renders to without the run's values, `options` are the Application's sync
    options. With Force, what cannot be changed is deleted and made anew (source: Argo CD's docs, Sync
    Options).
    """
    was = by_key((m for m in former if m.get("kind") in RUNNING), "")
    for m in manifests:
        before = was.get(key_of(m, ""))
        if m.get("kind") not in RUNNING or is_hook(m) or before is None or before == m:
            continue
        if "Force=true" in sync_options(m, options):
            what = f"{m['kind']} {m['metadata']['name']}"
            yield (
                f"{what} is no hook and has the sync option Force=true: it runs on the topic, and once more, "
                "on the former one, when it is put back; make it a hook, or leave the topic out of it"
            )


def delete_policies(manifest: Json) -> set[str]:
    """A hook's delete policies, Argo CD's and Helm's.

    Source: gitops-engine pkg/sync/hook/delete_policy.go (docs/argocd-facts.md#delete-policies).
    """
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    helm = [FROM_HELM.get(p.strip(), "") for p in str(annotations.get(HELM_POLICY, "")).split(",")]
    return {p for p in [*(p.strip() for p in str(annotations.get(POLICY, "")).split(",")), *helm] if p}


def check_ends(manifests: Iterable[Json], jobs: Sequence[str]) -> None:
    """Raise UsageError (2) for a test that passes whatever it does.

    A bare Pod that restarts whenever it ends: Argo CD calls it passed once it is ready (source: gitops-engine
    pkg/health/health_pod.go; docs/argocd-facts.md#when-a-hook-ends). A Job with no completions: Kubernetes
    calls it complete at once.
    """
    for m in manifests:
        hook = hook_of(m)
        if hook is None or not required([hook], jobs):
            continue
        spec = m.get("spec") or {}
        if hook.kind == "Job" and spec.get("completions") == 0:
            raise UsageError(
                f"test Job {hook.name} has completions: 0: it runs no pod, so it tests nothing",
                "leave completions out, or name the tests under tests.jobs",
            )
        if hook.kind == "Pod" and spec.get("restartPolicy", "Always") == "Always":
            raise UsageError(
                f"test Pod {hook.name} has restartPolicy Always: it never ends, so it never passes",
                "write restartPolicy: Never (the default is Always), or name the tests under tests.jobs",
            )


class Gap(NamedTuple):
    """The tests that are not among the hooks, and what is there in their place."""

    wanted: str  # "hook Job or Pod checks", "PostSync Job or Pod"
    instead: str  # a line each; the last one lists the hooks
    taken: bool = False  # something that is no hook has the name of a test
    misspelt: bool = False  # a hook has nearly the name of a test

    @property
    def is_whole(self) -> bool:
        """Whether there is no hook at all, and nothing that looks like a test."""
        return self.instead == IT_HAS + NO_HOOKS

    def error(self, application: object) -> NoTestRan:
        return NoTestRan(f"no test ran: {application} has no {self.wanted}", self.instead)


def gap(manifests: Sequence[Json], jobs: Sequence[str]) -> Gap | None:
    """The tests that no hook runs; None if all are there."""
    hooks = hooks_of(manifests)
    missing = [j for j in jobs if not any(h.is_called(j) for h in hooks)]
    if not missing and required(hooks, jobs):
        return None
    there = ", ".join(f"{h.name} ({', '.join(h.phases)})" for h in hooks) or NO_HOOKS
    others = list(_no_hook(manifests, missing))
    wanted = f"hook Job or Pod {', '.join(missing)}" if missing else "PostSync Job or Pod"
    free = [h.name for h in hooks if not any(h.is_called(j) for j in jobs)]
    meant = {near: None for j in missing if not others and (near := nearest(j, free, FEW))}
    asked = [f"did you mean {', '.join(meant)}?"] if meant else []
    return Gap(
        wanted,
        "\n".join([*others, *asked, IT_HAS + there]),
        taken=bool(missing and others),
        misspelt=any(misspelt(j, free) for j in missing),
    )


def _no_hook(manifests: Iterable[Json], jobs: Sequence[str]) -> Iterable[str]:
    """A sentence for each object that looks like the missing test; and the fix."""
    for m in manifests:
        metadata = m.get("metadata") or {}
        name, kind = str(metadata.get("name") or metadata.get("generateName", "")), m.get("kind")
        annotations = metadata.get("annotations") or {}
        words = [p.strip() for p in str(annotations.get(HELM, "")).split(",")]
        test = ARGO not in annotations and ("test" in words or "test-success" in words)
        if test and kind in RUNNING and (name in jobs or not jobs):
            yield (f"{kind} {name} is a Helm test (helm.sh/hook: test), which Argo CD ignores: {FIX}")
        elif kind in RUNNING and name in jobs and hook_of(m) is None:
            said = annotations.get(ARGO) or annotations.get(HELM)
            what = f"is a hook for {said}, which no sync runs" if said else f"is there, but as a plain {kind}"
            yield f"{name} {what}: {FIX}"
