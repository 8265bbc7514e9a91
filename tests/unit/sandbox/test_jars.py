"""Kafka's jars: where they come from, that they are whole, and what is said when they cannot be had."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from argorun.errors import KafkaFailed
from argorun.sandbox import jars
from argorun.sandbox.maven import Repository, load_settings

CENTRAL = "https://central.invalid/maven2"
CONTENT = {f"a{n}-1.jar": f"content {n}".encode() for n in range(9)}


def settings(home: Path, text: str) -> None:
    (home / ".m2").mkdir(exist_ok=True)
    (home / ".m2" / "settings.xml").write_text(
        f'<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">{text}</settings>'
    )


@pytest.fixture
def repository() -> Iterator[tuple[str, list[str]]]:
    """A Maven repository on loopback with CONTENT, and the requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = CONTENT.get(self.path.rsplit("/", 1)[-1])
            self.send_response(200 if content else 404)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/maven", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        jars.Jar("org.example", name.split("-")[0], "1", hashlib.sha256(content).hexdigest())
        for name, content in CONTENT.items()
    ]
    monkeypatch.setattr(jars, "pinned", lambda: found)


def fetch(home: Path) -> Path:
    return asyncio.run(jars.kafka_jars({"HOME": str(home)}))


def test_jars_come_from_the_mirror_once_and_stay_in_the_cache(
    tmp_path: Path, repository: tuple[str, list[str]]
) -> None:
    url, asked = repository
    settings(
        tmp_path, f"<mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf><url>{url}</url></mirror></mirrors>"
    )
    folder = fetch(tmp_path)
    assert folder.is_relative_to(tmp_path / ".cache" / "argorun")
    assert {p.name: p.read_bytes() for p in folder.glob("*.jar")} == CONTENT
    assert sorted(asked) == sorted(f"/maven/org/example/{n.split('-')[0]}/1/{n}" for n in CONTENT)
    assert fetch(tmp_path) == folder
    assert len(asked) == len(CONTENT)


def test_two_at_once_fetch_once(tmp_path: Path, repository: tuple[str, list[str]]) -> None:
    url, asked = repository
    settings(tmp_path, f"<mirrors><mirror><mirrorOf>central</mirrorOf><url>{url}</url></mirror></mirrors>")

    async def both() -> None:
        await asyncio.gather(*(jars.kafka_jars({"HOME": str(tmp_path)}) for _ in range(2)))

    asyncio.run(both())
    assert len(asked) == len(CONTENT)


def test_what_maven_has_already_is_not_fetched_again(tmp_path: Path) -> None:
    for name, content in CONTENT.items():
        path = tmp_path / ".m2" / "repository" / "org" / "example" / name.split("-")[0] / "1" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert len(list(fetch(tmp_path).glob("*.jar"))) == len(CONTENT)


@pytest.mark.parametrize(("name", "content"), [("a3-1.jar", b"something else"), ("a3-1.jar", None)])
def test_a_jar_that_is_wrong_or_missing_is_an_error_that_says_where_to_look(
    tmp_path: Path,
    repository: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
) -> None:
    monkeypatch.setitem(CONTENT, name, content)  # type: ignore[arg-type]
    settings(
        tmp_path, f"<mirrors><mirror><mirrorOf>*</mirrorOf><url>{repository[0]}</url></mirror></mirrors>"
    )
    with pytest.raises(KafkaFailed) as caught:
        fetch(tmp_path)
    assert caught.value.message.startswith(f"{name} cannot be fetched from the Maven repository: ")
    assert "settings.xml" in caught.value.hint
    assert not list((tmp_path / ".cache").rglob(name))


def test_without_settings_it_is_central_and_then_the_users_others(tmp_path: Path) -> None:
    found = load_settings({"HOME": str(tmp_path)}, CENTRAL, ("https://other.invalid",))
    assert found.repositories == (Repository(url=CENTRAL), Repository(url="https://other.invalid"))
    assert found.local == tmp_path / ".m2" / "repository"


def test_settings_give_mirror_password_proxy_and_local_repository(tmp_path: Path) -> None:
    settings(
        tmp_path,
        "<localRepository>/jars</localRepository>"
        "<mirrors><mirror><mirrorOf>jboss</mirrorOf><url>https://no.invalid</url></mirror>"
        "<mirror><id>m</id><mirrorOf>external:*,!jboss</mirrorOf><url>https://m.invalid/x/</url></mirror></mirrors>"
        "<servers><server><id>m</id><username>me</username><password>${env.SECRET}</password></server></servers>"
        "<proxies><proxy><active>false</active><host>no.invalid</host></proxy>"
        "<proxy><host>p.invalid</host><port>3128</port><username>u@x</username><password>p</password></proxy></proxies>",
    )
    found = load_settings({"HOME": str(tmp_path), "SECRET": "s3"}, CENTRAL)
    proxy = "http://u%40x:p@p.invalid:3128"
    assert found.repositories == (Repository(url="https://m.invalid/x", auth=("me", "s3"), proxy=proxy),)
    assert found.local == Path("/jars")


def test_broken_settings_are_passed_over(tmp_path: Path) -> None:
    settings(tmp_path, "<mirrors>")
    assert load_settings({"HOME": str(tmp_path)}, CENTRAL).repositories == (Repository(url=CENTRAL),)


def test_the_cache_is_where_xdg_says(tmp_path: Path) -> None:
    assert jars.cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "argorun"
    assert jars.cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}) == Path(
        "/home/me/.cache/argorun"
    )
