"""What happens in a run, as frozen values: the only thing that reporters see.

Times are seconds since the epoch (`time`), durations are seconds. An event never holds a secret.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Literal


class Step(enum.StrEnum):
    """The nine steps of a run, in their order."""

    PLAN = "plan"
    PREFLIGHT = "preflight"
    TOPICS = "topics"
    PARAMETERS = "parameters"
    SYNC = "sync"
    FOLLOW = "follow"
    LOGS = "logs"
    VERDICT = "verdict"
    CLEANUP = "cleanup"


class HookStatus(enum.StrEnum):
    """The status of a hook."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStarted:
    """The first event: which run, of which Application, by which argorun."""

    time: float
    run_id: str
    application: str
    url: str  # the Application's page in Argo CD; empty where it is gone after the run, as in the demo
    version: str  # argorun's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepStarted:
    """An attempt of a step begins; `detail` is a short phrase for people ("weather_updates_…").

    Each is followed by its StepEnded before the next one, whatever becomes of the run. Parameters and sync
    are tried again where another run was faster, logs where reading them was cut short.
    """

    time: float
    step: Step
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepEnded:
    """A step is done, or failed; `detail` says with what result."""

    time: float
    step: Step
    ok: bool
    seconds: float
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """The run waits for something; emitted again whenever `reason` changes."""

    time: float
    step: Step
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One line of what `--dry-run` would do."""

    time: float
    what: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicCreated:
    """The topic exists and can be produced to."""

    time: float
    topic: str
    partitions: int
    replication_factor: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterSet:
    """A parameter of the Application holds this run's value, read back."""

    time: float
    place: str  # "helm: kafka.topic", "kustomize: ConfigMap topic-config, key topic_name"
    value: str
    original: str | None  # None: there was none


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyncStarted:
    """Argo CD accepted the run's operation."""

    time: float
    run_id: str
    revision: str  # what is synced; empty until Argo CD shows it


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperationChanged:
    """The operation's phase or message changed."""

    time: float
    phase: str  # Argo CD's own: Running, Terminating, Succeeded, Failed, Error
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceChanged:
    """A resource that is not a hook was applied, or failed to be."""

    time: float
    kind: str
    name: str
    namespace: str
    status: str  # Argo CD's own: Synced, SyncFailed, Pruned, PruneSkipped
    message: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class HookChanged:
    """A hook of the operation changed its status or message."""

    time: float
    hook: str  # PreSync, Sync, PostSync, SyncFail
    kind: str
    name: str
    namespace: str
    status: HookStatus
    message: str
    required: bool  # it is one of this run's test Jobs
    seconds: float  # since it began


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogStarted:
    """A container's log begins to be read."""

    time: float
    job: str
    pod: str
    container: str
    attempt: int  # 1 for the Job's first pod
    restart: int = 0  # how often the container was started again in this pod
    init: bool = False  # an init container, which ends before the pod's other containers begin


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogLines:
    """Lines that a container wrote, in their order; as many as came at once, for there may be a flood.

    The texts are as Argo CD gave them: they may hold control characters. In JSON each line is an event of its
    own, `log_line`, with a `stamp` and a `text`.
    """

    time: float
    job: str
    pod: str
    container: str
    attempt: int
    restart: int = 0
    stamps: tuple[str, ...]  # RFC 3339 with nanoseconds, the container runtime's clock; one for each text
    texts: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogEnded:
    """A container's log was read to its end; `complete` is False where lines may be missing."""

    time: float
    job: str
    pod: str
    container: str
    attempt: int
    restart: int = 0
    lines: int
    complete: bool
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know that does not end the run."""

    time: float
    level: Literal["info", "warning"]
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the run ended, before cleaning up. `exit_code` may still become 10 where it is 0."""

    time: float
    ok: bool
    exit_code: int
    title: str  # one line: "run-automation-tests-job failed: exit code 3"
    reason: str = ""  # why: the hook's message, the error; may have several lines
    evidence: tuple[str, ...] = ()  # what the cluster shows of it, a line each: its pods, then the events
    hint: str = ""  # what to do
    last_lines: tuple[str, ...] = ()  # of the failed hook's log, oldest first, whole; a repeated one once
    url: str = ""  # where to look
    log_of: str = ""  # whose `last_lines` are, where there are several logs: "attempt 3, pod run-tests-x7k2p"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undone:
    """One thing that the run had done was undone."""

    time: float
    what: str
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftBehind:
    """One thing that could not be undone, and the command with which a person undoes it."""

    time: float
    what: str
    why: str
    command: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunEnded:
    """The last event."""

    time: float
    exit_code: int
    seconds: float


# -- of a sweep ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepStarted:
    """The first event of a sweep: what it looks for, and where."""

    time: float
    prefixes: tuple[str, ...]
    older_than: float  # seconds
    kafka: str  # bootstrap.servers
    argocd: str  # its address; empty where Applications are not looked at
    dry_run: bool
    version: str  # argorun's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicSwept:
    """A topic was deleted and is gone; with `dry_run`, it would be."""

    time: float
    topic: str
    age: float  # seconds since the time in its name
    dry_run: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepEnded:
    """The last event of a sweep; `error` says why it could not begin, or what ended it."""

    time: float
    exit_code: int
    seconds: float
    topics: int  # that were deleted, or would be
    applications: int  # that were put back, or would be
    left: int  # of both, what could not be
    dry_run: bool
    error: str = ""
    hint: str = ""


Event = (
    RunStarted
    | StepStarted
    | StepEnded
    | Waiting
    | Planned
    | TopicCreated
    | ParameterSet
    | SyncStarted
    | OperationChanged
    | ResourceChanged
    | HookChanged
    | LogStarted
    | LogLines
    | LogEnded
    | Notice
    | Verdict
    | Undone
    | LeftBehind
    | RunEnded
    | SweepStarted
    | TopicSwept
    | SweepEnded
)
