"""The table: every fault in every step of a run, and how the run is to end under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from argorun.events import Step
from tests.faults import proxy
from tests.faults.brokers import CREATE_TOPICS, DELETE_TOPICS
from tests.faults.proxy import Fault, Rule
from tests.faults.runs import Blow, KafkaRule

APP = r"/api/v1/applications/[^/?]+"
DENIED = ("401", "403", "404")
QUIET = ("stall", "silence")
EVER = None

FAULTS: dict[str, Fault] = {
    "reset": proxy.reset,
    "lost-reply": proxy.lost_reply,
    "cut": proxy.cut,
    "half-json": proxy.half_json,
    "html": proxy.html,
    "stall": proxy.stall,
    "silence": proxy.silence,
    "delay": proxy.delay(2.0),
    **{code: proxy.status(int(code)) for code in (*DENIED, "500", "502", "503", "504")},
    "429": proxy.status(429, Retry_After="1"),
    "429-for-long": proxy.status(429, Retry_After="600"),
    "late": proxy.late(10.0),
}
ALL = tuple(FAULTS)
# Where the run does the same about several of them, one stands for all.
WRITE = ("reset", "lost-reply", "half-json", "html", "stall", "silence", "403", "429", "500", "503", "late")
READ = ("reset", "half-json", "stall", "403", "429", "500")
STREAM = ("reset", "cut", "half-json", "html", "stall", "403", "503")
DESCRIBE_TOPICS = 75  # Kafka's API key of DescribeTopicPartitions
METADATA = 3
KAFKA_FAULTS = {
    "lost-reply": "lose answer",
    "lost-request": "lose request",
    "reset": "cut",
    "delay": "delay 2",
    "late": "late 10",
    "reset-and-late": "cut late 10",
}


def all_of(faults: Iterable[str], code: int) -> dict[str, int]:
    return dict.fromkeys(faults, code)


@dataclass(frozen=True)
class Place:
    """A request of a run. `gives` holds the exit codes of the faults under which the run cannot go on."""

    name: str
    step: Step
    method: str
    path: str
    gives: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[str, ...] = READ
    nth: int = 1
    hangs: int | None = None  # the run is ended in mid-operation, with this code
    put: bool = False  # Argo CD does not accept a PATCH by then: Git is out of reach
    log: tuple[str, ...] = ()  # the faults that may cost lines, which is then said

    def blows(self, fault: str) -> list[Blow]:
        rule = Rule(self.method, self.path, FAULTS[fault], nth=self.nth)
        blows = [Blow(rule, self.step)]
        if self.hangs is not None:
            # Whoever asks, the slow read beside the watch among them.
            forbidden = Rule("GET", APP, proxy.status(403), times=EVER)
            blows.append(Blow(forbidden, Step.FOLLOW, until=Step.CLEANUP))
        if self.put:
            blows.append(Blow(Rule("PATCH", APP, proxy.status(400), times=EVER), Step.CLEANUP))
        return blows


@dataclass(frozen=True)
class KafkaPlace:
    """A request to Kafka, like `Place`."""

    name: str
    step: Step
    key: int
    gives: Mapping[str, int] = field(default_factory=dict)
    nth: int = 1

    def blows(self, fault: str) -> list[Blow]:
        return [Blow(KafkaRule(self.key, KAFKA_FAULTS[fault], nth=self.nth), self.step)]


BEFORE = all_of(DENIED, 6) | all_of(QUIET, 8)  # patience is 5 s there, and a silence lasts 15
UNSENT = all_of(DENIED, 6) | {"stall": 8}  # what arrived is found, though nobody heard of it

PLACES: tuple[Place, ...] = (
    Place(
        "preflight",
        Step.PREFLIGHT,
        "GET",
        APP,
        BEFORE,
        tuple(f for f in ALL if f not in ("late", "silence")),
    ),
    Place(
        "can-i",
        Step.PREFLIGHT,
        "GET",
        r"/api/v1/account/can-i/.*",
        all_of(QUIET, 8) | {"401": 6},
        (*READ, "401"),
    ),
    Place("free", Step.PARAMETERS, "GET", APP, BEFORE),
    Place("patch", Step.PARAMETERS, "PATCH", APP, UNSENT, ALL),
    Place("read-back", Step.PARAMETERS, "GET", APP, BEFORE, nth=3),
    Place("tree", Step.SYNC, "GET", APP + "/resource-tree", BEFORE),
    Place("manifests", Step.SYNC, "GET", APP + "/manifests", BEFORE),
    # A sync that comes late may replace the Job while its log is read.
    Place("sync", Step.SYNC, "POST", APP + "/sync", UNSENT, ALL, log=("late",)),
    Place("watch", Step.FOLLOW, "GET", "/api/v1/stream/applications", faults=STREAM),
    Place("tree-stream", Step.TOPICS, "GET", "/api/v1/stream/applications/.*/resource-tree", faults=STREAM),
    Place("pod", Step.SYNC, "GET", APP + "/resource", faults=("reset", "half-json", "403", "500")),
    Place("log", Step.SYNC, "GET", APP + "/pods/.*/logs", faults=STREAM, log=("stall",)),
    Place("nudge", Step.FOLLOW, "GET", APP + r"\?.*refresh=normal.*"),
    # The first is asked whether the test's Job is this operation's.
    Place("job", Step.FOLLOW, "GET", APP, {}, (*READ, "401", "404")),
    Place("backstop", Step.FOLLOW, "GET", APP, all_of(DENIED, 6), (*READ, "401", "404"), nth=2),
    Place("terminate", Step.CLEANUP, "DELETE", APP + "/operation", faults=WRITE, hangs=6),
    Place("find-operation", Step.CLEANUP, "GET", APP, hangs=6),
    Place("restore", Step.CLEANUP, "PATCH", APP, faults=ALL),
    Place("put", Step.CLEANUP, "PUT", APP, faults=WRITE, put=True),
    Place("compare", Step.CLEANUP, "GET", APP + r"\?.*refresh=normal.*"),
    Place("live", Step.CLEANUP, "GET", APP + "/resource-tree"),
    Place("settle", Step.CLEANUP, "POST", APP + "/sync", faults=WRITE),
    Place("settling", Step.CLEANUP, "GET", "/api/v1/stream/applications", faults=STREAM),
    Place("release", Step.CLEANUP, "PATCH", APP, faults=WRITE, nth=2),
)
# Asked once beforehand: nothing is made yet.
LOST = all_of(("lost-reply", "lost-request", "reset", "late", "reset-and-late"), 7)
KAFKA_PLACES: tuple[KafkaPlace, ...] = (
    KafkaPlace("kafka-validate", Step.PREFLIGHT, CREATE_TOPICS, LOST),
    KafkaPlace("kafka-trial", Step.PREFLIGHT, DELETE_TOPICS, LOST),
    KafkaPlace("kafka-create", Step.TOPICS, CREATE_TOPICS),
    KafkaPlace("kafka-delete", Step.CLEANUP, DELETE_TOPICS),
)


@dataclass(frozen=True)
class Cell:
    """A fault in a place; with `fails`, the test Job fails."""

    place: Place | KafkaPlace
    fault: str
    fails: bool

    @property
    def name(self) -> str:
        return f"{self.place.name}-{self.fault}"

    @property
    def code(self) -> int:
        """The exit code that is right."""
        if isinstance(self.place, Place) and self.place.hangs is not None:
            return self.place.hangs
        return self.place.gives.get(self.fault, 1 if self.fails else 0)

    @property
    def logged(self) -> bool:
        """Whether the run lasts until its log is there, and may lose none of it."""
        if isinstance(self.place, Place) and (self.place.hangs is not None or self.fault in self.place.log):
            return False
        return self.code in (0, 1)


def cells() -> Iterator[Cell]:
    """All of them; the test Job of every third fails."""
    pairs = [(p, f) for p in PLACES for f in p.faults] + [(p, f) for p in KAFKA_PLACES for f in KAFKA_FAULTS]
    for number, (place, fault) in enumerate(pairs):
        yield Cell(place, fault, fails=number % 3 == 2)


CELLS = {cell.name: cell for cell in cells()}


def parts_of(cell: Cell) -> frozenset[tuple[str, ...]]:
    """What a cell shows: its request, with the step that makes it, and its fault, to Argo CD or to Kafka."""
    return frozenset({("request", cell.place.name), ("fault", type(cell.place).__name__, cell.fault)})


def sample(table: Collection[Cell]) -> Iterator[Cell]:
    """Cells that show each request and each fault at least once: always the first of those that add most."""
    missing = set[tuple[str, ...]]().union(*map(parts_of, table))
    while missing:
        chosen = max(table, key=lambda cell: len(parts_of(cell) & missing))
        missing -= parts_of(chosen)
        yield chosen


SAMPLE = frozenset(cell.name for cell in sample(CELLS.values()))  # of `make test`; the rest: `make test-all`
