"""What is likely to go wrong with the tests, told from the rendered manifests before the sync. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from argorun.argocd.rendered import ARGO, HELM, HookJob, hook_job, hook_jobs, required
from argorun.argocd.types import Json
from argorun.errors import NoTestRan

POLICY = "argocd.argoproj.io/hook-delete-policy"
HELM_POLICY = "helm.sh/hook-delete-policy"
FROM_HELM = {
    "before-hook-creation": "BeforeHookCreation",
    "hook-succeeded": "HookSucceeded",
    "hook-failed": "HookFailed",
}
SOON = 600  # seconds; a Job that is kept so long after its end is read by then
MEND = f"annotate it with {ARGO}: PostSync"


def warnings(manifests: Iterable[Json], jobs: Sequence[str]) -> list[str]:
    """A sentence for each thing about the hook Jobs that may cost a log or leave one behind; and the mend."""
    found = []
    for m in manifests:
        hook = hook_job(m)
        if hook is None:
            continue
        policies, ttl = delete_policies(m), (m.get("spec") or {}).get("ttlSecondsAfterFinished")
        if required([hook], jobs):
            found += list(_vanishing(hook, policies, ttl))
        if hook.generated and ttl is None and not policies & {"HookSucceeded", "HookFailed"}:
            found.append(
                f"hook Job {hook.name}… has generateName, and no delete policy fits that: each run leaves "
                "one more Job behind; give it a name"
            )
    return found


def _vanishing(hook: HookJob, policies: set[str], ttl: object) -> Iterable[str]:
    gone = "its log may vanish before it is read"
    for policy in sorted(policies & {"HookSucceeded", "HookFailed"}, reverse=True):
        yield f"test Job {hook.name} has the delete policy {policy}: {gone}; make it BeforeHookCreation"
    if isinstance(ttl, int) and ttl < SOON:
        yield (
            f"test Job {hook.name} is deleted {ttl} s after its end (ttlSecondsAfterFinished): {gone}; leave "
            "that out, the next sync deletes the Job"
        )


def delete_policies(manifest: Json) -> set[str]:
    """A hook's delete policies, Argo CD's and Helm's (gitops-engine pkg/sync/hook/delete_policy.go)."""
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    helm = [FROM_HELM.get(p.strip(), "") for p in str(annotations.get(HELM_POLICY, "")).split(",")]
    return {p for p in [*(p.strip() for p in str(annotations.get(POLICY, "")).split(",")), *helm] if p}


class Gap(NamedTuple):
    """The test Jobs that are not among the hooks, and what is there in their place."""

    wanted: str  # "hook Job checks", "PostSync Job"
    instead: str  # a line each; the last one lists the hook Jobs
    taken: bool = False  # something that is no hook has the name of a test Job

    def error(self, application: object) -> NoTestRan:
        return NoTestRan(f"no test ran: {application} has no {self.wanted}", self.instead)


def gap(manifests: Sequence[Json], jobs: Sequence[str]) -> Gap | None:
    """What is missing for a test to run; None where nothing is."""
    hooks = hook_jobs(manifests)
    missing = [j for j in jobs if not any(h.is_called(j) for h in hooks)]
    if not missing and required(hooks, jobs):
        return None
    there = ", ".join(f"{h.name} ({', '.join(h.phases)})" for h in hooks) or "no hook Job at all"
    others = list(_no_hook(manifests, missing))
    wanted = f"hook Job {', '.join(missing)}" if missing else "PostSync Job"
    return Gap(wanted, "\n".join([*others, f"it has: {there}"]), taken=bool(missing and others))


def _no_hook(manifests: Iterable[Json], jobs: Sequence[str]) -> Iterable[str]:
    """What looks like the missing test, and how to make a hook of it."""
    for m in manifests:
        metadata = m.get("metadata") or {}
        name, kind = str(metadata.get("name") or metadata.get("generateName", "")), m.get("kind")
        annotations = metadata.get("annotations") or {}
        words = [p.strip() for p in str(annotations.get(HELM, "")).split(",")]
        test = ARGO not in annotations and ("test" in words or "test-success" in words)
        if test and kind in ("Job", "Pod") and (name in jobs or not jobs):
            yield (f"{kind} {name} is a Helm test (helm.sh/hook: test), which Argo CD ignores: {MEND}")
        elif kind == "Job" and name in jobs and hook_job(m) is None:
            said = annotations.get(ARGO) or annotations.get(HELM)
            what = f"is a hook for {said}, which no sync runs" if said else "is there, but as a plain Job"
            yield f"{name} {what}: {MEND}"
