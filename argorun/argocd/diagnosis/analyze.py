"""Why a resource failed or does not come up: its live manifest, pods and events in a few lines. Pure."""

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
from argorun.argocd.diagnosis.waiting import hold_up
from argorun.argocd.manifests.hooks import is_parallel
from argorun.argocd.types import ClusterEvent, Json, Node

MOST_PODS = 3  # are told of one resource
MOST_EVENTS = 4
LONGEST = 400  # characters of one line


@dataclass(frozen=True)
class PodSeen:
    """A pod as the tree had it last, and its live manifest; empty where that could not be read."""

    node: Node
    live: Json = field(default_factory=dict)
    gone: bool = False


@dataclass(frozen=True)
class Case:
    """A resource that failed or that the operation waits for, and what the cluster knows of it."""

    kind: str
    name: str
    said: str = ""  # Argo CD's own message about it
    refused: bool = False  # it was not applied
    waited_for: bool = False  # the operation has not seen its end, or waits until it is deleted
    live: Json = field(default_factory=dict)  # its live manifest; empty where there is none to be read
    pods: tuple[PodSeen, ...] = ()  # oldest first
    events: tuple[ClusterEvent, ...] = ()  # about itself, its pods and what is between
    log: tuple[str, ...] = ()  # the last lines of the container that ended


@dataclass(frozen=True)
class Finding:
    """Why, in half a sentence; what shows it, line by line; what to do. Each may be empty."""

    cause: str = ""
    evidence: tuple[str, ...] = ()
    hint: str = ""
    log: tuple[str, ...] = ()  # the last lines, where they are not a followed Job's


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong with a pod; `container` is empty where it is the pod's own."""

    reason: str
    phrase: str
    message: str = ""
    container: str = ""
    hint: str = ""
    exited: bool = False  # a container ended: the phrase has its exit code

    def __str__(self) -> str:
        """What shows it: the reason with Kubernetes' own words, which need no other phrase."""
        said = self.phrase if self.exited or not self.message else self.reason
        return f"{said}: {self.message}" if self.message else said


def find(cases: Sequence[Case]) -> Finding:
    """What all the cases come to: the first one's cause and fix, and everybody's evidence."""
    found = [diagnose(c) for c in cases]
    lines = tuple(dict.fromkeys(line for f in found for line in f.evidence))
    return Finding(
        next((f.cause for f in found if f.cause), ""),
        lines,
        next((f.hint for f in found if f.hint), ""),
        next((c.log for c in cases if c.log), ()),
    )


def diagnose(case: Case) -> Finding:
    """Why this one failed, or does not come up."""
    if case.refused:
        return Finding("it cannot be applied", hint=refusal(case.said))
    told = {p.node.uid: troubles(p) for p in case.pods}
    failed = [t[0] for p in case.pods if (t := told[p.node.uid])]
    main = _hold_up(case) or _condition(case) or (failed[-1] if failed else None)
    main = main or _proof(case.events, case.pods)
    late = main is not None and main.reason in ("DeadlineExceeded", "ProgressDeadlineExceeded")
    if late and failed and (case.kind != "Job" or failed[-1].reason in CANNOT_START):
        main = failed[-1]  # which is why it took so long
    lines = _pods(case, told)
    lines += events(case.events, [*lines, case.said, case.name])
    if main is None:
        return Finding(evidence=tuple(lines), hint=refusal(case.said))
    several = any(len(_statuses(p.live)) > 1 for p in case.pods)
    where = f", container {main.container}" if several and main.container else ""
    return Finding(main.phrase + where + _attempts(case, failed, main), tuple(lines), main.hint)


def _hold_up(case: Case) -> Trouble | None:
    """What the operation waits for may be held up by what no pod shows: a finalizer, a missing address."""
    if not case.waited_for:
        return None
    meant = hold_up(case.live, [p.live for p in case.pods if p.live])
    return Trouble("", meant.phrase, hint=meant.hint) if meant is not None else None


def ended_container(pod: PodSeen) -> str:
    """The container of a pod whose log tells why it ended; empty where none has ended badly."""
    return next((t.container for t in troubles(pod) if t.container and t.reason not in CANNOT_START), "")


def cannot_start(case: Case) -> bool:
    """Whether a resource whose pods do not start, or that has none, will not come up by itself."""
    coming = {e.involved_object.uid for e in case.events if e.reason in NODE_COMES}
    for pod in case.pods:
        reasons = {t.reason for t in troubles(pod)}
        if reasons & CANNOT_START.keys() or ("Unschedulable" in reasons and pod.node.uid not in coming):
            return True
    refused = any(_replicas_fail(c) for c in _conditions(case.live))
    # The scheduler says again and again that it has no node yet.
    known = [e for e in case.events if e.reason != "FailedScheduling" or e.involved_object.uid not in coming]
    return refused or _proof(known, case.pods) is not None


# -- pods ---------------------------------------------------------------------------------------------


def troubles(pod: PodSeen) -> list[Trouble]:
    """What is wrong with a pod, the most telling first."""
    if not pod.live:
        return _from_tree(pod.node)
    spec, status = pod.live.get("spec") or {}, pod.live.get("status") or {}
    found = []
    if reason := status.get("reason"):  # Evicted, DeadlineExceeded, NodeLost
        found.append(_trouble(reason, status.get("message", "")))
    for c in status.get("conditions") or ():
        if c.get("type") == "PodScheduled" and c.get("reason") in ("Unschedulable", "SchedulingGated"):
            found.append(_trouble(c["reason"], c.get("message", "")))
    kinds = (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses"))
    for declared, reported in kinds:
        specs = {c.get("name"): c for c in spec.get(declared) or ()}
        for s in status.get(reported) or ():
            found += _container(s, specs.get(s.get("name")) or {})
    runs = status.get("phase") == "Running" and spec.get("restartPolicy", "Always") == "Always"
    ready = [c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"]
    if not found and runs and "False" in ready:
        found.append(_trouble("NotReady"))
    # A sidecar that was told to end is not why.
    return sorted(found, key=lambda t: t.exited and t.phrase in (exit_code(137), exit_code(143)))


def _container(status: Json, spec: Json) -> list[Trouble]:
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
        return [_trouble(reason, message, name)]
    return [_ended(name, ended, spec)] if ended.get("exitCode") or ended.get("signal") else []


def _ended(name: str, ended: Json, spec: Json, more: str = "") -> Trouble:
    """How a container ended; `Error` says nothing that the exit code does not say better."""
    reason, code = str(ended.get("reason") or "Error"), int(ended.get("exitCode") or 0)
    message = str(ended.get("message") or "")
    if reason in ("Error", "Completed"):
        return Trouble(reason, exit_code(code) + more, message, name, _exit_hint(code), exited=True)
    meant = meaning(reason)
    hint = meant.hint
    limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
    if reason == "OOMKilled" and limit:
        hint += f" (now {limit})"
    phrase = f"{meant.phrase}, {exit_code(code)}{more}"
    return Trouble(reason, phrase, message, name, hint, exited=True)


def _exit_hint(code: int) -> str:
    if code in (126, 127):
        return meaning("StartError").hint
    if code == 137:
        return "see whether it took more memory than it may, or was told to end and did not"
    return ""


def _trouble(reason: str, message: str = "", container: str = "") -> Trouble:
    meant = meaning(reason, message)
    return Trouble(reason, meant.phrase, message, container, meant.hint)


def _from_tree(node: Node) -> list[Trouble]:
    """A pod that is gone, or cannot be read: its `Status Reason` tells."""
    reason = node.reason.removeprefix("Init:")
    message = node.health.message if node.health else ""
    code = re.fullmatch(r"ExitCode:(\d+)", reason) or re.search(r"failed with exit code (\d+)", message)
    if code:
        return [Trouble("Error", exit_code(int(code[1])), "", "", _exit_hint(int(code[1])))]
    fine = reason in ("", "Running", "Completed", "Succeeded", "Terminating")
    return [] if fine or MAY_NOT_START.fullmatch(reason) else [_trouble(reason, message)]


def _pods(case: Case, told: dict[str, list[Trouble]]) -> list[str]:
    """A line for each trouble of each pod; of one without trouble, how it stands."""
    lines, hidden = [], len(case.pods) - MOST_PODS
    if hidden > 0:
        lines.append(f"{hidden} earlier pod{'' if hidden == 1 else 's'} of {case.name}")
    for number, pod in list(enumerate(case.pods, start=1))[-MOST_PODS:]:
        attempt = f" (attempt {number})" if len(case.pods) > 1 and retries(case) else ""
        who = f"pod {pod.node.name}{attempt}"
        gone = ", gone since" if pod.gone else ""
        several = len(_statuses(pod.live)) > 1
        for t in told[pod.node.uid]:
            where = f", container {t.container}" if several and t.container else ""
            lines.append(cut(f"{who}{where}: {t}{gone}"))
        if not told[pod.node.uid] and pod.node.reason not in ("", "Completed", "Succeeded"):
            lines.append(f"{who}: {pod.node.reason}{gone}")
    return lines


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _attempts(case: Case, failed: Sequence[Trouble], main: Trouble) -> str:
    """How often, where a Job tried more than once, or ran several pods."""
    if case.kind != "Job" or len(failed) < 2 or main not in failed:
        return ""
    if not retries(case):
        return f" in {len(failed)} pods" if all(t.phrase == main.phrase for t in failed) else ""
    if any(t.phrase != main.phrase for t in failed):
        return f" in the last of {len(failed)} attempts"
    return " in both attempts" if len(failed) == 2 else f" in all {len(failed)} attempts"


def retries(case: Case) -> bool:
    """Whether a Job's pods are attempts: one after the other, because the one before had failed."""
    if case.kind != "Job" or is_parallel(case.live):
        return False
    pairs = zip(case.pods, case.pods[1:], strict=False)
    return not any(_still_ran(before, after.node.created_at) for before, after in pairs)


def _still_ran(pod: PodSeen, at: str) -> bool:
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


def _condition(case: Case) -> Trouble | None:
    """What the resource's own conditions say, where they say more than its pods."""
    for c in _conditions(case.live):
        kind, reason, message = c.get("type"), str(c.get("reason", "")), str(c.get("message", ""))
        if _replicas_fail(c):
            meant = meaning("FailedCreate")
            return Trouble("FailedCreate", meant.phrase, message, hint=refusal(message) or meant.hint)
        deadline = {"Failed": "DeadlineExceeded", "Progressing": "ProgressDeadlineExceeded"}.get(str(kind))
        if reason == deadline:
            name = "activeDeadlineSeconds" if kind == "Failed" else "progressDeadlineSeconds"
            seconds = (case.live.get("spec") or {}).get(name)
            found = _trouble(reason, message)
            phrase = found.phrase.replace(name, f"{name} of {seconds}") if seconds else found.phrase
            return Trouble(reason, phrase, message, hint=found.hint)
    return None


def _proof(known: Iterable[ClusterEvent], pods: Sequence[PodSeen]) -> Trouble | None:
    """The newest event that proves that a pod cannot be made, placed or set up; none once all of them run."""
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
    return Trouble(newest.reason, meant.phrase, newest.message, hint=refusal(newest.message) or meant.hint)


def events(known: Iterable[ClusterEvent], said: Sequence[str]) -> list[str]:
    """The Warning events, each once with its count, newest last, few; none that repeats what was `said`."""
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
