"""The two servers that the contract holds side by side: the stand-in, and a real Argo CD.

Both offer an Application of any manifests, and everything else goes through the API, so that no check can
know which of them answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import httpx

from argorun.argocd.rest_client import RestClient
from argorun.argocd.types import Json
from argorun.config.model import ApplicationRef, ArgoCD
from argorun.sandbox.render import KustomizeRender
from argorun.sandbox.standin import RenderError, StandIn
from argorun.sandbox.standin.accounts import Account
from tests.contract.manifests import DEFAULT, TOPIC
from tests.real import cluster
from tests.threads import in_a_thread

COMMIT = "c0ffee" * 6 + "c0de"  # the only one of a chart on the stand-in
LIMIT = 60.0  # seconds after which waiting for something is given up; no check depends on it
JSON = {"Content-Type": "application/json"}


class Target(Protocol):
    """A server with the accounts that the checks need."""

    kind: str
    settings: ArgoCD  # of an account that may do all that argorun does
    read_only: ArgoCD  # of one that may only look

    @property
    def reads_repositories(self) -> ArgoCD:
        """Of one that may also read repositories."""
        ...

    def application(
        self,
        hint: str,
        *manifests: Json,
        form: str = "helm",
        files: dict[str, str] | None = None,
        pinned: list[Json] | None = None,
        source: Json | None = None,
        **spec: Any,
    ) -> contextlib.AbstractContextManager[App]:
        """A new Application of these manifests, or of whole `files`, compared once; gone after the block.

        `pinned`: Helm parameters in a `.argocd-source.yaml`.
        """
        ...


class App:
    """An Application as the API shows it."""

    def __init__(self, target: Target, name: str, namespace: str) -> None:
        self.target, self.name, self.namespace = target, name, namespace
        self.ref = ApplicationRef(name=name)
        self.path = f"/api/v1/applications/{name}"
        self.http = connect(target.settings)

    def client(self, **options: Any) -> RestClient:
        """argorun's own."""
        return RestClient(self.target.settings, **options)

    def request(self, method: str, path: str = "", body: Any = None, **query: str) -> httpx.Response:
        headers = {} if method == "GET" else JSON
        content = None if body is None else json.dumps(body)
        return self.http.request(method, self.path + path, params=query, headers=headers, content=content)

    def get(self, path: str = "", **query: str) -> Json:
        return good(self.request("GET", path, **query))

    def patch(self, *operations: Json) -> httpx.Response:
        return self.request("PATCH", "", {"patch": json.dumps(operations), "patchType": "json"})

    def sync(self, **body: Any) -> Json:
        return good(self.request("POST", "/sync", {"retryStrategy": {"limit": 0}, **body}))

    def terminate(self) -> None:
        """End the operation; as argorun does, again where Argo CD's controller has overwritten the end."""

        def end() -> Json:
            answer = self.request("DELETE", "/operation")
            assert answer.status_code == 200 or "Too many conflicts" in answer.text, answer.text
            return self.get()

        eventually(end, lambda app: app["status"]["operationState"]["phase"] != "Running", 0.3)

    @property
    def is_before_3_2(self) -> bool:
        """Whether a real Argo CD answers that lacks what came after 3.1."""
        return self.target.kind == "real" and cluster.BEFORE_3_2

    def until(self, condition: Callable[[Json], Any], *, refresh: bool = False) -> Json:
        """The Application once it fits; with `refresh` Argo CD is made to look each time."""
        return eventually(self._refreshed if refresh else self.get, condition, 0.2 if refresh else 0.05)

    def _refreshed(self) -> Json:
        """The Application after a refresh, or as it is if none answers (docs/argocd-facts.md#refresh)."""
        with contextlib.suppress(httpx.ReadTimeout):
            return self.get(refresh="normal")
        return self.get()

    def ended(self) -> Json:
        """The state of the operation when it is over; a hook's end is noticed at once, not after 5 s."""
        state: Json = self.until(is_over, refresh=True)["status"]["operationState"]
        return state

    def free(self) -> None:
        """End whatever runs."""
        while not is_free(self.get()):
            self.request("DELETE", "/operation")
            time.sleep(0.1)

    def node(self, kind: str, name: str = "") -> Json:
        """The tree's node whose name begins so, when it is there."""

        def found(tree: Json) -> list[Json]:
            return [n for n in nodes(tree) if n["kind"] == kind and n["name"].startswith(name) and "uid" in n]

        return found(eventually(lambda: self.get("/resource-tree"), found))[0]

    def gone(self, uid: str) -> None:
        """Wait until the tree no longer has such an object."""

        def away(tree: Json) -> bool:
            return all(n.get("uid") != uid for n in nodes(tree))

        eventually(lambda: self.get("/resource-tree"), away)

    def log(self, **query: str) -> list[Json]:
        """The entries of a log that is not followed."""
        answer = self.request("GET", "/logs", namespace=self.namespace, **query)
        assert answer.status_code == 200, answer.text
        return [json.loads(line)["result"] for line in answer.text.splitlines() if line]

    def reader(self) -> httpx.AsyncClient:
        """For streams beside each other."""
        return connect(self.target.settings, httpx.AsyncClient)


def eventually(look: Callable[[], Json], condition: Callable[[Json], Any], pause: float = 0.05) -> Json:
    """What is seen once it fits; AssertionError with the last of it after LIMIT seconds."""
    deadline = time.monotonic() + LIMIT
    while True:
        seen = look()
        if condition(seen):
            return seen
        assert time.monotonic() < deadline, f"never: {json.dumps(seen)[:4000]}"
        time.sleep(pause)


async def stream(client: httpx.AsyncClient, path: str, **query: str) -> AsyncGenerator[Json]:
    """The results of a newline-delimited stream."""
    async with client.stream("GET", path, params=query) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line:
                yield json.loads(line)["result"]


def is_free(app: Json) -> bool:
    phase = app["status"].get("operationState", {}).get("phase")
    return "operation" not in app and phase not in ("Running", "Terminating")


def is_over(app: Json) -> bool:
    return is_free(app) and "operationState" in app["status"]


def entries(state: Json) -> dict[str, Json]:
    """An operation's entries by name."""
    return {e["name"]: e for e in state.get("syncResult", {}).get("resources", [])}


def nodes(tree: Json) -> list[Json]:
    found: list[Json] = tree.get("nodes") or []
    return found


def good(answer: httpx.Response) -> Json:
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    result: Json = answer.json()
    return result


def connect(settings: ArgoCD, kind: Any = httpx.Client) -> Any:
    """A raw client with the settings' token."""
    from argorun.argocd.http.tls import tls

    return kind(
        base_url=settings.url,
        headers={"Authorization": f"Bearer {settings.token}"},
        verify=True if settings.plaintext else tls(settings),
        timeout=httpx.Timeout(60.0),
        trust_env=False,
    )


def files_of(form: str, manifests: tuple[Json, ...]) -> dict[str, str]:
    """The manifests as a repository: a Helm chart or a kustomization in the folder "app"."""
    named = {f"{i}.yaml": json.dumps(m) for i, m in enumerate(manifests)}
    if form == "kustomize":
        return {
            "app/kustomization.yaml": json.dumps({"resources": list(named)}),
            **{f"app/{name}": text for name, text in named.items()},
        }
    return {
        "app/Chart.yaml": json.dumps({"apiVersion": "v2", "name": "app", "version": "1.0.0"}),
        "app/values.yaml": json.dumps({"kafka": {"topic": DEFAULT}}),
        **{f"app/templates/{name}": text for name, text in named.items()},
    }


class Chart:
    """The stand-in's Helm: one parameter, as `files_of` writes it into a chart."""

    source_type = "Helm"
    values: ClassVar = {"kafka.topic": DEFAULT}

    def __init__(self, manifests: tuple[Json, ...], pinned: list[Json] | None = None) -> None:
        self._text, self._pinned = json.dumps(manifests), pinned

    def resolve(self, revision: str) -> str:
        if revision not in ("HEAD", COMMIT):
            raise RenderError(f"unable to resolve '{revision}' to a commit SHA: revision not found")
        return COMMIT

    def merged(self, source: Json) -> Json:
        """The source with what `.argocd-source.yaml` makes of it: a list of parameters replaces the other."""
        if self._pinned is None:
            return source
        return source | {"helm": (source.get("helm") or {}) | {"parameters": self._pinned}}

    def __call__(self, source: Json, /) -> list[Json]:
        source = self.merged(source)
        if source.get("path") != "app":
            raise RenderError(f"{source.get('path')}: app path does not exist")
        parameters = {p["name"]: p.get("value", "") for p in source.get("helm", {}).get("parameters", [])}
        value = json.dumps(parameters.get("kafka.topic", DEFAULT))[1:-1]
        rendered: list[Json] = json.loads(self._text.replace(TOPIC, value))
        return rendered


class StandInTarget:
    """The stand-in, in a thread of its own: it goes on while a check waits or blocks."""

    kind = "standin"

    def __init__(self, folder: Path, standin: StandIn, loop: asyncio.AbstractEventLoop) -> None:
        self._folder, self._standin, self._loop = folder, standin, loop
        self.settings = ArgoCD(server=standin.server, token=standin.token, plaintext=True)
        self.read_only = ArgoCD(server=standin.server, token=standin.read_only_token, plaintext=True)
        librarian = Account(name="librarian", repositories=frozenset({"get"}))
        standin.accounts["librarians-token"] = librarian
        self.reads_repositories = ArgoCD(server=standin.server, token="librarians-token", plaintext=True)

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path) -> Iterator[StandInTarget]:
        (folder / "images" / "busybox").mkdir(parents=True)
        up = StandIn.start(images=[folder / "images"])
        with in_a_thread(up, "stand-in", LIMIT) as (standin, loop):
            yield cls(folder, standin, loop)

    @contextlib.contextmanager
    def application(
        self,
        hint: str,
        *manifests: Json,
        form: str = "helm",
        files: dict[str, str] | None = None,
        pinned: list[Json] | None = None,
        source: Json | None = None,
        **spec: Any,
    ) -> Iterator[App]:
        name = cluster.unique(hint)
        repo = self._folder / name
        whole = {"repoURL": f"file://{repo}", "path": "app", "targetRevision": "HEAD", **(source or {})}
        if form == "kustomize":
            for file, text in (files or files_of(form, manifests)).items():
                (repo / file).parent.mkdir(parents=True, exist_ok=True)
                (repo / file).write_text(text, encoding="utf-8")
        render = KustomizeRender(repo) if form == "kustomize" else Chart(manifests, pinned)

        async def add() -> None:
            self._standin.add(name, render, whole, namespace=name, **spec)

        asyncio.run_coroutine_threadsafe(add(), self._loop).result(LIMIT)
        with ready_app(self, name) as app:
            yield app


class RealTarget:
    """A real Argo CD; what it needs comes from the environment, and is missed loudly."""

    kind = "real"

    def __init__(self, folder: Path, stack: cluster.Stack, read_only_token: str) -> None:
        self._folder, self._stack = folder, stack
        self.settings = ArgoCD(server=stack.server, token=stack.token, ca=stack.ca)
        self.read_only = ArgoCD(server=stack.server, token=read_only_token, ca=stack.ca)

    @functools.cached_property
    def reads_repositories(self) -> ArgoCD:
        """Of Argo CD's own admin."""
        login = {"username": "admin", "password": os.environ["REALSTACK_ADMIN_PASSWORD"]}
        made = good(self._stack.http.post("session", content=json.dumps(login), headers=JSON))
        return ArgoCD(server=self._stack.server, token=made["token"], ca=self._stack.ca)

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path) -> Iterator[RealTarget]:
        """Raises StackMissing."""
        stack = cluster.Stack.from_environment(os.environ)
        token = os.environ.get("REALSTACK_READONLY_TOKEN")
        if not token:
            raise cluster.StackMissing("REALSTACK_READONLY_TOKEN not set: a token that may only look")
        with stack.http:
            yield cls(folder, stack, token)

    @contextlib.contextmanager
    def application(
        self,
        hint: str,
        *manifests: Json,
        form: str = "helm",
        files: dict[str, str] | None = None,
        pinned: list[Json] | None = None,
        source: Json | None = None,
        **spec: Any,
    ) -> Iterator[App]:
        written = files or files_of(form, manifests)
        if pinned is not None:
            written = written | {"app/.argocd-source.yaml": json.dumps({"helm": {"parameters": pinned}})}
        repo = cluster.make_repo(self._stack, self._folder / secrets.token_hex(4), written)
        name = cluster.unique(hint)
        whole = {"repoURL": repo.url, "path": "app", **(source or {})}
        made = cluster.Application(self._stack, name, whole, **spec)
        try:
            with ready_app(self, name) as app:
                yield app
        finally:
            made.delete()


@contextlib.contextmanager
def ready_app(target: Target, name: str) -> Iterator[App]:
    """The Application once it was compared; none of the checks' operations runs on it then."""
    app = App(target, name, name)
    with app.http:
        app.until(lambda a: a["status"].get("sync", {}).get("status") in ("OutOfSync", "Synced"))
        try:
            yield app
        finally:
            app.free()
