"""What the tests of whole runs share: small fast charts, `argorun` as a process, the look at what is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ARGORUN
from tests.real import cluster
from tests.real.cluster import Application, GitRepo, Json, Stack

RECORD = "argorun.dev/run"
TOPIC = "{{ .Values.kafka.topic }}"
OTHER = "{{ .Values.other.topic }}"

# -- manifests: JSON is YAML, and a template's braces may stand in its strings -----------------------


def job(name: str, script: str, hook: str | None, *, image: str = "busybox", **environment: str) -> Json:
    """A hook Job that runs a shell script, on the topic; without `hook`, a Job like any other resource."""
    environment = ({"TOPIC": TOPIC} if hook else {}) | environment
    annotations = {"argocd.argoproj.io/hook": hook} if hook else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"backoffLimit": 0, "template": {"spec": pod(script, image, environment, "Never")}},
    }


def deployment(name: str, script: str = "sleep infinity", **environment: str | Json) -> Json:
    """A Deployment of one pod that leaves at once when it is told to."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": pod(script, "busybox", environment, "Always"),
            },
        },
    }


def pod(script: str, image: str, environment: Mapping[str, str | Json], restart: str) -> Json:
    env = [
        {"name": k, "value": v} if isinstance(v, str) else {"name": k, "valueFrom": v}
        for k, v in environment.items()
    ]
    container = {"name": "main", "image": image, "command": ["sh", "-c", script], "env": env}
    return {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container]}


def configmap(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def key_of(configmap: str, key: str) -> Json:
    """A container's environment from a ConfigMap's key."""
    return {"configMapKeyRef": {"name": configmap, "key": key}}


def chart(*manifests: Json) -> dict[str, str]:
    """A Helm chart with `kafka.topic`, `other.topic` and `tag`, in the folder "chart"."""
    values = {"kafka": {"topic": ""}, "other": {"topic": ""}, "tag": "old"}
    return {
        "chart/Chart.yaml": "{apiVersion: v2, name: chart, version: 1.0.0}",
        "chart/values.yaml": json.dumps(values),
        **{f"chart/templates/{i}.yaml": json.dumps(m) for i, m in enumerate(manifests)},
    }


def scripted() -> dict[str, str]:
    """A chart whose Jobs run the scripts in its values `pre` (PreSync) and `test` (PostSync), where set.

    So one Application serves many tests: `Bench.scripts` changes the values. With `workload` there is a
    Deployment as well.
    """
    files = chart(configmap("settings", topic=TOPIC, other=OTHER, tag="{{ .Values.tag }}"))
    jobs = {
        "pre": job("prepare", "SCRIPT", "PreSync", TOPIC=TOPIC, OTHER=OTHER),
        "test": job("checks", "SCRIPT", "PostSync", TOPIC=TOPIC, OTHER=OTHER, TAG="{{ .Values.tag }}"),
    }
    for value, manifest in jobs.items():
        body = json.dumps(manifest).replace('"SCRIPT"', f"{{{{ .Values.{value} | toJson }}}}")
        files[f"chart/templates/{value}.yaml"] = f"{{{{ if .Values.{value} }}}}\n{body}\n{{{{ end }}}}\n"
    body = json.dumps(deployment("workload", TOPIC=TOPIC))
    files["chart/templates/workload.yaml"] = f"{{{{ if .Values.workload }}}}\n{body}\n{{{{ end }}}}\n"
    return files


def kustomization(*manifests: Json) -> dict[str, str]:
    """The same for Kustomize, in the folder "base"."""
    named = {f"{i}.yaml": json.dumps(m) for i, m in enumerate(manifests)}
    return {
        "base/kustomization.yaml": json.dumps({"resources": list(named)}),
        **{f"base/{name}": text for name, text in named.items()},
    }


# -- argorun as a process ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended, and all that it wrote."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out[-6000:]}\n--- stderr\n{self.err[-6000:]}"


class Running:
    """argorun under way with `--output json`: its events as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[Json] = []
        self._err: list[str] = []
        self._news = threading.Condition()
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self.events.append({"event": "(stdout closed)"})
            self._news.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._err.extend(self.process.stderr)

    def until(self, event: str, timeout: float = 90, **fields: Any) -> Json:
        """The first event of this kind with these fields; AssertionError when the run ends without it."""
        seen = 0
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for e in self.events[seen:]:
                    if matches(e, event, fields):
                        return e
                    assert e["event"] != "(stdout closed)", f"the run ended without {event} {fields}\n{self}"
                seen = len(self.events)
                left = deadline - time.monotonic()
                assert left > 0, f"no {event} {fields} within {timeout} s\n{self}"
                self._news.wait(left)

    def all(self, event: str, **fields: Any) -> list[Json]:
        return [e for e in self.events if matches(e, event, fields)]

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def end(self, timeout: float = 120) -> int:
        """Wait for the process; its exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(10)
        return code

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        """A test that failed half-way leaves no process: it is told to stop, and cleans up."""
        if self.process.poll() is None:
            self.send(signal.SIGTERM)
        self.end()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def __str__(self) -> str:
        return "\n".join([*(json.dumps(e)[:400] for e in self.events[-60:]), *self._err])


def matches(e: Json, event: str, fields: Mapping[str, Any]) -> bool:
    return e["event"] == event and all(e.get(k) == v for k, v in fields.items())


def events_of(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


# -- an Application to run, and what must be as it was -------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Before:
    """How an Application was before a run."""

    spec: Json
    annotations: dict[str, str]
    sync: str


class Bench:
    """An Application with its repository, a folder for argorun, and a topic prefix that nobody else has."""

    def __init__(self, stack: Stack, app: Application, repo: GitRepo, folder: Path) -> None:
        self.stack, self.app, self.repo, self.folder = stack, app, repo, folder
        self.prefix = f"t{secrets.token_hex(4)}_updates"
        self.always: Json = {}  # values of the chart that `scripts` leaves as they are

    # -- the Application --

    def scripts(self, **values: Any) -> None:
        """Give `scripted()`'s chart these values, and wait until the Application is Synced with them."""
        helm = self.app.spec["source"].get("helm") or {}
        new = {**helm, "valuesObject": {**self.always, **values}}
        self.app.patch({"op": "add", "path": "/spec/source/helm", "value": new})
        if self.app.get("normal")["status"]["sync"]["status"] != "Synced":
            self.app.deploy()
        self.forget_hooks()

    def forget_hooks(self) -> None:
        """Delete `scripted()`'s ended Jobs: Argo CD may take the end of an earlier one for the next one's.

        That has tests of its own (test_others_ends.py).
        """
        self.stack.kubectl("delete", "jobs", "--all", "-n", self.app.namespace, "--timeout=60s")
        cluster.eventually(lambda: not self._job_nodes(), 30, "Argo CD has seen the Jobs go")

    def _job_nodes(self) -> list[str]:
        tree = self.stack.api("GET", f"applications/{self.app.name}/resource-tree")
        return [n["name"] for n in tree.get("nodes") or () if n["kind"] == "Job"]

    def before(self) -> Before:
        return Before(self.app.spec, own_annotations(self.app), self.app.state[0])

    def topics(self) -> set[str]:
        return self.stack.topics(self.prefix[:9])

    def tidy(self) -> None:
        """Delete the topics that a test left on purpose."""
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.stack.kafka, "allow.auto.create.topics": False})
        for deleted in admin.delete_topics(sorted(self.topics())).values():
            assert deleted.exception(30) is None
        cluster.eventually(lambda: not self.topics(), 30, "the topics are gone")

    def expire(self) -> None:
        """Let a killed run's time have passed: its record says until when it is believed to be alive."""
        record = json.loads(self.app.annotations[RECORD]) | {"until": 1}
        pointer = "/metadata/annotations/" + RECORD.replace("/", "~1")
        self.app.patch({"op": "replace", "path": pointer, "value": json.dumps(record)})

    def by_hand(self, command: str) -> None:
        """Do what argorun says is to be done, as a person would, with Argo CD's and Kafka's tools."""
        done = subprocess.run(
            ["sh", "-c", command], env=self.tools(), capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def tools(self) -> dict[str, str]:
        """argorun's environment, and the argocd CLI and kafka-topics on PATH."""
        home = from_environment("REALSTACK_HOME")
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        main = 'java -cp "$REALSTACK_HOME/kafka/libs/*" org.apache.kafka.tools.TopicCommand "$@"'
        (tools / "kafka-topics").write_text(f"#!/bin/sh\nexec {main}\n", encoding="utf-8")
        (tools / "kafka-topics").chmod(0o755)
        return self.environment() | {
            "PATH": f"{tools}:{home}/bin:{os.environ['PATH']}",
            "KUBECONFIG": str(self.stack.kubeconfig),
            "ARGOCD_OPTS": f"--server-crt {self.stack.ca}" if self.stack.ca else "",
        }

    # -- argorun --

    def config(self, **changes: Any) -> Path:
        """An argorun.yaml for this Application; a change of None leaves the key out."""
        argocd = {"ca": str(self.stack.ca)} if self.stack.ca else {}
        content = {
            "application": self.app.name,
            "argocd": argocd,
            "topics": [{"prefix": self.prefix, "parameter": "kafka.topic"}],
            "timeouts": {"run": "3m", "busy": "60s", "cleanup": "60s"},
            **changes,
        }
        path = self.folder / f"{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}), encoding="utf-8")
        return path

    def run(
        self,
        *arguments: str | Path,
        config: Path | None = None,
        environment: Mapping[str, str | None] | None = None,
        timeout: float = 240,
    ) -> Result:
        """argorun to its end; none of its secrets may stand in what it wrote."""
        return self._ended(self._popen("run", arguments, config, environment), environment, timeout)

    def sweep(
        self,
        *arguments: str | Path,
        config: Path | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> Result:
        """`argorun sweep` of this bench's prefix, to its end."""
        return self._ended(self._popen("sweep", arguments, config, environment), environment, 120)

    def start_sweep(self) -> Running:
        """`argorun sweep` under way, with its events."""
        return Running(self._popen("sweep", ("--output", "json"), None, None))

    def _ended(
        self,
        process: subprocess.Popen[str],
        environment: Mapping[str, str | None] | None,
        timeout: float,
    ) -> Result:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        result = Result(process.returncode, out, err)
        for secret in self.secrets(environment):
            assert secret not in out + err, "a secret was shown"
        return result

    def start(
        self,
        *arguments: str | Path,
        config: Path | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> Running:
        """argorun under way, with its events."""
        return Running(self._popen("run", ("--output", "json", *arguments), config, environment))

    def _popen(
        self,
        verb: str,
        arguments: tuple[str | Path, ...],
        config: Path | None,
        environment: Mapping[str, str | None] | None,
    ) -> subprocess.Popen[str]:
        command = [*ARGORUN, verb, "-f", str(config or self.config()), *map(str, arguments)]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        return cluster.argorun_environment(self.stack, self.folder, changes or {})

    def secrets(self, environment: Mapping[str, str | None] | None) -> set[str]:
        given = {v for k, v in (environment or {}).items() if v and ("PASSWORD" in k or "TOKEN" in k)}
        return given | {self.stack.token}

    # -- after it --

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[Before]:
        """Whatever happens within, afterwards nothing is left of it."""
        before = self.before()
        yield before
        nothing_left(self, before)


def own_annotations(app: Application) -> dict[str, str]:
    """An Application's annotations but for Argo CD's own: every refresh leaves some."""
    return {k: v for k, v in app.annotations.items() if not k.startswith("argocd.argoproj.io/")}


def nothing_left(bench: Bench, before: Before) -> None:
    """No topic, no operation, no record; the Application's spec as it was, and Synced if it was Synced."""
    assert bench.topics() == set(), "topics are left on the broker"
    app = bench.app.get()
    phase = app["status"].get("operationState", {}).get("phase")
    assert "operation" not in app, "an operation runs"
    assert phase not in ("Running", "Terminating"), "an operation runs"
    assert app["spec"] == before.spec, f"the spec\nis  {app['spec']}\nwas {before.spec}"
    assert RECORD not in bench.app.annotations
    assert own_annotations(bench.app) == before.annotations
    if before.sync == "Synced":
        # Compared anew: what the cluster has now; Argo CD's view of it lags behind the end of an operation.
        cluster.eventually(
            lambda: bench.app.get("normal")["status"]["sync"]["status"] == "Synced", 20, "Synced again", 0.5
        )


@contextlib.contextmanager
def bench(
    stack: Stack,
    folder: Path,
    files: Mapping[str, str],
    path: str = "chart",
    *,
    name: str = "run",
    deploy: bool = True,
    always: Json | None = None,
    source: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Iterator[Bench]:
    """A new Application from these files, deployed once without its hooks; gone afterwards."""
    repo = cluster.make_repo(stack, folder, files)
    app = Application(
        stack, cluster.unique(name), {"repoURL": repo.url, "path": path, **(source or {})}, **spec
    )
    try:
        app.wait_compared()
        if deploy:
            app.deploy()
        made = Bench(stack, app, repo, folder)
        if always:
            made.always = always
            made.scripts()
        yield made
    finally:
        app.delete()


@contextlib.contextmanager
def other_operation(bench: Bench, seconds: int) -> Iterator[Before]:
    """Somebody else's sync, whose PreSync hook sleeps; it must not be ended by anybody but itself."""
    bench.scripts(pre=f"sleep {seconds}", test="true")
    before = bench.before()
    bench.app.sync(infos=[{"name": "who", "value": "somebody else"}])
    yield before
    # Each refresh makes Argo CD look at its hooks at once, instead of every five seconds.
    cluster.eventually(
        lambda: "operation" not in bench.app.get("normal"), 60, "the other operation's end", 0.5
    )
    state = bench.app.wait_operation()
    assert state["operation"]["info"] == [{"name": "who", "value": "somebody else"}], state["operation"]
    assert state["phase"] == "Succeeded", state.get("message")


@contextlib.contextmanager
def project(stack: Stack, *rights: str, **spec: Any) -> Iterator[str]:
    """A project that may deploy anywhere; its role "run" has these rights ("logs, get") on its own things."""
    name = cluster.unique("project")
    whole = {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        "roles": [{"name": "run", "policies": [f"p, proj:{name}:run, {r}, {name}/*, allow" for r in rights]}],
    }
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": cluster.ARGOCD_NAMESPACE},
        "spec": whole | spec,
    }
    stack.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    try:
        yield name
    finally:
        stack.kubectl("delete", "appproject", name, "-n", cluster.ARGOCD_NAMESPACE, "--wait=false")


def change_project(stack: Stack, name: str, **spec: Any) -> None:
    """Put this into a project's spec beside what it has."""
    where = ("appproject", name, "-n", cluster.ARGOCD_NAMESPACE)
    stack.kubectl("patch", *where, "--type", "merge", "--patch", json.dumps({"spec": spec}))


def role_token(stack: Stack, project: str, admin_password: str) -> str:
    """A token of the project's role "run"."""
    login = {"username": "admin", "password": admin_password}
    session = stack.api("POST", "session", login)["token"]
    answer = stack.http.post(
        f"projects/{project}/roles/run/token",
        json={"project": project, "role": "run"},
        headers={"Authorization": f"Bearer {session}", "Content-Type": "application/json"},
    )
    assert answer.is_success, answer.text
    return str(answer.json()["token"])


def from_environment(name: str) -> str:
    """A setting that not every stack has; without it the test is skipped, and says why."""
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"this stack sets no {name}")
    return value


def messages(stack: Stack, topic: str) -> int:
    """How many messages a topic of one partition holds."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": stack.kafka, "group.id": "nobody", "allow.auto.create.topics": False}
    )
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=15)
    finally:
        consumer.close()
    return int(high - low)
