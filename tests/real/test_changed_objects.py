"""Every object that a run's operation changed goes back, one by one, and is looked at; or it is named."""

from __future__ import annotations

import base64
import json
import signal
from typing import Any

import pytest

from tests.real import support
from tests.real.cluster import Json, Stack, eventually
from tests.real.support import TOPIC, Bench

SHORT = "{{ .Values.kafka.topic | lower | replace `_` `-` | trunc 40 }}"
SHARED = {"helm": {"parameters": [{"name": "kafka.topic", "value": "shared_feed"}]}}


def annotated(manifest: Json, **annotations: str) -> Json:
    known = manifest["metadata"].get("annotations") or {}
    names = {"hook": "argocd.argoproj.io/hook", "options": "argocd.argoproj.io/sync-options"}
    more = {names.get(k, k): v for k, v in annotations.items()}
    return manifest | {"metadata": manifest["metadata"] | {"annotations": known | more}}


def checks() -> Json:
    return support.job("checks", "echo $TOPIC", "PostSync", TOPIC=TOPIC)


def live_names(bench: Bench, *kinds: str) -> list[str]:
    """Objects in the Application's namespace that hold a topic of the bench, in either spelling."""
    found = []
    for kind in kinds:
        for o in bench.stack.objects(kind, bench.app.namespace):
            metadata = {k: v for k, v in o["metadata"].items() if k != "managedFields"}
            annotations = dict(metadata.get("annotations") or {})
            annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
            text = json.dumps([metadata | {"annotations": annotations}, o.get("spec"), o.get("data")])
            if bench.prefix in text or bench.prefix.replace("_", "-") in text:
                found.append(o["metadata"]["name"])
    return found


def value_in_pod(bench: Bench, app: str, name: str = "TOPIC") -> list[str]:
    """An environment variable of a workload's pods that are not about to go."""
    pods = bench.stack.objects("pods", bench.app.namespace, f"app={app}")
    there = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
    return [e["value"] for p in there for e in p["spec"]["containers"][0]["env"] if e["name"] == name]


WORKLOADS = ("configmaps", "deployments")


def test_an_application_that_stays_out_of_sync_is_taken_off_the_topic_too(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = support.chart(support.deployment("writer", TOPIC=TOPIC), checks())
    files["chart/templates/legacy.yaml"] = json.dumps(support.configmap("legacy", k="v"))
    folder = tmp_path_factory.mktemp("unsynced")
    with support.bench(stack, folder, files, name="unsynced", source=SHARED) as bench:
        bench.repo.commit({"chart/templates/legacy.yaml": None})
        eventually(
            lambda: bench.app.get("hard")["status"]["sync"]["status"] == "OutOfSync",
            30,
            "an extra object",
            0.5,
        )
        with bench.as_it_was() as before:
            result = bench.run()
        assert (result.code, before.sync) == (0, "OutOfSync"), str(result)
        assert "workloads settled" in result.err
        assert live_names(bench, *WORKLOADS) == []
        assert set(value_in_pod(bench, "writer")) == {"shared_feed"}
        names = [c["metadata"]["name"] for c in stack.objects("configmaps", bench.app.namespace)]
        assert "legacy" in names, "what was extra before is not the run's to prune"


def test_an_application_that_was_never_synced_is_taken_off_the_topic_too(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = support.chart(support.deployment("writer", TOPIC=TOPIC), checks())
    folder = tmp_path_factory.mktemp("never")
    with support.bench(stack, folder, files, name="never", deploy=False, source=SHARED) as bench:
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        assert live_names(bench, *WORKLOADS) == []
        assert set(value_in_pod(bench, "writer")) == {"shared_feed"}


@pytest.mark.parametrize("automated", [None, {"prune": True}, {}], ids=["by-hand", "auto-prune", "auto"])
def test_objects_whose_names_hold_the_topic_are_pruned_and_nothing_else(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, automated: Json | None
) -> None:
    files = support.chart(support.deployment(f"reader-{SHORT}", TOPIC=TOPIC), checks())
    policy: dict[str, Any] = {} if automated is None else {"syncPolicy": {"automated": automated}}
    folder = tmp_path_factory.mktemp("named")
    with support.bench(stack, folder, files, name="named", deploy=False, source=SHARED, **policy) as bench:
        if automated is None:
            bench.app.deploy()
        bench.app.wait_synced()
        bench.app.wait_idle()
        with bench.as_it_was(), bench.start() as run:
            code = run.end()
        assert code == 0, str(run)
        assert [d["metadata"]["name"] for d in stack.objects("deployments", bench.app.namespace)] == [
            "reader-shared-feed"
        ]
        bench.app.get("hard")
        bench.app.wait_idle()
        (job,) = stack.objects("jobs", bench.app.namespace)
        (topic,) = [e["topic"] for e in run.all("topic_created")]
        assert topic in json.dumps(job["spec"]), "the tests ran once, on the run's topic"


@pytest.mark.parametrize("option", ["Prune=false", "Prune=confirm"])
def test_an_object_that_argo_cd_does_not_prune_is_named_with_its_command(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, option: str
) -> None:
    kept = json.dumps(annotated(support.configmap(f"kept-{SHORT}", topic=TOPIC), options=option))
    files = support.chart(checks())
    files["chart/templates/kept.yaml"] = (
        f"{{{{ if ne .Values.kafka.topic `shared_feed` }}}}\n{kept}\n{{{{ end }}}}\n"
    )
    folder = tmp_path_factory.mktemp("kept")
    with support.bench(stack, folder, files, name="kept", source=SHARED) as bench:
        with bench.start() as run:
            code = run.end()
        assert code == 10, str(run)
        (left,) = run.all("left_behind")
        (name,) = live_names(bench, "configmaps")
        assert left["what"] == f"ConfigMap {name}"
        bench.by_hand(left["command"])
        assert live_names(bench, "configmaps") == []
        assert bench.topics() == set()


def test_somebodys_object_under_a_name_that_is_rendered_only_with_a_topic_is_as_it_was(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Argo CD shows it as the Application's only once the run's values are in."""
    kafka = json.dumps(support.configmap("kafka", topic=TOPIC))
    files = support.chart(support.configmap("settings", topic=TOPIC), checks())
    files["chart/templates/kafka.yaml"] = f"{{{{ if .Values.kafka.topic }}}}\n{kafka}\n{{{{ end }}}}\n"
    with support.bench(stack, tmp_path_factory.mktemp("theirs"), files, name="theirs") as bench:
        data = ("--from-literal=topic=theirs", "--from-literal=more=precious")
        stack.kubectl("create", "configmap", "kafka", *data, "--namespace", bench.app.namespace)
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        maps = stack.objects("configmaps", bench.app.namespace)
        (there,) = [m["data"] for m in maps if m["metadata"]["name"] == "kafka"]
        assert there == {"topic": "theirs", "more": "precious"}


def test_a_workload_that_is_a_hook_is_put_back_whatever_the_api_server_has_filled_in(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mock = annotated(support.deployment("mock", TOPIC=TOPIC), hook="PreSync")
    folder = tmp_path_factory.mktemp("mock")
    with support.bench(stack, folder, support.chart(mock, checks()), name="mock", source=SHARED) as bench:
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        assert live_names(bench, *WORKLOADS) == []
        assert set(value_in_pod(bench, "mock")) == {"shared_feed"}


def test_a_sync_that_would_wait_for_a_persons_confirmation_is_refused(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = annotated(support.configmap(f"kept-{SHORT}", topic=TOPIC), options="Prune=confirm")
    folder = tmp_path_factory.mktemp("confirmed")
    with support.bench(
        stack, folder, support.chart(kept, checks()), name="confirmed", source=SHARED
    ) as bench:
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 2, str(result)
        assert "ConfigMap kept-shared-feed" in result.err
        assert "Prune=confirm" in result.err


def data_hook() -> dict[str, str]:
    policy = "argocd.argoproj.io/hook-delete-policy"
    settings = annotated(
        support.configmap("settings", topic=TOPIC), hook="PreSync", **{policy: "BeforeHookCreation"}
    )
    rolled = support.deployment("writer", TOPIC=support.key_of("settings", "topic"))  # type: ignore[arg-type]
    template = rolled["spec"]["template"]["metadata"]
    template["annotations"] = {"settings": "{{ .Values.kafka.topic | sha256sum }}"}
    return support.chart(settings, rolled, checks())


def test_a_hook_that_holds_data_is_put_back_before_the_workloads_settle(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hooked")
    with support.bench(stack, folder, data_hook(), name="hooked", deploy=False, source=SHARED) as bench:
        bench.app.sync(retryStrategy={"limit": 0})
        assert bench.app.wait_operation()["phase"] == "Succeeded"
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        (settings,) = [
            c for c in stack.objects("configmaps", bench.app.namespace) if c["metadata"]["name"] == "settings"
        ]
        assert settings["data"] == {"topic": "shared_feed"}
        assert "is a hook" not in result.err


def test_a_hook_that_holds_data_and_may_not_be_patched_is_told_before_the_sync_and_named_at_the_end(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    password = support.from_environment("REALSTACK_ADMIN_PASSWORD")
    rights = ("applications, get", "applications, update", "applications, sync", "logs, get")
    folder = tmp_path_factory.mktemp("hooked-bare")
    with support.project(stack, *rights) as project:
        token = support.role_token(stack, project, password)
        with support.bench(
            stack, folder, data_hook(), name="bare", deploy=False, source=SHARED, project=project
        ) as bench:
            bench.app.sync(retryStrategy={"limit": 0})
            assert bench.app.wait_operation()["phase"] == "Succeeded"
            with bench.start(environment={"ARGOCD_AUTH_TOKEN": token}) as run:
                code = run.end()
            assert code == 10, str(run)
            events = [e["event"] for e in run.events]
            told = next(
                i for i, e in enumerate(run.events) if "ConfigMap settings is a hook" in e.get("text", "")
            )
            assert told < events.index("sync_started")
            (left,) = run.all("left_behind")
            assert left["what"] == "ConfigMap settings"
            assert not run.all("undone", what="workloads settled on what they had before")
            bench.by_hand(left["command"])
            assert live_names(bench, "configmaps") == []


def test_a_canceled_run_leaves_no_object_on_the_topic(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    slow = support.job("checks", "echo begun; sleep 300", "PostSync", TOPIC=TOPIC)
    files = support.chart(
        support.deployment("writer", TOPIC=TOPIC), support.configmap(f"extra-{SHORT}", topic=TOPIC), slow
    )
    folder = tmp_path_factory.mktemp("canceled")
    with support.bench(stack, folder, files, name="canceled", source=SHARED) as bench:
        with bench.as_it_was(), bench.start() as run:
            run.until("log_line", text="begun")
            run.send(signal.SIGINT)
            code = run.end()
        assert code == 130, str(run)
        assert live_names(bench, *WORKLOADS) == [], str(run)


def test_what_a_killed_run_changed_is_taken_back_by_the_next_one_and_not_taken_for_what_was_there(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    test = support.job("checks", f"echo $TOPIC; until [ -e {folder}/go ]; do sleep 0.1; done", "PostSync")
    hook = annotated(support.configmap("for-tests", topic=TOPIC), hook="PreSync")
    files = support.chart(support.deployment(f"reader-{SHORT}", TOPIC=TOPIC), hook, test)
    with support.bench(stack, folder, files, name="killed", source=SHARED) as bench:
        bench.app.sync()
        (folder / "go").touch()
        bench.app.wait_operation()
        (folder / "go").unlink()
        before = bench.before()
        with bench.start() as run:
            run.until("log_line")
            run.send(signal.SIGKILL)
            run.end()
        bench.expire()
        (folder / "go").touch()
        with bench.start() as run:
            code = run.end()
        assert code == 0, str(run)
        (told,) = [e["text"] for e in run.all("notice", level="info") if "parameters put back" in e["text"]]
        assert "workloads settled on what they had before" in told
        bench.tidy()  # the killed run's topic is a matter for the sweep
        support.nothing_left(bench, before)
        assert live_names(bench, "deployments", "configmaps") == []
        assert [d["metadata"]["name"] for d in stack.objects("deployments", bench.app.namespace)] == [
            "reader-shared-feed"
        ]
        settings = {c["metadata"]["name"]: c for c in stack.objects("configmaps", bench.app.namespace)}
        assert settings["for-tests"]["data"] == {"topic": "shared_feed"}


def test_a_secret_in_which_argo_cd_compares_not_all_is_taken_off_the_topic_too(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Argo CD calls it Synced whatever its data is, and no partial sync would be asked for."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "settings"},
        "stringData": {"topic": TOPIC},
    }
    rule = {"kind": "Secret", "jsonPointers": ["/data"]}
    folder = tmp_path_factory.mktemp("ignored")
    with support.bench(
        stack,
        folder,
        support.chart(secret, checks()),
        name="ignored",
        source=SHARED,
        ignoreDifferences=[rule],
    ) as bench:
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        (settings,) = [
            s for s in stack.objects("secrets", bench.app.namespace) if s["metadata"]["name"] == "settings"
        ]
        assert base64.b64decode(settings["data"]["topic"]).decode() == "shared_feed"
        assert "workloads settled" in result.err


def test_no_pod_lives_on_without_the_workload_that_was_pruned(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = support.chart(support.deployment(f"reader-{SHORT}", TOPIC=TOPIC), checks())
    options = {"syncOptions": ["PrunePropagationPolicy=orphan"]}
    folder = tmp_path_factory.mktemp("orphan")
    with support.bench(stack, folder, files, name="orphan", source=SHARED, syncPolicy=options) as bench:
        with bench.as_it_was():
            result = bench.run()
        assert result.code == 0, str(result)
        assert live_names(bench, "deployments", "replicasets") == []
        readers = [p for p in stack.objects("pods", bench.app.namespace) if "app" in p["metadata"]["labels"]]
        assert {p["metadata"]["labels"]["app"] for p in readers} == {"reader-shared-feed"}
        assert [d["metadata"]["name"] for d in stack.objects("deployments", bench.app.namespace)] == [
            "reader-shared-feed"
        ]


def test_a_hook_that_holds_data_under_a_generated_name_is_told_and_named_with_its_command(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hook = annotated(support.configmap("settings", topic=TOPIC), hook="PreSync")
    hook["metadata"]["generateName"] = hook["metadata"].pop("name") + "-"
    folder = tmp_path_factory.mktemp("generated")
    with support.bench(stack, folder, support.chart(hook, checks()), name="generated") as bench:
        result = bench.run()
        assert result.code == 10, str(result)
        assert "ConfigMap settings- is a hook: a sync without hooks does not restore it" in result.err
        (name,) = live_names(bench, "configmaps")
        command = f"kubectl delete configmap {name} --namespace {bench.app.namespace} --ignore-not-found"
        assert command in result.err
        stack.kubectl(*command.split()[1:])
        assert live_names(bench, "configmaps") == []
