"""The Argo CD stand-in: serves Applications on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from argorun.sandbox.standin.accounts import Account
from argorun.sandbox.standin.api import Api
from argorun.sandbox.standin.application import OWN_NAMESPACE, Application, Render
from argorun.sandbox.standin.cluster import Cluster, WorkloadController
from argorun.sandbox.standin.containers import Images
from argorun.sandbox.standin.controller import Controller
from argorun.sandbox.standin.deployments import run_deployment
from argorun.sandbox.standin.faults import ApiError
from argorun.sandbox.standin.jobs import run_job
from argorun.sandbox.standin.objects import Json, report
from argorun.sandbox.standin.timings import Timings
from argorun.sandbox.watchdog import Watchdog

TOKEN = "stand-in-token"
READ_ONLY_TOKEN = "stand-in-read-only-token"
WORKLOAD_CONTROLLERS: dict[tuple[str, str], WorkloadController] = {
    ("batch", "Job"): run_job,
    ("apps", "Deployment"): run_deployment,
}
BeforeRequest = Callable[[Request], Awaitable[Response | None]]


class StandIn:
    """An Argo CD stand-in; use `StandIn.start`. Not Argo CD: it says so in /api/version."""

    def __init__(self, dog: Watchdog, images: Images, timings: Timings, env: dict[str, str]) -> None:
        self.cluster = Cluster(dog, images, timings, WORKLOAD_CONTROLLERS, env)
        self.apps: dict[str, Application] = {}
        self.controllers: dict[str, Controller] = {}
        self.accounts = {
            TOKEN: Account(name="ci"),
            READ_ONLY_TOKEN: Account(name="readonly", applications=frozenset({"get"})),
        }
        self.before_request: BeforeRequest | None = None
        self.url = ""
        self.token, self.read_only_token = TOKEN, READ_ONLY_TOKEN
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        *,
        images: Sequence[Path] = (),
        timings: Timings | None = None,
        env: dict[str, str] | None = None,
        tls: tuple[Path, Path] | None = None,
        port: int = 0,
    ) -> AsyncIterator[StandIn]:
        """Serve on a loopback port until the block ends; then every process and file is gone.

        `images` are folders of image folders (an image's `bin/` goes first on its containers' PATH);
        `env` is set in every container; `tls` is a certificate and its key.
        """
        async with Watchdog.start("stand-in") as dog:
            standin = cls(dog, Images(*images), timings or Timings(), env or {})
            async with _serving(standin.asgi(), tls, port) as standin.url:
                try:
                    yield standin
                finally:
                    await standin._stop()

    @property
    def server(self) -> str:
        """HOST:PORT, as ARGOCD_SERVER has it."""
        return self.url.split("://")[1]

    def add(
        self,
        name: str,
        render: Render,
        source: Json,
        *,
        namespace: str = "default",
        own_namespace: str = OWN_NAMESPACE,
        **spec: object,
    ) -> Application:
        """Add an Application; `spec` may hold further fields, such as `syncPolicy` or `project`.

        It is itself in `own_namespace`, and what it makes in `namespace`.
        """
        destination = {"server": "https://kubernetes.default.svc", "namespace": namespace}
        whole = {"source": source, "destination": destination, "project": "default", **spec}
        app = self.apps[name] = Application(self.cluster, render, name, whole, {"namespace": own_namespace})
        controller = self.controllers[name] = Controller(app)
        task = asyncio.create_task(controller.run())
        task.add_done_callback(report)
        self._tasks.append(task)
        return app

    def asgi(self) -> ASGIApp:
        """The web application."""
        api = Api(self.apps, self.controllers, self.accounts, self.cluster.timings.keep_alive)
        app = Starlette(routes=api.routes(), exception_handlers={ApiError: _answer_error, 404: _not_found})
        return _Front(app, self)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cluster.stop()


class _Front:
    """What comes before every path: the tests' hook, the content-type rule, and after it the date."""

    def __init__(self, app: ASGIApp, standin: StandIn) -> None:
        self._app, self._standin = app, standin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = dated(send)
            request = Request(scope)
            if self._standin.before_request and (answer := await self._standin.before_request(request)):
                await answer(scope, receive, send)
                return
            if request.method != "GET" and request.headers.get("content-type") != "application/json":
                await PlainTextResponse("Invalid content type\n", 415)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def dated(send: Send) -> Send:
    """Each answer says when it was made, to the second: uvicorn's own date may be a second old."""

    async def with_date(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["date"] = email.utils.formatdate(usegmt=True)
        await send(message)

    return with_date


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status)


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "Not Found", "code": 5, "message": "Not Found"}, 404)


class _Server(uvicorn.Server):
    """A uvicorn server that installs no signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _serving(app: ASGIApp, tls: tuple[Path, Path] | None, port: int) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    config = uvicorn.Config(
        app,
        log_config=None,
        date_header=False,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=str(tls[1]) if tls else None,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"{'https' if tls else 'http'}://localhost:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()
