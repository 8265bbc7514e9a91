"""All that a run did is undone, whatever goes wrong; what is left is named with the command for it."""

from __future__ import annotations

import asyncio
import copy
import datetime
import json
import shlex
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd.claim import acquire
from argorun.argocd.claim.acquire import Claim
from argorun.argocd.http.errors import Denied
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Info, Node, Tree
from argorun.config.model import Topic
from argorun.errors import AccessDenied, KafkaFailed
from argorun.events import LeftBehind, Notice, SettlingContinues, TopicKept, Undone
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Related
from argorun.kinds import Subject
from argorun.run.cleanup import RunCleanup
from argorun.run.state import RunState, RunTopic
from argorun.run.undo.application import ApplicationUndos
from argorun.run.undo.stack import UndoStack
from argorun.run.undo.topics import TopicUndos
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import AUTOMATED, READS_SETTINGS, SETTINGS, SPEC, TOPIC, Scenario
from tests.unit.virtual import run


def assert_pastes(command: str, *words: str) -> None:
    """As a shell takes it; and nothing in it drives the terminal that it is pasted into."""
    assert shlex.split(command) == list(words)
    assert command.isprintable()
    quoted = shlex.shlex(command, posix=False, punctuation_chars=True)
    quoted.whitespace_split = True
    assert [word for word in quoted if word in (";", "&", "|", "&&", "||", "(", ")", "<", ">")] == []


@given(st.text(), st.text())
def test_what_was_there_is_put_back_whatever_it_holds(name: str, value: str) -> None:
    patch = [
        {"op": "replace", "path": "/spec/source/helm/parameters", "value": [{"name": name, "value": value}]}
    ]
    fake = cast(Any, SimpleNamespace)
    config, state = fake(application="ns/weather"), fake(claim=fake(restoring_patch=lambda: patch))
    command = ApplicationUndos(config, fake(), fake(), state, fake()).restore_command()
    *words, text = shlex.split(command)
    assert_pastes(command, *words, text)
    assert words == ["argocd", "app", "patch", "ns/weather", "--type", "json", "--patch"]
    assert json.loads(text) == patch


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])).filter(str.isprintable))
def test_a_topic_is_deleted_at_the_broker_whatever_its_address_holds(servers: str) -> None:
    none = cast(Any, None)
    kafka = {"bootstrap.servers": servers}
    command = TopicUndos(kafka, none, none, none, check_unused=none).delete_command("t_1")
    *words, topic = "--delete", "--if-exists", "--topic", "t_1([-._].*)?"
    assert_pastes(command, "kafka-topics", "--bootstrap-server", servers, *words, topic)


# -- what is undone, and in spite of what ---------------------------------------------------------------


KAFKA = {"bootstrap.servers": "k:1"}


class Topics:
    """Topics that are deleted, as far as they are ours; what raises or hangs is named by `broken`."""

    def __init__(
        self,
        helpers: Exception | None = None,
        delete: Exception | None = None,
        related: Related | None = None,
        stays: str = "",
    ) -> None:
        self.deleted: list[str] = []
        self.on_delete: Callable[[], object] = lambda: None
        self._helpers, self._delete, self._related, self._stays = helpers, delete, related, stays

    async def _help(self) -> None:
        if self._helpers is not None:
            raise self._helpers
        await asyncio.Event().wait()

    async def delete_groups(self, prefix: str, topics: list[str]) -> list[str]:
        await self._help()
        return []

    async def related(self, name: str) -> Related:
        if self._related is None:
            await self._help()
        return self._related or Related((), ())

    async def delete(self, name: str) -> None:
        if self._delete is not None or name == self._stays:
            raise self._delete or KafkaFailed("it comes back")
        self.deleted.append(name)
        self.on_delete()

    async def wait_gone(self, name: str) -> None: ...


class Logs(JobLogs):
    """The logs of an operation, of which only the Jobs are known: `uids`, in the `tree`."""

    def __init__(self) -> None:
        self.uids: set[str] = set()
        self.tree = Tree()

    def jobs(self) -> list[Node]:
        return [n for n in self.tree.of_kind("Job") if n.uid in self.uids]

    async def close(self) -> None: ...


class MadeTopic(Scenario):
    """A topic was made, and its undos are done; with `synced`, a sync of the run was prepared."""

    def __init__(self, topics: Topics, topic: Topic, *, hurried: bool = False, synced: bool = False) -> None:
        super().__init__()
        self.configure(kafka=KAFKA, topics=(topic,))
        run(self._unwind(topics, topic, hurried, synced))

    async def _unwind(self, topics: Topics, topic: Topic, hurried: bool, synced: bool) -> None:
        client = self.argocd.client
        claim = Claim(client, APP, "mine", (), warn=self.emitter.warn)
        state = RunState("mine", claim, logs=Logs() if synced else None)
        undo, live = UndoStack(self.report), LiveTree(client, APP)
        cleanup = RunCleanup(self.config, client, cast(Any, topics), live, undo, state, self.emitter)
        cleanup.register_topic("t_1", topic)
        cleanup.register_application()
        if hurried:
            undo.hurry()
        await undo.unwind(90)

    @property
    def left_and_why(self) -> list[tuple[str, str]]:
        return [(e.what, e.why) for e in self.left]


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AccessDenied("Kafka does not let this account"), ["Kafka does not let this account"] * 2),
        (OSError("no more processes"), ["OSError: no more processes"] * 2),
        (ValueError("oops"), ["ValueError: oops"] * 2),
        (RuntimeError("a bug"), ["RuntimeError: a bug"] * 2),
        (None, ["not done within 45 s", "not done within 20 s"]),  # it hangs
    ],
)
def test_whatever_an_optional_helper_raises_the_topic_goes(
    error: Exception | None, why: list[str], hurried: bool
) -> None:
    topics = Topics(error)
    undone = MadeTopic(topics, Topic(prefix="t", parameters=(), groups="tests-"), hurried=hurried)
    assert topics.deleted == ["t_1"]
    what = ["topics derived from t_1", "consumer groups of t_1"]
    assert undone.left_and_why == list(zip(what, why, strict=True))


DERIVED = "its name is derived from that of the run's topic"


def test_derived_topics_go_with_the_topic_and_each_is_reported() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1-retry-0"), ("app-t_1-changelog",)))
    undone = MadeTopic(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == ["t_1", "t_1-dlt", "t_1-retry-0"]
    assert [(e.level, e.text) for e in undone.all(Notice)] == [
        ("warning", "topic app-t_1-changelog contains the name of t_1 and is left alone: is it needed?"),
    ]
    assert [(e.kind, e.names, e.what) for e in undone.all(Undone)] == [
        (Subject.TOPIC, ("t_1",), "topic t_1 deleted"),
        (Subject.DERIVED_TOPIC, ("t_1-dlt",), f"topic t_1-dlt deleted: {DERIVED}"),
        (Subject.DERIVED_TOPIC, ("t_1-retry-0",), f"topic t_1-retry-0 deleted: {DERIVED}"),
    ]
    assert undone.left_and_why == []


def test_a_derived_topic_that_stays_is_named_once_with_the_command() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1.DLT"), ()), stays="t_1-dlt")
    undone = MadeTopic(topics, Topic(prefix="t", parameters=()), synced=True)
    assert topics.deleted == ["t_1", "t_1.DLT", "t_1.DLT"], "the last look tries once more"
    assert undone.left_and_why == [("topic t_1-dlt", "it comes back")]
    (left,) = undone.left
    assert left.command == (
        "kafka-topics --bootstrap-server k:1 --delete --if-exists --topic 't_1-dlt([-._].*)?'"
    )


def test_derived_topics_stay_with_the_topic_that_stays_and_are_named() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()), stays="t_1")
    undone = MadeTopic(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == []
    assert undone.left_and_why == [
        ("topic t_1", "it comes back"),
        ("topic t_1-dlt", "it is kept as long as topic t_1 is"),
    ]


def test_in_a_hurry_derived_topics_go_at_once_and_are_looked_for_again_after_the_pods() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()))
    undone = MadeTopic(topics, Topic(prefix="t", parameters=()), hurried=True, synced=True)
    assert sorted(topics.deleted) == ["t_1", "t_1", "t_1-dlt", "t_1-dlt"]
    assert undone.left_and_why == []


def test_a_topic_that_turns_out_to_be_somebody_elses_is_neither_touched_nor_left() -> None:
    topics = Topics(TopicExists("t_1"), delete=TopicExists("t_1"))
    assert (MadeTopic(topics, Topic(prefix="t", parameters=())).left_and_why, topics.deleted) == ([], [])


@pytest.mark.parametrize(
    ("settle", "automated", "began", "settles"),
    [
        (True, None, True, True),
        (False, None, True, False),
        (True, None, False, False),
        (True, {}, False, False),  # no operation was started: nothing of it is in the cluster
        (False, {}, True, True),  # switched on over our values, auto-sync would run the hooks again
    ],
)
@pytest.mark.parametrize("synced", [True, False])
def test_what_the_runs_operation_changed_is_settled_whatever_it_was_before_and_always_under_auto_sync(
    settle: bool, synced: bool, automated: object, began: bool, settles: bool
) -> None:
    fake = cast(Any, SimpleNamespace)
    claim = fake(record=fake(automated=automated), was_synced=synced)
    config = fake(application="weather", settle=settle)
    state = fake(claim=claim, settlement=fake(), posted=began)
    undos = ApplicationUndos(config, fake(), fake(), state, fake())
    assert (undos.to_settle is not None) is settles


@pytest.mark.parametrize(
    ("logs", "left"),
    [
        (None, {}),
        (
            Logs(),
            {
                "the run's operation": "argocd app terminate-op weather; argocd app wait weather --operation",
                "pods of this run": "argocd app get weather --output tree",
            },
        ),
    ],
)
def test_before_the_runs_sync_no_command_ends_the_operation_that_runs(
    logs: JobLogs | None, left: dict[str, str]
) -> None:
    scenario, none = Scenario(), cast(Any, None)
    client, undo = scenario.argocd.client, UndoStack(scenario.report)
    state = RunState("mine", Claim(client, APP, "mine", (), warn=scenario.emitter.warn), logs=logs)
    RunCleanup(scenario.config, client, none, none, undo, state, none).register_application()
    undo.abandon("there is no time")
    assert {e.what: e.command for e in scenario.left} == left


# -- what the operation changed, and who uses the topic -----------------------------------------------------

HOOK: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hook", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
    "data": {"topic": "TOPIC"},
}
WEB: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"template": {"spec": READS_SETTINGS}},
}


# A minute before the settling begins: the fake's controller takes operations up at 2024-01-01T00:00:00Z.
SYNCED = 1704067140.0


class FinishedRun(Scenario):
    """A run's operation is over, and now all of it is undone."""

    def __init__(self, *manifests: Json, spec: Json = SPEC) -> None:
        super().__init__(spec)
        self.configure(kafka=KAFKA, topics=(Topic(prefix="weather", parameters=()),))
        self.topics, self.logs = Topics(related=Related((), ())), Logs()
        self.argocd.source = [SETTINGS, WEB, *manifests]
        for manifest in self.argocd.renders():
            self.argocd.made(manifest)
        self.after_the_sync: Callable[[], object] = lambda: None  # done to the cluster before the clean-up
        self.hurries_at: float | None = None  # seconds after the clean-up began
        self.summary: list[str] = []  # what was undone, in few words
        self.stops_at: float | None = None  # seconds after which nothing more may be undone
        self.posted = True  # the run's operation was asked for

    def pod(self, name: str, owner: str, started: float = 0.0, phase: str = "Running", **spec: Any) -> None:
        """A pod of a Deployment that was started so many seconds after our operation."""
        deployment = self.argocd.objects[Key("apps", "Deployment", "n", owner)]
        reference = {"kind": "Deployment", "name": owner, "uid": deployment["metadata"]["uid"]}
        at = datetime.datetime.fromtimestamp(SYNCED + started, datetime.UTC).isoformat()
        running = {"name": "main", "state": {"running": {"startedAt": at}}}
        self.argocd.made(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "ownerReferences": [reference]},
                "spec": READS_SETTINGS | spec,
                "status": {"phase": phase, "containerStatuses": [running]},
            }
        )

    def left_after(self, budget: float = 90, **config: Any) -> list[LeftBehind]:
        """What is emitted as left behind by a clean-up within so many seconds."""
        self.configure(**config)
        run(self.clean_up(budget))
        return self.left

    @property
    def undone(self) -> list[str]:
        return [e.what for e in self.all(Undone)]

    @property
    def is_as_it_was(self) -> bool:
        return not self.argocd.document["metadata"].get("annotations")

    async def clean_up(self, budget: float) -> None:
        """Take the Application, sync it, and undo that."""
        argocd, client = self.argocd, self.argocd.client
        (topic,) = self.config.topics
        settings, warn = [Helm("kafka.topic", TOPIC)], self.emitter.warn
        claim = Claim(client, APP, "mine", settings, warn=warn, topics=[TOPIC])
        former = argocd.renders()
        settlement = Settlement(client, APP, [TOPIC])
        before = argocd.seen()
        await acquire.take(claim, former, time.time() + 90)
        await settlement.take_snapshot(before, await client.tree(APP), argocd.renders(), former)
        for manifest in argocd.renders():
            argocd.made(manifest)
        self.after_the_sync()
        undo = UndoStack(self.report)
        state = RunState(
            "mine",
            claim,
            [RunTopic(TOPIC, topic)],
            logs=self.logs,
            settlement=settlement,
            started=SYNCED,
            revision="abc",
            posted=self.posted,
        )
        topics, live = cast(Any, self.topics), LiveTree(client, APP)
        cleanup = RunCleanup(self.config, client, topics, live, undo, state, self.emitter)
        cleanup.register_topic(TOPIC, topic)
        cleanup.register_application()
        await self._unwind(undo, budget)
        self.summary = cleanup.done()
        cleanup.emit_kept_topics()

    async def _unwind(self, undo: UndoStack, budget: float) -> None:
        loop = asyncio.get_running_loop()
        unwinding = asyncio.create_task(undo.unwind(budget))
        if self.hurries_at is not None:
            loop.call_later(self.hurries_at, undo.hurry)
        if self.stops_at is not None:
            loop.call_later(self.stops_at, unwinding.cancel)
        await self.with_controller(unwinding)


def value_of(scenario: FinishedRun, name: str) -> str:
    return str(scenario.argocd.objects[Key("", "ConfigMap", "n", name)]["data"]["topic"])


def test_what_the_runs_operation_changed_is_back_and_said_so_before_the_topic_goes() -> None:
    scenario = FinishedRun(HOOK)
    assert scenario.left_after() == []
    assert scenario.undone == [
        "parameters put back",
        "workloads settled on what they had before",
        f"topic {TOPIC} deleted",
    ]
    assert scenario.summary == ["parameters restored", "workloads settled", "topic deleted"]
    assert (value_of(scenario, "settings"), value_of(scenario, "hook")) == ("weather", "weather")
    (sync,) = scenario.argocd.syncs
    assert sync["resources"] == [{"group": "", "kind": "ConfigMap", "namespace": "n", "name": "settings"}]
    assert (sync["revision"], sync.get("prune")) == ("abc", None)
    assert (scenario.argocd.spec, scenario.is_as_it_was) == (SPEC, True)


def test_a_topic_that_is_kept_is_named_with_the_command_that_deletes_it() -> None:
    scenario = FinishedRun()
    assert scenario.left_after(keep_topics=True) == []
    (kept,) = scenario.all(TopicKept)
    assert kept.topic == TOPIC
    regex = f"{TOPIC}([-._].*)?"
    server = ("--bootstrap-server", KAFKA["bootstrap.servers"])
    assert_pastes(kept.command, "kafka-topics", *server, "--delete", "--if-exists", "--topic", regex)
    assert scenario.summary == ["parameters restored", "workloads settled"]


def test_settled_is_not_said_where_something_still_names_the_topic() -> None:
    scenario = FinishedRun()
    scenario.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    (left,) = scenario.left_after()
    assert (left.what, left.why) == ("ConfigMap settings", f"it still names {TOPIC}")
    assert_pastes(left.command, "argocd", "app", "sync", "weather", "--resource", ":ConfigMap:n/settings")
    assert "workloads settled on what they had before" not in scenario.undone


class OnlyWithATopic(FakeArgoCD):
    """A chart that renders its ConfigMap kafka only with a run's topic."""

    def renders(self) -> list[Json]:
        found = super().renders()
        return found if TOPIC in json.dumps(found) else [m for m in found if m["metadata"]["name"] != "kafka"]


@pytest.mark.parametrize("readable", [True, False])
def test_what_is_rendered_only_with_our_values_and_stood_there_before_is_put_back_or_named(
    readable: bool,
) -> None:
    """An earlier run has left it, say."""
    scenario, argocd = FinishedRun(), OnlyWithATopic(copy.deepcopy(SPEC))
    only: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kafka", "annotations": {"argocd.argoproj.io/sync-options": "Prune=false"}},
        "data": {"topic": "TOPIC"},
    }
    argocd.source = [*scenario.argocd.source, only]
    scenario.argocd = argocd
    for manifest in argocd.renders():
        argocd.made(manifest)
    argocd.made(only | {"data": {"topic": "somebody's"}})
    if not readable:
        argocd.meets("live kafka", DOWN)
    left = [(e.what, e.why, e.command) for e in scenario.left_after()]
    if readable:
        assert (left, value_of(scenario, "kafka")) == ([], "somebody's")
    else:
        why = f"it still names {TOPIC}, and it was there before: only its owner knows how it was"
        assert left == [("ConfigMap kafka", why, "")]


def test_what_the_runs_own_parameters_render_takes_nothing_back_and_the_commands_do() -> None:
    """Compared with parameters that nobody could put back, what the run changed looks as it should."""
    scenario = FinishedRun()
    refused = [Denied("patch", 403, "permission denied", "")] * 9
    scenario.after_the_sync = lambda: scenario.argocd.meets("patch", *refused)
    left = {e.what: e for e in scenario.left_after()}
    assert {"the parameters", "the workloads' settings"} <= set(left)
    settles = "argocd app sync weather --resource :ConfigMap:n/settings"
    assert left["the workloads' settings"].command == settles
    assert scenario.argocd.syncs == []


def test_what_somebody_changed_meanwhile_is_reported_and_not_called_what_was_before() -> None:
    scenario = FinishedRun()
    theirs = [{"name": "kafka.topic", "value": "theirs"}]

    def changes() -> None:
        scenario.argocd.spec["source"]["helm"]["parameters"] = theirs
        scenario.argocd.written()

    scenario.after_the_sync = changes
    assert scenario.left_after() == []
    assert "workloads settled on what weather says now" in scenario.undone
    text = "somebody changed source.helm.parameters of weather during the run: it stays as it is now"
    assert scenario.warnings == [text]
    assert (scenario.argocd.spec["source"]["helm"]["parameters"], value_of(scenario, "settings")) == (
        theirs,
        "theirs",
    )


def test_auto_sync_stays_off_where_settling_fails() -> None:
    """Switched on, it would sync the former values with all hooks, or ours again."""
    scenario = FinishedRun(spec=AUTOMATED)
    scenario.argocd.meets("sync", *[Denied("sync", 403, "permission denied", "")] * 9)
    left = scenario.left_after()
    settle = next(e for e in left if e.what == "the workloads' settings")
    assert settle.why == "Argo CD would not sync: permission denied (HTTP 403)"
    assert "--resource :ConfigMap:n/settings; argocd app patch weather" in settle.command
    assert scenario.argocd.spec["syncPolicy"] == {"automated": {"prune": True, "enabled": False}}
    assert record_of(scenario.argocd.seen()) is not None


def test_what_a_settling_sync_is_about_to_restore_is_not_left_behind_in_a_hurry() -> None:
    """The sync, which nobody waits for, is under way when the clean-up looks for the last time."""
    scenario = FinishedRun(HOOK)
    scenario.argocd.held = True
    scenario.hurries_at = 0.0
    assert scenario.left_after() == []
    assert value_of(scenario, "settings") == TOPIC
    assert [e.application for e in scenario.all(SettlingContinues)] == ["weather"]


def test_what_a_settling_sync_has_not_restored_when_it_is_over_is_left_behind_also_in_a_hurry() -> None:
    scenario = FinishedRun()
    scenario.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    scenario.pod("web-1", "web")  # the sync is over before this pod, which the clean-up waits for
    scenario.hurries_at = 0.0
    assert "ConfigMap settings" in [e.what for e in scenario.left_after()]


def test_auto_sync_stays_off_where_settling_is_not_over_in_a_hurry() -> None:
    scenario = FinishedRun(spec=AUTOMATED)
    scenario.argocd.held = True
    scenario.hurries_at = 0.5
    left = scenario.left_after()
    assert "the settling sync has not ended, and auto-sync stays off until it has" in [e.why for e in left]
    assert scenario.argocd.spec["syncPolicy"]["automated"]["enabled"] is False
    assert set(scenario.topics.deleted) == {TOPIC}


def test_letting_go_of_an_application_does_not_outlast_the_clean_up() -> None:
    """The settling is not over in time, and from then on Argo CD is silent."""
    scenario = FinishedRun()
    scenario.argocd.held = True
    answers = scenario.argocd.client.application
    began = ended = 0.0

    async def silent_later(*arguments: Any, **more: Any) -> Any:
        if asyncio.get_running_loop().time() > began + 2:
            await asyncio.Event().wait()
        return await answers(*arguments, **more)

    async def unwound() -> None:
        nonlocal began, ended
        began = asyncio.get_running_loop().time()
        scenario.argocd.client.application = silent_later  # type: ignore[method-assign]
        await scenario.clean_up(20)
        ended = asyncio.get_running_loop().time()

    run(unwound())
    assert ended - began < 20
    assert "the workloads' settings" in [e.what for e in scenario.left]


def test_auto_sync_is_on_again_after_a_sync_with_the_former_parameters() -> None:
    """One that changes nothing where nothing is to settle: else Argo CD would take ours for the last."""
    scenario = FinishedRun(spec=AUTOMATED)
    scenario.argocd.source = [WEB]
    fine = {"group": "apps", "kind": "Deployment", "namespace": "n", "name": "web", "status": "Synced"}
    scenario.argocd.document["status"]["resources"] = [fine]
    enabled: list[object] = []
    scenario.argocd.meets("sync", lambda a: enabled.append(a.spec["syncPolicy"]["automated"].get("enabled")))
    assert scenario.left_after() == []
    (sync,) = scenario.argocd.syncs
    assert [r["name"] for r in sync["resources"]] == ["web"]
    assert enabled == [False]
    assert (scenario.argocd.spec, scenario.is_as_it_was) == (AUTOMATED, True)


def test_a_topic_is_kept_while_a_pod_may_use_it_and_the_pod_is_named() -> None:
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: scenario.pod("web-1", "web")
    left = scenario.left_after()
    pod, topic = left
    why = "it still runs: it was started with ConfigMap settings, which named the topic"
    assert (pod.what, pod.why) == ("pod web-1", why)
    assert (topic.what, topic.why) == (f"topic {TOPIC}", "it is kept because web-1 may still use it")
    words = ["kafka-topics", "--bootstrap-server", "k:1", "--delete", "--if-exists", "--topic"]
    assert_pastes(topic.command, *words, f"{TOPIC}([-._].*)?")
    assert scenario.topics.deleted == []


@pytest.mark.parametrize("slow", [0.0, 0.3, 0.9, 1.5])
@pytest.mark.parametrize("budget", [90.0, 90.5, 91.2])
def test_a_topic_is_kept_and_its_pods_named_however_slow_the_looks_are(slow: float, budget: float) -> None:
    """The time must not be over between two looks, with nobody named and the topic deleted."""
    scenario = FinishedRun()
    read = scenario.argocd.tree

    async def tree(app: object) -> Tree:
        await asyncio.sleep(slow)
        return await read(app)

    scenario.argocd.tree = tree  # type: ignore[method-assign]
    scenario.after_the_sync = lambda: scenario.pod("web-1", "web")
    assert [e.what for e in scenario.left_after(budget)] == ["pod web-1", f"topic {TOPIC}"]
    assert scenario.topics.deleted == []


@pytest.mark.parametrize(("answers", "kept"), [(True, True), (False, False)])
def test_a_topic_is_kept_where_time_was_over_before_pods_were_looked_for_unless_argo_cd_is_away(
    answers: bool, kept: bool
) -> None:
    scenario = FinishedRun()
    scenario.argocd.answers = answers

    async def tree(app: object) -> Tree:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    def nobody_looks() -> None:
        scenario.argocd.tree = tree  # type: ignore[method-assign]

    scenario.after_the_sync = nobody_looks
    left = {e.what: e.why for e in scenario.left_after()}
    assert "pods of this run" in left
    assert (f"topic {TOPIC}" in left) == kept
    assert scenario.topics.deleted == ([] if kept else [TOPIC])


def test_after_a_signal_a_topic_is_deleted_at_once_and_who_still_uses_it_is_named() -> None:
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: scenario.pod("web-1", "web")
    scenario.hurries_at = 0.0
    deleted_at: list[float] = []
    scenario.topics.on_delete = lambda: deleted_at.append(asyncio.get_running_loop().time())
    assert [e.what for e in scenario.left_after()] == ["pod web-1"]
    assert set(scenario.topics.deleted) == {TOPIC}
    assert deleted_at[0] - 1000.0 < 7


def test_after_a_signal_a_pod_that_the_settling_sync_has_restarted_holds_nobody_up() -> None:
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: scenario.pod(
        "web-1", "web", started=90
    )  # the settling begins after 60 s
    scenario.hurries_at = 0.0
    assert (scenario.left_after(), set(scenario.topics.deleted)) == ([], {TOPIC})


@pytest.mark.parametrize(
    ("started", "phase"), [(-3600, "Running"), (3600, "Running"), (0, "Succeeded"), (0, "Failed")]
)
def test_a_pod_that_cannot_have_read_the_topic_holds_nobody_up(started: float, phase: str) -> None:
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: scenario.pod("web-1", "web", started, phase)
    assert (scenario.left_after(), scenario.topics.deleted) == ([], [TOPIC])


def another_run_takes(argocd: FakeArgoCD) -> None:
    theirs = Record(run="theirs", until=9_000_000_000)
    argocd.document["metadata"]["annotations"] = {RECORD: msgspec.json.encode(theirs).decode()}


def test_an_application_that_another_run_holds_by_now_is_not_settled_and_its_holder_is_named() -> None:
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: another_run_takes(scenario.argocd)
    left = scenario.left_after()
    assert "weather is now held by run theirs; argorun changes nothing in it" in [e.why for e in left]
    assert {e.command for e in left} == {""}
    assert (scenario.argocd.syncs, len(scenario.argocd.patches)) == ([], 1)


def without_our_values(argocd: FakeArgoCD) -> None:
    another_run_takes(argocd)
    argocd.document["spec"] = copy.deepcopy(SPEC)


@pytest.mark.parametrize(
    ("takes", "posted", "warns"),
    [(without_our_values, False, False), (without_our_values, True, True), (another_run_takes, False, True)],
)
def test_an_application_lost_to_another_run_is_left_behind_only_where_something_of_this_run_may_be_in_it(
    takes: Callable[[FakeArgoCD], None], posted: bool, warns: bool
) -> None:
    scenario = FinishedRun()
    scenario.posted = posted
    scenario.after_the_sync = lambda: takes(scenario.argocd)
    parameters = [e.why for e in scenario.left_after() if e.what == "the parameters"]
    assert parameters == (
        ["weather is now held by run theirs; argorun changes nothing in it"] if warns else []
    )
    assert len(scenario.argocd.patches) == 1


def test_no_command_is_given_that_would_disturb_the_run_that_holds_the_application_by_now() -> None:
    """It has taken it while ours was settling, and the settling has not done what it should."""
    scenario = FinishedRun()
    scenario.argocd.carries_out = lambda: another_run_takes(scenario.argocd)  # type: ignore[method-assign]
    left = {e.what: e for e in scenario.left_after()}
    later = "another run holds the Application now: check again when it is over"
    assert left["ConfigMap settings"].why == f"it still names {TOPIC}; {later}"
    assert {e.command for e in left.values()} == {""}


def test_the_record_stays_while_the_end_of_an_operation_may_still_arrive() -> None:
    scenario = FinishedRun()

    def late() -> None:
        scenario.argocd.late = asyncio.get_running_loop().time() + 60

    scenario.after_the_sync = late
    scenario.hurries_at = 0.0
    (left,) = [e for e in scenario.left_after() if e.what == "the run's record"]
    assert left.why.startswith("a request to end its operation was never answered; no run may begin for ")
    assert "argocd app patch weather" in left.command
    record = record_of(scenario.argocd.seen())
    assert record is not None
    assert record.settling


def hooks_pods(scenario: FinishedRun) -> None:
    """Two Jobs of the run with a pod each, of which one is told to stop, and a Deployment's pod."""
    for name in ("runs", "leaves"):
        job: Json = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
        uid = scenario.argocd.made(job)["metadata"]["uid"]
        scenario.logs.uids.add(uid)
        owner = {"kind": "Job", "name": name, "uid": uid}
        pod: Json = {"apiVersion": "v1", "kind": "Pod"}
        scenario.argocd.made(pod | {"metadata": {"name": f"{name}-1", "ownerReferences": [owner]}})
    scenario.pod("web-1", "web")
    read = scenario.argocd.tree

    async def tree(app: object) -> Tree:
        seen = await read(app)
        terminating = [Info(name="Status Reason", value="Terminating")]
        scenario.logs.tree = Tree(
            nodes=[
                msgspec.structs.replace(n, info=terminating) if n.name == "leaves-1" else n
                for n in seen.nodes or ()
            ]
        )
        return scenario.logs.tree

    scenario.argocd.tree = tree  # type: ignore[method-assign]


END_POD = "kubectl delete pod web-1 --namespace n --ignore-not-found"
END_JOB = "kubectl delete job runs --namespace n --ignore-not-found"


def test_a_pod_that_nobody_has_told_to_stop_is_left_with_the_command_that_ends_it() -> None:
    """The operation was over before it; pods in their grace period leave by themselves."""
    scenario = FinishedRun()
    scenario.after_the_sync = lambda: hooks_pods(scenario)
    left = [(e.what, e.why, e.command) for e in scenario.left_after() if e.what.startswith("pod ")]
    read = "it was started with ConfigMap settings, which named the topic"
    assert sorted(left) == [
        ("pod leaves-1", "it still runs: it runs a hook of this run", ""),
        ("pod runs-1", "it still runs: it runs a hook of this run", END_JOB),
        ("pod web-1", f"it still runs: {read}", END_POD),
    ]
    assert_pastes(END_JOB, "kubectl", "delete", "job", "runs", "--namespace", "n", "--ignore-not-found")


@pytest.mark.parametrize("still", [{"runs-1": END_JOB, "leaves-1": "", "web-1": END_POD}, {"leaves-1": ""}])
def test_at_an_immediate_stop_the_same_is_said_of_each_pod_that_is_still_there(still: dict[str, str]) -> None:
    scenario = FinishedRun()

    def pods() -> None:
        hooks_pods(scenario)
        for key in [k for k in scenario.argocd.objects if k.kind == "Pod" and k.name not in still]:
            del scenario.argocd.objects[key]

    scenario.after_the_sync, scenario.stops_at = pods, 10.0
    left = [e for e in scenario.left_after() if e.kind is Subject.POD]
    assert {e.names: (e.command, e.namespace, e.resource) for e in left} == {
        (pod,): (command, "n", "Pod") for pod, command in still.items()
    }
