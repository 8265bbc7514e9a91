"""Explains in a few lines why a resource failed or does not start. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from argorun.argocd.diagnosis.reasons import (
    CANNOT_START,
    MAY_NOT_START,
    NODE_COMES,
    PROOFS,
    exit_code,
    meaning,
    refusal,
)
from argorun.argocd.diagnosis.waiting import obstacle
from argorun.argocd.manifests.hooks import is_parallel
from argorun.argocd.types import ClusterEvent, Json, Node

MOST_PODS = 3  # of one resource
MOST_EVENTS = 4
LONGEST = 400  # characters of one line


@dataclass(frozen=True)
class PodEvidence:
    """A pod as the tree had it last, and its live manifest; empty if that could not be read."""

    node: Node
    live: Json = field(default_factory=dict)
    gone: bool = False


@dataclass(frozen=True)
class Case:
    """A resource that failed or that the operation waits for, and the evidence about it."""

    kind: str
    name: str
    said: str = ""  # Argo CD's own message about it
    refused: bool = False  # it was not applied
    waited_for: bool = False  # the operation waits for its end or its deletion
    live: Json = field(default_factory=dict)  # its live manifest; empty if it cannot be read
    pods: tuple[PodEvidence, ...] = ()  # oldest first
    events: tuple[ClusterEvent, ...] = ()  # about itself, its pods and what is between them
    log: tuple[str, ...] = ()  # the last lines of the container that ended


@dataclass(frozen=True)
class Finding:
    """The cause in half a sentence, the evidence line by line, and the fix. Each may be empty."""

    cause: str = ""
    evidence: tuple[str, ...] = ()
    hint: str = ""
    log: tuple[str, ...] = ()  # the last lines, unless they are those of a followed Job
    exit_code: int | None = None  # of the container that the cause is about, where one ended


@dataclass(frozen=True)
class Problem:
    """One problem of a pod; `container` is empty if it is the pod's own."""

    reason: str
    phrase: str
    message: str = ""
    container: str = ""
    hint: str = ""
    exit_code: int | None = None  # of a container that ended: the phrase has it, too

    def __str__(self) -> str:
        """The evidence: the reason with Kubernetes' own message, or the phrase if there is none."""
        said = self.reason if self.message and self.exit_code is None else self.phrase
        return f"{said}: {self.message}" if self.message else said


def find(cases: Sequence[Case]) -> Finding:
    """One finding for all the cases: the first cause and fix, and all the evidence."""
    found = [diagnose(c) for c in cases]
    first = next((f for f in found if f.cause), Finding())
    return Finding(
        first.cause,
        tuple(dict.fromkeys(line for f in found for line in f.evidence)),
        next((f.hint for f in found if f.hint), ""),
        next((c.log for c in cases if c.log), ()),
        first.exit_code,
    )


def diagnose(case: Case) -> Finding:
    """Why this one failed, or does not start."""
    if case.refused:
        return Finding("it cannot be applied", hint=refusal(case.said))
    by_pod = {p.node.uid: problems(p) for p in case.pods}
    failed = [t[0] for p in case.pods if (t := by_pod[p.node.uid])]
    main = _obstacle(case) or _condition(case) or (failed[-1] if failed else None)
    main = main or _proof(case.events, case.pods)
    late = main is not None and main.reason in ("DeadlineExceeded", "ProgressDeadlineExceeded")
    if late and failed and (case.kind != "Job" or failed[-1].reason in CANNOT_START):
        main = failed[-1]  # which is why it took so long
    lines = _pods(case, by_pod)
    lines += events(case.events, [*lines, case.said, case.name])
    if main is None:
        return Finding(evidence=tuple(lines), hint=refusal(case.said))
    several = any(len(_statuses(p.live)) > 1 for p in case.pods)
    where = f", container {main.container}" if several and main.container else ""
    cause = main.phrase + where + _attempts(case, failed, main)
    return Finding(cause, tuple(lines), main.hint, exit_code=main.exit_code)


def _obstacle(case: Case) -> Problem | None:
    """An obstacle that no pod shows: a finalizer, a missing address."""
    if not case.waited_for:
        return None
    meant = obstacle(case.live, [p.live for p in case.pods if p.live])
    return Problem("", meant.phrase, hint=meant.hint) if meant is not None else None


def ended_container(pod: PodEvidence) -> str:
    """The container of a pod that ended badly, whose log says why; empty if none has."""
    return next((t.container for t in problems(pod) if t.container and t.reason not in CANNOT_START), "")


def cannot_start(case: Case) -> bool:
    """Whether a resource whose pods do not start, or that has none, cannot start by itself."""
    coming = {e.involved_object.uid for e in case.events if e.reason in NODE_COMES}
    for pod in case.pods:
        reasons = {t.reason for t in problems(pod)}
        if reasons & CANNOT_START.keys() or ("Unschedulable" in reasons and pod.node.uid not in coming):
            return True
    refused = any(_replicas_fail(c) for c in _conditions(case.live))
    # The scheduler says again and again that it has no node yet.
    known = [e for e in case.events if e.reason != "FailedScheduling" or e.involved_object.uid not in coming]
    return refused or _proof(known, case.pods) is not None


# -- pods ---------------------------------------------------------------------------------------------


def problems(pod: PodEvidence) -> list[Problem]:
    """The problems of a pod, the most informative first."""
    if not pod.live:
        return _from_tree(pod.node)
    spec, status = pod.live.get("spec") or {}, pod.live.get("status") or {}
    found = []
    if reason := status.get("reason"):  # Evicted, DeadlineExceeded, NodeLost
        found.append(_problem(reason, status.get("message", "")))
    for c in status.get("conditions") or ():
        if c.get("type") == "PodScheduled" and c.get("reason") in ("Unschedulable", "SchedulingGated"):
            found.append(_problem(c["reason"], c.get("message", "")))
    kinds = (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses"))
    for declared, reported in kinds:
        specs = {c.get("name"): c for c in spec.get(declared) or ()}
        for s in status.get(reported) or ():
            found += _container(s, specs.get(s.get("name")) or {})
    runs = status.get("phase") == "Running" and spec.get("restartPolicy", "Always") == "Always"
    ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
    if not found and runs and "False" in ready:
        found.append(_problem("NotReady"))
    # A sidecar that was terminated is not the cause.
    return sorted(found, key=lambda t: t.phrase in (exit_code(137), exit_code(143)))


def _container(status: Json, spec: Json) -> list[Problem]:
    name, state = str(status.get("name", "")), status.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    before = (status.get("lastState") or {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason == "CrashLoopBackOff" or (before.get("exitCode") and not ended):
        times = status.get("restartCount", 0)
        more = f", restarted {times} time{'' if times == 1 else 's'}"
        found = _ended(name, before, spec, more)
        return [replace(found, hint=found.hint or meaning("CrashLoopBackOff").hint)]
    if reason and not MAY_NOT_START.fullmatch(reason):
        return [_problem(reason, message, name)]
    return [_ended(name, ended, spec)] if ended.get("exitCode") or ended.get("signal") else []


def _ended(name: str, ended: Json, spec: Json, more: str = "") -> Problem:
    """How a container ended; the exit code says more than the reason `Error`."""
    reason, code = str(ended.get("reason") or "Error"), int(ended.get("exitCode") or 0)
    message = str(ended.get("message") or "")
    if reason in ("Error", "Completed"):
        return Problem(reason, exit_code(code) + more, message, name, _exit_hint(code), code)
    meant = meaning(reason)
    hint = meant.hint
    limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
    if reason == "OOMKilled" and limit:
        hint += f" (now {limit})"
    phrase = f"{meant.phrase}, {exit_code(code)}{more}"
    return Problem(reason, phrase, message, name, hint, code)


def _exit_hint(code: int) -> str:
    if code in (126, 127):
        return meaning("StartError").hint
    if code == 137:
        return "see whether it exceeded its memory limit, or was told to stop and did not"
    return ""


def _problem(reason: str, message: str = "", container: str = "") -> Problem:
    meant = meaning(reason, message)
    return Problem(reason, meant.phrase, message, container, meant.hint)


def _from_tree(node: Node) -> list[Problem]:
    """The problem of a pod that is gone or cannot be read, by the tree's `Status Reason`."""
    reason = node.reason.removeprefix("Init:")
    message = node.health.message if node.health else ""
    code = re.fullmatch(r"ExitCode:(\d+)", reason) or re.search(r"failed with exit code (\d+)", message)
    if code:
        number = int(code[1])
        return [Problem("Error", exit_code(number), hint=_exit_hint(number), exit_code=number)]
    fine = reason in ("", "Running", "Completed", "Succeeded", "Terminating")
    return [] if fine or MAY_NOT_START.fullmatch(reason) else [_problem(reason, message)]


def _pods(case: Case, by_pod: dict[str, list[Problem]]) -> list[str]:
    """A line for each problem of each pod; for one without a problem, its state."""
    lines, hidden = [], len(case.pods) - MOST_PODS
    if hidden > 0:
        lines.append(f"{hidden} earlier pod{'' if hidden == 1 else 's'} of {case.name}")
    for number, pod in list(enumerate(case.pods, start=1))[-MOST_PODS:]:
        attempt = f" (attempt {number})" if len(case.pods) > 1 and retries(case) else ""
        who = f"pod {pod.node.name}{attempt}"
        gone = ", now gone" if pod.gone else ""
        several = len(_statuses(pod.live)) > 1
        for t in by_pod[pod.node.uid]:
            where = f", container {t.container}" if several and t.container else ""
            lines.append(cut(f"{who}{where}: {t}{gone}"))
        if not by_pod[pod.node.uid] and pod.node.reason not in ("", "Completed", "Succeeded"):
            lines.append(f"{who}: {pod.node.reason}{gone}")
    return lines


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _attempts(case: Case, failed: Sequence[Problem], main: Problem) -> str:
    """In how many attempts or pods of a Job, if there was more than one."""
    if case.kind != "Job" or len(failed) < 2 or main not in failed:
        return ""
    if not retries(case):
        return f" in {len(failed)} pods" if all(t.phrase == main.phrase for t in failed) else ""
    if any(t.phrase != main.phrase for t in failed):
        return f" in the last of {len(failed)} attempts"
    return " in both attempts" if len(failed) == 2 else f" in all {len(failed)} attempts"


def retries(case: Case) -> bool:
    """Whether a Job's pods are attempts: each began after the one before had failed."""
    if case.kind != "Job" or is_parallel(case.live):
        return False
    pairs = zip(case.pods, case.pods[1:], strict=False)
    return not any(_still_ran(before, after.node.created_at) for before, after in pairs)


def _still_ran(pod: PodEvidence, at: str) -> bool:
    """Whether a pod is known to have run at this time (RFC 3339, whole seconds), and after it."""
    states = [s.get("state") or {} for s in _statuses(pod.live)]
    ends = [str((s.get("terminated") or {}).get("finishedAt") or "") for s in states]
    leaving = (pod.live.get("metadata") or {}).get("deletionTimestamp")
    return not leaving and bool(at) and (any("running" in s for s in states) or max(ends, default="") > at)


# -- conditions and events ----------------------------------------------------------------------------


def _conditions(live: Json) -> list[Json]:
    return list((live.get("status") or {}).get("conditions") or ())


def _replicas_fail(condition: Json) -> bool:
    return condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"


def _condition(case: Case) -> Problem | None:
    """The problem in the resource's own conditions, if they say more than its pods."""
    for c in _conditions(case.live):
        kind, reason, message = c.get("type"), str(c.get("reason", "")), str(c.get("message", ""))
        if _replicas_fail(c):
            meant = meaning("FailedCreate")
            return Problem("FailedCreate", meant.phrase, message, hint=refusal(message) or meant.hint)
        deadline = {"Failed": "DeadlineExceeded", "Progressing": "ProgressDeadlineExceeded"}.get(str(kind))
        if reason == deadline:
            name = "activeDeadlineSeconds" if kind == "Failed" else "progressDeadlineSeconds"
            seconds = (case.live.get("spec") or {}).get(name)
            found = _problem(reason, message)
            phrase = found.phrase.replace(name, f"{name} of {seconds}") if seconds else found.phrase
            return Problem(reason, phrase, message, hint=found.hint)
    return None


def _proof(known: Iterable[ClusterEvent], pods: Sequence[PodEvidence]) -> Problem | None:
    """The newest event that proves that a pod cannot be made, placed or set up; None once all run."""
    if pods and not any(MAY_NOT_START.fullmatch(p.node.reason.removeprefix("Init:")) for p in pods):
        return None
    # What a pod or a controller has done since is Normal: mounted, scheduled, pulling. On a tie that wins.
    latest: dict[str, ClusterEvent] = {}
    for e in sorted(known, key=lambda e: (e.last_timestamp or "", e.type == "Normal")):
        latest[e.involved_object.uid] = e
    proofs = [e for e in latest.values() if e.type == "Warning" and e.reason in PROOFS]
    if not proofs:
        return None
    newest = max(proofs, key=lambda e: e.last_timestamp or "")
    meant = meaning(newest.reason, newest.message)
    return Problem(newest.reason, meant.phrase, newest.message, hint=refusal(newest.message) or meant.hint)


def events(known: Iterable[ClusterEvent], said: Sequence[str]) -> list[str]:
    """The last few Warning events, each once with its count; none that repeats what was `said`."""
    spoken = "\n".join(said)
    counted: dict[tuple[str, str, str], tuple[int, ClusterEvent]] = {}
    for e in sorted(known, key=lambda e: e.last_timestamp or ""):
        if e.type != "Warning" or one_line(e.message).removeprefix("Error: ") in spoken:
            continue
        # A controller names each pod that it could not make anew.
        message = re.sub(r"-[a-z0-9]{5}\b", "-*", one_line(e.message))
        key = (e.involved_object.kind, e.reason, message)
        count = counted.pop(key, (0, e))[0] + max(1, e.count)
        counted[key] = (count, e)
    newest = list(counted.values())[-MOST_EVENTS:]
    return [
        cut(f"event {e.reason}{f' ({count} times)' if count > 1 else ''}: {e.message}") for count, e in newest
    ]


def one_line(text: str) -> str:
    return " ".join(text.split())


def cut(text: str) -> str:
    """One line of a few rows on a screen, and of whole words: half a secret would not be masked."""
    line = one_line(text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rpartition(' ')[0]} …"
