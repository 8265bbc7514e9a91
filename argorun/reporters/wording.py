"""The words for steps, hooks, topics, logs and sweeps that plain and rich output share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from argorun.events import (
    Canceling,
    CannotStart,
    HookChanged,
    LogEnded,
    LogStarted,
    ParameterSet,
    Retrying,
    Step,
    SweepEnded,
    SweepStarted,
    SyncStarted,
    TopicCreated,
)
from argorun.humanize import count, duration
from argorun.redact.sanitize import clean
from argorun.reporters.summary import DONE, Summary

STEPS = {
    Step.PLAN: "plan",
    Step.PREFLIGHT: "preflight",
    Step.TOPICS: "create topic",
    Step.PARAMETERS: "set parameters",
    Step.SYNC: "sync",
    Step.FOLLOW: "follow",
    Step.LOGS: "logs",
    Step.VERDICT: "verdict",
    Step.CLEANUP: "clean up",
}
STEPS_OF_A_SWEEP = STEPS | {Step.TOPICS: "delete topics", Step.PARAMETERS: "restore parameters"}
SERVICES = {"argocd": "Argo CD", "kafka": "Kafka"}
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
PASTED = ("p, ", "kafka-acls ", "kafka-topics ", "kubectl ", "argocd ")
AT_ONCE = "quits now and lists what is left"


def is_pasted(line: str) -> bool:
    """Whether a line is there to be copied, a command or a line of Argo CD's policy: it is not wrapped."""
    return line.lstrip().startswith(PASTED)


def hook_name(hook: HookChanged) -> str:
    """`run-tests`, or `Pod/run-tests` where the hook is not the usual Job."""
    return clean(hook.name if hook.kind == "Job" else f"{hook.kind}/{hook.name}")


def hook_status(hook: HookChanged) -> str:
    """`running`, `failed after 3.1s`."""
    return f"{hook.status} after {duration(hook.seconds)}" if hook.status in DONE else str(hook.status)


def hook_stopped(hook: HookChanged, run: Summary) -> str:
    """What became of a hook that had not ended when the run did: `cannot start: …`, `stopped`."""
    delay = run.delay(hook)
    if delay is None or not delay.certain or run.canceling:
        return "stopped"
    return clean(" ".join(filter(None, (f"cannot start: {delay.reason}", delay.detail))))


def pod_of(event: LogStarted) -> str:
    """`pod x7k2p, container tests, attempt 2`: without the Job's name, which stands beside it."""
    pod = event.pod.removeprefix(f"{event.job}-")
    parts = [f"{kind} {name}" for kind, name in (("pod", pod), ("container", event.container)) if name]
    parts += [f"attempt {event.attempt}"] if event.attempt > 1 else []
    parts += [f"restart {event.restart}"] if event.restart else []
    return clean(", ".join(parts))


def topic(event: TopicCreated) -> str:
    """`1 partition, replication factor 1`."""
    return f"{count(event.partitions, 'partition')}, replication factor {event.replication_factor}"


def parameter_brief(event: ParameterSet, topics: Iterable[str]) -> str:
    """`kafka.topic (was weather)`; with its value where that is not the name of one of the topics."""
    place = event.place.removeprefix("helm: ")
    value = "" if event.value in topics else f" = {event.value}"
    return clean(f"{place}{value} (was {_original(event)})")


def revision(event: SyncStarted) -> str:
    """`cf577af`: a commit as git shortens it; anything else as it is."""
    return event.revision[:7] if COMMIT.fullmatch(event.revision) else clean(event.revision)


def delay(event: CannotStart, now: float) -> str:
    """`cannot start yet: ImagePullBackOff example/nope:1 (gives up in 38s)`."""
    reason = "no pod yet" if event.reason == "NoPod" else event.reason
    left = event.limit - event.seconds - max(0.0, now - event.time)
    gives_up = f" (gives up in {max(0.0, left):.0f}s)" if event.limit else ""
    verb = "cannot start yet" if event.certain else "has not started yet"
    return clean(" ".join(filter(None, (f"{verb}: {reason}", event.detail))) + gives_up)


def retrying(event: Retrying) -> str:
    """`trying again: connection refused (Argo CD at localhost:1)`."""
    reason = event.reason
    if reason[1:2].islower():
        reason = reason[0].lower() + reason[1:]
    where = f"{SERVICES[event.service]} at {event.address}"
    if VARIABLE.fullmatch(event.source):
        where = f"{event.source}={event.address}"
    elif event.source:
        where += f", {event.source}"
    return clean(f"trying again: {reason} ({where})")


def canceling(event: Canceling) -> str:
    """`stopping the sync, restoring parameters, deleting the topic …`."""
    doing = [
        "stopping the sync" if event.sync else "",
        "restoring parameters" if event.parameters else "",
        "deleting the topic" if event.topics else "",
    ]
    return f"{', '.join(filter(None, doing))} …" if any(doing) else "nothing to undo"


def canceled_by(run: Summary, ctrl_c: str = "Ctrl-C") -> str:
    """`by Ctrl-C while run-tests ran`, `by SIGTERM during the clean-up; the tests passed`."""
    name = run.canceling.signal if run.canceling else ""
    by = f"by {ctrl_c if name == 'SIGINT' else name}" if name else ""
    passed = "; the tests passed" if run.verdict and run.verdict.ok else ""
    return clean(f"{by} {run.during}{passed}".strip())


def passed(run: Summary) -> list[str]:
    """The tests' names, and whether their logs were read whole."""
    return [clean(", ".join(run.tests)) or "the tests passed", *filter(None, (logs_read(run),))]


def logs_read(run: Summary) -> str:
    """`log complete (9 lines)`; `log not complete (9 lines)`; empty where there was none."""
    tests = set(run.tests)
    logs = [log for log in run.logs if log.job in tests]
    if not logs:
        return ""
    complete = all(log.complete for log in logs)
    noun = "log" if len(logs) == 1 else f"{len(logs)} logs"
    lines = count(sum(log.lines for log in logs), "line")
    return f"{noun} {'complete' if complete else 'not complete'} ({lines})"


def remains(run: Summary) -> Iterator[str]:
    """What the end says about what is left, as far as the clean-up saw it."""
    if run.settling_continues and run.cleaned_up:
        yield "a sync that settles the workloads continues by itself; nothing else is left behind"
    elif run.cleaned_up and run.outcome != "FAILED":
        yield "nothing else left behind" if run.kept else "nothing left behind"
    elif run.canceled and not run.touched:
        yield "nothing was changed"


def parameter(event: ParameterSet) -> str:
    """`helm: kafka.topic = weather_… (was weather)`."""
    return clean(f"{event.place} = {event.value} (was {_original(event)})")


def _original(event: ParameterSet) -> str:
    return "not set" if event.original is None else event.original or "empty"


def log_source(event: LogStarted | LogEnded) -> str:
    """`run-tests (pod run-tests-x7k2p, container tests, attempt 2, restart 1)`."""
    parts = [f"{kind} {name}" for kind, name in (("pod", event.pod), ("container", event.container)) if name]
    parts += [f"attempt {event.attempt}"] if event.attempt > 1 else []
    parts += [f"restart {event.restart}"] if event.restart else []
    return clean(f"{event.job} ({', '.join(parts)})" if parts else event.job)


def log_end(event: LogEnded) -> str:
    """`12 lines`, `may miss lines after 12: …`."""
    if event.complete:
        return count(event.lines, "line")
    reason = f": {clean(event.reason)}" if event.reason else ""
    return f"{count(event.lines, 'line')}, some may be missing{reason}"


def sweep(event: SweepStarted) -> str:
    """`sweep of a_*, b_* on localhost:9092, older than 6h00m (dry run)`."""
    prefixes = ", ".join(f"{p}_*" for p in event.prefixes)
    age = f"older than {duration(event.older_than)}" if event.older_than else "of any age"
    return clean(f"sweep of {prefixes} on {event.kafka}, {age}{' (dry run)' if event.dry_run else ''}")


def swept(event: SweepEnded) -> str:
    """`DONE after 1.2s: 2 topics deleted, 1 Application put back`."""
    would = "to be " if event.dry_run else ""
    parts = [
        f"{count(event.topics, 'topic')} {would}deleted" if event.topics else "",
        f"{count(event.applications, 'Application')} {would}put back" if event.applications else "",
        f"{event.left} left behind" if event.left else "",
    ]
    done = ", ".join(filter(None, parts)) or ("" if event.error else "nothing to do")
    code = f", exit code {event.exit_code}" if event.exit_code else ""
    head = f"{'FAILED' if event.exit_code else 'DONE'} after {duration(event.seconds)}{code}"
    return f"{head}: {done}" if done else head
