"""A topic is waited for by those who may still use it, and by nobody else."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.manifests.keys import Key
from argorun.argocd.manifests.pod_references import Source, pod_spec, sources
from argorun.argocd.settle.pod_users import Exposure, PodUsers, container_starts, readers
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

TOPIC = "weather_1700000000_0a1b2c3d"
SYNCED, SETTLED = 1_000.0, 1_060.0
SETTINGS, PASSWORD = ("ConfigMap", "settings"), ("Secret", "password")
KEYS = {Key("", kind, "n", name) for kind, name in (SETTINGS, PASSWORD)}
EXPOSURE = Exposure([TOPIC], KEYS, SYNCED, SETTLED)


def env(**reference: Json) -> Json:
    return {"containers": [{"env": [{"name": "TOPIC", "valueFrom": reference}]}]}


def pod(
    spec: Json | None = None, started: float | None = None, phase: str = "Running", **metadata: Any
) -> Json:
    """A live pod whose container was started then."""
    at = None if started is None else datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat()
    state = {} if at is None else {"running": {"startedAt": at}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "n"} | metadata,
        "spec": spec or {},
        "status": {"phase": phase, "containerStatuses": [{"state": state}]},
    }


def mounts(*mounted: Json) -> Json:
    volumes = [{"name": "v", "configMap": {"name": "settings"}}]
    return {"volumes": volumes, "containers": [{"volumeMounts": list(mounted)}]}


READ = {"containers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}]}

# -- what a pod reads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        (env(configMapKeyRef={"name": "settings", "key": "k"}), Source(*SETTINGS, mounted=False)),
        (env(secretKeyRef={"name": "password", "key": "k"}), Source(*PASSWORD, mounted=False)),
        (READ, Source(*SETTINGS, mounted=False)),
        (
            {"containers": [{"envFrom": [{"secretRef": {"name": "password"}}]}]},
            Source(*PASSWORD, mounted=False),
        ),
        ({"initContainers": READ["containers"]}, Source(*SETTINGS, mounted=False)),
        ({"volumes": [{"configMap": {"name": "settings"}}]}, Source(*SETTINGS, mounted=True)),
        ({"volumes": [{"secret": {"secretName": "password"}}]}, Source(*PASSWORD, mounted=True)),
        (
            {"volumes": [{"projected": {"sources": [{"configMap": {"name": "settings"}}]}}]},
            Source(*SETTINGS, mounted=True),
        ),
        (
            {"volumes": [{"projected": {"sources": [{"secret": {"name": "password"}}]}}]},
            Source(*PASSWORD, mounted=True),
        ),
        (mounts({"name": "v", "subPath": "topic"}), Source(*SETTINGS, mounted=False)),
        (mounts({"name": "v", "subPath": "topic"}, {"name": "v"}), Source(*SETTINGS, mounted=True)),
        (mounts({"name": "another", "subPath": "topic"}), Source(*SETTINGS, mounted=True)),
    ],
)
def test_each_way_to_read_a_configmap_or_secret_is_known(spec: Json, read: Source) -> None:
    assert list(sources(spec)) == [read]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"containers": [{"env": [{"name": "TOPIC", "value": "x"}]}]},
        env(fieldRef={"fieldPath": "metadata.name"}),
        {"containers": [{"env": None, "envFrom": None}], "volumes": None, "initContainers": None},
        {"volumes": [{"emptyDir": {}}, {"projected": {"sources": None}}, {"persistentVolumeClaim": {}}]},
    ],
)
def test_what_reads_neither_reads_nothing(spec: Json) -> None:
    assert list(sources(spec)) == []


TEMPLATE = {"template": {"spec": READ}}


@pytest.mark.parametrize(
    ("manifest", "spec"),
    [
        ({"kind": "Pod", "spec": READ}, READ),
        ({"kind": "Deployment", "spec": TEMPLATE}, READ),
        ({"kind": "Job", "spec": TEMPLATE}, READ),
        ({"kind": "CronJob", "spec": {"jobTemplate": {"spec": TEMPLATE}}}, READ),
        ({"kind": "ConfigMap", "data": {}}, {}),
        ({"kind": "Workflow", "spec": {"template": "a name"}}, {}),
    ],
)
def test_a_pods_spec_is_found_in_whatever_makes_pods(manifest: Json, spec: Json) -> None:
    assert pod_spec(manifest) == spec


def test_the_objects_whose_pods_read_what_held_a_name_are_found() -> None:
    reading, other = Key("apps", "Deployment", "n", "reads"), Key("apps", "Deployment", "n", "other")
    manifests = {reading: {"kind": "Deployment", "spec": TEMPLATE}, other: {"kind": "Deployment", "spec": {}}}
    assert readers(manifests, {Key("", "ConfigMap", "n", "settings")}) == [reading]
    assert readers(manifests, {Key("", "ConfigMap", "another", "settings")}) == []
    assert readers(manifests, {Key("", "Secret", "n", "password")}) == []


# -- whether it uses a topic -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        pod({"containers": [{"env": [{"name": "TOPIC", "value": TOPIC}]}]}),
        pod({"containers": [{"args": [f"--topic={TOPIC}"]}]}),
        pod(annotations={"topic": TOPIC}),
        pod(labels={"topic": TOPIC}),
    ],
)
def test_a_pod_whose_own_manifest_names_the_topic_uses_it_whenever_it_was_started(named: Json) -> None:
    assert EXPOSURE.why_used(named) == "its own manifest names the topic"
    assert EXPOSURE.why_used(named, only_itself=True)


@pytest.mark.parametrize(
    ("started", "uses"),
    [
        (SYNCED - 1, False),
        (SYNCED, True),
        ((SYNCED + SETTLED) / 2, True),
        (SETTLED - 1, True),
        (SETTLED, False),  # a sync writes ConfigMaps and Secrets first
        (None, False),  # no container of it runs
    ],
)
def test_what_is_read_at_a_containers_start_counts_where_it_started_between_sync_and_settling(
    started: float | None, uses: bool
) -> None:
    for spec, kind in (
        (READ, "ConfigMap settings"),
        (env(secretKeyRef={"name": "password"}), "Secret password"),
    ):
        why = f"it was started with {kind}, which named the topic"
        assert EXPOSURE.why_used(pod(spec, started)) == (why if uses else "")


@pytest.mark.parametrize("started", [SYNCED - 3600, SETTLED + 3600])
def test_what_is_mounted_counts_whenever_the_container_was_started(started: float) -> None:
    mounts = pod({"volumes": [{"configMap": {"name": "settings"}}]}, started)
    assert EXPOSURE.why_used(mounts) == "it mounts ConfigMap settings, which named the topic"


def test_what_bears_the_same_name_in_another_namespace_held_no_name() -> None:
    mounts = {"volumes": [{"configMap": {"name": "settings"}}]}
    assert EXPOSURE.why_used(pod(mounts, SYNCED, namespace="another")) == ""


@pytest.mark.parametrize(("started", "uses"), [(SYNCED - 3600, False), (SYNCED, True)])
def test_a_secret_that_only_perhaps_held_a_name_counts_where_a_container_started_with_it(
    started: float, uses: bool
) -> None:
    """A chart may make another certificate each time that it is rendered."""
    exposure = Exposure([TOPIC], KEYS, SYNCED, SETTLED, uncertain=KEYS)
    why = exposure.why_used(pod({"volumes": [{"secret": {"secretName": "password"}}]}, started))
    assert why == ("it was started with Secret password, which may have named the topic" if uses else "")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize("spec", [READ, {"topic": TOPIC}, {"volumes": [{"configMap": {"name": "settings"}}]}])
def test_a_pod_that_has_ended_uses_nothing(phase: str, spec: Json) -> None:
    assert EXPOSURE.why_used(pod(spec, SYNCED, phase)) == ""


@pytest.mark.parametrize(("created", "uses"), [(SETTLED - 1, True), (SETTLED, False)])
def test_what_is_mounted_by_a_pod_that_was_made_after_settling_no_longer_held_a_name(
    created: float, uses: bool
) -> None:
    """A workload that is rolled mounts the same ConfigMap for good."""
    at = datetime.datetime.fromtimestamp(created, datetime.UTC).isoformat()
    mounts = pod({"volumes": [{"configMap": {"name": "settings"}}]}, created, creationTimestamp=at)
    assert bool(EXPOSURE.why_used(mounts)) is uses


def test_what_held_no_name_is_no_matter() -> None:
    other = {
        "containers": [
            {"envFrom": [{"configMapRef": {"name": "other"}}, {"secretRef": {"name": "settings"}}]}
        ]
    }
    assert EXPOSURE.why_used(pod(other, SYNCED)) == ""


def test_a_container_that_has_not_started_again_still_has_what_it_read() -> None:
    status = {
        "initContainerStatuses": [{"state": {"running": {"startedAt": "1970-01-01T00:00:01Z"}}}],
        "containerStatuses": [{"state": {"terminated": {}}}, {"state": {"running": {"startedAt": None}}}],
    }
    assert list(container_starts(status)) == [1.0]


# -- among a tree's pods ---------------------------------------------------------------------------------


class Cluster:
    """Pods below a Deployment, a CronJob, a hook and an object that was not changed."""

    def __init__(self) -> None:
        self.argocd = FakeArgoCD()
        for api, kind, name in (
            ("apps/v1", "Deployment", "web"),
            ("batch/v1", "CronJob", "nightly"),
            ("batch/v1", "Job", "tests"),
            ("apps/v1", "Deployment", "unchanged"),
        ):
            self.argocd.made(
                {"apiVersion": api, "kind": kind, "metadata": {"name": name, "uid": name}}, uid=name
            )

    def pod(self, name: str, owner: str, spec: Json = READ, phase: str = "Running", **metadata: Any) -> None:
        references = [{"kind": "x", "name": owner, "uid": owner}]
        live = pod(spec, SYNCED, phase, **{"name": name, "ownerReferences": references} | metadata)
        self.argocd.made(live, uid=f"uid-{name}")

    def users(self) -> list[str]:
        """What is said of the pods that use it."""

        async def look() -> list[str]:
            changed = [Key("apps", "Deployment", "n", "web"), Key("batch", "CronJob", "n", "nightly")]
            users = PodUsers(self.argocd.client, APP, EXPOSURE, {"tests"}, changed)
            return [str(u) for u in await users.find(await self.argocd.tree(APP))]

        return run(look())


STARTED = "it was started with ConfigMap settings, which named the topic"


def test_the_pods_of_what_was_changed_and_of_the_hooks_are_looked_at_and_no_others() -> None:
    cluster = Cluster()
    for name, owner in (("a", "web"), ("b", "tests"), ("c", "unchanged")):
        cluster.pod(name, owner)
    assert cluster.users() == ["pod b (it runs a hook of this run)", f"pod a ({STARTED})"]
    assert "live c" not in cluster.argocd.calls


def test_the_pods_of_a_cronjob_count_only_by_their_own_manifest() -> None:
    cluster = Cluster()
    cluster.pod("reads", "nightly")
    cluster.pod("named", "nightly", {"args": [TOPIC]})
    assert cluster.users() == ["pod named (its own manifest names the topic)"]


@pytest.mark.parametrize(
    "gone", [ApiError("show", 400, 3, "not found"), Denied("show", 404, "not found", "")]
)
def test_a_pod_that_is_gone_uses_nothing(gone: Exception) -> None:
    cluster = Cluster()
    cluster.pod("a", "web")
    cluster.argocd.meets("live a", gone)
    assert cluster.users() == []


@pytest.mark.parametrize("error", [DOWN, Denied("show", 403, "permission denied", "")])
def test_a_pod_that_could_not_be_seen_is_not_said_to_use_nothing(error: Exception) -> None:
    cluster = Cluster()
    cluster.pod("a", "web")
    cluster.argocd.meets("live a", error)
    with pytest.raises(type(error)):
        cluster.users()


def test_another_pod_under_the_same_name_is_not_taken_for_it() -> None:
    cluster = Cluster()
    cluster.pod("a", "web")

    def replaced(argocd: FakeArgoCD) -> None:
        argocd.objects[Key("", "Pod", "n", "a")]["metadata"]["uid"] = "another"

    cluster.argocd.meets("live a", replaced)
    assert cluster.users() == []


def test_a_pod_that_does_not_use_it_is_read_once() -> None:
    cluster = Cluster()
    cluster.pod("a", "web", {"containers": []})

    async def twice() -> None:
        users = PodUsers(cluster.argocd.client, APP, EXPOSURE, (), [Key("apps", "Deployment", "n", "web")])
        tree = await cluster.argocd.tree(APP)
        assert (await users.find(tree), await users.find(tree)) == ([], [])

    run(twice())
    assert cluster.argocd.calls.count("live a") == 1


LOST = "pod a (it was still there when Argo CD lost sight of it)"


@pytest.mark.parametrize(
    ("gone", "orphans", "lost"),
    [
        (["a"], False, []),  # its ReplicaSet stands: it is gone for good
        (["a", "web-1"], False, [LOST]),
        (["a", "web-1", "web"], False, []),  # pruned, in the foreground: after its pods
        (["a", "web-1", "web"], True, [LOST]),
    ],
)
@pytest.mark.parametrize("read", [True, False], ids=["read before", "only remembered"])
def test_a_pod_that_leaves_the_tree_with_its_owner_counts_for_its_grace_period(
    gone: list[str], orphans: bool, lost: list[str], read: bool
) -> None:
    cluster = Cluster()
    owned = [{"kind": "Deployment", "name": "web", "uid": "web"}]
    replicas = {"name": "web-1", "ownerReferences": owned}
    cluster.argocd.made({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": replicas}, uid="web-1")
    cluster.pod("a", "web-1")
    web = Key("apps", "Deployment", "n", "web")

    async def looks() -> list[list[str]]:
        users = PodUsers(cluster.argocd.client, APP, EXPOSURE, (), [web], grace=20, orphans=orphans)
        before = await cluster.argocd.tree(APP)
        if read:
            await users.find(before)
        else:
            users.remember(before)
        for key in [k for k in cluster.argocd.objects if k.name in gone]:
            del cluster.argocd.objects[key]
        told = []
        for seconds in (5, 14, 2):
            await asyncio.sleep(seconds)
            told.append([str(u) for u in await users.find(await cluster.argocd.tree(APP))])
        return told

    assert run(looks()) == [lost, lost, []]
