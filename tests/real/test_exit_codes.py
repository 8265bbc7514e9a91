"""Each way that a run can end has its exit code, and after each of them nothing is left."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Stack
from tests.real.support import Bench, chart, configmap, kustomization, scripted

UNUSED = "localhost:9"  # nothing listens on the discard port


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with support.bench(stack, tmp_path_factory.mktemp("codes"), scripted(), name="codes") as made:
        yield made


@pytest.fixture(scope="module")
def kustomized(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    key: Any = support.key_of("topics", "main")
    job = support.job("checks", "true", "PostSync", TOPIC=key)
    files = kustomization(configmap("topics", main=""), job)
    with support.bench(stack, tmp_path_factory.mktemp("kustomized"), files, "base", name="codes-k") as made:
        yield made


def test_0_passed_tests_and_their_output(bench: Bench) -> None:
    bench.scripts(test='echo "reading from $TOPIC"')
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 0, str(result)
    assert result.out.startswith(f"reading from {bench.prefix}_"), str(result)


def test_1_a_failed_test_job_with_its_last_lines(bench: Bench) -> None:
    bench.scripts(test="echo expected sunny; echo but it rained; exit 3")
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 1, str(result)
    assert result.out.splitlines() == ["expected sunny", "but it rained"]
    assert "FAILED after" in result.err
    assert "checks: the test exited with code 3" in result.err, str(result)
    assert "  | but it rained" in result.err, str(result)
    assert f"https://{bench.stack.server}/applications/{bench.app.name}" in result.err


def test_3_a_failed_presync_hook(bench: Bench) -> None:
    bench.scripts(pre="echo no such schema; exit 1", test="true")
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 3, str(result)
    assert "PreSync hook prepare failed" in result.err


def test_3_an_operation_that_somebody_ends(bench: Bench) -> None:
    bench.scripts(test="echo begun; sleep 300")
    with bench.as_it_was(), bench.start() as run:
        run.until("log_line", text="begun")
        bench.stack.api("DELETE", f"applications/{bench.app.name}/operation")
        code = run.end()
    assert code == 3, str(run)
    assert "ended by someone else" in run.all("verdict")[0]["title"]


DENY = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]}
FAR = f"0 {(time.gmtime().tm_hour + 12) % 24} * * *"  # half a day from now
LATER = {"kind": "allow", "schedule": FAR, "duration": "1h", "applications": ["*"]}
TOKYO = {"timeZone": "Asia/Tokyo"}
CLOSED = {
    "denied": (
        [DENY | TOKYO],
        "deny window: schedule '* * * * *' for 1h, Asia/Tokyo; manual syncs not allowed",
    ),
    "not among those allowed": (
        [LATER],
        f"allow window: schedule '{FAR}' for 1h, UTC; manual syncs not allowed",
    ),
}


@pytest.fixture(scope="module")
def windowed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, str]]:
    files = chart(configmap("settings", topic=support.TOPIC), support.job("checks", "true", "PostSync"))
    folder = tmp_path_factory.mktemp("window")
    with (
        support.project(stack) as project,
        support.bench(stack, folder, files, name="codes-w", project=project) as made,
    ):
        yield made, project


@pytest.mark.parametrize(("windows", "told"), CLOSED.values(), ids=CLOSED.keys())
def test_3_a_sync_window_that_is_closed(
    windowed: tuple[Bench, str], windows: list[dict[str, object]], told: str
) -> None:
    bench, project = windowed
    support.change_project(bench.stack, project, syncWindows=windows)
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 3, str(result)
    assert f"blocked by a sync window of project {project}" in result.err
    assert told in result.err, str(result)
    assert "==> create topic" not in result.err, "it did not come so far"


def test_0_a_sync_window_that_allows_manual_syncs(windowed: tuple[Bench, str]) -> None:
    bench, project = windowed
    support.change_project(bench.stack, project, syncWindows=[DENY | {"manualSync": True}])
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 0, str(result)


def test_3_a_sync_window_that_closes_while_the_run_waits(windowed: tuple[Bench, str]) -> None:
    """What POST answers then is mapped to the same words."""
    bench, project = windowed
    support.change_project(bench.stack, project, syncWindows=[])
    before = bench.before()
    held = json.dumps({"run": "somebody", "until": int(time.time()) + 12, "settling": True})
    bench.app.patch({"op": "add", "path": "/metadata/annotations/argorun.dev~1run", "value": held})
    with bench.start() as run:
        run.until("waiting")
        support.change_project(bench.stack, project, syncWindows=[DENY])
        code = run.end()
    assert code == 3, str(run)
    (verdict,) = run.all("verdict")
    assert f"blocked by a sync window of project {project}" in verdict["title"]
    assert "deny window: schedule '* * * * *' for 1h" in verdict["reason"]
    support.nothing_left(bench, before)


def test_9_a_named_test_job_that_the_application_does_not_have(bench: Bench) -> None:
    bench.scripts(test="true")
    with bench.as_it_was():
        result = bench.run("--job", "run-automation-tests-job")
    assert result.code == 9, str(result)
    assert "run-automation-tests-job" in result.err
    assert "checks" in result.err, "it names those that are there"


def test_9_no_test_job_at_all(bench: Bench) -> None:
    bench.scripts(pre="true")
    with bench.as_it_was():
        result = bench.run()
    assert result.code == 9, str(result)
    assert "no test ran" in result.err


def test_6_a_wrong_token(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run(environment={"ARGOCD_AUTH_TOKEN": "eyJhbGciOiJIUzI1NiJ9.e30.bm8"})
    assert result.code == 6, str(result)


def test_6_a_token_that_may_only_read(bench: Bench) -> None:
    token = support.from_environment("REALSTACK_READONLY_TOKEN")
    with bench.as_it_was():
        result = bench.run(environment={"ARGOCD_AUTH_TOKEN": token})
    assert result.code == 6, str(result)
    assert f"default/{bench.app.name}" in result.err, "it says what is missing"


def test_6_no_such_application_or_no_access(bench: Bench) -> None:
    result = bench.run("no-such-application")
    assert result.code == 6, str(result)
    assert "no-such-application" in result.err
    assert bench.topics() == set()


def test_7_a_broker_that_is_down(bench: Bench) -> None:
    with bench.as_it_was():
        result = bench.run(environment={"KAFKA_BOOTSTRAP_SERVERS": UNUSED})
    assert result.code == 7, str(result)
    assert UNUSED in result.err


def test_8_an_argo_cd_that_is_down(bench: Bench) -> None:
    result = bench.run(environment={"ARGOCD_SERVER": UNUSED})
    assert result.code == 8, str(result)
    assert UNUSED in result.err
    assert bench.topics() == set()


def test_8_a_certificate_that_nobody_vouches_for_and_how_to_fix_it(bench: Bench) -> None:
    if not bench.stack.ca:
        pytest.skip("this stack's certificate needs no CA file")
    with bench.as_it_was():
        result = bench.run(config=bench.config(argocd={}))
    assert result.code == 8, str(result)
    assert "argocd: {ca: FILE}" in result.err, str(result)


def test_insecure_goes_without_a_ca(bench: Bench) -> None:
    bench.scripts(test="true")
    with bench.as_it_was():
        result = bench.run(config=bench.config(argocd={"insecure": True}))
    assert result.code == 0, str(result)


@dataclasses.dataclass(frozen=True)
class Wrong:
    changes: dict[str, object]
    told: tuple[str, ...]


USAGE = {
    "a typo names the nearest key": Wrong({"timeout": {"run": "1m"}}, ("'timeout'", "'timeouts'?")),
    "a prefix that no topic can have": Wrong(
        {"topics": [{"prefix": "weather updates", "parameter": "kafka.topic"}]}, ("weather updates",)
    ),
    "a replication factor that the broker cannot give": Wrong(
        {"topics": [{"prefix": "t", "parameter": "kafka.topic", "replication_factor": 3}]}, ("replication",)
    ),
    "a topic setting that Kafka does not know": Wrong(
        {"topics": [{"prefix": "t", "parameter": "kafka.topic", "config": {"retention": 1}}]},
        ("retention",),
    ),
    "a Kafka property that there is not": Wrong({"kafka": {"securty.protocol": "x"}}, ("securty",)),
    "a Kustomize parameter of a Helm source": Wrong(
        {"topics": [{"prefix": "t", "parameter": {"kustomize": {"configmap": "settings", "key": "topic"}}}]},
        ("Helm", "Kustomize"),
    ),
}


@pytest.mark.parametrize("wrong", USAGE.values(), ids=USAGE.keys())
def test_2_before_anything_is_touched(bench: Bench, wrong: Wrong) -> None:
    with bench.as_it_was():
        result = bench.run(config=bench.config(**wrong.changes))
    assert result.code == 2, str(result)
    for text in wrong.told:
        assert text in result.err, str(result)
    assert not result.out
    assert "==> create topic" not in result.err, "it did not come so far"


KUSTOMIZE = {
    "a Helm parameter of a Kustomize source": ("kafka.topic", "Kustomize"),
    "a ConfigMap that is not there": ({"kustomize": {"configmap": "topicz", "key": "main"}}, "topicz"),
    "a key that is not there": ({"kustomize": {"configmap": "topics", "key": "mian"}}, "mian"),
}


@pytest.mark.parametrize(("parameter", "told"), KUSTOMIZE.values(), ids=KUSTOMIZE.keys())
def test_2_what_a_kustomize_source_cannot_take(kustomized: Bench, parameter: object, told: str) -> None:
    topics = [{"prefix": kustomized.prefix, "parameter": parameter}]
    with kustomized.as_it_was():
        result = kustomized.run(config=kustomized.config(topics=topics))
    assert result.code == 2, str(result)
    assert told in result.err


def test_2_a_plain_yaml_source(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = {"plain/0.yaml": chart(configmap("settings", topic="x"))["chart/templates/0.yaml"]}
    folder = tmp_path_factory.mktemp("plain")
    with support.bench(stack, folder, files, "plain", name="codes-p", deploy=False) as plain:
        with plain.as_it_was():
            result = plain.run()
        assert result.code == 2, str(result)
        assert "directory" in result.err.lower()


def test_2_an_application_with_several_sources(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sources")
    with support.bench(
        stack, folder, chart(configmap("settings", topic=support.TOPIC)), name="codes-s"
    ) as bench:
        source = bench.app.spec["source"]
        bench.app.patch(
            {"op": "remove", "path": "/spec/source"},
            {"op": "add", "path": "/spec/sources", "value": [source]},
        )
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 2, str(result)
        assert "spec.sources" in result.err


def test_4_time_ran_out(bench: Bench) -> None:
    bench.scripts(test="echo begun; sleep 300")
    with bench.as_it_was():
        result = bench.run("--timeout", "5s")
    assert result.code == 4, str(result)
    assert "time ran out after 5 s" in result.err


def test_5_another_operation_has_the_application_and_keeps_it(bench: Bench) -> None:
    with support.other_operation(bench, 8) as before:
        result = bench.run(config=bench.config(timeouts={"busy": "3s"}))
        assert bench.app.running, "nobody else's operation is ended"
        assert bench.topics() == set()
        assert bench.app.spec == before.spec
    support.nothing_left(bench, before)
    assert result.code == 5, str(result)
    assert f"{bench.app.name} was not free within 3 s" in result.err, str(result)
