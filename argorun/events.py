"""What happens in a run, as frozen values: the only thing that reporters see.

Times are seconds since the epoch (`time`), durations are seconds. An event never holds a secret. As JSON,
these classes are an interface: what a program may want is a field of its own, and CONTRIBUTING.md says how
they may change. A comment behind a field is its meaning in docs/reference/events.md.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from argorun.kinds import HookStatus as HookStatus
from argorun.kinds import NoticeKind, PlannedKind, Result, Subject
from argorun.kinds import Step as Step

# Of the JSON that these classes are written as. Only the first event has it: a file has one version, and
# most of its lines are log lines.
SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStarted:
    """The first event: which run, of which Application, by which argorun."""

    time: float
    schema: int = SCHEMA  # the version of all events in this file
    run_id: str  # 12 hex digits
    application: str  # its name, or NAMESPACE/NAME
    url: str  # the Application's page in Argo CD; empty where it is gone after the run, as in the demo
    version: str  # argorun's own
    dry_run: bool = False  # nothing will be touched; a verdict says only why a run could not begin
    limit: float = 0.0  # seconds that the run may take until its verdict: timeouts.run


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepStarted:
    """An attempt of a step begins; `detail` is a short phrase for people ("weather_updates_…").

    Each is followed by its StepEnded before the next one, whatever becomes of the run. Parameters and sync
    are tried again where another run was faster, logs where reading them was cut short.
    """

    time: float
    step: Step
    detail: str = ""  # for people


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepEnded:
    """A step is done, or failed; `detail` says with what result.

    `counts` has the numbers of the step `logs` (`logs`, `complete`, `lines`), and of a sweep's `preflight`
    (`topics` and `applications` to sweep, `younger` topics, `visible` Applications).
    """

    time: float
    step: Step
    ok: bool  # it came to a good end
    seconds: float
    detail: str = ""  # for people
    counts: dict[str, int] = dataclasses.field(default_factory=dict)  # by name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """The run waits for something; emitted again whenever `reason` changes."""

    time: float
    step: Step
    reason: str  # for people: whom or what it waits for


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """One line of what `--dry-run` would do. `kind` says which of the other fields it has."""

    time: float
    what: str  # for people
    kind: PlannedKind = PlannedKind.OTHER
    names: tuple[str, ...] = ()  # of what it is about
    value: str = ""  # that it gets
    original: str | None = None  # the value that stands now; null where there is none
    partitions: int | None = None  # -1: the broker's own number
    limits: dict[str, float] = dataclasses.field(default_factory=dict)  # seconds of each of `timeouts`


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicCreated:
    """The topic exists and can be produced to."""

    time: float
    topic: str  # its whole name
    partitions: int  # how many it has
    replication_factor: int  # on how many brokers each is
    seconds: float  # until it could be used


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterSet:
    """A parameter of the Application holds this run's value, read back."""

    time: float
    place: str  # for people: "helm: kafka.topic", "kustomize: ConfigMap topic-config, key topic_name"
    value: str  # the run's
    original: str | None  # null where there was none
    kind: str = ""  # `helm` or `kustomize`
    name: str = ""  # of the Helm parameter, or of the ConfigMap
    key: str = ""  # of the ConfigMap


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
    message: str  # Argo CD's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceChanged:
    """A resource that is not a hook was applied, or failed to be."""

    time: float
    kind: str  # Kubernetes' own: Deployment
    name: str
    namespace: str
    status: str  # Argo CD's own: Synced, SyncFailed, Pruned, PruneSkipped
    message: str  # Argo CD's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class HookChanged:
    """A hook of the operation changed its status or message.

    None follows the end of `follow`: a hook that still ran then was stopped, or ends by itself.
    """

    time: float
    hook: str  # PreSync, Sync, PostSync, SyncFail
    kind: str  # Kubernetes' own: Job, Pod
    name: str
    namespace: str
    status: HookStatus  # what it does
    message: str  # Argo CD's own
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
    """A container's log was read to its end; `complete` is false where lines may be missing."""

    time: float
    job: str
    pod: str
    container: str
    attempt: int
    restart: int = 0
    lines: int  # that were read
    complete: bool  # no line is missing
    reason: str = ""  # for people: why lines may be missing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a person should know that does not end the run."""

    time: float
    level: Literal["info", "warning"]  # how much it matters
    text: str  # for people
    kind: NoticeKind = NoticeKind.OTHER


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """How the run ended, before cleaning up. `exit_code` may still become 10 where it is 0."""

    time: float
    ok: bool  # the tests passed
    exit_code: int
    title: str  # for people, one line: "run-automation-tests-job: the test exited with code 3"
    reason: str = ""  # why: the hook's message, the error; may have several lines
    evidence: tuple[str, ...] = ()  # what the cluster shows of it, a line each: its pods, then the events
    hint: str = ""  # what to do
    last_lines: tuple[str, ...] = ()  # of the failed hook's log, oldest first, whole; a repeated one once
    url: str = ""  # where to look
    log_of: str = ""  # whose `last_lines` are, where there are several logs: "attempt 3, pod run-tests-x7k2p"
    result: Result = Result.OTHER  # in one word
    hooks: tuple[str, ...] = ()  # the hooks that failed, cannot start, or still ran when time was over
    test_exit_code: int | None = None  # of the test's container that failed; null where none has ended


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undone:
    """One thing that the run had done was undone."""

    time: float
    what: str  # for people
    seconds: float
    kind: Subject = Subject.OTHER
    names: tuple[str, ...] = ()  # of what was undone: topics, consumer groups, Applications
    parts: tuple[Subject, ...] = ()  # of an Application in a sweep: what was undone in it


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeftBehind:
    """One thing that could not be undone, and the command with which a person undoes it."""

    time: float
    what: str  # for people
    why: str  # for people
    command: str  # for a shell; empty where other commands do it, or nothing can be done
    kind: Subject = Subject.OTHER
    names: tuple[str, ...] = ()  # of what is left: topics, consumer groups, Applications, objects
    namespace: str = ""  # of an object in the cluster
    resource: str = ""  # an object's kind and API group, as kubectl takes them: "Pod", "Deployment.apps"
    swept: bool = False  # `argorun sweep` undoes it, too


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunEnded:
    """The last event, unless argorun was killed."""

    time: float
    exit_code: int  # the process's
    seconds: float


# -- of a sweep ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepStarted:
    """The first event of a sweep: what it looks for, and where."""

    time: float
    schema: int = SCHEMA  # the version of all events in this file
    prefixes: tuple[str, ...]  # of the topics that it looks for
    older_than: float  # seconds
    kafka: str  # its `bootstrap.servers`
    argocd: str  # its address; empty where Applications are not looked at
    dry_run: bool  # nothing will be touched
    version: str  # argorun's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicSwept:
    """A topic was deleted and is gone; with `dry_run`, it would be."""

    time: float
    topic: str  # its whole name
    age: float  # seconds since the time in its name
    dry_run: bool  # it would be


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepEnded:
    """The last event of a sweep, unless argorun was killed; `error` says why it did not come to its end."""

    time: float
    exit_code: int  # the process's
    seconds: float
    topics: int  # that were deleted, or would be
    applications: int  # that were put back, or would be
    left: int  # of both, what could not be
    dry_run: bool  # nothing was touched
    error: str = ""  # for people
    hint: str = ""  # for people: what to do


# -- what keeps a run waiting, and how it is canceled --------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class CannotStart:
    """Something that the operation waits for cannot start yet; emitted again when the reason changes."""

    time: float
    kind: str  # of the hook or the workload
    name: str  # of the hook or the workload
    namespace: str  # of the hook or the workload
    pod: str  # the one that does not start; empty where there is none yet
    reason: str  # Kubernetes' own: ImagePullBackOff, Pending; NoPod without any; empty: it can start now
    detail: str  # the image that cannot be pulled, or Kubernetes' message; may be empty
    seconds: float  # for which it has been so
    certain: bool  # false: it may be normal, as long as a node is on its way for example
    limit: float  # seconds after which the run gives up (timeouts.stuck); 0: it may take as long as it needs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrying:
    """A request has failed for a second or more, and is tried again; emitted when the reason changes."""

    time: float
    service: Literal["argocd", "kafka"]  # which one is asked
    address: str  # as it is configured
    reason: str  # "Connection refused"; empty: it is answered, or given up
    source: str = ""  # where the address was given: ARGOCD_SERVER, --server, argorun.yaml:4; may be empty


@dataclasses.dataclass(frozen=True, kw_only=True)
class Canceling:
    """A first signal came: the run stops, and undoes what it did. A second one ends that at once."""

    time: float
    signal: str  # "SIGINT"
    sync: bool  # the run's operation is ended
    parameters: bool  # the Application's parameters are restored
    topics: bool  # the run's topics are deleted


@dataclasses.dataclass(frozen=True, kw_only=True)
class SettlingContinues:
    """A sync that settles the workloads was started, and nobody waits for its end."""

    time: float
    application: str  # its name, or NAMESPACE/NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopicKept:
    """A topic of the run stays, as `--keep-topics` asks, and the command that deletes it."""

    time: float
    topic: str  # its whole name
    command: str  # deletes it, and the topics that are derived from its name


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
    | CannotStart
    | Retrying
    | Canceling
    | SettlingContinues
    | TopicKept
)
