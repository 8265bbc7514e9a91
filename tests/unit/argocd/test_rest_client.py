"""Whatever a server, a proxy or the network does, the client says it in one of argorun's errors."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from argorun.argocd import rest_client
from argorun.argocd.http import connection, errors, streams
from argorun.argocd.http.errors import (
    ALIKE,
    NEW_TOKEN,
    ApiError,
    Denied,
    InvalidResponse,
    Slow,
    Unauthenticated,
    Unreachable,
    worth_retrying,
)
from argorun.argocd.rest_client import IMPOSSIBLE, RestClient
from argorun.argocd.types import Application, ClusterEvent, Node, Ref
from argorun.config.model import ApplicationRef, ArgoCD
from argorun.config.proxies import Proxy
from argorun.errors import ArgorunError, UsageError
from tests.unit.argocd.web import TLS, Reply, Server, after, answer, half, stall, stream, trickle

T = TypeVar("T")
APP = ApplicationRef(name="weather")
NO_RETRIES = 1e-9
CHECK = "check argocd.server and the network; HTTPS_PROXY and NO_PROXY are honored"


@pytest.fixture(autouse=True)
def a_proxy_of_the_environment_that_nobody_is_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pauses() -> Iterator[None]:
    """Retries without back-off, four attempts in all."""
    with stamina.set_testing(True, attempts=4):
        yield


def run(main: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):  # a test that hangs fails; none comes near
            return await main

    return asyncio.run(bounded())


def settings(port: int, **more: Any) -> ArgoCD:
    return ArgoCD(**({"server": f"127.0.0.1:{port}", "token": "t0ken", "plaintext": True} | more))


Use = Callable[[RestClient], Awaitable[T]]


def use(*replies: Reply, use: Use[T], retry_for: float = NO_RETRIES, **more: Any) -> tuple[T, Server]:
    """What comes of using a client on a server that gives these answers."""
    server = Server(list(replies))

    async def main() -> T:
        async with server.up(), RestClient(settings(server.port, **more), retry_for=retry_for) as client:
            return await use(client)

    return run(main()), server


async def got(client: RestClient) -> Application:
    return await client.application(APP)


def failed(*replies: Reply, act: Use[Any] = got, **more: Any) -> ArgorunError:
    """The error that comes of it."""

    async def raising(client: RestClient) -> ArgorunError:
        with pytest.raises(ArgorunError) as e:
            await act(client)
        return e.value

    return use(*replies, use=raising, **more)[0]


def said(error: ArgorunError) -> tuple[type, str, str]:
    return type(error), error.message, error.hint


# -- what is sent ----------------------------------------------------------------------------------------

OTHER = ApplicationRef(name="weather", namespace="apps", project="p q")
PLACE = "appNamespace=apps&project=p+q"


@pytest.mark.parametrize(
    ("act", "method", "target", "body"),
    [
        (lambda c: c.application(APP), "GET", "/api/v1/applications/weather", None),
        (
            lambda c: c.application(OTHER, refresh="normal"),
            "GET",
            f"/api/v1/applications/weather?{PLACE}&refresh=normal",
            None,
        ),
        (lambda c: c.raw(OTHER), "GET", f"/api/v1/applications/weather?{PLACE}", None),
        (lambda c: c.tree(OTHER), "GET", f"/api/v1/applications/weather/resource-tree?{PLACE}", None),
        (
            lambda c: c.manifests(APP, "abc"),
            "GET",
            "/api/v1/applications/weather/manifests?revision=abc",
            None,
        ),
        (
            lambda c: c.events(OTHER, Node(kind="Pod", namespace="n", name="a", uid="u")),
            "GET",
            f"/api/v1/applications/weather/events?{PLACE}&resourceNamespace=n&resourceName=a&resourceUID=u",
            None,
        ),
        (
            lambda c: c.nudge(OTHER),
            "GET",
            f"/api/v1/applications/weather?{PLACE}&refresh=normal",
            None,
        ),
        (
            lambda c: c.can_i("get", "logs", "p/weather"),
            "GET",
            "/api/v1/account/can-i/logs/get/p/weather",
            None,
        ),
        (
            lambda c: c.patch(APP, [{"op": "remove", "path": "/a"}]),
            "PATCH",
            "/api/v1/applications/weather",
            {"name": "weather", "patch": '[{"op": "remove", "path": "/a"}]', "patchType": "json"},
        ),
        (
            lambda c: c.patch(OTHER, []),
            "PATCH",
            "/api/v1/applications/weather",
            {"name": "weather", "patch": "[]", "patchType": "json", "appNamespace": "apps", "project": "p q"},
        ),
        (
            lambda c: c.replace_spec(OTHER, {"a": 1}),
            "PUT",
            f"/api/v1/applications/weather/spec?{PLACE}&validate=false",
            {"a": 1},
        ),
        (
            lambda c: c.replace(OTHER, {"spec": {}}),
            "PUT",
            "/api/v1/applications/weather?validate=false&project=p+q",
            {"spec": {}},
        ),
        (
            lambda c: c.sync(OTHER, {"infos": []}),
            "POST",
            "/api/v1/applications/weather/sync",
            {"infos": [], "name": "weather", "appNamespace": "apps", "project": "p q"},
        ),
        (lambda c: c.terminate(OTHER), "DELETE", f"/api/v1/applications/weather/operation?{PLACE}", None),
    ],
)
def test_each_request_is_what_argo_cd_expects(act: Use[Any], method: str, target: str, body: Any) -> None:
    _, server = use(answer(), use=act)
    (request,) = server.requests
    assert (request.method, request.target) == (method, target)
    assert (json.loads(request.body) if request.body else None) == body
    # 415 for anything else; a GET has no body to say the type of.
    assert request.headers.get("content-type") == (None if method == "GET" else "application/json")
    assert request.headers["authorization"] == "Bearer t0ken"


def test_how_helm_is_called_is_asked_by_a_change_that_cannot_be_made() -> None:
    refused = answer(400, '{"message": "`helm template . --set a=1` failed", "code": 3}')
    text, server = use(refused, use=lambda c: c.helm_command(APP, "abc"))
    assert text == "`helm template . --set a=1` failed"
    (request,) = server.requests
    assert json.loads(json.loads(request.body)["patch"]) == [
        {"op": "add", "path": "/spec/source/helm/releaseName", "value": IMPOSSIBLE},
        {"op": "add", "path": "/metadata/labels", "value": {IMPOSSIBLE: ""}},
        {"op": "add", "path": "/spec/source/targetRevision", "value": "abc"},
    ]
    assert use(answer(), use=lambda c: c.helm_command(APP))[0] == ""
    _, server = use(refused, use=lambda c: c.helm_command(APP, helm={"parameters": [], "releaseName": "own"}))
    (request,) = server.requests
    assert json.loads(json.loads(request.body)["patch"])[0] == {
        "op": "add",
        "path": "/spec/source/helm",
        "value": {"parameters": [], "releaseName": IMPOSSIBLE},
    }


def test_root_path_and_headers_go_with_every_request_streams_too() -> None:
    async def both(client: RestClient) -> None:
        await client.application(APP)
        assert [a async for a in client.watch(APP, "result.type")] == []

    _, server = use(answer(), stream(), use=both, root_path="/argo/cd/", headers={"X-Proxy": "v"})
    assert [(r.target, r.headers["x-proxy"], r.headers["accept"]) for r in server.requests] == [
        ("/argo/cd/api/v1/applications/weather", "v", "*/*"),
        ("/argo/cd/api/v1/stream/applications?name=weather&fields=result.type", "v", "text/event-stream"),
    ]


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        (
            {"server": "[::"},
            "'http://[::' or its headers cannot be used: Invalid port: ':'",
        ),
        (
            {"headers": {"X": "€"}},
            "'http://h' or its headers cannot be used: a character that is not ASCII",
        ),
    ],
)
def test_an_address_or_header_that_cannot_be_used_is_a_usage_error(more: dict[str, Any], hint: str) -> None:
    with pytest.raises(UsageError) as e:
        RestClient(ArgoCD(**({"server": "h", "token": "t", "plaintext": True} | more)))
    assert e.value.message == hint


HOW = "write it as SCHEME://HOST:PORT with one of http, https, socks5, socks5h"


@pytest.mark.parametrize(
    ("proxy", "why", "hint"),
    [
        ("socks5://127.0.0.1:1", ": support for its scheme is not installed", "pip install 'httpx[socks]'"),
        ("nonsense://x", "", HOW),
        ("http://x:y", "", HOW),
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_usage_error(proxy: str, why: str, hint: str) -> None:
    with pytest.raises(UsageError) as e:
        RestClient(settings(1, proxy=Proxy(proxy, "HTTP_PROXY")))
    assert (e.value.message, e.value.hint) == (f"the proxy {proxy} (HTTP_PROXY) cannot be used{why}", hint)


def test_a_plaintext_request_is_the_proxys_where_there_is_one() -> None:
    async def main() -> tuple[Application, Server]:
        server = Server([answer()])
        async with server.up():
            proxy = Proxy(f"http://me:secret@127.0.0.1:{server.port}", "HTTP_PROXY")
            given = settings(1, server="argocd.example.com", proxy=proxy)
            async with RestClient(given, retry_for=NO_RETRIES) as client:
                return await client.application(APP), server

    seen, server = run(main())
    (request,) = server.requests
    assert (seen, request.target) == (
        Application(),
        "http://argocd.example.com/api/v1/applications/weather",
    )
    assert request.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


def test_an_error_page_of_a_proxy_is_said_to_be_one() -> None:
    async def main() -> tuple[ArgorunError, Proxy]:
        server = Server([answer(407, "<html>who are you?</html>")])
        async with server.up():
            proxy = Proxy(f"http://127.0.0.1:{server.port}", "HTTP_PROXY")
            given = settings(1, server="argocd.example.com", proxy=proxy)
            async with RestClient(given, retry_for=NO_RETRIES) as client:
                with pytest.raises(ApiError) as e:
                    await client.application(APP)
                return e.value, proxy

    error, proxy = run(main())
    assert said(error) == (
        ApiError,
        "Argo CD could not show Application weather: Reason (HTTP 407)",
        f"the answer may come from the proxy {proxy}",
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_over_tls_the_proxy_only_passes_on_what_it_cannot_read(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "localhost.crt"))

    async def main() -> tuple[Application, Server, list[str]]:
        server, asked = Server([answer()]), list[str]()
        async with server.up(tls=True), tunnel(server, asked, tls=scheme == "https") as port:
            proxy = Proxy(f"{scheme}://127.0.0.1:{port}", "HTTPS_PROXY")
            given = settings(server.port, plaintext=False, ca=TLS / "localhost.crt", proxy=proxy)
            async with RestClient(given, retry_for=NO_RETRIES) as client:
                return await client.application(APP), server, asked

    seen, server, asked = run(main())
    assert (seen, len(server.requests)) == (Application(), 1)
    assert asked == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"]


@contextlib.asynccontextmanager
async def tunnel(server: Server, asked: list[str], tls: bool) -> AsyncGenerator[int]:
    """A proxy for CONNECT; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
    if context is not None:
        context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            out.write(data)
        out.close()

    async def connected(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.decode().split("\r\n")[0])
        inward, outward = await asyncio.open_connection("127.0.0.1", server.port)
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        tasks.update(map(asyncio.create_task, (pump(reader, outward), pump(inward, out))))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        (
            {"proxy": Proxy("http://me:secret@127.0.0.1:9", "HTTPS_PROXY")},
            "cannot be reached through the proxy http://127.0.0.1:9 (HTTPS_PROXY): Connection refused",
            "check that proxy, which HTTPS_PROXY names; NO_PROXY=HOST bypasses it",
        ),
        (
            {"unused_proxy": "ALL_PROXY"},
            "cannot be reached: Connection refused",
            "ALL_PROXY is ignored, as argocd ignores it: name the proxy in HTTPS_PROXY or HTTP_PROXY",
        ),
    ],
)
def test_an_error_says_which_proxy_was_asked_or_passed_over(
    more: dict[str, Any], message: str, hint: str
) -> None:
    async def main() -> ArgorunError:
        given = settings(9, plaintext=False, insecure=True, **more)
        async with RestClient(given, retry_for=NO_RETRIES) as client:
            with pytest.raises(ArgorunError) as e:
                await client.application(APP)
            return e.value

    assert said(run(main())) == (Unreachable, f"Argo CD at https://127.0.0.1:9 {message}", hint)


# -- what comes back -------------------------------------------------------------------------------------


def test_an_application_is_read_and_unknown_fields_are_ignored() -> None:
    body = '{"metadata": {"name": "weather", "x": 1}, "spec": {"a": [1]}, "status": {"sourceType": "Helm"}}'
    seen, _ = use(answer(body=body), use=got)
    assert (seen.metadata.name, seen.spec, seen.status.source_type) == ("weather", {"a": [1]}, "Helm")


@pytest.mark.parametrize(
    ("status", "body", "kind", "message", "hint"),
    [
        (403, '{"message": "permission denied", "code": 7}', Denied, "would not: permission denied", ALIKE),
        (404, '{"message": "not found", "code": 5}', Denied, "would not: not found", ALIKE),
        (400, '{"message": "no", "code": 3}', ApiError, "could not: no", ""),
        (409, '{"error": "conflict", "code": 10}', ApiError, "could not: conflict", ""),
        (415, "Invalid content type", ApiError, "could not: Reason", ""),
        (429, "", ApiError, "could not: Reason", ""),
        (500, '{"message": "rpc error", "code": 13}', ApiError, "could not: rpc error", ""),
        (502, "<html>Bad Gateway</html>", ApiError, "could not: Reason", ""),
        (503, "[]", ApiError, "could not: Reason", ""),
        (504, '{"message": 5}', ApiError, "could not: Reason", ""),
        (502, '{"message":' * 9999, ApiError, "could not: Reason", ""),
    ],
)
def test_every_status_of_argo_cd_has_its_error(
    status: int, body: str, kind: type, message: str, hint: str
) -> None:
    verb, text = message.split(": ", 1)
    wanted = f"Argo CD {verb} show Application weather: {text} (HTTP {status})"
    error = failed(answer(status, body))
    assert said(error) == (kind, wanted, hint)
    assert error.status == status  # type: ignore[attr-defined]
    assert worth_retrying(error) is (status in (429, 502, 503, 504))


def test_a_bad_token_is_called_one_with_argo_cds_own_words() -> None:
    error = failed(answer(401, '{"error": "e", "message": "invalid session: malformed", "code": 16}'))
    assert said(error) == (
        Unauthenticated,
        "Argo CD does not know this token (invalid session: malformed)",
        NEW_TOKEN,
    )


def test_a_missing_permission_that_argo_cd_names_is_told_with_the_policy_line() -> None:
    body = '{"message": "permission denied: applications, update, default/weather, sub: ci, iat: 2026"}'
    assert said(failed(answer(403, body)))[2] == (
        "add to Argo CD's policy.csv:\np, role:argorun, applications, update, default/weather, allow"
    )


NOT_ARGO_CD = "is this Argo CD's address? there may be a proxy in between, or argocd.root_path may be wrong"


@pytest.mark.parametrize(
    "body",
    [
        "<!doctype html><html>Argo CD</html>",
        '{"metadata": {',
        "",
        "[]",
        '{"spec": 5}',
        b"\xff",
        '{"a":' * 9999,
    ],
)
def test_a_success_that_is_not_argo_cds_json_is_nonsense(body: str | bytes) -> None:
    error = failed(answer(body=body, Content_Type="text/html"))
    assert (type(error), error.hint) == (InvalidResponse, NOT_ARGO_CD)
    assert error.message.startswith(
        "what the server answered to 'show Application weather' is not Argo CD's JSON: "
    )


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_says_where_to(status: int) -> None:
    error = failed(answer(status, Location="https://argocd.example.com/login"))
    assert said(error) == (
        InvalidResponse,
        "127.0.0.1 redirects to https://argocd.example.com/login",
        "use that address; if it is https, without http:// and `plaintext: true`",
    )
    assert worth_retrying(error) is False


def test_a_404_that_is_not_argo_cds_is_a_wrong_address_and_no_missing_application() -> None:
    async def main() -> tuple[ArgorunError, int]:
        server = Server([answer(404, "<html>404 page not found</html>")])
        async with (
            server.up(),
            RestClient(settings(server.port, root_path="x"), retry_for=NO_RETRIES) as client,
        ):
            with pytest.raises(ArgorunError) as e:
                await client.application(OTHER)
            return e.value, server.port

    error, port = run(main())
    url = f"http://127.0.0.1:{port}/x/api/v1/applications/weather"
    assert said(error) == (InvalidResponse, f"there is no Argo CD API at {url} (HTTP 404)", NOT_ARGO_CD)


@pytest.mark.parametrize(
    "location", [{}, {"Location": "http://["}, {"Location": "//"}, {"Location": "ftp://x"}]
)
def test_a_redirect_to_nowhere_is_an_error_like_any_other(location: dict[str, str]) -> None:
    assert isinstance(failed(answer(302, **location)), InvalidResponse | Unreachable)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("999", 30.0), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("\xb2", None)],
)
def test_retry_after_is_honored_up_to_half_a_minute(value: str, seconds: float | None) -> None:
    answered = httpx.Response(429, headers=[(b"retry-after", value.encode("latin-1"))])
    assert errors.retry_after(answered) == seconds
    assert worth_retrying(ApiError("x", 429, 8, "", seconds)) == (True if seconds is None else seconds)


def test_a_429_carries_what_the_server_asked_for() -> None:
    error = failed(answer(429, Retry_After="7"))
    assert worth_retrying(error) == 7.0


# -- what does not come back -----------------------------------------------------------------------------


def cannot_be_reached(
    error: ArgorunError, port: int, why: str, hint: str = CHECK, scheme: str = "http"
) -> None:
    assert said(error) == (
        Unreachable,
        f"Argo CD at {scheme}://127.0.0.1:{port} cannot be reached: {why}",
        hint,
    )


def test_a_refused_connection_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> ArgorunError:
        async with RestClient(settings(port), retry_for=NO_RETRIES) as client:
            with pytest.raises(ArgorunError) as e:
                await client.application(APP)
            return e.value

    error = run(main())
    cannot_be_reached(error, port, "Connection refused")
    assert worth_retrying(error) is True


@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_that_ends_in_mid_body_is_no_answer(reset: bool) -> None:
    error = failed(half(reset=reset))
    assert isinstance(error, Unreachable)
    assert (error.hint, worth_retrying(error)) == (CHECK, True)


@pytest.mark.parametrize(
    "started", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_stalls_is_not_waited_for_forever(
    started: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "QUICK", httpx.Timeout(0.2))
    server = Server([stall(started)])

    async def main() -> ArgorunError:
        async with server.up(), RestClient(settings(server.port), retry_for=NO_RETRIES) as client:
            with pytest.raises(ArgorunError) as e:
                await client.application(APP)
            return e.value

    cannot_be_reached(run(main()), server.port, "no answer in time (ReadTimeout)")


def test_something_that_is_not_http_is_no_answer() -> None:
    async def ssh(out: asyncio.StreamWriter) -> None:
        out.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        out.close()

    assert isinstance(failed(ssh), Unreachable)


def every_httpx_error() -> list[type[Exception]]:
    return [c for c in vars(httpx).values() if isinstance(c, type) and issubclass(c, Exception)]


# What is raised for a mistake in our own code, never for what a server does.
MISTAKES = {
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.ResponseNotRead,
    httpx.RequestNotRead,
}


def test_every_error_of_httpx_is_known() -> None:
    assert {c for c in every_httpx_error() if not issubclass(c, httpx.HTTPError)} == MISTAKES


@pytest.mark.parametrize("kind", [c for c in every_httpx_error() if issubclass(c, httpx.HTTPError)])
@pytest.mark.parametrize("act", [got, lambda c: c.patch(APP, []), lambda c: watched(c)])
def test_no_error_of_httpx_gets_out(kind: type[Exception], act: Use[Any]) -> None:
    request = httpx.Request("GET", "http://x")

    def breaks(_: httpx.Request) -> httpx.Response:
        if kind is httpx.HTTPStatusError:
            raise kind("broken", request=request, response=httpx.Response(200))  # type: ignore[call-arg]
        raise kind("broken")

    async def main() -> ArgorunError:
        transport = httpx.MockTransport(breaks)
        async with RestClient(settings(1), retry_for=NO_RETRIES, transport=transport) as client:
            with pytest.raises(ArgorunError) as e:
                await act(client)
            return e.value

    why = f"no answer in time ({kind.__name__})" if issubclass(kind, httpx.TimeoutException) else "broken"
    cannot_be_reached(run(main()), 1, why)


# -- TLS -------------------------------------------------------------------------------------------------

PAIR = (TLS / "localhost.crt").read_text() + (TLS / "localhost.key").read_text()


def over_tls(
    server_tls: bool, clients: Path | None = None, **more: Any
) -> tuple[Application | ArgorunError, Server]:
    """What comes of a request over TLS; `clients` are to show a certificate that this file trusts."""
    server = Server([answer()])

    async def main() -> Application | ArgorunError:
        async with server.up(tls=server_tls, clients=clients):
            given = settings(server.port, **({"plaintext": False} | more))
            async with RestClient(given, retry_for=NO_RETRIES) as client:
                try:
                    return await client.application(APP)
                except ArgorunError as e:
                    return e

    return run(main()), server


@pytest.mark.parametrize(
    "more",
    [
        {"ca": TLS / "localhost.crt"},
        {"ca_data": (TLS / "localhost.crt").read_text()},
        {"insecure": True},
        {"insecure": True, "client_cert": TLS / "localhost.crt", "client_key": TLS / "localhost.key"},
        {"insecure": True, "client_pem": PAIR},
    ],
)
def test_a_server_whose_certificate_is_trusted_is_talked_to(more: dict[str, Any]) -> None:
    seen, server = over_tls(True, **more)
    assert (seen, len(server.requests)) == (Application(), 1)


def test_a_certificate_that_is_not_trusted_says_what_to_give() -> None:
    error, server = over_tls(True)
    assert isinstance(error, Unreachable)
    assert (error.hint, error.final, server.requests) == (
        "give the CA that signed it: --ca FILE, or argocd: {ca: FILE}",
        True,
        [],
    )
    assert "t0ken" not in error.message


def test_tls_to_a_server_that_speaks_none_suggests_plaintext() -> None:
    error, _ = over_tls(False)
    assert isinstance(error, Unreachable)
    assert (error.hint, error.final) == (
        "the server does not speak TLS there: argocd: {plaintext: true}?",
        True,
    )
    assert worth_retrying(error) is False


def test_plaintext_to_a_server_that_speaks_tls_is_unreachable() -> None:
    error, server = over_tls(True, plaintext=True)
    assert (type(error), server.requests) == (Unreachable, [])


def test_the_certificate_of_the_argocd_cli_is_shown_to_a_server_that_asks_for_one(tmp_path: Path) -> None:
    def ask(**more: Any) -> tuple[Application | ArgorunError, Server]:
        return over_tls(True, insecure=True, clients=TLS / "localhost.crt", **more)

    seen, server = ask(client_pem=PAIR)
    assert (seen, len(server.requests)) == (Application(), 1)
    error, server = ask()
    assert (type(error), server.requests) == (Unreachable, [])


def test_a_key_from_the_argocd_clis_settings_stays_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self: ssl.SSLContext, certfile: str, *rest: Any, **more: Any) -> None:
        modes.append(Path(certfile).stat().st_mode & 0o777)
        load(self, certfile, *rest, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    RestClient(settings(1, plaintext=False, insecure=True, client_pem=PAIR))
    assert (modes, list(tmp_path.iterdir())) == ([0o600], [])


@pytest.mark.parametrize("key", ["ca", "ca_data", "client_cert", "client_pem"])
def test_a_certificate_that_cannot_be_loaded_is_a_usage_error(key: str, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    in_text = key in ("ca_data", "client_pem")
    more: dict[str, Any] = {key: "no certificate" if in_text else tmp_path / "x.pem"}
    if key == "client_cert":
        more["client_key"] = tmp_path / "x.pem"
    what = {
        "ca": f"the CA {tmp_path / 'x.pem'}",
        "ca_data": "the CA of the argocd CLI",
        "client_cert": f"the client certificate {tmp_path / 'x.pem'} with the key {tmp_path / 'x.pem'}",
        "client_pem": "the client certificate of the argocd CLI",
    }[key]
    with pytest.raises(UsageError, match=re.escape(f"{what} cannot be loaded: ")) as raised:
        RestClient(settings(1, plaintext=False, **more))
    assert "_ssl.c" not in raised.value.message


def test_a_key_with_a_passphrase_is_a_usage_error_and_nobody_is_asked_for_it() -> None:
    keys = {"client_cert": TLS / "localhost.crt", "client_key": TLS / "encrypted.key"}
    with pytest.raises(UsageError, match=r"the client certificate .* with the key .* cannot be loaded"):
        RestClient(settings(1, plaintext=False, **keys))


# -- again, or only once -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    "fault",
    [
        answer(429),
        answer(500),
        answer(502),
        answer(503),
        answer(504),
        half(reset=True),
        answer(body="<html>"),
    ],
)
def test_a_read_rides_out_a_fault_that_passes(fault: Reply) -> None:
    seen, server = use(fault, fault, answer(), use=got, retry_for=10)
    assert (seen, len(server.requests)) == (Application(), 3)


@pytest.mark.usefixtures("no_pauses")
def test_a_read_that_fails_for_a_while_says_why_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SAID_AFTER", 0.0)
    server, reasons = (
        Server([answer(503), answer(503, '{"message": "busy"}'), half(reset=False), answer()]),
        list[str](),
    )

    async def main() -> None:
        async with server.up(), RestClient(settings(server.port), retry_for=10, retrying=reasons.append) as c:
            await c.application(APP)

    run(main())
    assert [reason.partition(" (")[0] for reason in reasons] == [
        "HTTP 503",
        "HTTP 503: busy",
        "peer closed connection without sending complete message body",
        "",
    ]


@pytest.mark.parametrize(("silent", "asked"), [(1, ["normal", "normal"]), (2, ["normal", "normal", ""])])
def test_a_refresh_that_is_never_answered_is_sent_again_and_then_left(
    silent: int, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_client, "REFRESHED", (0.3, 0.3))

    async def refreshed(client: RestClient) -> Application:
        return await client.application(APP, refresh="normal")

    seen, server = use(*[stall()] * silent, answer(), use=refreshed)
    assert seen == Application()
    assert [r.target.partition("refresh=")[2] for r in server.requests] == asked


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_read_is_not_repeated_where_that_cannot_help(status: int) -> None:
    async def counted(client: RestClient) -> int:
        with pytest.raises(ArgorunError):
            await client.application(APP)
        return client.requests

    count, server = use(answer(status), use=counted, retry_for=10)
    assert (count, len(server.requests)) == (1, 1)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    "read", [lambda c: c.manifests(APP), lambda c: c.live(APP, "", "v1", "Pod", "n", "p")]
)
def test_a_500_that_is_argo_cds_answer_is_not_asked_for_again(read: Use[Any]) -> None:
    async def counted(client: RestClient) -> int:
        with pytest.raises(ApiError):
            await read(client)
        return client.requests

    assert use(answer(500), use=counted, retry_for=10)[0] == 1


def test_what_a_server_asks_for_is_waited_for_only_as_long_as_patience_lasts() -> None:
    async def timed(client: RestClient) -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ApiError):
            await client.application(APP)
        return asyncio.get_running_loop().time() - began

    seconds, server = use(answer(429, Retry_After="25"), use=timed, retry_for=0.5)
    assert (0.5 <= seconds < 20, len(server.requests)) == (True, 2)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    "act",
    [
        lambda c: c.patch(APP, []),
        lambda c: c.sync(APP, {}),
        lambda c: c.replace(APP, {}),
        lambda c: c.replace_spec(APP, {}),
        lambda c: c.terminate(APP),
        lambda c: c.nudge(APP),
    ],
)
@pytest.mark.parametrize("fault", [answer(503), half(reset=False), answer(body="<html>")])
def test_what_changes_something_is_sent_once_and_so_is_a_nudge(act: Use[Any], fault: Reply) -> None:
    async def counted(client: RestClient) -> int:
        with pytest.raises(ArgorunError):
            await act(client)
        return client.requests

    count, server = use(fault, use=counted, retry_for=10)
    assert (count, len(server.requests)) == (1, 1)


# -- what renders has more time ----------------------------------------------------------------------------

RENDERS = [lambda c: c.manifests(APP), lambda c: c.patch(APP, []), lambda c: c.sync(APP, {})]


@pytest.mark.parametrize("act", RENDERS)
def test_a_rendering_that_is_too_slow_is_not_called_unreachable_and_not_asked_for_again(
    act: Use[Any],
) -> None:
    async def slow(client: RestClient) -> tuple[ArgorunError, int]:
        with pytest.raises(ArgorunError) as e:
            await act(client)
        return e.value, client.requests

    (error, count), server = use(stall(), use=slow, retry_for=10, timeout=0.2)
    assert (type(error), count, len(server.requests)) == (Slow, 1, 1)
    at = f"http://127.0.0.1:{server.port}"
    assert re.fullmatch(rf"Argo CD at {at} did not \w.* within 0 s \(argocd.timeout\)", error.message)
    assert error.hint == (
        "rendering may take longer there: raise argocd.timeout; or the request was lost on its way"
    )


@pytest.mark.parametrize("act", RENDERS)
def test_a_rendering_has_time_when_other_requests_have_none_left(
    act: Use[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "QUICK", httpx.Timeout(0.1))
    arrived, given_up = asyncio.Event(), asyncio.Event()

    async def reply(out: asyncio.StreamWriter) -> None:
        arrived.set()
        await after(given_up, answer(body='{"manifests": []}'))(out)

    async def main() -> tuple[object, ArgorunError]:
        server = Server([reply, stall()])
        async with server.up(), RestClient(settings(server.port), retry_for=NO_RETRIES) as client:
            rendering: asyncio.Future[object] = asyncio.ensure_future(act(client))
            await arrived.wait()
            with pytest.raises(Unreachable) as e:
                await client.replace(APP, {})
            given_up.set()
            return await rendering, e.value

    seen, error = run(main())
    assert seen in ([], Application())
    assert error.message.endswith("cannot be reached: no answer in time (ReadTimeout)")


def test_an_answer_that_comes_byte_by_byte_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WHOLE", 0.3)

    async def asked(client: RestClient) -> ArgorunError:
        with pytest.raises(Unreachable) as e:
            await client.application(APP)
        return e.value

    error, _ = use(trickle(), use=asked)
    assert error.message.endswith("cannot be reached: its answer was not complete after 0 s")


@pytest.mark.parametrize("harmless_late", [True, False])
def test_a_change_that_was_too_slow_may_take_effect_yet_whatever_it_tests(harmless_late: bool) -> None:
    async def until(client: RestClient) -> float | None:
        with pytest.raises(Slow):
            await client.patch(APP, [], harmless_late=harmless_late)
        return client.late_change_until()

    assert use(stall(), use=until, timeout=0.1)[0] is not None


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_end_that_a_gateway_answers_for_argo_cd_may_arrive_yet(status: int) -> None:
    async def until(client: RestClient) -> float | None:
        with pytest.raises(ApiError):
            await client.terminate(APP)
        late = client.late_terminate_until()
        return None if late is None else late - asyncio.get_running_loop().time()

    assert use(answer(status), use=until, timeout=40.0)[0] == pytest.approx(40.0, abs=5)
    assert use(answer(400), use=until)[0] is None


def test_an_end_that_was_canceled_and_given_up_may_arrive_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LANDING", 0.1)

    async def until(client: RestClient) -> float | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.terminate(APP)
        await client.wait_for_in_flight()
        return client.late_terminate_until()

    assert use(stall(), use=until)[0] is not None


def test_what_was_canceled_and_takes_too_long_is_given_up_and_may_take_effect_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LANDING", 0.1)
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def reply(out: asyncio.StreamWriter) -> None:
        arrived.set()
        with contextlib.suppress(OSError):
            while not out.is_closing():
                out.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await out.drain()
                await asyncio.sleep(0.01)
        gone.set()

    async def main() -> float | None:
        server = Server([reply])
        async with server.up(), RestClient(settings(server.port)) as client:
            sending = asyncio.create_task(client.patch(APP, []))
            await arrived.wait()
            sending.cancel()
            await client.wait_for_in_flight()
            await gone.wait()
            return client.late_change_until()

    assert run(main()) is not None


@pytest.mark.parametrize("stands", [True, False])
def test_a_comparison_that_takes_long_is_waited_for_while_it_is_not_done(
    stands: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_client, "REFRESHED", (0.2, 0.2))
    waiting = answer(body='{"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}')
    done = answer(body='{"status": {"sync": {"status": "Synced"}}}')

    async def refreshed(client: RestClient) -> str:
        return (await client.application(APP, refresh="normal")).status.sync.status

    replies = [stall(), stall(), waiting, stall(), waiting, done] if stands else [stall(), stall(), done]
    seen, server = use(*replies, use=refreshed)
    asked = [r.target.partition("refresh=")[2] for r in server.requests]
    n = "normal"
    assert (seen, asked) == ("Synced", [n, n, "", n, "", n] if stands else [n, n, ""])


def test_a_comparison_that_is_never_done_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_client, "REFRESHED", (0.0, 0.0))
    waiting = answer(
        body='{"metadata": {"name": "w", "annotations": {"argocd.argoproj.io/refresh": "normal"}}}'
    )

    async def refreshed(client: RestClient) -> str:
        return (await client.application(APP, refresh="normal")).metadata.name

    assert use(waiting, use=refreshed, timeout=0.2)[0] == "w"


def test_a_request_that_was_sent_and_canceled_is_waited_for_until_it_has_landed() -> None:
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def cancelled(client: RestClient) -> tuple[bool, list[bool]]:
        sending = asyncio.create_task(client.patch(APP, []))
        await arrived.wait()
        sending.cancel()
        await asyncio.wait({sending})
        landing = asyncio.create_task(client.wait_for_in_flight())
        for _ in range(10):
            await asyncio.sleep(0)
        waits = not landing.done()
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        gate.set()
        await landing
        cancelled = sending.cancelled()
        del sending, landing  # a task complains when nobody can ask for its error any longer
        gc.collect()
        again = asyncio.create_task(client.wait_for_in_flight())
        await asyncio.sleep(0)
        return cancelled, [waits, again.done(), not complaints]

    async def main() -> tuple[bool, list[bool]]:
        async def reply(out: asyncio.StreamWriter) -> None:
            arrived.set()
            await after(gate, answer(503))(out)  # nobody waits for its error any longer

        server = Server([reply])
        async with server.up(), RestClient(settings(server.port)) as client:
            return await cancelled(client)

    assert run(main()) == (True, [True, True, True])


def test_where_nothing_is_under_way_landing_takes_no_time() -> None:
    assert use(answer(), use=lambda c: c.wait_for_in_flight())[0] is None


# -- may the account? -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "allowed"),
    [
        (answer(body='{"value": "yes"}'), True),
        (answer(body='{"value": "no"}'), False),
        (answer(403), True),  # the server does not tell: the run will see
        (answer(404), True),
    ],
)
def test_a_permission_is_missing_only_where_the_server_says_so(reply: Reply, allowed: bool) -> None:
    assert use(reply, use=lambda c: c.can_i("sync", "applications", "p/w"))[0] is allowed


def test_a_wrong_token_is_told_when_permissions_are_asked_for() -> None:
    error = failed(answer(401), act=lambda c: c.can_i("sync", "applications", "p/w"))
    assert isinstance(error, Unauthenticated)


def test_events_are_typed_and_there_may_be_none() -> None:
    about = {"kind": "Pod", "name": "a", "uid": "u", "fieldPath": "spec.containers{main}"}
    item = {
        "metadata": {"name": "a.1"},
        "involvedObject": about,
        "reason": "Failed",
        "message": "Error: ErrImagePull",
        "source": {"component": "kubelet"},
        "firstTimestamp": None,
        "lastTimestamp": "2026-01-01T00:00:01Z",
        "count": 3,
        "type": "Warning",
        "eventTime": None,
    }
    pod = Node(kind="Pod", namespace="n", name="a", uid="u")
    body = json.dumps({"metadata": {}, "items": [item]})
    assert use(answer(body=body), use=lambda c: c.events(APP, pod))[0] == [
        ClusterEvent(
            type="Warning",
            reason="Failed",
            message="Error: ErrImagePull",
            count=3,
            last_timestamp="2026-01-01T00:00:01Z",
            involved_object=Ref(kind="Pod", name="a", uid="u"),
        )
    ]
    assert use(answer(body='{"metadata": {}, "items": null}'), use=lambda c: c.events(APP, pod))[0] == []


def test_manifests_and_live_objects_are_unpacked_from_their_texts() -> None:
    body = json.dumps({"manifests": ['{"kind": "Job"}', '{"kind": "ConfigMap"}']})
    assert use(answer(body=body), use=lambda c: c.manifests(APP))[0] == [
        {"kind": "Job"},
        {"kind": "ConfigMap"},
    ]
    body = json.dumps({"manifest": '{"kind": "Pod"}'})
    live, server = use(answer(body=body), use=lambda c: c.live(APP, "", "v1", "Pod", "ns", "p"))
    assert live == {"kind": "Pod"}
    query = "group=&version=v1&kind=Pod&namespace=ns&resourceName=p"
    assert server.requests[0].target == f"/api/v1/applications/weather/resource?{query}"
    for wrong in ('{"manifests": ["{"]}', '{"manifests": [5]}', '{"manifests": 5}'):
        assert isinstance(failed(answer(body=wrong), act=lambda c: c.manifests(APP)), ArgorunError)
    for wrong in ('{"manifest": "{"}', '{"manifest": 5}', "{}"):
        live_of = failed(answer(body=wrong), act=lambda c: c.live(APP, "", "v1", "Pod", "ns", "p"))
        assert isinstance(live_of, InvalidResponse)


# -- streams -----------------------------------------------------------------------------------------------


def frame(name: str) -> bytes:
    return (
        b'data: {"result": {"type": "MODIFIED", "application": {"metadata": {"name": "%s"}}}}\n\n'
        % name.encode()
    )


async def watched(client: RestClient) -> list[str]:
    return [a.metadata.name async for a in client.watch(APP, "result.type")]


def test_a_streams_comments_and_blank_lines_are_no_data() -> None:
    body = b":\n\n: keep-alive\n\nevent: x\nid: 1\n" + frame("a") + b":\n\n" + frame("b")
    assert use(stream(body), use=watched)[0] == ["a", "b"]


@given(st.lists(st.integers(1, 40), max_size=8), st.booleans())
def test_frames_may_be_cut_anywhere(cuts: list[int], crlf: bool) -> None:
    body = b": comment\n\n" + frame("a") + frame("ö") + frame("c")
    if crlf:
        body = body.replace(b"\n", b"\r\n")

    async def chunks() -> AsyncGenerator[bytes]:
        rest = body
        for cut in cuts:
            yield rest[:cut]
            rest = rest[cut:]
        yield rest

    async def main() -> list[bytes]:
        return [block async for block in streams.blocks(httpx.Response(200, content=chunks()))]

    blocks = run(main())
    assert b"".join(blocks) == body
    assert [block for block in blocks if not block.endswith(b"\n")] == []


def test_a_line_that_the_end_of_a_body_cuts_off_is_still_given() -> None:
    async def main() -> list[bytes]:
        return [block async for block in streams.blocks(httpx.Response(200, content=b"a\nb"))]

    assert run(main()) == [b"a\n", b"b"]


def test_frames_cut_over_chunks_arrive_whole() -> None:
    body = frame("a") + frame("b")
    assert use(stream(*(body[i : i + 7] for i in range(0, len(body), 7))), use=watched)[0] == ["a", "b"]


def test_a_server_that_does_no_event_streams_is_understood_too() -> None:
    lines = frame("a").removeprefix(b"data: ") + frame("b").removeprefix(b"data: ")
    assert use(stream(lines), use=watched)[0] == ["a", "b"]


def after_one(*chunks: bytes, whole: bool = True) -> tuple[list[str], ArgorunError]:
    """What a stream gives before it breaks, and how."""

    async def until(client: RestClient) -> tuple[list[str], ArgorunError]:
        names: list[str] = []
        try:
            async for seen in client.watch(APP, ""):
                names.append(seen.metadata.name)
        except ArgorunError as e:
            return names, e
        raise AssertionError("it did not break")

    return use(stream(frame("a"), *chunks, whole=whole), use=until)[0]


def test_an_error_frame_breaks_the_stream_off() -> None:
    error = b'data: {"error": {"grpc_code": 14, "http_code": 503, "message": "EOF"}}\n\n'
    names, raised = after_one(error, frame("never"))
    assert (names, said(raised)) == (["a"], (Unreachable, "Argo CD broke off a stream: EOF", ""))


@pytest.mark.parametrize(
    "chunk", [b'data: {"result": {"ty\n\n', b"data: <html>\n\n", b'data: {"result": 5}\n\n', b"data: {}\n\n"]
)
def test_a_frame_that_is_no_result_is_nonsense(chunk: bytes) -> None:
    names, raised = after_one(chunk)
    assert (names, type(raised)) == (["a"], InvalidResponse)


def test_a_stream_that_is_cut_off_is_unreachable() -> None:
    names, raised = after_one(whole=False)
    assert (names, type(raised)) == (["a"], Unreachable)


def test_a_stream_that_goes_silent_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    timeout = httpx.Timeout
    monkeypatch.setattr(httpx, "Timeout", lambda *_, **__: timeout(0.2))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n:\r\n"
    error = failed(stall(head), act=watched)
    assert isinstance(error, Unreachable)
    assert error.message.endswith("cannot be reached: no answer in time (ReadTimeout)")


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Unauthenticated), (403, Denied), (503, ApiError), (302, InvalidResponse)]
)
def test_a_stream_that_is_refused_says_why(status: int, kind: type) -> None:
    assert type(failed(answer(status, '{"message": "no"}'), act=watched)) is kind


def test_a_stream_that_is_left_early_gives_its_connection_back() -> None:
    async def first(client: RestClient) -> str:
        stream = client.watch(APP, "")
        name = (await anext(stream)).metadata.name
        await stream.aclose()
        await client.application(APP)
        return name

    assert use(stream(frame("a"), frame("b")), answer(), use=first)[0] == "a"


def test_a_log_is_asked_for_by_pod_and_container_and_its_entries_are_typed() -> None:
    entry = '{"content": "hi", "timeStampStr": "2024-01-01T00:00:00.5Z", "podName": "p", "last": false}'
    last = '{"content": "", "timeStamp": "0001-01-01T00:00:00Z", "last": true}'
    body = f'data: {{"result": {entry}}}\n\ndata: {{"result": {last}}}\n\n'.encode()

    async def read(client: RestClient) -> list[tuple[str, str, str, bool]]:
        batches = client.logs(APP, "p", "ns", "main", follow="true", sinceSeconds="5")
        return [(e.content, e.time_stamp_str, e.pod_name, e.last) async for batch in batches for e in batch]

    told, server = use(stream(body), use=read)
    assert told == [("hi", "2024-01-01T00:00:00.5Z", "p", False), ("", "", "", True)]
    query = "namespace=ns&container=main&follow=true&sinceSeconds=5"
    assert server.requests[0].target == f"/api/v1/applications/weather/pods/p/logs?{query}"


LINE = (
    b'{"result": {"content": "%d", "timeStampStr": "2024-01-01T00:00:00.5Z", "podName": "p", "last": false}}'
    b"\n"
)


def batches_of(*chunks: bytes) -> tuple[list[list[str]], ArgorunError | None]:
    """The contents of a log's batches, and what broke it off."""

    async def read(client: RestClient) -> tuple[list[list[str]], ArgorunError | None]:
        batches: list[list[str]] = []
        try:
            async for batch in client.logs(APP, "p", "ns", "main"):
                batches.append([e.content for e in batch])
        except ArgorunError as e:
            return batches, e
        return batches, None

    return use(stream(*chunks), use=read)[0]


def test_lines_that_come_at_once_are_given_at_once() -> None:
    batches, broken = batches_of(b"".join(LINE % n for n in range(5000)))
    assert (list(chain(*batches)), broken) == ([str(n) for n in range(5000)], None)
    assert len(batches) < 50


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (b'{"error": {"message": "EOF"}}\n', Unreachable),
        (b'{"result": {"content": "ha\n', InvalidResponse),
        (b'{"result": {"content": "ha', InvalidResponse),
        (b"{}\n", InvalidResponse),
    ],
)
def test_what_comes_before_the_break_in_a_log_is_not_lost(end: bytes, kind: type) -> None:
    batches, broken = batches_of(LINE % 1 + LINE % 2 + end)
    assert (list(chain(*batches)), type(broken)) == (["1", "2"], kind)
