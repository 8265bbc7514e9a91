"""Step 8, verdict: green only if each required test ran and succeeded. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.sync import operation
from argorun.argocd.sync.hook_results import FAILED, Intruder, Vanished
from argorun.argocd.types import OperationState, ResourceResult
from argorun.errors import ArgorunError, NoTestRan, OperationFailed, TestsFailed, TimedOut

TERMINATED = "Operation terminated"


def is_required(hook: ResourceResult, jobs: Sequence[str]) -> bool:
    """Whether a hook is a test: a Job or bare Pod that is named, or, where none is, any of PostSync.

    One with generateName is named by that name: Argo CD adds revision, phase and time to it
    (source: gitops-engine pkg/sync/sync_context.go:1026). A chart's revision is its version.
    """
    if hook.kind not in RUNNING:
        return False
    if not jobs:
        return hook.hook_type == "PostSync"
    generated = r"-?(([0-9a-z]{1,7}|v?[0-9][0-9a-z.-]{0,6})-)?(presync|sync|postsync|syncfail)-\d+"
    return any(hook.name == j or re.fullmatch(re.escape(j) + generated, hook.name) for j in jobs)


def judge(state: OperationState, jobs: Sequence[str]) -> ArgorunError | None:
    """Why the run is red, by a finished operation's state; None where it is green."""
    hooks = operation.hooks(state)
    required = [h for h in hooks if is_required(h, jobs)]
    terminated = is_terminated(state)
    # One that Kubernetes did not take has not run.
    failed = [h for h in required if h.hook_phase in FAILED and h.status != "SyncFailed"]
    if failed and not terminated:
        blamed = list(dict.fromkeys(h.name for h in failed))
        return TestsFailed(f"{', '.join(blamed)} failed", reason="\n".join(reasons(failed)), hooks=blamed)
    if state.phase != "Succeeded":
        why = reasons(broken(state)) or [state.message, *reasons(required)]
        blamed = [] if terminated else [r.name for r in broken(state) if r.hook_type]
        return OperationFailed(title(state, terminated), reason="\n".join(why), hooks=blamed)
    missing = [j for j in jobs if not any(is_required(h, [j]) for h in required)]
    if missing:
        names = ", ".join(missing)
        return NoTestRan(
            f"no test ran: {names} is not among the hooks of this operation",
            f"it ran: {', '.join(dict.fromkeys(h.name for h in hooks)) or 'no hook at all'}",
        )
    if not required:
        return NoTestRan(
            "no test ran: the operation had no PostSync Job or Pod",
            "annotate the test with argocd.argoproj.io/hook: PostSync, or name it under tests.jobs",
        )
    unfinished = [h for h in required if h.hook_phase != "Succeeded"]
    if unfinished:
        called_so = [h.name for h in unfinished]
        return NoTestRan(
            f"no test ran: {', '.join(called_so)} did not end in this operation",
            reason="\n".join(reasons(unfinished)),
            hooks=called_so,
        )
    return None


def is_terminated(state: OperationState) -> bool:
    """Whether somebody has ended the operation."""
    return state.message.startswith(TERMINATED)


def broken(state: OperationState) -> list[ResourceResult]:
    """What failed in an operation: hooks first, then resources."""
    bad_hooks = [h for h in operation.hooks(state) if h.hook_phase in FAILED]
    bad = [r for r in operation.resources(state) if r.status == "SyncFailed" or r.hook_phase in FAILED]
    return bad_hooks + bad


def title(state: OperationState, terminated: bool) -> str:
    if terminated:
        return "the operation was ended by someone else"
    for r in broken(state):
        return f"{described(r)} failed"
    return f"the operation ended {state.phase}"


def described(r: ResourceResult) -> str:
    return f"{r.hook_type} hook {r.name}" if r.hook_type else f"{r.kind} {r.name}"


def cannot_start(r: ResourceResult, jobs: Sequence[str], seconds: float) -> ArgorunError:
    """Why a run is red that was ended because this would never come up, though Argo CD still waits for it."""
    reason = (
        f"no pod of {r.name} could start within {seconds:.0f} s (timeouts.stuck); Argo CD would wait forever"
    )
    if is_required(r, jobs):
        return TestsFailed(f"{r.name} cannot start", reason=reason, hooks=[r.name])
    hooks = [r.name] if r.hook_type else []
    return OperationFailed(f"{described(r)} cannot start", reason=reason, hooks=hooks)


def suspects(error: ArgorunError, state: OperationState, jobs: Sequence[str]) -> list[ResourceResult]:
    """What to ask the cluster about: what failed, test Jobs first, or what was still waited for."""
    if isinstance(error, TimedOut):
        return operation.awaited(state)
    if isinstance(error, Intruder | Vanished):
        return []  # it is known what became of it
    if not isinstance(error, TestsFailed | OperationFailed) or is_terminated(state):
        return []
    return sorted(broken(state), key=lambda r: not is_required(r, jobs))


def reasons(results: Sequence[ResourceResult]) -> list[str]:
    """One line for each result that says why it failed."""
    return [f"{r.kind} {r.name}: {r.message}" for r in results if r.message]
