"""Kafka's jars: where they come from, that they are whole, and what is said when they cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from argorun.errors import KafkaFailed, UsageError
from argorun.sandbox import download, jars
from argorun.sandbox.download import Jar
from argorun.sandbox.maven import Repository, load_settings
from argorun.sandbox.pip_settings import PipSettings, pip_settings

CENTRAL = "https://central.invalid/maven2"
NO_PIP = {"PIP_CONFIG_FILE": "/dev/null"}
CONTENT = {f"a{n}-1.jar": f"content {n}".encode() for n in range(9)}


def settings(home: Path, text: str) -> None:
    (home / ".m2").mkdir(exist_ok=True)
    (home / ".m2" / "settings.xml").write_text(
        f'<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0">{text}</settings>'
    )


@pytest.fixture
def repository() -> Iterator[tuple[str, list[str]]]:
    """A Maven repository on loopback with CONTENT, and what was requested; it is a proxy to others, too."""
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
        Jar("org.example", name.split("-")[0], "1", hashlib.sha256(content).hexdigest(), len(content))
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
    host = repository[0].split("/")[2]
    assert caught.value.message.startswith(f"{name} cannot be fetched from {host}: ")
    assert "settings.xml" in caught.value.hint
    assert not list((tmp_path / ".cache").rglob(name))


def test_without_settings_it_is_central_and_then_the_users_others(tmp_path: Path) -> None:
    found = load_settings({"HOME": str(tmp_path), **NO_PIP}, CENTRAL, ("https://other.invalid",))
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
    found = load_settings({"HOME": str(tmp_path), "SECRET": "s3", **NO_PIP}, CENTRAL)
    proxy = "http://u%40x:p@p.invalid:3128"
    assert found.repositories == (Repository(url="https://m.invalid/x", auth=("me", "s3"), proxy=proxy),)
    assert found.local == Path("/jars")


def test_broken_settings_are_passed_over(tmp_path: Path) -> None:
    settings(tmp_path, "<mirrors>")
    assert load_settings({"HOME": str(tmp_path), **NO_PIP}, CENTRAL).repositories == (
        Repository(url=CENTRAL),
    )


def test_the_cache_is_where_xdg_says(tmp_path: Path) -> None:
    assert jars.cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "argorun"
    assert jars.cache_folder({"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}) == Path(
        "/home/me/.cache/argorun"
    )


# -- what is shown, and what an interruption leaves -----------------------------------


class Shown:
    """What the progress of a download was told."""

    def __init__(self) -> None:
        self.told: list[int] = []

    @contextlib.contextmanager
    def __call__(self, total: int) -> Iterator[Callable[[int], None]]:
        self.told.append(total)
        yield lambda size: self.told.append(-size)


def mirrored(home: Path, url: str) -> None:
    settings(home, f"<mirrors><mirror><mirrorOf>*</mirrorOf><url>{url}</url></mirror></mirrors>")


def cache(home: Path) -> Path:
    """The folder of the jars; there are some already."""
    (folder,) = (home / ".cache" / "argorun").iterdir()
    return folder


def test_a_download_says_its_size_and_what_has_arrived_and_the_next_run_nothing(
    tmp_path: Path, repository: tuple[str, list[str]]
) -> None:
    mirrored(tmp_path, repository[0])
    shown, total = Shown(), sum(map(len, CONTENT.values()))
    asyncio.run(jars.kafka_jars({"HOME": str(tmp_path)}, shown))
    assert (shown.told[0], sum(shown.told)) == (total, 0)
    again = Shown()
    asyncio.run(jars.kafka_jars({"HOME": str(tmp_path)}, again))
    assert again.told == []


def test_what_a_killed_download_has_left_is_not_trusted(
    tmp_path: Path, repository: tuple[str, list[str]]
) -> None:
    mirrored(tmp_path, repository[0])
    folder = fetch(tmp_path)
    (folder / "a1-1.jar").write_bytes(CONTENT["a1-1.jar"][:4])
    (folder / "a2-1.jar").unlink()
    (folder / f"{download.PART}a2-1.jar-x").write_bytes(b"half")
    del repository[1][:]
    shown = Shown()
    assert asyncio.run(jars.kafka_jars({"HOME": str(tmp_path)}, shown)) == folder
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"} == CONTENT
    assert sorted(path.rsplit("/", 1)[-1] for path in repository[1]) == ["a1-1.jar", "a2-1.jar"]
    assert shown.told[0] == len(CONTENT["a1-1.jar"]) + len(CONTENT["a2-1.jar"])


def test_an_answer_that_breaks_off_is_asked_for_again_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each jar breaks off the first time that it is asked for."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    asked: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = CONTENT[self.path.rsplit("/", 1)[-1]]
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if self.path in asked else content[:5])
            asked.add(self.path)
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        mirrored(tmp_path, f"http://127.0.0.1:{server.server_port}")
        shown = Shown()
        folder = asyncio.run(jars.kafka_jars({"HOME": str(tmp_path)}, shown))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert {p.name: p.read_bytes() for p in folder.glob("*.jar")} == CONTENT
    assert (sum(shown.told), max(shown.told[1:])) == (0, 5)


def test_a_download_that_is_canceled_leaves_only_whole_jars(tmp_path: Path) -> None:
    """The first jar is whole; all others hang in the middle, until the client has gone."""
    waiting, gone = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            self.send_response(200)
            self.send_header("content-length", str(len(CONTENT[name])))
            self.end_headers()
            self.wfile.write(CONTENT[name] if name == "a0-1.jar" else CONTENT[name][:4])
            if name != "a0-1.jar":
                self.wfile.flush()
                waiting.set()
                gone.wait(30)

        def log_message(self, *arguments: object) -> None:
            pass

    async def canceled() -> None:
        task = asyncio.create_task(jars.kafka_jars({"HOME": str(tmp_path)}))
        while not (waiting.is_set() and list((tmp_path / ".cache").rglob("a0-1.jar"))):
            await asyncio.wait({task}, timeout=0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        mirrored(tmp_path, f"http://127.0.0.1:{server.server_port}")
        asyncio.run(canceled())
    finally:
        gone.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert sorted(p.name for p in cache(tmp_path).iterdir()) == [".lock", "a0-1.jar"]


# -- pip's proxy and CA ---------------------------------------------------------------


def test_the_jars_come_through_pips_proxy(tmp_path: Path, repository: tuple[str, list[str]]) -> None:
    url, asked = repository
    proxy = url.removesuffix("/maven")
    mirrored(tmp_path, "http://maven.invalid/maven")
    (tmp_path / "pip.conf").write_text(f"[global]\nproxy = {proxy}\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    folder = asyncio.run(jars.kafka_jars(environ))
    assert {p.name: p.read_bytes() for p in folder.glob("*.jar")} == CONTENT
    assert {path.partition("/maven/")[0] for path in asked} == {"http://maven.invalid"}


def test_the_environments_proxy_wins_over_pips_and_mavens_over_both(tmp_path: Path) -> None:
    pip = {"HOME": str(tmp_path), "PIP_PROXY": "http://pip.invalid:1", "PIP_CONFIG_FILE": "/dev/null"}

    def proxy(**environ: str) -> str | None:
        return load_settings(pip | environ, CENTRAL).repositories[0].proxy

    assert proxy() == "http://pip.invalid:1"
    assert proxy(https_proxy="http://env.invalid:1") is None  # httpx reads the environment itself
    assert proxy(HTTPS_PROXY="http://env.invalid:1") is None
    settings(tmp_path, "<proxies><proxy><host>maven.invalid</host><port>1</port></proxy></proxies>")
    assert proxy(HTTPS_PROXY="http://env.invalid:1") == "http://maven.invalid:1"


def test_the_ca_is_the_environments_or_pips_if_it_is_there(tmp_path: Path) -> None:
    mine, pips = tmp_path / "mine.pem", tmp_path / "pips.pem"
    for file in (mine, pips):
        file.touch()
    base = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}

    def ca(**environ: str) -> Path | None:
        return load_settings(base | environ, CENTRAL).repositories[0].ca

    assert ca() is None
    assert ca(PIP_CERT=str(pips)) == pips
    assert ca(PIP_CERT=str(pips), SSL_CERT_FILE=str(mine)) == mine
    assert ca(PIP_CERT=str(tmp_path / "none.pem"), SSL_CERT_FILE=str(tmp_path / "none.pem")) is None


def test_pips_files_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    user, prefix, system = tmp_path / ".config" / "pip", tmp_path / "venv", tmp_path / "system.conf"
    user.mkdir(parents=True)
    prefix.mkdir()
    (user / "pip.conf").write_text("[global]\nproxy = http://user.invalid\n[install]\ncert = /none\n")
    system.write_text("[global]\nproxy = http://system.invalid\ncert = /none\n")
    environ = {"HOME": str(tmp_path)}
    assert pip_settings(environ, prefix, system) == PipSettings("http://user.invalid", None)
    (prefix / "pip.conf").write_text("[install]\nproxy = http://venv.invalid\n")
    assert pip_settings(environ, prefix, system) == PipSettings("http://venv.invalid", None)
    (user / "pip.conf").write_text("no section\n")
    assert pip_settings(environ, prefix, system) == PipSettings("http://venv.invalid", None)
    assert pip_settings({**environ, **NO_PIP}, prefix, system) == PipSettings()
    (tmp_path / "own.conf").write_text("[global]\nproxy = http://own.invalid\n")
    own = {**environ, "PIP_CONFIG_FILE": str(tmp_path / "own.conf")}
    assert pip_settings(own, prefix, system) == PipSettings("http://own.invalid", None)
    assert (
        pip_settings({**own, "PIP_PROXY": "http://env.invalid"}, prefix, system).proxy == "http://env.invalid"
    )


@pytest.mark.parametrize("proxy", ["foo://127.0.0.1:9", "socks5://127.0.0.1:9", "127.0.0.1:port"])
def test_a_proxy_that_cannot_be_used_is_bad_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError) as caught:
        fetch(tmp_path)
    assert caught.value.message.startswith("the proxy to Kafka's jars cannot be used: ")


def test_a_ca_that_is_none_is_bad_usage_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(UsageError) as caught:
        asyncio.run(jars.kafka_jars({"HOME": str(tmp_path), "PIP_CERT": str(tmp_path / "ca.pem")}))
    assert caught.value.message.startswith(f"{tmp_path / 'ca.pem'} cannot be used as a CA: ")
