"""What the run changes in an Application is put back as it was, whatever stood there."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack
from tests.real.support import TOPIC, Bench, key_of, scripted

# Signs that JSON, a shell, YAML and Go's encoder each write in their own way.
AWKWARD = """a&b <c> "d" 'e' \\f $g {h} [i] `j` #k ü 天気\u2028, l=m"""

# Of these, what may stand between quotes in a chart.
MILD = "a&b <c> 'e' ü 天気, l=m"


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("was"), scripted(), name="was") as made:
        yield made


def test_a_parameter_that_was_there_and_its_neighbours(bench: Bench) -> None:
    parameters: list[Json] = [
        {"name": "tag", "value": "kept"},
        {"name": "kafka.topic", "value": "from before", "forceString": True},
        {"name": "note", "value": AWKWARD},
        {"name": "other.topic", "value": "12", "forceString": True},
    ]
    helm = {
        "parameters": parameters,
        "releaseName": "chart",
        "valuesObject": {"test": "echo $TOPIC $OTHER $TAG", "price": 1.10, "small": 1e-7},
    }
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": helm})
    bench.app.deploy()
    with bench.as_it_was() as before, bench.start() as run:
        run.until("sync_started")
        during = bench.app.spec
        code = run.end()
    assert code == 0, str(run)
    assert before.sync == "Synced"
    (topic,) = [e["topic"] for e in run.all("topic_created")]
    assert [e["text"] for e in run.all("log_line")] == [f"{topic} 12 kept"]
    parameters[1]["value"] = topic
    assert during["source"]["helm"]["parameters"] == parameters
    assert [e["original"] for e in run.all("parameter_set")] == ["from before"]


def test_values_that_are_empty_or_listed_twice_come_back(bench: Bench) -> None:
    parameters: list[Json] = [
        {"name": "tag", "value": "1"},
        {"name": "kafka.topic", "value": "first", "forceString": True},
        {"name": "tag", "value": "2"},
        {"name": "kafka.topic"},
    ]
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": {"parameters": parameters}})
    bench.scripts(test='echo "$TOPIC [$TAG] [$OTHER]"')
    flags = ("--set", "tag=", "--set", "number=12", "--set-string", "other.topic=4651090")
    with bench.as_it_was(), bench.start(*flags) as run:
        run.until("sync_started")
        during = bench.app.spec["source"]["helm"]["parameters"]
        code = run.end()
    assert code == 0, str(run)
    (topic,) = [e["topic"] for e in run.all("topic_created")]
    assert [e["text"] for e in run.all("log_line")] == [f"{topic} [] [4651090]"]
    assert during == [
        {"name": "tag", "value": "1"},
        {"name": "kafka.topic", "value": topic, "forceString": True},
        {"name": "tag"},
        {"name": "kafka.topic"},
        {"name": "number", "value": "12"},
        {"name": "other.topic", "value": "4651090", "forceString": True},
    ]


def test_several_topics_and_several_places_and_more_parameters(bench: Bench) -> None:
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": {"valuesObject": {}}})
    bench.scripts(pre='echo "$OTHER"', test='echo "$TOPIC" "$OTHER"; echo "$TAG"')
    topics = [
        {"prefix": bench.prefix, "parameter": ["kafka.topic", {"helm": "kafka.also"}], "partitions": 3},
        {"prefix": f"{bench.prefix}_other", "parameter": "other.topic", "config": {"retention.ms": 60000}},
    ]
    with bench.as_it_was(), bench.start("--set", f"tag={MILD}", config=bench.config(topics=topics)) as run:
        code = run.end()
    assert code == 0, str(run)
    made = {e["topic"]: e["partitions"] for e in run.all("topic_created")}
    first, second = made
    assert list(made.values()) == [3, 1]
    assert [e["text"] for e in run.all("log_line")] == [f"{first} {second}", MILD]
    places = [(e["place"], e["value"]) for e in run.all("parameter_set")]
    assert places == [
        ("helm: kafka.topic", first),
        ("helm: kafka.also", first),
        ("helm: other.topic", second),
        ("helm: tag", MILD),
    ]


def test_a_change_that_somebody_makes_during_the_run_stays(bench: Bench) -> None:
    """Only what still holds our value is put back."""
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": {"valuesObject": {}}})
    bench.scripts(test="echo begun; sleep 300")
    before = bench.before()
    with bench.start() as run:
        run.until("log_line", text="begun")
        spec = bench.app.spec
        bench.app.patch(
            {
                "op": "add",
                "path": "/spec/source/helm/parameters/-",
                "value": {"name": "tag", "value": "theirs"},
            }
        )
        run.send(signal.SIGINT)
        code = run.end()
    assert code == 130, str(run)
    assert len(spec["source"]["helm"]["parameters"]) == 1
    source = before.spec["source"]
    expected = source | {"helm": source["helm"] | {"parameters": [{"name": "tag", "value": "theirs"}]}}
    assert bench.app.spec == before.spec | {"source": expected}
    assert support.RECORD not in bench.app.annotations
    assert bench.topics() == set()


def test_git_is_out_of_reach_in_the_end(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Argo CD validates every PATCH by rendering the source; restoring must not need that."""
    folder = tmp_path_factory.mktemp("git")
    with support.bench(stack, folder, scripted(), name="was-g") as bench:
        bench.scripts(test="echo begun; sleep 300")
        before = bench.before()
        with bench.start() as run:
            run.until("log_line", text="begun")
            gone = bench.repo.path.rename(bench.repo.path.with_name("gone"))
            run.send(signal.SIGINT)
            code = run.end()
        assert code == 130, str(run)
        assert bench.app.spec == before.spec
        assert support.RECORD not in bench.app.annotations
        assert bench.topics() == set()
        assert not bench.app.running
        gone.rename(bench.repo.path)


def test_what_a_killed_run_left_is_put_back_by_the_next(bench: Bench) -> None:
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": {"valuesObject": {}}})
    go = bench.folder / "go"
    bench.scripts(test=f"echo begun; until [ -e {go} ]; do sleep 0.1; done")
    before = bench.before()
    with bench.start() as run:
        run.until("log_line", text="begun")
        run.send(signal.SIGKILL)
        run.end()
    assert bench.app.spec != before.spec
    (left,) = bench.topics()
    bench.expire()
    go.touch()
    with bench.start() as run:
        code = run.end()
    assert code == 0, str(run)
    assert run.all("waiting") or run.all("notice"), "it says what it found"
    assert bench.topics() == {left}, "a killed run's topic is a matter for the sweep"
    bench.tidy()
    support.nothing_left(bench, before)


def automated(policy: Json) -> dict[str, Any]:
    return {"syncPolicy": {"automated": policy, "syncOptions": ["CreateNamespace=false"]}}


@pytest.mark.parametrize("policy", [{"prune": True, "selfHeal": True}, {}], ids=["self-healing", "empty"])
def test_auto_sync_is_held_and_then_as_it_was(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, policy: Json
) -> None:
    """Exactly one operation runs the tests, on our topic; the only other one takes the workload off it."""
    checks = support.job("checks", "echo $TOPIC", "PostSync", TOPIC=TOPIC)
    files = support.chart(
        support.configmap("settings", topic=TOPIC), support.deployment("workload", TOPIC=TOPIC), checks
    )
    folder = tmp_path_factory.mktemp("auto")
    with support.bench(stack, folder, files, name="auto", deploy=False, **automated(policy)) as bench:
        bench.app.wait_synced()
        bench.app.wait_idle()
        history = len(bench.app.get()["status"]["history"])
        with bench.as_it_was(), bench.start() as run:
            code = run.end()
        assert code == 0, str(run)
        (topic,) = [e["topic"] for e in run.all("topic_created")]
        assert [e["text"] for e in run.all("log_line")] == [topic]
        # A refresh is when Argo CD would start an operation of its own.
        bench.app.get("normal")
        bench.app.get("hard")
        app = bench.app.get()
        assert "operation" not in app
        new = app["status"]["history"][history:]
        assert [h.get("initiatedBy", {}).get("automated", False) for h in new] == [False] * len(new), new
        assert state_of_test(bench) == topic, "the test Job is our run's: nobody ran it again"


def state_of_test(bench: Bench) -> str:
    """The topic of the test Job that is in the cluster."""
    (job,) = bench.stack.objects("jobs", bench.app.namespace)
    (env,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(env["value"])


def kustomized() -> dict[str, str]:
    """A workload and a test that read a ConfigMap's keys."""
    topic, other = key_of("topics", "main"), key_of("topics", "other.one")
    return support.kustomization(
        support.configmap("topics", **{"main": "", "other.one": "", "kept": "kept"}),
        support.deployment("workload", TOPIC=topic),
        support.deployment("bystander"),
        support.job("checks", "echo $TOPIC $OTHER", "PostSync", TOPIC=topic, OTHER=other),  # type: ignore[arg-type]
    )


def test_kustomize_patches_that_were_there_and_pods_that_roll_and_come_back(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = [
        {
            "target": {"kind": "Deployment", "name": "bystander"},
            "patch": json.dumps([{"op": "add", "path": "/metadata/annotations", "value": {"n": AWKWARD}}]),
        },
        {"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: topics}\ndata: {kept: theirs}\n"},
    ]
    source = {"kustomize": {"patches": theirs, "commonLabels": {"team": "weather"}}}
    folder = tmp_path_factory.mktemp("kustomized")
    topics = [
        {"parameter": {"kustomize": {"configmap": "topics", "key": "main"}}},
        {"parameter": {"kustomize": {"configmap": "topics", "key": "other.one"}}},
    ]
    with support.bench(stack, folder, kustomized(), "base", name="was-k", source=source) as bench:
        for n, topic in enumerate(topics):
            topic["prefix"] = f"{bench.prefix}_{n}"  # type: ignore[assignment]
        pods = workload_pods(bench)
        with bench.as_it_was() as before, bench.start(config=bench.config(topics=topics)) as run:
            run.until("log_line")
            during, rolled = bench.app.spec, workload_pods(bench)
            code = run.end()
        assert code == 0, str(run)
        assert before.sync == "Synced"
        first, second = [e["topic"] for e in run.all("topic_created")]
        assert [e["text"] for e in run.all("log_line")] == [f"{first} {second}"]
        patches = during["source"]["kustomize"]["patches"]
        assert patches[:2] == theirs
        assert during["source"]["kustomize"]["commonLabels"] == {"team": "weather"}
        assert rolled["workload"] != pods["workload"], "the workload's pods are on the run's topic"
        assert rolled["bystander"] == pods["bystander"], "nobody else is rolled"
        after = workload_pods(bench)
        assert after["workload"] not in (pods["workload"], rolled["workload"]), "and off it again"
        assert after["bystander"] == pods["bystander"]
        (live,) = [c for c in bench.stack.objects("configmaps", bench.app.namespace) if called(c, "topics")]
        assert live["data"] == {"main": "", "other.one": "", "kept": "theirs"}


def called(thing: Json, name: str) -> bool:
    return bool(thing["metadata"]["name"] == name)


def workload_pods(bench: Bench) -> dict[str, str]:
    """The youngest pod of each Deployment."""
    pods = bench.stack.objects("pods", bench.app.namespace, "app")
    pods.sort(key=lambda p: p["metadata"]["creationTimestamp"])
    return {p["metadata"]["labels"]["app"]: p["metadata"]["name"] for p in pods}
