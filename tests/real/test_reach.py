"""A green run ran on its topic: a name that reaches no test ends the run before the sync, with the cause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack
from tests.real.support import Bench, Result, chart, configmap, deployment, job, pod

PINNED = "other_1760000000_deadbeef"
SECRET: Json = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "settings"},
    "stringData": {"topic": support.TOPIC},
}
READS_SECRET: Any = {"secretKeyRef": {"name": "settings", "key": "topic"}}


def refused(bench: Bench, *told: str, **changes: Any) -> Result:
    """A run that ends with 2 before the sync, says this, and leaves everything as it was."""
    config = bench.config(**changes)
    with bench.as_it_was():
        result = bench.run(config=config)
    assert result.code == 2, str(result)
    assert [t for t in told if t not in result.err] == [], str(result)
    assert "sync started" not in result.err, "nothing was synced"
    return result


def topic(bench: Bench, **more: Any) -> list[Json]:
    return [{"prefix": bench.prefix, "parameter": "kafka.topic", **more}]


@pytest.fixture(scope="module")
def pinned(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    files = chart(
        configmap("settings", topic=support.TOPIC),
        deployment("workload", TOPIC=support.key_of("settings", "topic")),
        job("checks", "echo on $TOPIC", "PostSync"),
    )
    with support.bench(stack, tmp_path_factory.mktemp("pinned"), files, name="reach-p") as made:
        yield made


@pytest.mark.parametrize(
    ("file", "parameters", "gets", "pins"),
    [
        (".argocd-source.yaml", [{"name": "tag", "value": "3.12"}], "it gets none", "tag=3.12"),
        (
            ".argocd-source-APP.yaml",
            [{"name": "kafka.topic", "value": PINNED}],
            f"it gets '{PINNED}'",
            f"kafka.topic={PINNED}",
        ),
        (
            ".argocd-source-APP.yaml",
            [{"name": "kafka.topic", "value": "a,b", "forcestring": True}],
            "it gets 'a,b'",
            "kafka.topic=a,b",
        ),
        (".argocd-source-APP.yaml", [], "it gets none", "an empty list"),
    ],
)
@pytest.mark.parametrize("unverified", [False, True], ids=["verified", "unverified"])
def test_a_file_in_git_that_replaces_the_parameters_is_named_with_what_it_pins(
    pinned: Bench, file: str, parameters: list[Json], gets: str, pins: str, unverified: bool
) -> None:
    path = f"chart/{file.replace('APP', pinned.app.name)}"
    pinned.repo.commit({path: json.dumps({"helm": {"parameters": parameters}})})
    pinned.app.get("hard")
    pinned.app.deploy()
    try:
        refused(
            pinned,
            f"Helm does not get the Application's kafka.topic: {gets}",
            f".argocd-source.yaml or .argocd-source-{pinned.app.name}.yaml",
            f"replaces the parameters of {pinned.app.name} with {pins}: remove helm.parameters from it",
            topics=topic(pinned, unverified=unverified),
        )
        with pinned.as_it_was():
            dry = pinned.run("--dry-run", config=pinned.config(topics=topic(pinned, unverified=unverified)))
        assert dry.code == 2, str(dry)
        assert f"Helm does not get the Application's kafka.topic: {gets}" in dry.err, (
            "before anything is made"
        )
    finally:
        pinned.repo.commit({path: None})
        pinned.app.get("hard")
        pinned.app.deploy()


def test_a_misspelled_parameter_is_told(pinned: Bench) -> None:
    refused(
        pinned,
        f"no template in {pinned.app.name} uses kafka.topc",
        "Helm gets it, and nothing uses it: is the parameter spelled as in the chart?",
        topics=[{"prefix": pinned.prefix, "parameter": "kafka.topc"}],
    )


def test_a_name_that_only_a_hook_has_that_makes_the_topic_reaches_no_test(
    stack: Stack, tmp_path: Path
) -> None:
    test = job("checks", "true", "PostSync", TOPIC="none")
    files = chart(configmap("unread", topic=support.TOPIC), job("make", "true", "PreSync"), test)
    with support.bench(stack, tmp_path, files, name="reach-m") as bench:
        refused(
            bench,
            f"no test or workload of {bench.app.name} reads the topic's name from helm: kafka.topic",
            "ConfigMap unread, Job make, which passes it to no test",
        )


def test_a_workload_that_goes_on_with_the_former_topic_hands_it_to_no_test(
    stack: Stack, tmp_path: Path
) -> None:
    """Its test talks to the service alone: it would pass on the topic that everybody shares."""
    files = chart(
        configmap("settings", topic=support.TOPIC),
        deployment("service", TOPIC=support.key_of("settings", "topic")),
        job("checks", "true", "PostSync", TOPIC="none"),
    )
    with support.bench(stack, tmp_path, files, name="reach-k") as bench:
        refused(
            bench,
            f"no test or workload of {bench.app.name} gets the topic's name from helm: kafka.topic",
            "Deployment service reads ConfigMap settings at its start only, and the sync does not restart it",
        )
        config = bench.config(topics=topic(bench, unverified=True))
        with bench.as_it_was():
            result = bench.run(config=config)
        assert result.code == 0, str(result)
        assert result.err.count("it is only in ConfigMap settings (unverified: true)") == 1


def test_a_name_in_a_secret_needs_a_word_of_the_user_and_is_warned_about_each_time(
    stack: Stack, tmp_path: Path
) -> None:
    files = chart(SECRET, job("checks", "echo on $TOPIC", "PostSync", TOPIC=READS_SECRET))
    with support.bench(stack, tmp_path, files, name="reach-s") as bench:
        refused(bench, "from Secret settings, whose values Argo CD hides, set unverified: true at the topic")
        with bench.as_it_was():
            result = bench.run(config=bench.config(topics=topic(bench, unverified=True)))
        assert result.code == 0, str(result)
        assert result.out.startswith(f"on {bench.prefix}_"), str(result)
        assert "cannot check whether" in result.err, str(result)
        assert "Argo CD hides the values of Secret settings (unverified: true)" in result.err, str(result)


def test_what_a_sync_leaves_as_it_is_carries_no_name(stack: Stack, tmp_path: Path) -> None:
    """With RespectIgnoreDifferences Argo CD applies the live values: the test would read the former topic."""
    reads = job("checks", "echo on $TOPIC", "PostSync", TOPIC=support.key_of("settings", "topic"))
    files = chart(configmap("settings", topic=support.TOPIC, tag="{{ .Values.tag }}"), reads)
    rule = {"kind": "ConfigMap", "jsonPointers": ["/data/topic"]}
    options = {"syncOptions": ["RespectIgnoreDifferences=true"]}
    with support.bench(
        stack, tmp_path, files, name="reach-i", ignoreDifferences=[rule], syncPolicy=options
    ) as bench:
        refused(
            bench,
            "ConfigMap settings keeps what it has: ignoreDifferences with RespectIgnoreDifferences=true "
            "leaves /data/topic alone",
        )


@pytest.mark.parametrize(
    ("hook", "wave", "after"),
    [
        ("PreSync", 0, "ConfigMap settings (Sync, wave 0) is applied after Job checks (PreSync, wave 0)"),
        ("Sync", 1, "ConfigMap settings (Sync, wave 1) is applied after Job checks (Sync, wave 0)"),
    ],
)
def test_what_a_sync_applies_after_the_test_carries_no_name(
    stack: Stack, tmp_path: Path, hook: str, wave: int, after: str
) -> None:
    settings = configmap("settings", topic=support.TOPIC)
    settings["metadata"]["annotations"] = {"argocd.argoproj.io/sync-wave": str(wave)}
    reads = job("checks", "echo on $TOPIC", hook, TOPIC=support.key_of("settings", "topic"))
    with support.bench(stack, tmp_path, chart(settings, reads), name="reach-w") as bench:
        refused(bench, after, tests={"jobs": ["checks"]})


# -- hook Pods are tests like Jobs -------------------------------------------------------------------------


def bare(script: str, policy: str = "Never", **metadata: str) -> Json:
    spec = pod(script, "busybox", {"TOPIC": support.TOPIC}, policy)
    named = metadata or {"name": "checks"}
    annotations = {"argocd.argoproj.io/hook": "PostSync"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**named, "annotations": annotations},
        "spec": spec,
    }


@pytest.mark.parametrize("named", [True, False], ids=["named", "any"])
@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("generated", [False, True], ids=["a name", "generateName"])
def test_a_bare_pod_is_a_test_like_a_job(
    stack: Stack, tmp_path: Path, code: int, generated: bool, named: bool
) -> None:
    metadata = {"generateName": "checks-"} if generated else {"name": "checks"}
    files = chart(
        configmap("settings", topic=support.TOPIC), bare(f"echo on $TOPIC; exit {code}", **metadata)
    )
    with support.bench(stack, tmp_path, files, name="reach-b") as bench:
        for _ in range(2):  # the second time, the first one's Pod is there
            with bench.as_it_was():
                result = bench.run(*(("--job", "checks") if named else ()))
            assert result.code == (1 if code else 0), str(result)
            (line,) = result.out.splitlines()
            assert line.startswith(f"on {bench.prefix}_"), str(result)
            assert ("exit code 3" in result.err) is bool(code), str(result)


def test_a_bare_pod_that_never_ends_is_no_test(stack: Stack, tmp_path: Path) -> None:
    with support.bench(stack, tmp_path, chart(bare("sleep infinity", "Always")), name="reach-a") as bench:
        refused(bench, "test Pod checks has restartPolicy Always: it never ends", tests={"jobs": ["checks"]})


def test_a_file_in_git_that_replaces_kustomizes_patches_is_named(stack: Stack, tmp_path: Path) -> None:
    key: Any = support.key_of("topics", "main")
    files = {
        **support.kustomization(
            configmap("topics", main="shared"), job("checks", "echo on $TOPIC", "PostSync", TOPIC=key)
        ),
        "base/.argocd-source.yaml": json.dumps({"kustomize": {"patches": []}}),
    }
    with support.bench(stack, tmp_path, files, "base", name="reach-k") as bench:
        place = {"kustomize": {"configmap": "topics", "key": "main"}}
        refused(
            bench,
            "does not take the value of kustomize: ConfigMap topics, key main: it renders to ['shared']",
            "a .argocd-source.yaml or .argocd-source-APP.yaml in Git may win over the Application's settings",
            topics=[{"prefix": bench.prefix, "parameter": place}],
        )
