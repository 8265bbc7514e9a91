"""The words for hooks, topics, logs and sweeps that plain and rich output share."""

from __future__ import annotations

from argorun.events import (
    HookChanged,
    HookStatus,
    LogEnded,
    LogStarted,
    ParameterSet,
    SweepEnded,
    SweepStarted,
    TopicCreated,
)
from argorun.humanize import count, duration
from argorun.redact.sanitize import clean

DONE = (HookStatus.SUCCEEDED, HookStatus.FAILED)


def hook_name(hook: HookChanged) -> str:
    """`run-tests`, or `Pod/run-tests` where the hook is not the usual Job."""
    return clean(hook.name if hook.kind == "Job" else f"{hook.kind}/{hook.name}")


def hook_status(hook: HookChanged) -> str:
    """`running`, `failed after 3.1s`."""
    return f"{hook.status} after {duration(hook.seconds)}" if hook.status in DONE else str(hook.status)


def topic(event: TopicCreated) -> str:
    """`1 partition, replication factor 1`."""
    return f"{count(event.partitions, 'partition')}, replication factor {event.replication_factor}"


def parameter(event: ParameterSet) -> str:
    """`helm: kafka.topic = weather_… (was weather)`."""
    was = {None: "not set", "": "empty"}.get(event.original, event.original)
    return clean(f"{event.place} = {event.value} (was {was})")


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
