"""The commands that undo a run by hand do what they say when they are pasted, and nothing else."""

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

from argorun import events
from argorun.argocd.claim import acquire
from argorun.argocd.claim.claim import Claim
from argorun.argocd.http.errors import Denied
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters.helm import Helm
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.settle.pod_users import PodUser
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Info, Node, Ref, Tree
from argorun.config.model import Config, Topic
from argorun.emit import Emitter
from argorun.errors import AccessDenied, KafkaFailed
from argorun.events import Event, LeftBehind, Notice
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Related
from argorun.run.cleanup import RunCleanup, RunState
from argorun.run.undo import UndoStack
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run


def way_back(servers: str = "", patch: object = ()) -> Any:
    fake = cast(Any, SimpleNamespace)
    config = fake(application="ns/weather", kafka={"bootstrap.servers": servers})
    return RunCleanup(
        config, fake(), fake(), fake(), fake(), fake(claim=fake(restoring_patch=lambda: patch)), print
    )


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
    command = way_back(patch=patch)._give_back_by_hand()
    *words, text = shlex.split(command)
    assert_pastes(command, *words, text)
    assert words == ["argocd", "app", "patch", "ns/weather", "--type", "json", "--patch"]
    assert json.loads(text) == patch


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])).filter(str.isprintable))
def test_a_topic_is_deleted_at_the_broker_whatever_its_address_holds(servers: str) -> None:
    command = way_back(servers)._delete_by_hand("t_1")
    *words, topic = "--delete", "--if-exists", "--topic", "t_1([-._].*)?"
    assert_pastes(command, "kafka-topics", "--bootstrap-server", servers, *words, topic)


# -- what is undone, and in spite of what ---------------------------------------------------------------


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


class Undone:
    """What became of a topic's making, its undos done; `told` are the events, `notices` the notices."""

    def __init__(self, topics: Topics, topic: Topic, *, hurried: bool = False, synced: bool = False) -> None:
        self.told: list[Event] = []
        self.notices: list[tuple[str, str]] = []
        clean = UndoStack(self.told.append)
        config = Config(
            application="weather", argocd=None, kafka={"bootstrap.servers": "k:1"}, topics=(topic,)
        )
        traces = cast(Any, SimpleNamespace(logs="of the run" if synced else None))
        none = cast(Any, None)
        back = RunCleanup(config, none, cast(Any, topics), none, clean, traces, Emitter(self.emit))
        clean.before("the last look", back._stay_gone, lambda: "", patient=True)
        back.from_topic("t_1", topic)
        if hurried:
            clean.hurry()
        run(clean.unwind(90))

    def emit(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.notices.append((event.level, event.text))

    @property
    def left(self) -> list[tuple[str, str]]:
        return [(e.what, e.why) for e in self.told if isinstance(e, LeftBehind)]


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AccessDenied("Kafka does not let us"), ["Kafka does not let us"] * 2),
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
    undone = Undone(topics, Topic(prefix="t", parameters=(), groups="tests-"), hurried=hurried)
    assert topics.deleted == ["t_1"]
    what = ["topics derived from t_1", "consumer groups of t_1"]
    assert undone.left == list(zip(what, why, strict=True))


def test_derived_topics_go_with_the_topic_and_each_is_told() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1-retry-0"), ("app-t_1-changelog",)))
    undone = Undone(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == ["t_1", "t_1-dlt", "t_1-retry-0"]
    assert undone.notices == [
        ("warning", "topic app-t_1-changelog holds the name of t_1 and is left alone: is it needed?"),
        ("info", "topic t_1-dlt deleted: its name is derived from that of the run's topic"),
        ("info", "topic t_1-retry-0 deleted: its name is derived from that of the run's topic"),
    ]
    assert undone.left == []


def test_a_derived_topic_that_stays_is_named_once_with_the_command() -> None:
    topics = Topics(related=Related(("t_1-dlt", "t_1.DLT"), ()), stays="t_1-dlt")
    undone = Undone(topics, Topic(prefix="t", parameters=()), synced=True)
    assert topics.deleted == ["t_1", "t_1.DLT", "t_1.DLT"], "the last look tries once more"
    assert undone.left == [("topic t_1-dlt", "it comes back")]
    (left,) = [e for e in undone.told if isinstance(e, LeftBehind)]
    assert left.command == (
        "kafka-topics --bootstrap-server k:1 --delete --if-exists --topic 't_1-dlt([-._].*)?'"
    )


def test_derived_topics_stay_with_the_topic_that_stays_and_are_named() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()), stays="t_1")
    undone = Undone(topics, Topic(prefix="t", parameters=()))
    assert topics.deleted == []
    assert undone.left == [
        ("topic t_1", "it comes back"),
        ("topic t_1-dlt", "it is left for as long as topic t_1 is"),
    ]


def test_in_a_hurry_derived_topics_go_at_once_and_are_looked_for_again_after_the_pods() -> None:
    topics = Topics(related=Related(("t_1-dlt",), ()))
    undone = Undone(topics, Topic(prefix="t", parameters=()), hurried=True, synced=True)
    assert sorted(topics.deleted) == ["t_1", "t_1", "t_1-dlt", "t_1-dlt"]
    assert undone.left == []


def test_a_topic_that_turns_out_to_be_somebody_elses_is_neither_touched_nor_left() -> None:
    topics = Topics(TopicExists("t_1"), delete=TopicExists("t_1"))
    assert (Undone(topics, Topic(prefix="t", parameters=())).left, topics.deleted) == ([], [])


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
def test_what_our_operation_changed_is_settled_whatever_it_was_before_and_always_under_auto_sync(
    settle: bool, synced: bool, automated: object, began: bool, settles: bool
) -> None:
    fake = cast(Any, SimpleNamespace)
    claim = fake(record=fake(automated=automated), was_synced=synced)
    config = fake(application="weather", settle=settle)
    traces = fake(claim=claim, settlement=fake(), posted=began)
    assert RunCleanup(config, fake(), fake(), fake(), fake(), traces, print)._settles() is settles


def test_before_our_sync_nobody_is_told_to_end_the_operation_that_runs() -> None:
    fake = cast(Any, SimpleNamespace)

    def back(logs: object) -> Any:
        return RunCleanup(fake(application="weather"), fake(), fake(), fake(), fake(), fake(logs=logs), print)

    assert (back(None)._end_by_hand(), back(None)._wait_by_hand()) == ("", "")
    assert (
        back(fake())._end_by_hand() == "argocd app terminate-op weather; argocd app wait weather --operation"
    )


# -- what our operation changed, and who uses the topic ----------------------------------------------------

TOPIC = "weather_1700000000_0a1b2c3d"
SPEC: Json = {
    "source": {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}},
    "destination": {"namespace": "n"},
}
AUTOMATED = SPEC | {"syncPolicy": {"automated": {"prune": True}}}
SETTINGS: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings"},
    "data": {"topic": "TOPIC"},
}
HOOK: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hook", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
    "data": {"topic": "TOPIC"},
}
READS = {"containers": [{"name": "main", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
WEB: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"template": {"spec": READS}},
}


# A minute before the settling begins: the fake's controller takes operations up at 2024-01-01T00:00:00Z.
SYNCED = 1704067140.0


class Stage:
    """A run's operation on an Argo CD in memory is over, and now its way back is gone."""

    def __init__(self, *manifests: Json, spec: Json = SPEC) -> None:
        self.argocd, self.told = FakeArgoCD(copy.deepcopy(spec)), list[Event]()
        self.topics = Topics(related=Related((), ()))
        self.argocd.source = [SETTINGS, WEB, *manifests]
        for manifest in self.argocd.renders():
            self.argocd.made(manifest)
        self.pods: list[str] = []
        self.notices: list[str] = []
        self.hurries_at: float | None = None
        self.posted = True  # our operation was asked for

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
                "spec": READS | spec,
                "status": {"phase": phase, "containerStatuses": [running]},
            }
        )

    def unwound(self, budget: float = 90, **config: Any) -> list[LeftBehind]:
        """Take, sync and go back; what is announced as left."""
        run(self.unwind(budget, **config))
        return [e for e in self.told if isinstance(e, LeftBehind)]

    @property
    def undone(self) -> list[str]:
        return [e.what for e in self.told if isinstance(e, events.Undone)]

    @property
    def is_as_it_was(self) -> bool:
        return not self.argocd.document["metadata"].get("annotations")

    async def unwind(self, budget: float, **config: Any) -> None:
        argocd, client = self.argocd, self.argocd.client
        topic = Topic(prefix="weather", parameters=())
        kafka = {"bootstrap.servers": "k:1"}
        settings = Config(application=APP, argocd=cast(Any, None), kafka=kafka, topics=(topic,), **config)
        claim = Claim(client, APP, "mine", [Helm("kafka.topic", TOPIC)], warn=print, topics=[TOPIC])
        former = argocd.renders()
        settlement = Settlement(client, APP, [TOPIC])
        before = argocd.seen()
        await acquire.take(claim, former, time.time() + 90)
        await settlement.take_snapshot(before, await client.tree(APP), argocd.renders(), former)
        for manifest in argocd.renders():
            argocd.made(manifest)
        self.after_the_sync()
        clean = UndoStack(self.told.append)
        logs = cast(Any, self)
        traces = RunState("mine", claim, [(topic, TOPIC)], logs, settlement, SYNCED, "abc", self.posted)
        back = RunCleanup(
            settings, client, cast(Any, self.topics), LiveTree(client, APP), clean, traces, self.tell
        )
        back.from_topic(TOPIC, topic)
        back.from_application()
        if self.hurries_at is not None:
            asyncio.get_running_loop().call_later(self.hurries_at, clean.hurry)
        controller = asyncio.create_task(argocd.controls())
        try:
            await clean.unwind(budget)
        finally:
            controller.cancel()
            await asyncio.wait({controller})

    def after_the_sync(self) -> None:
        """What happens to the cluster between our sync and the way back."""

    # The logs' side.

    uids: frozenset[str] = frozenset()

    def jobs(self) -> list[Node]:
        return []

    async def close(self) -> None: ...

    def tell(self, text: str, level: str = "warning") -> None:
        if level == "warning":
            self.notices.append(text)


def value_of(stage: Stage, name: str) -> str:
    return str(stage.argocd.objects[Key("", "ConfigMap", "n", name)]["data"]["topic"])


def test_what_our_operation_changed_is_back_and_said_so_before_the_topic_goes() -> None:
    stage = Stage(HOOK)
    assert stage.unwound() == []
    assert stage.undone == [
        "parameters put back",
        "workloads settled on what they had before",
        f"topic {TOPIC} deleted",
    ]
    assert (value_of(stage, "settings"), value_of(stage, "hook")) == ("weather", "weather")
    (sync,) = stage.argocd.syncs
    assert sync["resources"] == [{"group": "", "kind": "ConfigMap", "namespace": "n", "name": "settings"}]
    assert (sync["revision"], sync.get("prune")) == ("abc", None)
    assert (stage.argocd.spec, stage.is_as_it_was) == (SPEC, True)


def test_settled_is_not_said_where_something_still_names_the_topic() -> None:
    stage = Stage()
    stage.argocd.carries_out = lambda: None  # type: ignore[method-assign]
    (left,) = stage.unwound()
    assert (left.what, left.why) == ("ConfigMap settings", f"it still names {TOPIC}")
    assert_pastes(left.command, "argocd", "app", "sync", "weather", "--resource", ":ConfigMap:n/settings")
    assert "workloads settled on what they had before" not in stage.undone


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
    stage, argocd = Stage(), OnlyWithATopic(copy.deepcopy(SPEC))
    only: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kafka", "annotations": {"argocd.argoproj.io/sync-options": "Prune=false"}},
        "data": {"topic": "TOPIC"},
    }
    argocd.source = [*stage.argocd.source, only]
    stage.argocd = argocd
    for manifest in argocd.renders():
        argocd.made(manifest)
    argocd.made(only | {"data": {"topic": "somebody's"}})
    if not readable:
        argocd.meets("live kafka", DOWN)
    left = [(e.what, e.why, e.command) for e in stage.unwound()]
    if readable:
        assert (left, value_of(stage, "kafka")) == ([], "somebody's")
    else:
        why = f"it still names {TOPIC}, and it was there before: only its owner knows how it was"
        assert left == [("ConfigMap kafka", why, "")]


def test_what_the_runs_own_parameters_render_takes_nothing_back_and_the_commands_do() -> None:
    """Compared with parameters that nobody could put back, what the run changed looks as it should."""
    stage = Stage()
    refused = [Denied("patch", 403, "permission denied", "")] * 9
    stage.after_the_sync = lambda: stage.argocd.meets("patch", *refused)  # type: ignore[method-assign]
    left = {e.what: e for e in stage.unwound()}
    assert {"the parameters", "the workloads' settings"} <= set(left)
    settles = "argocd app sync weather --resource :ConfigMap:n/settings"
    assert left["the workloads' settings"].command == settles
    assert stage.argocd.syncs == []


def test_what_somebody_changed_meanwhile_is_told_and_not_called_what_was_before() -> None:
    stage = Stage()
    theirs = [{"name": "kafka.topic", "value": "theirs"}]

    def changes() -> None:
        stage.argocd.spec["source"]["helm"]["parameters"] = theirs
        stage.argocd.written()

    stage.after_the_sync = changes  # type: ignore[method-assign]
    assert stage.unwound() == []
    assert "workloads settled on what weather says now" in stage.undone
    text = "somebody changed source.helm.parameters of weather during the run: it stays as it is now"
    assert stage.notices == [text]
    assert (stage.argocd.spec["source"]["helm"]["parameters"], value_of(stage, "settings")) == (
        theirs,
        "theirs",
    )


def test_auto_sync_stays_off_where_settling_fails() -> None:
    """Switched on, it would sync the former values with all hooks, or ours again."""
    stage = Stage(spec=AUTOMATED)
    stage.argocd.meets("sync", *[Denied("sync", 403, "permission denied", "")] * 9)
    left = stage.unwound()
    settle = next(e for e in left if e.what == "the workloads' settings")
    assert settle.why == "Argo CD would not sync: permission denied (HTTP 403)"
    assert "--resource :ConfigMap:n/settings; argocd app patch weather" in settle.command
    assert stage.argocd.spec["syncPolicy"] == {"automated": {"prune": True, "enabled": False}}
    assert record_of(stage.argocd.seen()) is not None


def test_auto_sync_stays_off_where_settling_is_not_over_in_a_hurry() -> None:
    stage = Stage(spec=AUTOMATED)
    stage.argocd.held = True
    stage.hurries_at = 0.5
    left = stage.unwound()
    assert "the settling sync is not over, and auto-sync stays off until it is" in [e.why for e in left]
    assert stage.argocd.spec["syncPolicy"]["automated"]["enabled"] is False
    assert set(stage.topics.deleted) == {TOPIC}


def test_letting_go_of_an_application_does_not_outlast_the_clean_up() -> None:
    """The settling is not over in time, and from then on Argo CD is silent."""
    stage = Stage()
    stage.argocd.held = True
    answers = stage.argocd.client.application
    began = ended = 0.0

    async def silent_later(*arguments: Any, **more: Any) -> Any:
        if asyncio.get_running_loop().time() > began + 2:
            await asyncio.Event().wait()
        return await answers(*arguments, **more)

    async def unwound() -> None:
        nonlocal began, ended
        began = asyncio.get_running_loop().time()
        stage.argocd.client.application = silent_later  # type: ignore[method-assign]
        await stage.unwind(20)
        ended = asyncio.get_running_loop().time()

    run(unwound())
    assert ended - began < 20
    assert "the workloads' settings" in [e.what for e in stage.told if isinstance(e, LeftBehind)]


def test_auto_sync_is_on_again_after_a_sync_with_the_former_parameters() -> None:
    """One that changes nothing where nothing is to settle: else Argo CD would take ours for the last."""
    stage = Stage(spec=AUTOMATED)
    stage.argocd.source = [WEB]
    fine = {"group": "apps", "kind": "Deployment", "namespace": "n", "name": "web", "status": "Synced"}
    stage.argocd.document["status"]["resources"] = [fine]
    enabled: list[object] = []
    stage.argocd.meets("sync", lambda a: enabled.append(a.spec["syncPolicy"]["automated"].get("enabled")))
    assert stage.unwound() == []
    (sync,) = stage.argocd.syncs
    assert [r["name"] for r in sync["resources"]] == ["web"]
    assert enabled == [False]
    assert (stage.argocd.spec, stage.is_as_it_was) == (AUTOMATED, True)


def test_a_topic_is_kept_while_a_pod_may_use_it_and_the_pod_is_named() -> None:
    stage = Stage()
    stage.after_the_sync = lambda: stage.pod("web-1", "web")  # type: ignore[method-assign]
    left = stage.unwound()
    pod, topic = left
    why = "it still runs: it was started with ConfigMap settings, which named the topic"
    assert (pod.what, pod.why) == ("pod web-1", why)
    assert (topic.what, topic.why) == (f"topic {TOPIC}", "it is kept, for web-1 may still use it")
    words = ["kafka-topics", "--bootstrap-server", "k:1", "--delete", "--if-exists", "--topic"]
    assert_pastes(topic.command, *words, f"{TOPIC}([-._].*)?")
    assert stage.topics.deleted == []


@pytest.mark.parametrize("slow", [0.0, 0.3, 0.9, 1.5])
@pytest.mark.parametrize("budget", [90.0, 90.5, 91.2])
def test_a_topic_is_kept_and_its_pods_named_however_slow_the_looks_are(slow: float, budget: float) -> None:
    """The time must not be over between two looks, with nobody named and the topic deleted."""
    stage = Stage()
    read = stage.argocd.tree

    async def tree(app: object) -> Tree:
        await asyncio.sleep(slow)
        return await read(app)

    stage.argocd.tree = tree  # type: ignore[method-assign]
    stage.after_the_sync = lambda: stage.pod("web-1", "web")  # type: ignore[method-assign]
    assert [e.what for e in stage.unwound(budget)] == ["pod web-1", f"topic {TOPIC}"]
    assert stage.topics.deleted == []


@pytest.mark.parametrize(("answers", "kept"), [(True, True), (False, False)])
def test_a_topic_is_kept_where_time_was_over_before_pods_were_looked_for_unless_argo_cd_is_away(
    answers: bool, kept: bool
) -> None:
    stage = Stage()
    stage.argocd.answers = answers

    async def tree(app: object) -> Tree:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    def nobody_looks() -> None:
        stage.argocd.tree = tree  # type: ignore[method-assign]

    stage.after_the_sync = nobody_looks  # type: ignore[method-assign]
    left = {e.what: e.why for e in stage.unwound()}
    assert "pods of this run" in left
    assert (f"topic {TOPIC}" in left) == kept
    assert stage.topics.deleted == ([] if kept else [TOPIC])


def test_after_a_signal_a_topic_is_deleted_at_once_and_who_still_uses_it_is_named() -> None:
    stage = Stage()
    stage.after_the_sync = lambda: stage.pod("web-1", "web")  # type: ignore[method-assign]
    stage.hurries_at = 0.0
    deleted_at: list[float] = []
    stage.topics.on_delete = lambda: deleted_at.append(asyncio.get_running_loop().time())
    assert [e.what for e in stage.unwound()] == ["pod web-1"]
    assert set(stage.topics.deleted) == {TOPIC}
    assert deleted_at[0] - 1000.0 < 7


@pytest.mark.parametrize(
    ("started", "phase"), [(-3600, "Running"), (3600, "Running"), (0, "Succeeded"), (0, "Failed")]
)
def test_a_pod_that_cannot_have_read_the_topic_holds_nobody_up(started: float, phase: str) -> None:
    stage = Stage()
    stage.after_the_sync = lambda: stage.pod("web-1", "web", started, phase)  # type: ignore[method-assign]
    assert (stage.unwound(), stage.topics.deleted) == ([], [TOPIC])


def another_run_takes(argocd: FakeArgoCD) -> None:
    theirs = Record(run="theirs", until=9_000_000_000)
    argocd.document["metadata"]["annotations"] = {RECORD: msgspec.json.encode(theirs).decode()}


def test_an_application_that_another_run_holds_by_now_is_not_settled_and_its_holder_is_named() -> None:
    stage = Stage()
    stage.after_the_sync = lambda: another_run_takes(stage.argocd)  # type: ignore[method-assign]
    left = stage.unwound()
    assert "weather is held by run theirs by now; nothing is changed" in [e.why for e in left]
    assert {e.command for e in left} == {""}
    assert (stage.argocd.syncs, len(stage.argocd.patches)) == ([], 1)


def without_our_values(argocd: FakeArgoCD) -> None:
    another_run_takes(argocd)
    argocd.document["spec"] = copy.deepcopy(SPEC)


@pytest.mark.parametrize(
    ("takes", "posted", "told"),
    [(without_our_values, False, False), (without_our_values, True, True), (another_run_takes, False, True)],
)
def test_an_application_lost_to_another_run_is_left_behind_only_where_something_of_ours_may_be_in_it(
    takes: Callable[[FakeArgoCD], None], posted: bool, told: bool
) -> None:
    stage = Stage()
    stage.posted = posted
    stage.after_the_sync = lambda: takes(stage.argocd)  # type: ignore[method-assign]
    parameters = [e.why for e in stage.unwound() if e.what == "the parameters"]
    assert parameters == (["weather is held by run theirs by now; nothing is changed"] if told else [])
    assert len(stage.argocd.patches) == 1


def test_no_command_is_given_that_would_disturb_the_run_that_holds_the_application_by_now() -> None:
    """It has taken it while ours was settling, and the settling has not done what it should."""
    stage = Stage()
    stage.argocd.carries_out = lambda: another_run_takes(stage.argocd)  # type: ignore[method-assign]
    left = {e.what: e for e in stage.unwound()}
    later = "another run holds the Application by now: look again when it is over"
    assert left["ConfigMap settings"].why == f"it still names {TOPIC}; {later}"
    assert {e.command for e in left.values()} == {""}


def test_the_record_stays_while_the_end_of_an_operation_may_still_arrive() -> None:
    stage = Stage()

    def late() -> None:
        stage.argocd.late = asyncio.get_running_loop().time() + 60

    stage.after_the_sync = late  # type: ignore[method-assign]
    stage.hurries_at = 0.0
    (left,) = [e for e in stage.unwound() if e.what == "the run's record"]
    assert left.why.startswith("a request to end its operation was never answered; no run may begin for ")
    assert "argocd app patch weather" in left.command
    record = record_of(stage.argocd.seen())
    assert record is not None
    assert record.settling


def test_a_pod_that_nobody_has_told_to_stop_is_left_with_the_command_that_ends_it() -> None:
    """The operation was over before it; pods in their grace period leave by themselves."""

    def pod(name: str, job: str, reason: str) -> Node:
        told = [Info(name="Status Reason", value=reason)]
        return Node(kind="Pod", namespace="n", name=name, uid=name, parent_refs=[Ref(uid=job)], info=told)

    jobs = [Node(kind="Job", namespace="n", name=name, uid=name) for name in ("runs", "leaves")]
    why = "it runs a hook of this run"
    still = [
        PodUser(pod("runs-1", "runs", "Running"), why),
        PodUser(pod("leaves-0", "leaves", "Terminating"), why),
        PodUser(pod("web-0", "web", "Running"), "its own manifest names the topic"),
    ]
    told: list[Event] = []
    fake = cast(Any, SimpleNamespace)
    logs = fake(jobs=lambda: jobs)
    config = fake(application="ns/weather")
    back = RunCleanup(config, fake(), fake(), fake(), UndoStack(told.append), fake(logs=logs), print)
    back._leave_running(still)
    left = [(e.what, e.why, e.command) for e in told if isinstance(e, LeftBehind)]
    assert left == [
        ("pod runs-1", f"it still runs: {why}", "kubectl delete job runs --namespace n"),
        ("pod leaves-0", f"it still runs: {why}", ""),
        (
            "pod web-0",
            "it still runs: its own manifest names the topic",
            "kubectl delete pod web-0 --namespace n",
        ),
    ]
    assert_pastes(left[0][2], "kubectl", "delete", "job", "runs", "--namespace", "n")
    back._users = still
    assert back._wait_by_hand() == f"{left[0][2]}; {left[2][2]}", "who has no time to wait is told the same"
    back._users = still[1:2]
    assert back._wait_by_hand() == "argocd app get ns/weather --output tree"
