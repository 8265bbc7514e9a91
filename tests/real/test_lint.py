"""What the manifests say beforehand: warnings with the mend, and what stands in a missing test's place."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack
from tests.real.support import Bench, chart, configmap, job

MEND = "annotate it with argocd.argoproj.io/hook: PostSync"


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
        ("plain", f"checks is there, but as a plain Job: {MEND}"),
        ("helm", f"Job checks is a Helm test (helm.sh/hook: test), which Argo CD ignores: {MEND}"),
    ],
)
def test_9_before_the_sync_says_what_is_there_in_the_test_s_place(bench: Bench, case: str, told: str) -> None:
    with bench.as_it_was():
        result = bench.run("--job", "checks", "--set", f"case={case}")
    assert result.code == 9, str(result)
    assert f"no test ran: {bench.app.name} has no hook Job checks" in result.err, str(result)
    assert told in result.err, str(result)
    assert "hook PostSync" not in result.err, "nothing was synced"


def test_a_dry_run_warns_as_far_as_it_can_tell_without_touching_anything(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run("--dry-run", "--job", "checks")
    assert result.code == 0, str(result)
    expected = f"without the topic's name {bench.app.name} has no hook Job checks; it has: no hook Job at all"
    assert expected in result.err, str(result)
