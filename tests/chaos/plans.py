"""What may befall a run, as plain values: hypothesis draws them, shrinks them and prints them.

A moment is a count: of the requests that argorun has sent to Argo CD and the events that it has announced.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import signal
from collections.abc import Iterator

from hypothesis import strategies as st

from tests.unit.kafka.standin import Answer, Fault, Lost, LostAnswer, Slow


class Kind(enum.StrEnum):
    """A request to Argo CD, by what it is for."""

    GET = "GET application"
    PATCH = "PATCH application"
    SYNC = "POST sync"
    END = "DELETE operation"
    TREE = "GET tree"
    WATCH = "GET stream"
    LOGS = "GET logs"
    REST = "any other"


@dataclasses.dataclass(frozen=True)
class Status:
    """Argo CD, or a proxy before it, answers with this status and does nothing."""

    code: int

    def __str__(self) -> str:
        return str(self.code)


class How(enum.Enum):
    """What else befalls a request."""

    REFUSED = "the connection is refused, nothing was sent"
    UNANSWERED = "it is done, and the reply is lost"
    NONSENSE = "it is done, and the reply is half a JSON"
    LATE = "it is done, and the reply comes after 0.3 s"


@dataclasses.dataclass(frozen=True)
class Broken:
    """The `nth` request of a kind, counted from 0, goes wrong."""

    kind: Kind
    nth: int
    how: Status | How


class Deed(enum.Enum):
    """What somebody else does to the Application, or to the run."""

    OTHER_PARAMETER = "sets another parameter"
    OUR_PARAMETER = "sets the parameter that takes the topic"
    OTHER_FIELD = "adds a field of the spec"
    SYNC = "starts a sync"
    TERMINATE = "ends the operation that runs"
    INT = signal.SIGINT
    TERM = signal.SIGTERM


@dataclasses.dataclass(frozen=True)
class Strike:
    """A deed at a moment."""

    moment: int
    deed: Deed


class Tests(enum.Enum):
    """How the run would go if it were left alone."""

    GREEN = ("true", "true")
    RED = ("exit 1", "true")
    PRESYNC_RED = ("true", "exit 1")
    LONG = ("sleep 1", "true")

    __test__ = False  # not a pytest class


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that befalls one run."""

    tests: Tests = Tests.GREEN
    broken: tuple[Broken, ...] = ()
    kafka: tuple[tuple[str, Fault], ...] = ()
    strikes: tuple[Strike, ...] = ()
    dead_record: bool = False  # a killed run has left its parameters behind
    rival: bool = False  # another argorun runs on the same Application at the same time
    hasty: bool = False  # its time is over within 2 s

    @property
    def brief(self) -> str:
        """What befalls the run, in a few words."""
        words = [f"{b.kind.name} {b.nth} {getattr(b.how, 'name', b.how)}" for b in self.broken]
        words += [f"{act} {fault}" for act, fault in self.kafka]
        words += [f"{s.deed.name} at {s.moment}" for s in self.strikes]
        words += [name for name in ("dead_record", "rival", "hasty") if getattr(self, name)]
        return f"{self.tests.name}: {', '.join(words)}"

    @property
    def unvalidated(self) -> bool:
        """Whether a PATCH is refused as if Git were out of reach: what comes instead is a PUT of it all, and
        whoever writes at the same moment loses (a limit of the API)."""
        return any(b.kind is Kind.PATCH and b.how == Status(400) for b in self.broken)


STATUSES = [Status(code) for code in (400, 500, 502, 503, 504, 429, 401, 403, 404)]
HOWS = [*STATUSES, *How]
# How many requests of a kind a run sends, at least; those that change something are drawn more often.
SENT = {
    Kind.GET: 8,
    Kind.TREE: 3,
    Kind.WATCH: 2,
    Kind.LOGS: 2,
    Kind.REST: 6,
    Kind.PATCH: 3,
    Kind.SYNC: 2,
    Kind.END: 2,
}
DRAWN = st.sampled_from(STATUSES) | st.sampled_from(How)
BROKEN = st.one_of(
    *(
        st.builds(Broken, st.just(kind), st.integers(0, SENT[kind] - 1), DRAWN)
        for kind in [*Kind, Kind.PATCH, Kind.SYNC, Kind.SYNC, Kind.END]
    )
)
ACTS = ("validate", "create", "describe", "delete")  # of Kafka
FAULTS: list[Fault] = [
    Answer(7), Answer(41), Answer(29), Answer(-1), LostAnswer(), Lost(), Lost(0.1), Slow(0.1),
]  # fmt: skip
KAFKA = st.tuples(st.sampled_from(ACTS), st.sampled_from(FAULTS))
STRIKES = st.builds(Strike, st.integers(0, 70), st.sampled_from(Deed))
PLANS = st.builds(
    Plan,
    tests=st.sampled_from(Tests),
    broken=st.lists(BROKEN, max_size=3).map(tuple),
    kafka=st.lists(KAFKA, max_size=2).map(tuple),
    strikes=st.lists(STRIKES, max_size=3).map(tuple),
    dead_record=st.booleans(),
    rival=st.sampled_from([False, False, True]),
    hasty=st.sampled_from([False, False, False, True]),
).filter(lambda plan: not (plan.unvalidated and plan.strikes))


def sample() -> Iterator[Plan]:
    """Each thing that may befall a run once, by itself, with the requests, the acts and the runs in turn."""
    tests = itertools.cycle(Tests)
    for kind, how in zip(itertools.cycle(Kind), HOWS, strict=False):
        yield Plan(next(tests), broken=(Broken(kind, 0, how),))
    for act, fault in zip(itertools.cycle(ACTS), FAULTS, strict=False):
        yield Plan(next(tests), kafka=((act, fault),))
    for moment, deed in zip(itertools.count(10, 8), Deed, strict=False):
        yield Plan(next(tests), strikes=(Strike(moment, deed),))
    for name in ("dead_record", "rival", "hasty"):
        yield Plan(next(tests), **{name: True})
