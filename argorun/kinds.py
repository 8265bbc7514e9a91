"""The kinds in events: what programs compare, in place of words for people."""

from __future__ import annotations

import enum
from typing import Self


class Step(enum.StrEnum):
    """The nine steps of a run, in their order. A sweep has `preflight`, `parameters` and `topics`."""

    PLAN = "plan"  # what the run is about to do
    PREFLIGHT = "preflight"  # the checks before anything is touched; in a sweep, what there is to do
    TOPICS = "topics"  # creating them; in a sweep, deleting them
    PARAMETERS = "parameters"  # setting the run's values; in a sweep, restoring Applications
    SYNC = "sync"  # starting the run's operation
    FOLLOW = "follow"  # watching the hooks
    LOGS = "logs"  # reading the rest of the logs
    VERDICT = "verdict"  # whether the tests passed
    CLEANUP = "cleanup"  # putting everything back


class HookStatus(enum.StrEnum):
    """The status of a hook."""

    WAITING = "waiting"  # it has not begun
    RUNNING = "running"  # it runs
    SUCCEEDED = "succeeded"  # it ended well
    FAILED = "failed"  # it did not


class OpenEnum(enum.StrEnum):
    """An enumeration that may grow: a value of a newer argorun is read as `other`."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls["OTHER"]


class Result(OpenEnum):
    """How a run ended, before its clean-up."""

    PASSED = "passed"  # the required tests ran and passed
    FAILED = "failed"  # a required test failed, or could not start
    NO_TEST = "no_test"  # no required test ran
    TIMED_OUT = "timed_out"  # `timeouts.run` is over
    CANCELED = "canceled"  # by a signal
    ERROR = "error"  # something else, and `exit_code` says what
    OTHER = "other"  # any other


class Subject(OpenEnum):
    """What was undone, or is left behind."""

    OPERATION = "operation"  # `names`: the run's id
    PARAMETERS = "parameters"  # `names`: the Application
    WORKLOADS = "workloads"  # what the run's sync changed; `names`: the Application
    AUTO_SYNC = "auto_sync"  # `names`: the Application
    RECORD = "record"  # the annotation `argorun.dev/run`; `names`: the Application
    LATE_CHANGE = "late_change"  # what a request without an answer changed; `names`: the Application
    APPLICATION = "application"  # several of these at once, as `parts` says; `names`: the Application
    RESOURCE = "resource"  # an object in the cluster; `names`: its name
    POD = "pod"  # it may still use the topic; `names`: its name, none where it is unknown
    TOPIC = "topic"  # `names`: the topics; in `left_behind`, one that is gone may come back by a pod
    DERIVED_TOPIC = "derived_topic"  # of a service; in `left_behind`, `names` may be its origin
    CONSUMER_GROUP = "consumer_group"  # `names`: its ID; in `left_behind`, the prefix of the groups
    OTHER = "other"  # any other


class NoticeKind(OpenEnum):
    """What a notice is about, where a program may care."""

    EVENTS_MISSING = "events_missing"  # lines are missing here: their reader was too slow
    CONNECTION = "connection"  # the way to Argo CD or Kafka: encryption, certificate, proxy, retries
    TOKEN = "token"  # Argo CD's token expires too early
    CLOCK = "clock"  # this machine's clock is wrong
    OWNER = "owner"  # something else also writes the Application's spec
    CHANGED = "changed"  # somebody changed the Application during the run
    KILLED_RUN = "killed_run"  # what a killed run left
    FOREIGN = "foreign"  # an object or a topic that belongs to somebody else
    HOOKS = "hooks"  # how the hooks or their readers are written
    UNCHECKED = "unchecked"  # something could not be checked
    OTHER = "other"  # any other


class PlannedKind(OpenEnum):
    """What a line of a dry run is about."""

    APPLICATION = "application"  # `names`: the Application; `value`: Argo CD's address
    KAFKA = "kafka"  # `value`: its `bootstrap.servers`
    TIMEOUTS = "timeouts"  # `limits`: the seconds of each
    TOPIC = "topic"  # it is created, and deleted at the end; `names`: the topic; `partitions`
    KEEP_TOPIC = "keep_topic"  # the same, but it is kept
    PARAMETER = "parameter"  # `names`: the Helm parameter, or the ConfigMap and its key; `value`; `original`
    AUTO_SYNC = "auto_sync"  # it is switched off, and on again at the end
    SYNC = "sync"  # `names`: the Application; `value`: the revision, where one was given
    TESTS = "tests"  # `names`: the test Jobs; none where every PostSync Job and Pod counts
    SETTLE = "settle"  # the workloads leave the topic at the end
    KEEP_WORKLOADS = "keep_workloads"  # they stay on it
    RESTORE = "restore"  # of a sweep: what a killed run left is undone; `names`: the Application
    OTHER = "other"  # any other
