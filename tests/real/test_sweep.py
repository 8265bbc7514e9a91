"""`argorun sweep` after a kill -9 in any step: nothing of the dead run is left, nobody else is touched."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack, eventually
from tests.real.support import TOPIC, Bench, Running, scripted

SLEEPS = {"pre": "sleep 1", "test": "echo begun; sleep 300"}
LONG_AGO = 1700000000  # unix seconds


@pytest.fixture(scope="module")
def bench(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("sweep")
    with support.bench(stack, folder, scripted(), name="sweep", always={"workload": True}) as made:
        yield made


def killed(run: Running, **moment: Any) -> Running:
    """kill -9, as soon as this has happened."""
    run.until(**moment)
    run.send(signal.SIGKILL)
    assert run.end() == -signal.SIGKILL
    return run


def make_topic(bench: Bench, *names: str) -> None:
    """Make topics, as anybody may."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bench.stack.kafka, "allow.auto.create.topics": False})
    for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result(30)
    eventually(lambda: set(names) <= bench.stack.topics(), 30, "the topics are there")


def delete_topics(bench: Bench, *names: str) -> None:
    """Delete topics that argorun leaves alone."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bench.stack.kafka, "allow.auto.create.topics": False})
    for deleted in admin.delete_topics(list(names)).values():
        deleted.result(30)


MOMENTS: dict[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "topic": ({"event": "topic_created"}, SLEEPS),
    "parameter": ({"event": "parameter_set"}, SLEEPS),
    "sync": ({"event": "sync_started"}, SLEEPS),
    "presync-hook": ({"event": "hook_changed", "hook": "PreSync"}, SLEEPS),
    "test": ({"event": "log_line", "text": "begun"}, SLEEPS),
    "clean-up": ({"event": "step_started", "step": "cleanup"}, {"test": "true"}),
    "settling": ({"event": "undone", "what": "parameters put back"}, {"test": "true"}),
}


@pytest.mark.parametrize(("moment", "scripts"), MOMENTS.values(), ids=MOMENTS.keys())
def test_a_killed_run_leaves_nothing_after_the_sweep(
    bench: Bench, moment: Mapping[str, Any], scripts: Mapping[str, str]
) -> None:
    bench.scripts(**scripts)
    before = bench.before()
    with bench.start() as run:
        killed(run, **moment)
    left = bench.topics()
    assert len(left) == 1
    result = bench.sweep("--older-than", "0s")
    assert (result.code, result.out.split()) == (0, sorted(left)), str(result)
    support.nothing_left(bench, before)
    again = bench.sweep("--older-than", "0s")
    assert (again.code, again.out) == (0, ""), str(again)
    assert "nothing to do" in again.err


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(bench: Bench) -> None:
    bench.scripts(**SLEEPS)
    before = bench.before()
    with bench.start() as run:
        killed(run, event="log_line", text="begun")
    during, topics = bench.before(), bench.topics()
    result = bench.sweep("--older-than", "0s", "--dry-run")
    assert (result.code, set(result.out.split())) == (0, topics), str(result)
    assert f"{bench.app.name}: would end its operation, put back what run" in result.err, str(result)
    assert (bench.before(), bench.topics(), bench.app.running) == (during, topics, True)
    bench.sweep("--older-than", "0s")
    support.nothing_left(bench, before)


def test_a_younger_run_beside_what_is_swept_goes_on(bench: Bench) -> None:
    go = bench.folder / "younger"
    bench.scripts(test=f"echo begun; until [ -e {go} ]; do sleep 0.1; done")
    old = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d"
    with bench.as_it_was(), bench.start() as run:
        run.until("log_line", text="begun")
        during, (younger,) = bench.before(), bench.topics()
        make_topic(bench, old)
        result = bench.sweep("--older-than", "1h")
        assert (result.code, result.out.split()) == (0, [old]), str(result)
        assert (bench.before(), bench.topics(), bench.app.running) == (during, {younger}, True)
        go.touch()
        assert run.end() == 0, str(run)


def test_topics_that_only_look_like_ours_stay(bench: Bench) -> None:
    ours = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d"
    theirs = {
        f"{bench.prefix}_{LONG_AGO}_0a1b2c3",
        f"{bench.prefix}_{LONG_AGO}_0A1B2C3D",
        f"{bench.prefix}_{LONG_AGO}_0a1b2c3dx",
        f"{bench.prefix}_{LONG_AGO}0_0a1b2c3d",
        f"{bench.prefix}_other_{LONG_AGO}_0a1b2c3d",
        f"{bench.prefix}-{LONG_AGO}-0a1b2c3d",
        bench.prefix,
    }
    make_topic(bench, ours, *theirs)
    try:
        result = bench.sweep("--older-than", "0s")
        assert (result.code, result.out.split()) == (0, [ours]), str(result)
        assert bench.topics() == theirs
    finally:
        bench.tidy()


def test_what_services_derived_from_a_dead_runs_topic_goes_even_where_that_is_gone(bench: Bench) -> None:
    ours, gone = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d", f"{bench.prefix}_{LONG_AGO}_0badcafe"
    derived = {f"{ours}-retry-0", f"{ours}.DLT", f"{gone}-dlt", f"{gone}_retry"}
    others = {f"app-{ours}-changelog", f"app-{bench.prefix}_{LONG_AGO}_0badf00d-changelog"}
    make_topic(bench, ours, *derived, *others)
    try:
        dry = bench.sweep("--dry-run")
        assert (dry.code, set(dry.out.split())) == (0, {ours, *derived}), str(dry)
        result = bench.sweep()
        assert (result.code, set(result.out.split())) == (0, {ours, *derived}), str(result)
        assert f"topic app-{ours}-changelog contains the name of {ours} and is left alone" in result.err
        assert "0badf00d" not in result.err, "no topic of that name was seen"
        assert {t for t in bench.stack.topics() if bench.prefix in t} == others
    finally:
        delete_topics(bench, *others)


def test_many_topics_go_several_at_once(bench: Bench) -> None:
    names = [f"{bench.prefix}_{LONG_AGO + i}_0a1b2c3d" for i in range(20)]
    make_topic(bench, *names)
    result = bench.sweep("--older-than", "0s")
    assert (result.code, sorted(result.out.split())) == (0, names), str(result)
    assert bench.topics() == set()


def test_the_name_of_a_gone_topic_that_nobody_recorded_is_told_with_the_fix(bench: Bench) -> None:
    bench.scripts(test="true")
    before = bench.before()
    gone = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d"
    kept: list[Json] = [{"name": "tag", "value": "kept"}, {"name": "kafka.topic", "value": gone}]
    bench.app.patch({"op": "add", "path": "/spec/source/helm/parameters", "value": kept})
    with_name = bench.app.spec
    result = bench.sweep()
    assert (result.code, result.out, bench.app.spec) == (0, "", with_name), str(result)
    assert f"{bench.app.name}: helm: kafka.topic names topic {gone}, which no longer exists" in result.err
    (command,) = [line.removeprefix("  | ") for line in result.err.splitlines() if "argocd app patch" in line]
    bench.by_hand(command)
    assert bench.app.spec["source"]["helm"]["parameters"] == [kept[0]]
    bench.app.patch({"op": "remove", "path": "/spec/source/helm/parameters"})
    assert bench.app.spec == before.spec


def test_auto_sync_is_as_it_was_and_starts_nothing(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = {"syncPolicy": {"automated": {"prune": True}}}
    folder = tmp_path_factory.mktemp("sweep-auto")
    files = support.chart(
        support.configmap("settings", topic=TOPIC),
        support.deployment("workload", TOPIC=TOPIC),
        support.job("checks", 'case "$TOPIC" in *_*) echo begun; sleep 300;; esac', "PostSync", TOPIC=TOPIC),
    )
    with support.bench(stack, folder, files, name="sweep-auto", deploy=False, **policy) as bench:
        bench.app.wait_synced()
        bench.app.wait_idle()
        before = bench.before()
        with bench.start() as run:
            killed(run, event="log_line", text="begun")
        history = len(bench.app.get()["status"]["history"])
        result = bench.sweep("--older-than", "0s")
        assert result.code == 0, str(result)
        support.nothing_left(bench, before)
        bench.app.get("hard")
        app = bench.app.get()
        assert "operation" not in app
        new = app["status"]["history"][history:]
        assert not any(h.get("initiatedBy", {}).get("automated") for h in new), new


def test_a_run_of_another_commit_is_settled_at_the_one_before(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sweep-rev")
    with support.bench(stack, folder, scripted(), name="sweep-rev", always={"workload": True}) as bench:
        bench.scripts(**SLEEPS)
        first = bench.app.get()["status"]["sync"]["revision"]
        label = bench.repo.commit(
            {
                "chart/templates/0.yaml": '{"apiVersion": "v1", "kind": "ConfigMap", '
                '"metadata": {"name": "settings"}, "data": {"topic": "another"}}'
            }
        )
        bench.app.patch({"op": "replace", "path": "/spec/source/targetRevision", "value": first})
        bench.app.get("normal")
        before = bench.before()
        with bench.start("--revision", label) as run:
            killed(run, event="log_line", text="begun")
        result = bench.sweep("--older-than", "0s")
        assert result.code == 0, str(result)
        assert "workloads settled" in result.err, str(result)
        support.nothing_left(bench, before)


def test_who_comes_next_ends_a_dead_runs_operation_once_its_time_has_passed(bench: Bench) -> None:
    bench.scripts(**SLEEPS)
    before = bench.before()
    with bench.start() as run:
        killed(run, event="log_line", text="begun")
    bench.expire()
    with bench.start() as run:
        run.until("log_line", text="begun")
        assert any("left its operation running; argorun ends it" in e["text"] for e in run.all("notice")), (
            str(run)
        )
        run.send(signal.SIGINT)
        assert run.end() == 130, str(run)
    bench.tidy()
    support.nothing_left(bench, before)


def test_ctrl_c_ends_the_sweep_at_once_and_what_is_left_can_be_deleted_by_hand(bench: Bench) -> None:
    names = {f"{bench.prefix}_{LONG_AGO + i}_0a1b2c3d" for i in range(40)}
    make_topic(bench, *names)
    with bench.start_sweep() as sweep:
        sweep.until("topic_swept")
        sweep.send(signal.SIGINT)
        assert sweep.end() == 130, str(sweep)
    (left,) = sweep.all("left_behind")
    told = {e["topic"] for e in sweep.all("topic_swept")}
    assert {n for n in names if n in left["command"]} == names - told
    bench.by_hand(left["command"])
    assert bench.topics() == set()


def test_without_argo_cd_the_topics_are_swept_and_the_rest_is_told(bench: Bench) -> None:
    old = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d"
    make_topic(bench, old)
    nowhere: Mapping[str, str | None] = {"ARGOCD_SERVER": None, "ARGOCD_AUTH_TOKEN": None}
    result = bench.sweep(environment=nowhere)
    assert (result.code, result.out.split()) == (0, [old]), str(result)
    assert "Applications are not checked: no Argo CD server is configured" in result.err


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"ARGOCD_AUTH_TOKEN": "wrong"}, 6, "Argo CD does not know this token"),
        ({"ARGOCD_SERVER": "localhost:9"}, 8, "cannot be reached"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "localhost:9"}, 7, "cannot be reached"),
    ],
)
def test_who_cannot_be_asked_is_told_by_the_exit_code_and_nothing_is_touched(
    bench: Bench, environment: Mapping[str, str], code: int, said: str
) -> None:
    old = f"{bench.prefix}_{LONG_AGO}_0a1b2c3d"
    make_topic(bench, old)
    try:
        result = bench.sweep(environment=environment)
        assert (result.code, result.out) == (code, ""), str(result)
        assert said in result.err, str(result)
        assert bench.topics() == {old}
    finally:
        bench.tidy()


def test_a_token_that_may_only_look_leaves_the_application_and_says_how_to_put_it_back(bench: Bench) -> None:
    readonly = support.from_environment("REALSTACK_READONLY_TOKEN")
    bench.scripts(**SLEEPS)
    before = bench.before()
    with bench.start() as run:
        killed(run, event="log_line", text="begun")
    left = bench.topics()
    result = bench.sweep("--older-than", "0s", environment={"ARGOCD_AUTH_TOKEN": readonly})
    assert (result.code, set(result.out.split())) == (6, left), str(result)
    (command,) = [line.split("run: ", 1)[1] for line in result.err.splitlines() if "argocd app patch" in line]
    bench.by_hand(command)
    support.nothing_left(bench, before)
