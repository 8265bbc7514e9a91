"""What the manifests say beforehand: warnings with the fix, and what stands in a missing test's place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack
from tests.real.support import Bench, chart, configmap, job, kustomization

FIX = "annotate it with argocd.argoproj.io/hook: PostSync"


def helm_test() -> Json:
    """As `helm create` makes it."""
    made = job("checks", "true", None)
    made["metadata"]["annotations"] = {"helm.sh/hook": "test"}
    return made


def fleeting() -> Json:
    made = job("checks", "echo sunny", "PostSync")
    made["metadata"]["annotations"]["argocd.argoproj.io/hook-delete-policy"] = "HookSucceeded"
    made["spec"]["ttlSecondsAfterFinished"] = 300
    return made


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    files = chart(configmap("settings", topic=support.TOPIC))
    cases = {"fleeting": fleeting(), "plain": job("checks", "true", None), "helm": helm_test()}
    for case, manifest in cases.items():
        text = f'{{{{ if eq .Values.case "{case}" }}}}\n{json.dumps(manifest)}\n{{{{ end }}}}\n'
        files[f"chart/templates/{case}.yaml"] = text
    files["chart/values.yaml"] = json.dumps({"kafka": {"topic": ""}, "case": ""})
    with support.bench(stack, tmp_path_factory.mktemp("lint"), files, name="lint") as made:
        yield made


def test_a_test_job_that_may_take_its_log_with_it_is_warned_about(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run("--set", "case=fleeting")
    assert result.code == 0, str(result)
    assert result.out == "sunny\n", str(result)
    gone = "its log may vanish before it is read"
    assert f"test Job checks has the delete policy HookSucceeded: {gone}" in result.err, str(result)
    assert f"test Job checks is deleted 300 s after its end (ttlSecondsAfterFinished): {gone}" in result.err


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("plain", f"checks is there, but as a plain Job: {FIX}"),
        ("helm", f"Job checks is a Helm test (helm.sh/hook: test), which Argo CD ignores: {FIX}"),
    ],
)
@pytest.mark.parametrize("always", [True, False], ids=["always", "with a value of the run's"])
def test_9_says_what_is_there_in_the_test_s_place(bench: Bench, case: str, told: str, always: bool) -> None:
    """What the Application has already is told before anything is made, the rest before the sync."""
    with in_the_application(bench, case if always else ""), bench.as_it_was():
        result = bench.run("--job", "checks", *([] if always else ["--set", f"case={case}"]))
    assert result.code == 9, str(result)
    assert f"no test ran: {bench.app.name} has no hook Job or Pod checks" in result.err, str(result)
    assert told in result.err, str(result)
    assert "hook PostSync" not in result.err, "nothing was synced"
    assert ("==> create topic" in result.err) != always, str(result)


@contextlib.contextmanager
def in_the_application(bench: Bench, case: str) -> Iterator[None]:
    """A Helm parameter of the Application itself."""
    parameters = [{"name": "case", "value": case}]
    bench.app.patch({"op": "add", "path": "/spec/source/helm", "value": {"parameters": parameters}})
    bench.app.get("normal")  # compared anew: it may be OutOfSync with it
    try:
        yield
    finally:
        bench.app.patch({"op": "remove", "path": "/spec/source/helm"})
        bench.app.get("normal")


@pytest.mark.parametrize("jobs", [("--job", "checks"), ()], ids=["named", "any"])
def test_9_before_anything_is_made_where_a_value_makes_no_hooks(
    stack: Stack, tmp_path: Path, jobs: Sequence[str]
) -> None:
    """Kustomize has no conditions: without our values, too, it renders all there is."""
    manifests = (configmap("topics", main=""), job("prepare", "true", "PreSync"))
    with support.bench(stack, tmp_path, kustomization(*manifests), "base", name="lint") as bench:
        topics = [
            {"prefix": bench.prefix, "parameter": {"kustomize": {"configmap": "topics", "key": "main"}}}
        ]
        with bench.as_it_was():
            result = bench.run(*jobs, config=bench.config(topics=topics))
    assert result.code == 9, str(result)
    wanted = "hook Job or Pod checks" if jobs else "PostSync Job or Pod"
    assert f"no test ran: {bench.app.name} has no {wanted}" in result.err, str(result)
    assert "it has: prepare (PreSync)" in result.err, str(result)
    assert "==> create topic" not in result.err, str(result)


def test_a_dry_run_warns_as_far_as_it_can_tell_without_touching_anything(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run("--dry-run", "--job", "checks")
    assert result.code == 0, str(result)
    expected = "checks: not rendered yet (the chart creates its hooks only when a topic is set)"
    assert expected in result.err, str(result)
