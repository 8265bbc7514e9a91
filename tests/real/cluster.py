"""A real Argo CD, Kubernetes and Kafka for the tests: Applications, Git repositories, the broker.

Everything about where they run comes from the environment (`Stack.from_environment`), so that the same tests
run on the real stack next door and on a kind cluster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
# The real stack's own build calls itself 99.99.99; its environment says which Argo CD it is.
BEFORE_3_2 = os.environ.get("REALSTACK_ARGOCD_VERSION", "").startswith(("v2.", "v3.0.", "v3.1."))
ARGOCD_NAMESPACE = "argocd"
IN_CLUSTER = "https://kubernetes.default.svc"
MISSED = 10.0  # seconds after which Argo CD may have missed what it was to do
REQUIRED = ("ARGOCD_SERVER", "ARGOCD_AUTH_TOKEN", "KAFKA_BOOTSTRAP_SERVERS", "REALSTACK_KUBECONFIG")


class StackMissing(Exception):
    """The environment does not say where the real stack is."""


def eventually(predicate: Callable[[], T], timeout: float = 60.0, what: str = "", every: float = 0.2) -> T:
    """The predicate's first true answer; AssertionError with its last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what or predicate!r} (last: {answer!r})")
        time.sleep(every)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stack:
    """Where Argo CD, Kubernetes and Kafka are, and how to ask them."""

    server: str
    token: str
    ca: Path | None
    kafka: str
    kubeconfig: Path
    kubectl_program: str
    # Where repositories are made, and the address under which Argo CD's repo-server sees that folder.
    # None: the repo-server sees this machine's disk (file://), as on the real stack next door.
    git_root: Path | None = None
    git_url: str | None = None
    # What `kafka-broker` means in the cluster's DNS. None: the name resolves by itself.
    kafka_service: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Stack:
        """The stack that the environment names; StackMissing says what is not there."""
        missing = [name for name in REQUIRED if not environment.get(name)]
        if missing:
            raise StackMissing(
                f"{', '.join(missing)} not set: these tests need a real Argo CD, Kubernetes and Kafka. "
                'With the real stack: . "$(../shared/realstack/up.sh)"'
            )
        home = environment.get("REALSTACK_HOME")
        own = Path(home, "bin", "kubectl") if home else None
        kubectl = str(own) if own and own.exists() else shutil.which("kubectl")
        if not kubectl:
            raise StackMissing("there is no kubectl, neither in $REALSTACK_HOME/bin nor on PATH")
        ca, git_root = environment.get("REALSTACK_ARGOCD_CA"), environment.get("REALSTACK_GIT_ROOT")
        return cls(
            server=environment["ARGOCD_SERVER"],
            token=environment["ARGOCD_AUTH_TOKEN"],
            ca=Path(ca) if ca else None,
            kafka=environment["KAFKA_BOOTSTRAP_SERVERS"],
            kubeconfig=Path(environment["REALSTACK_KUBECONFIG"]),
            kubectl_program=kubectl,
            git_root=Path(git_root) if git_root else None,
            git_url=environment.get("REALSTACK_GIT_URL"),
            kafka_service=environment.get("REALSTACK_KAFKA_SERVICE"),
        )

    # -- Argo CD ------------------------------------------------------------------------------------

    @functools.cached_property
    def http(self) -> httpx.Client:
        """A client of Argo CD's API, with the token; every answer is checked by `api`."""
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        return httpx.Client(
            base_url=f"https://{self.server}/api/v1/",
            headers={"Authorization": f"Bearer {self.token}"},
            verify=context,
            timeout=30.0,
            trust_env=False,
        )

    def api(self, method: str, path: str, body: Json | None = None, **query: str) -> Json:
        """One request to /api/v1/{path}; AssertionError with Argo CD's own words when it refuses."""
        # Everything but GET needs exactly this content type, with or without a body.
        headers = {} if method == "GET" else {"Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        answer = self.http.request(method, path, content=content, params=query, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        result: Json = answer.json()
        return result

    # -- Kubernetes -------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed; AssertionError with its complaint when it failed."""
        done = subprocess.run(
            [self.kubectl_program, *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def objects(self, kind: str, namespace: str, selector: str = "") -> list[Json]:
        """The live objects of a kind."""
        chosen = ["-l", selector] if selector else []
        found: Json = json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json", *chosen))
        return list(found["items"])

    # -- Kafka --------------------------------------------------------------------------------------

    def topics(self, prefix: str = "") -> set[str]:
        """The topics on the broker. Never asks for one by name: a broker with auto-create would make it."""
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.kafka, "allow.auto.create.topics": False})
        return {name for name in admin.list_topics(timeout=15).topics if name.startswith(prefix)}

    def groups(self, prefix: str = "") -> set[str]:
        """The consumer groups on the broker."""
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.kafka})
        listed = admin.list_consumer_groups(request_timeout=15).result()
        return {g.group_id for g in listed.valid if g.group_id.startswith(prefix)}


class GitRepo:
    """A Git repository that Argo CD can read."""

    def __init__(self, path: Path, url: str) -> None:
        self.path, self.url = path, url
        path.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, files: Mapping[str, str | None], message: str = "a change") -> str:
        """Write the files (None: delete), commit them, and return the commit's id."""
        for name, text in files.items():
            file = self.path / name
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.head

    @property
    def head(self) -> str:
        """The id of the last commit."""
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        settings = ("user.name=test", "user.email=test@example.com", "commit.gpgsign=false")
        options = [word for setting in settings for word in ("-c", setting)]
        done = subprocess.run(
            ["git", *options, *arguments], cwd=self.path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout


def example(form: str, replace: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files of config/helm or config/kustomize, unchanged or with pieces of text replaced.

    Every replaced text must be there, so that a test cannot pass because the example has changed.
    """
    wanted = dict(replace or {})
    files = {}
    for file in sorted((CONFIG / form).rglob("*")):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            for old, new in (replace or {}).items():
                if old in text:
                    text = text.replace(old, new)
                    wanted.pop(old, None)
            files[f"{form}/{file.relative_to(CONFIG / form)}"] = text
    assert not wanted, f"not in config/{form}: {sorted(wanted)}"
    return files


def make_repo(stack: Stack, folder: Path, files: Mapping[str, str]) -> GitRepo:
    """A repository with one commit, in `folder` or where the stack serves repositories from.

    On kind REALSTACK_GIT_ROOT is a folder that `git daemon` serves as REALSTACK_GIT_URL.
    """
    if stack.git_root and stack.git_url:
        name = f"repo-{secrets.token_hex(4)}"
        repo = GitRepo(stack.git_root / name, f"{stack.git_url.rstrip('/')}/{name}/.git")
    else:
        path = folder / f"repo-{secrets.token_hex(4)}"
        repo = GitRepo(path, f"file://{path}")
    repo.commit(files, "the beginning")
    return repo


class Application:
    """An Argo CD Application of one test, in a namespace of its own."""

    def __init__(self, stack: Stack, name: str, source: Json, **spec: Any) -> None:
        self.stack, self.name, self.namespace = stack, name, name
        stack.kubectl("create", "namespace", self.namespace)
        if stack.kafka_service:
            target = ("--external-name", stack.kafka_service)
            stack.kubectl("create", "service", "externalname", "kafka-broker", *target, "-n", self.namespace)
        manifest = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": name, "namespace": ARGOCD_NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"targetRevision": "HEAD", **source},
                "destination": {"server": IN_CLUSTER, "namespace": self.namespace},
                **spec,
            },
        }
        self.make(manifest)

    def make(self, manifest: Json) -> None:
        """Bring it into being; one that belongs to another is made by that one."""
        self.stack.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def get(self, refresh: str = "") -> Json:
        """The Application as Argo CD's API gives it, live."""
        path = f"applications/{self.name}"
        if refresh:
            # It waits for an event that Argo CD may miss; by the time-out the Application has been compared.
            with contextlib.suppress(httpx.ReadTimeout):
                return self.stack.api("GET", path, None, refresh=refresh)
        return self.stack.api("GET", path)

    @property
    def spec(self) -> Json:
        """The spec, with Argo CD's own normalising."""
        spec: Json = self.get()["spec"]
        return spec

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations, without those that Argo CD sets itself when it is asked to refresh."""
        found = dict(self.get()["metadata"].get("annotations") or {})
        own = ("argocd.argoproj.io/refresh", "argocd.argoproj.io/hydrate")
        return {k: v for k, v in found.items() if not k.startswith(own)}

    @property
    def state(self) -> tuple[str, str]:
        """Sync status and health, "Synced" and "Healthy" when all is well."""
        status = self.get().get("status", {})
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    @property
    def running(self) -> bool:
        """Whether an operation runs."""
        app = self.get()
        phase = app.get("status", {}).get("operationState", {}).get("phase", "")
        return "operation" in app or phase in ("Running", "Terminating")

    def patch(self, *operations: Json) -> Json:
        """A JSON patch, as anybody with the right may send one."""
        body = {"name": self.name, "patch": json.dumps(operations), "patchType": "json"}
        return self.stack.api("PATCH", f"applications/{self.name}", body)

    def sync(self, **request: Any) -> Json:
        """Start an operation."""
        return self.stack.api("POST", f"applications/{self.name}/sync", request)

    def wait_operation(self, timeout: float = 120.0) -> Json:
        """The operation's last state, when it is over."""
        self.wait_idle(timeout)
        state: Json = self.get()["status"]["operationState"]
        return state

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until no operation runs."""
        self._awake(lambda: not self.running, timeout, f"the end of {self.name}'s operation")

    def wait_compared(self, timeout: float = 60.0) -> None:
        """Wait until Argo CD has compared the Application with its source for the first time."""
        self._awake(lambda: self.state[0] in ("OutOfSync", "Synced"), timeout, f"{self.name} compared")

    def wait_synced(self, timeout: float = 90.0) -> None:
        """Wait until the Application is Synced and Healthy."""
        self._awake(lambda: self.state == ("Synced", "Healthy"), timeout, f"{self.name} Synced and Healthy")

    def _awake(self, condition: Callable[[], bool], timeout: float, what: str, every: float = 0.2) -> None:
        """Wait for what Argo CD does by itself; a refresh now and then wakes it where it has missed its turn.

        It can miss an operation for minutes, and any change wakes it (argocd.sync.operation.waking has the
        source; seen in these tests, 1 of 500).
        """
        woken = time.monotonic()

        def held() -> bool:
            nonlocal woken
            if condition():
                return True
            if time.monotonic() - woken > MISSED:
                self.get("normal")
                woken = time.monotonic()
            return False

        eventually(held, timeout, what, every)

    def deploy(self) -> None:
        """The first sync, without hooks: what is in Git is in the cluster then, and nothing was tested."""
        self.sync(strategy={"apply": {}}, retryStrategy={"limit": 0})
        state = self.wait_operation()
        assert state["phase"] == "Succeeded", state
        self.wait_synced()

    def pods(self) -> list[str]:
        """The names of the namespace's pods."""
        return [p["metadata"]["name"] for p in self.stack.objects("pods", self.namespace)]

    def terminate(self, timeout: float = 60.0) -> None:
        """End the operation that runs, if one does and the Application is still there."""
        url, headers = f"applications/{self.name}", {"Content-Type": "application/json"}

        def over() -> bool:
            found = self.stack.http.get(url)
            if not found.is_success:
                return True
            app = found.json()
            phase = app.get("status", {}).get("operationState", {}).get("phase", "")
            if "operation" not in app and phase not in ("Running", "Terminating"):
                return True
            # ApiError while the controller has not picked the operation up yet: asked again.
            self.stack.http.delete(f"{url}/operation", headers=headers)
            return False

        self._awake(over, timeout, f"the end of {self.name}'s operation", every=0.5)

    def delete(self, cascade: bool = False) -> None:
        """Delete the Application (`cascade`: Argo CD deletes its resources as well), then the namespace.

        An operation that still runs is ended before: the hooks of a running one carry a finalizer that nobody
        would still take off.
        """
        self.terminate()
        answer = self.stack.http.delete(
            f"applications/{self.name}",
            params={"cascade": str(cascade).lower()},
            headers={"Content-Type": "application/json"},
        )
        assert answer.is_success or answer.status_code in (403, 404), answer.text
        if cascade:
            self.wait_gone()
        self.stack.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    def wait_gone(self, timeout: float = 90.0) -> None:
        """Wait until Argo CD has let go of the Application."""
        kubectl = self.stack.kubectl
        listing = ("get", "applications", "-n", ARGOCD_NAMESPACE, "-o", "name")
        eventually(lambda: f"/{self.name}\n" not in kubectl(*listing), timeout, f"{self.name} gone")


def argorun_environment(stack: Stack, home: Path, changes: Mapping[str, str | None]) -> dict[str, str]:
    """The environment to run argorun in: the stack's, an empty home, and these changes (None: unset)."""
    wanted: dict[str, str | None] = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ARGOCD_", "KAFKA_", "GITHUB_"))},
        "HOME": str(home),
        "XDG_CONFIG_HOME": None,
        "ARGOCD_SERVER": stack.server,
        "ARGOCD_AUTH_TOKEN": stack.token,
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        **changes,
    }
    return {k: v for k, v in wanted.items() if v is not None}


def unique(hint: str) -> str:
    """A name that fits Kubernetes and is not used: the hint and eight hex digits."""
    plain = re.sub(r"[^a-z0-9]+", "-", hint.lower()).strip("-")[:40].strip("-")
    return f"{plain}-{secrets.token_hex(4)}"
