"""TLS is verified unless somebody says otherwise in so many words, and a token goes to no other server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argorun.argocd.http.errors import InvalidResponse
from argorun.argocd.rest_client import RestClient
from argorun.config.argocd_cli import stored
from argorun.config.load import load
from argorun.config.model import ApplicationRef, ArgoCD, Flags
from argorun.kafka.admin import KafkaAdmin
from argorun.kafka.errors import BrokerError
from argorun.kafka.properties import checked
from tests.unit.argocd.web import TLS, Server, answer
from tests.unit.redact.test_canaries import CANARIES, Shown, argorun

CONFIG = """
application: weather
argocd: {{server: "localhost:{port}", headers: {{X-Key: "${{HEADER}}"}}{more}}}
kafka: {{bootstrap.servers: "127.0.0.1:1"}}
topics: [{{prefix: weather_updates, parameter: kafka.topic}}]
"""


@contextlib.contextmanager
def listening(address: str) -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server there, with the certificate of localhost; what each who came told it, nothing included."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    told: list[bytes] = []
    with socket.create_server((address, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.settimeout(2)
                    told.append(b"")
                    with (
                        contextlib.suppress(OSError),
                        context.wrap_socket(connection, server_side=True) as tls,
                    ):
                        told[-1] = tls.recv(4)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], told
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def against_a_stranger(folder: Path, more: str = "", **environment: str) -> tuple[Shown, Server]:
    """A run against a server whose certificate nobody has signed."""
    server = Server([answer(401, '{"message": "who are you?", "code": 16}')] * 5)

    async def main() -> Shown:
        async with server.up(tls=True):
            (folder / "argorun.yaml").write_text(CONFIG.format(port=server.port, more=more))
            named = {k: v.format(port=server.port) for k, v in environment.items()}
            return await asyncio.to_thread(argorun, folder, "run", "--output", "plain", **named)

    return asyncio.run(main()), server


def logged_in(folder: Path, server: str) -> None:
    """What `argocd login --insecure` leaves."""
    login = {
        "current-context": "c",
        "contexts": [{"name": "c", "server": server, "user": "u"}],
        "servers": [{"server": server, "insecure": True}],
        "users": [{"name": "u", "auth-token": CANARIES["token"]}],
    }
    (folder / ".config" / "argocd").mkdir(parents=True)
    (folder / ".config" / "argocd" / "config").write_text(json.dumps(login))


@pytest.mark.parametrize(
    ("more", "environment"),
    [
        ("", {}),
        (", insecure: false", {}),
        ("", {"ARGOCD_OPTS": "--insecure --plaintext"}),
        ("", {"ARGOCD_INSECURE": "true", "PYTHONHTTPSVERIFY": "0"}),
        ("", {"ARGOCD_SERVER": "https://localhost:{port}"}),
    ],
)
def test_a_stranger_gets_neither_a_request_nor_the_token(
    tmp_path: Path, more: str, environment: dict[str, str]
) -> None:
    logged_in(tmp_path, "another.example.com")  # what is said of one server holds for no other
    shown, server = against_a_stranger(tmp_path, more, **environment)
    assert (shown.code, server.requests) == (8, [])
    assert "certificate verify failed" in shown.everything
    assert "give the CA that signed it: --ca FILE, or argocd: {ca: FILE}" in shown.everything


def test_the_right_certificate_under_another_name_is_a_stranger_too(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text((TLS / "localhost.crt").read_text())
    _, known = against_a_stranger(tmp_path, ", ca: ca.pem")
    assert len(known.requests) == 1
    with listening("127.0.0.2") as (port, told):
        shown = argorun(tmp_path, "run", "--output", "plain", ARGOCD_SERVER=f"127.0.0.2:{port}")
    assert (shown.code, told) == (8, [b""])
    assert "certificate verify failed: IP address mismatch" in shown.everything


def test_insecure_is_said_in_so_many_words_and_then_told(tmp_path: Path) -> None:
    shown, server = against_a_stranger(tmp_path, ", insecure: true")
    assert (shown.code, [r.headers["authorization"] for r in server.requests]) == (
        6,
        [f"Bearer {CANARIES['token']}"],
    )
    assert "is not verified (insecure)" in shown.everything


def test_insecure_of_the_argocd_clis_login_holds_for_its_own_server(tmp_path: Path) -> None:
    logged_in(tmp_path, "argocd.example.com")
    file = tmp_path / "argorun.yaml"
    for server, insecure in (("argocd.example.com", True), ("argocd.example.com:444", False)):
        file.write_text(CONFIG.format(port=1, more="").replace("localhost:1", server))
        environment = {"HOME": str(tmp_path), "ARGOCD_AUTH_TOKEN": "t", "HEADER": "h"}
        config = load(Flags(file=file), environment, tmp_path, stored(environment))
        assert config.argocd.insecure is insecure


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["http://localhost:{port}/", "https://127.0.0.1:{port}/", "//127.0.0.1:{port}/"]
)
def test_a_redirect_carries_the_token_nowhere(status: int, where: str) -> None:
    asked: list[str] = []

    async def main() -> None:
        elsewhere = Server([answer()] * 3)
        async with elsewhere.up(tls=where.startswith("https")):
            to = where.format(port=elsewhere.port)
            server = Server([answer(status, Location=to)] * 3)
            async with server.up(tls=True):
                settings = ArgoCD(server=f"localhost:{server.port}", token="t0ken", ca=TLS / "localhost.crt")
                async with RestClient(settings, retry_for=0.1) as client:
                    for request in (client.application, client.terminate):
                        with pytest.raises(InvalidResponse, match="redirects to"):
                            await request(ApplicationRef(name="weather"))
        assert elsewhere.requests == []
        asked.extend(r.method for r in server.requests)

    asyncio.run(main())
    assert asked == ["GET", "DELETE"]


# -- Kafka -----------------------------------------------------------------------------------------------


def told_to_kafka(host: str, **more: Any) -> tuple[bytes, str]:
    """What a broker was told over TLS, and what librdkafka said of it."""

    async def main(port: int) -> str:
        properties = {
            "bootstrap.servers": f"{host}:{port}",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "sasl.password": "hunter2",
        }
        client = KafkaAdmin(properties | {k.replace("_", "."): v for k, v in more.items()})
        client.open()
        try:
            with contextlib.suppress(BrokerError):
                await client.describe("t", timeout=1.0)
            trouble = client.trouble(0)
            return trouble.text if trouble else ""
        finally:
            await client.close()

    with listening(host) as (port, told):
        said = asyncio.run(main(port))
        assert told != []  # it was there
    return b"".join(told), said


def test_a_broker_that_nobody_has_signed_for_is_told_nothing() -> None:
    told, said = told_to_kafka("127.0.0.1")
    assert told == b""
    assert "certificate verify failed" in said


def test_the_name_in_a_brokers_certificate_counts() -> None:
    ca = str(TLS / "localhost.crt")
    right, _ = told_to_kafka("127.0.0.1", ssl_ca_location=ca)
    wrong, said = told_to_kafka("127.0.0.3", ssl_ca_location=ca)
    assert (right != b"", wrong) == (True, b"")
    assert "certificate verify failed" in said


def test_argorun_leaves_librdkafkas_verification_as_it_is() -> None:
    """Its defaults: enable.ssl.certificate.verification=true, ssl.endpoint.identification.algorithm=https."""
    ours = checked({"bootstrap.servers": "h", "security.protocol": "SSL"})
    assert [name for name in ours if name.startswith(("ssl.", "enable.ssl"))] == []
