"""Two Applications with hooks of one name in one namespace: no verdict is ever taken from the other's."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import TOPIC, Bench, Running

ROUNDS = int(os.environ.get("ARGORUN_ROUNDS", "2"))  # of each delay
REFUSED = (2, 3)
NAME = "run-automation-tests-job"


@pytest.fixture(scope="module")
def pair(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Bench]]:
    """Two Applications in one namespace; the tests of the first pass, those of the second fail."""
    checks = support.job(NAME, f'sleep 2; echo "on {TOPIC}"; exit CODE', "PostSync")
    body = json.dumps(checks).replace("CODE", "{{ .Values.code }}")
    files = support.chart()
    # Like the example's, it is rendered only with a topic: nothing of it is known beforehand.
    files["chart/templates/checks.yaml"] = f"{{{{ if .Values.kafka.topic }}}}\n{body}\n{{{{ end }}}}\n"
    codes = [{"helm": {"parameters": [{"name": "code", "value": code}]}} for code in ("0", "1")]
    folders = [tmp_path_factory.mktemp(name) for name in ("passes", "fails")]
    with support.bench(stack, folders[0], files, name="passes", deploy=False, source=codes[0]) as first:
        there = {"server": "https://kubernetes.default.svc", "namespace": first.app.namespace}
        with support.bench(
            stack, folders[1], files, name="fails", deploy=False, source=codes[1], destination=there
        ) as second:
            yield first, second


@pytest.fixture(autouse=True)
def no_job_yet(pair: tuple[Bench, Bench]) -> None:
    """Each test begins without the Job of the one before, which only its Application's next sync deletes."""
    stack, namespace = pair[0].stack, pair[0].app.namespace
    for job in stack.objects("jobs", namespace):
        name = job["metadata"]["name"]
        # A Job whose operation was ended by another's keeps Argo CD's finalizer.
        stack.kubectl(
            "patch", "job", name, "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
        )
        stack.kubectl("delete", "job", name, "-n", namespace, "--ignore-not-found")


def lines(run: Running) -> set[str]:
    return {e["text"] for e in run.all("log_line")}


def ends_right(bench: Bench, run: Running, code: int, own: int) -> None:
    """As its own tests end, or refused; and not a line of the other's."""
    assert code in (own, *REFUSED), str(run)
    topics = {f"on {e['topic']}" for e in run.all("topic_created")}
    assert lines(run) <= topics, "another's log was shown"
    if code == own:
        assert lines(run) == topics, str(run)
    assert bench.topics() == set()


@pytest.mark.parametrize("force", [False, True], ids=["", "forced"])
@pytest.mark.parametrize("delay", [0.0, 0.3, 1.0, 3.0, 6.0])
def test_two_runs_beside_each_other_end_right_or_are_refused(
    pair: tuple[Bench, Bench], delay: float, force: bool
) -> None:
    first, second = pair
    flags = ["--force-owned"] if force else []
    for _ in range(ROUNDS):
        with first.start(*flags) as passes:
            time.sleep(delay)  # what is tried: how far the first one is
            with second.start(*flags) as fails:
                codes = passes.end(), fails.end()
        ends_right(first, passes, codes[0], 0)
        ends_right(second, fails, codes[1], 1)


def test_a_hook_that_stands_there_is_told_before_anything_is_made(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    assert first.run().code == 0
    with second.as_it_was():
        result = second.run()
    assert result.code == 2, str(result)
    assert (
        f"Job {NAME} in namespace {first.app.namespace} belongs to Application {first.app.name}" in result.err
    )
    assert second.app.name in result.err
    assert "--force-owned" in result.err


def test_forced_the_others_job_is_replaced_and_the_run_is_its_own(pair: tuple[Bench, Bench]) -> None:
    first, second = pair
    assert first.run().code == 0
    with second.as_it_was(), second.start("--force-owned") as run:
        code = run.end()
    ends_right(second, run, code, 1)
    assert code == 1, str(run)


@pytest.fixture
def sharing(stack: Stack, tmp_path: Path) -> Iterator[tuple[Bench, Bench]]:
    """Two Applications that render one ConfigMap in one namespace; the first one's test reads it."""
    settings = support.configmap("settings", topic=TOPIC)
    topic = support.key_of("settings", "topic")
    checks = support.job("checks", "sleep 8; echo on $TOPIC", "PostSync", TOPIC=topic)
    with support.bench(stack, tmp_path / "a", support.chart(settings, checks), name="reads") as first:
        there = {"server": "https://kubernetes.default.svc", "namespace": first.app.namespace}
        files = support.chart(settings)
        with support.bench(stack, tmp_path / "b", files, name="writes", destination=there) as second:
            yield first, second


def test_a_configmap_that_another_application_has_too_is_no_way_to_the_test(
    sharing: tuple[Bench, Bench],
) -> None:
    first, second = sharing
    with first.as_it_was():
        result = first.run()
    assert result.code == 2, str(result)
    assert (
        f"ConfigMap settings in namespace {first.app.namespace} belongs to Application {second.app.name}"
        in (result.err)
    )
    with first.start("--force-owned") as run:
        run.until("hook_changed", name="checks", status="running")
        second.app.sync(strategy={"apply": {}})
        code = run.end()
    assert code == 3, str(run)
    shared = f"ConfigMap settings also belongs to Application {second.app.name}"
    assert shared in str(run), "told beforehand"
    assert "no verdict: ConfigMap settings" in str(run)
    assert f"it belongs to Application {second.app.name} now" in str(run)
    assert first.topics() == set()


@pytest.mark.parametrize("hook", ["PostSync", "PreSync"])
def test_a_hook_that_cannot_be_applied_over_anothers_names_that_other(
    stack: Stack, tmp_path: Path, hook: str
) -> None:
    """Without BeforeHookCreation a former Job stays where it is, and its template cannot be changed."""
    fixed = support.job("fixed", "exit CODE", hook)
    fixed["metadata"]["annotations"]["argocd.argoproj.io/hook-delete-policy"] = "HookSucceeded"
    files = support.chart(support.job("checks-{{ .Release.Name }}", "true", "PostSync"))
    files["chart/templates/fixed.yaml"] = json.dumps(fixed).replace("CODE", "{{ .Values.code }}")
    codes = [{"helm": {"parameters": [{"name": "code", "value": code}]}} for code in ("1", "0")]
    with support.bench(
        stack, tmp_path / "a", files, name="rr-leaves", deploy=False, source=codes[0]
    ) as first:
        there = {"server": "https://kubernetes.default.svc", "namespace": first.app.namespace}
        assert first.run().code in (1, 3), "its Job stays"
        with (
            support.bench(
                stack,
                tmp_path / "b",
                files,
                name="rr-finds",
                deploy=False,
                source=codes[1],
                destination=there,
            ) as second,
            second.as_it_was(),
        ):
            result = second.run("--force-owned")
    assert result.code == 3, str(result)
    whose = (
        f"no verdict: Job fixed in namespace {first.app.namespace} belongs to Application {first.app.name}"
    )
    assert whose in result.err, str(result)
    assert "put the release's name into the hooks' names" in result.err
    assert "Replace=true" not in result.err
    assert "Invalid value" not in result.err
    assert max(map(len, result.err.splitlines())) < 400, str(result)
