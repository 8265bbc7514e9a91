"""argorun shows no secret, however it ends: searches the output of its processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import html
import http.server
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from argorun.sandbox.standin.accounts import Account
from tests import checkout
from tests.unit.reporters.github_runner import commands
from tests.unit.sandbox.world import World, job, world

CANARIES = {
    "token": "Zq7TkX.w9Rm2-Vb4_Lh8Nc",
    "password": "u5\"Gy'Pe3/Wd&6+Fj=1 Ks<0\\Ha",
    "literal": "Bn2xQo9sMi7rEt4v",
    "header": "Cg8jYl1fUk5dOz3w",
    "name": "Dh6pIa0qXm4bRn9y",
    "set": "Ev3kTs7zJw1uGf5c",
    "old": "Aw9mNp2lZr6hSx8t",
    "proxy": "Lk4iBq8oVy2gPd6e",
}
CONFIG = """
application: weather
argocd:
  server: "{server}"
  plaintext: true
  headers: {{X-Key: "${{HEADER}}"}}
kafka:
  bootstrap.servers: "127.0.0.1:1"
  security.protocol: sasl_plaintext
  sasl.mechanism: PLAIN
  sasl.username: ${{NAME}}
  sasl.password: ${{PASSWORD}}
  ssl.key.password: {literal}
  {more}
topics: [{{prefix: weather_updates, parameter: kafka.topic}}]
timeouts: {{run: 90, busy: 60, cleanup: 60}}
"""
# argorun as it is, but Kafka is a stand-in in memory.
NO_KAFKA = """
import functools, sys
from argorun.run import supervisor
from argorun.kafka.topics import Topics
from tests.unit.kafka.standin import Broker
supervisor.Topics = functools.partial(Topics, admin=Broker())
"""
MAIN = "from argorun.__main__ import main\nmain()\n"


@dataclass(frozen=True)
class Shown:
    """A process's exit code and everything that it showed."""

    code: int
    everything: str
    events: str = ""


def configure(folder: Path, server: str = "127.0.0.1:1", more: str = "") -> None:
    text = CONFIG.format(server=server, literal=CANARIES["literal"], more=more)
    (folder / "argorun.yaml").write_text(text)


def environment(folder: Path, **more: str) -> dict[str, str]:
    known = checkout.environment(folder, TERM="xterm")
    secret = {"ARGOCD_AUTH_TOKEN": CANARIES["token"]}
    secret |= {name.upper(): CANARIES[name] for name in ("password", "header", "name")}
    return known | secret | more


def argorun(
    folder: Path,
    *arguments: str,
    code: str = MAIN,
    terminal: bool = False,
    interrupt: str | None = None,
    **more: str,
) -> Shown:
    """Run it to its end; at a line that holds `interrupt` it gets a SIGINT. `terminal`: all goes to a pty."""
    command = [sys.executable, "-c", code, *arguments]
    reading, writing = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder, **more), stdin=subprocess.DEVNULL, stdout=writing,
        stderr=writing,
    )  # fmt: skip
    os.close(writing)
    everything = ""
    with contextlib.suppress(OSError):  # EIO: the other side of the pty is closed
        while chunk := os.read(reading, 65536):
            everything += chunk.decode(errors="replace")
            if interrupt is not None and interrupt in everything:
                process.send_signal(signal.SIGINT)
                interrupt = None
    os.close(reading)
    exit_code = process.wait(timeout=60)
    events = folder / "events.jsonl"
    return Shown(exit_code, everything, events.read_text() if events.exists() else "")


def leaks(shown: Shown) -> dict[str, list[str]]:
    """Per canary, what is seen of it: any six characters in a row, also of what it looks like elsewhere."""
    text = shown.everything + "\n" + shown.events
    folded = re.sub(r"[\s│|]|\x1b\[[0-9;?]*[A-Za-z]", "", text)  # broken by the terminal, or colored inside
    found = {
        name: [part for part in parts(canary) if part in text or part in folded]
        for name, canary in CANARIES.items()
    }
    return {name: seen for name, seen in found.items() if seen}


def parts(canary: str) -> set[str]:
    raw = canary.encode()
    looks = {canary, quote(canary), quote(canary, safe=""), json.dumps(canary)[1:-1], repr(canary)[1:-1]}
    looks |= {html.escape(canary), base64.b64encode(raw).decode().rstrip("=")[:-1]}
    looks |= {base64.b64encode(b"x" * n + raw).decode().rstrip("=")[4:-2] for n in (1, 2)}
    hexed = raw.hex()  # twice as long, and six digits of it may be those of a time
    found = {hexed[i : i + 12] for i in range(len(hexed) - 11)}
    return found | {look[i : i + 6] for look in looks for i in range(len(look) - 5)}


def assert_silent(shown: Shown, *codes: int) -> None:
    assert leaks(shown) == {}, shown.everything
    assert shown.code in codes, shown.everything
    assert "Traceback" not in shown.everything or 70 in codes


def test_this_search_finds_what_leaks() -> None:
    shown = Shown(
        0, f"x {CANARIES['literal'][4:11]}", base64.b64encode(f"u:{CANARIES['set']}".encode()).decode()
    )
    assert set(leaks(shown)) == {"literal", "set"}
    broken = "\x1b[31mZq7\n │ TkX.w\x1b[0m9"
    assert set(leaks(Shown(0, broken))) == {"token"}


# -- before the run --------------------------------------------------------------------------------------

P = CANARIES["literal"]
BROKEN: dict[str, tuple[str, int]] = {
    "no YAML": (f"kafka: {{sasl.password: {P}, [", 2),
    "an alias": (f"kafka:\n  sasl.password: *{P}\n", 2),
    "a tag": (f"kafka:\n  sasl.password: !{P}\n", 2),
    "an unknown escape": (f'kafka:\n  sasl.password: "\\{P}"\n', 2),
    "a bad indentation": (f"kafka:\n  sasl.password: {P}\n x: {P}\n", 2),
    "an unknown key": (f"argocd: {{token: {P}}}", 2),
    "a wrong type": (f"kafka: {P}", 2),
    "a list": (f"kafka: {{sasl.password: [{P}]}}", 2),
    "a variable that is not there": (f"kafka: {{sasl.password: {P}, client.id: '${{GONE}}'}}", 2),
    "no Kafka": (f"kafka: {{sasl.password: {P}}}", 2),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_cannot_be_used_is_refused_without_its_secrets(tmp_path: Path, what: str) -> None:
    text, code = BROKEN[what]
    (tmp_path / "argorun.yaml").write_text(text)
    assert_silent(argorun(tmp_path, "run"), code)


PROPERTIES = [
    'security.protocol: "${PASSWORD}"',
    'x.y: "${PASSWORD}"',
    'sasl.kerberos.min.time.before.relogin: "${PASSWORD}"',
    'debug: "${PASSWORD}"',
    f"ssl.key.pem: {P}",
    f"ssl.keystore.location: {P}",
    'allow.auto.create.topics: "${NAME}"',
]


@pytest.mark.parametrize("more", PROPERTIES)
def test_a_property_that_librdkafka_refuses_is_named_without_its_value(tmp_path: Path, more: str) -> None:
    configure(tmp_path, more=f"security.protocol: ssl\n  {more}" if "ssl" in more else more)
    assert_silent(argorun(tmp_path, "run", "--dry-run"), 2)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["run", CANARIES["token"]], {}),
        (["run", "a", CANARIES["token"]], {}),
        (["run", "--output", CANARIES["token"]], {}),
        (["run", "--timeout", CANARIES["token"]], {}),
        (["run", "-f", CANARIES["token"]], {}),
        (["run", f"--{CANARIES['token']}"], {}),
        (["run", "--set", CANARIES["token"]], {}),
        (["run", "--topic", CANARIES["name"] + "!"], {}),
        (["run", "--events", f"none/{CANARIES['header']}"], {}),
        (["run"], {"ARGOCD_SERVER": f"https://me:{CANARIES['proxy']}@h"}),
        (["run"], {"KAFKA_BOOTSTRAP_SERVERS": f"me:{CANARIES['proxy']}@h"}),
        (["run"], {"HTTP_PROXY": f"nonsense://me:{CANARIES['proxy']}@h:1", "ARGOCD_SERVER": "http://a.test"}),
        (["run"], {"HEADER": CANARIES["header"] + "\n" + CANARIES["header"]}),
        (["run"], {"ARGOCD_AUTH_TOKEN": CANARIES["token"] + " é"}),
    ],
)
def test_a_mistake_on_the_command_line_or_in_the_environment_quotes_no_secret(
    tmp_path: Path, arguments: list[str], more: dict[str, str]
) -> None:
    configure(tmp_path)
    assert_silent(argorun(tmp_path, *arguments, **more), 2)


def test_servers_that_cannot_be_reached_are_named_without_the_proxys_password(tmp_path: Path) -> None:
    configure(tmp_path)
    proxy = {"HTTP_PROXY": f"http://me:{CANARIES['proxy']}@127.0.0.1:1", "ARGOCD_SERVER": "http://a.test"}
    shown = argorun(tmp_path, "run", "--events", "events.jsonl", PYTHONDEVMODE="1", **proxy)
    assert_silent(shown, 8)
    assert "through the proxy http://127.0.0.1:1 (HTTP_PROXY): Connection refused" in shown.everything


# -- servers that repeat what they were sent -----------------------------------------------------------------


class Echo(http.server.BaseHTTPRequestHandler):
    """Refuses every request and repeats its headers, as they are and in other forms."""

    def do_GET(self) -> None:
        server: Any = self.server
        known = [v for k, v in self.headers.items() if k in ("Authorization", "X-Key")]
        shown = " ".join(
            [*known, *map(quote, known), *(base64.b64encode(k.encode()).decode() for k in known)]
        )
        kind = server.kind
        body = json.dumps({"error": "e", "message": f"you sent {shown}\n::error::{shown}", "code": 16})
        if kind == "html":
            body = f"<html>{html.escape(shown)}</html>"
        elif kind == "half":
            body = body[:90]
        self.send_response({"html": 200, "half": 200}.get(kind) or int(kind), shown)
        self.send_header("Content-Length", str(len(body.encode())))
        self.send_header("Location", f"https://elsewhere.example.com/{shown}")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def echo(kind: str) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.kind = kind  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("kind", "output", "code"),
    [
        ("401", "plain", 6),
        ("403", "json", 6),
        ("404", "rich", 6),
        ("400", "plain", 8),
        ("302", "plain", 8),
        ("500", "rich", 8),
        ("html", "plain", 8),
        ("half", "json", 8),
    ],
)
def test_a_server_that_repeats_the_credentials_is_quoted_without_them(
    tmp_path: Path, kind: str, output: str, code: int
) -> None:
    with echo(kind) as server:
        configure(tmp_path, server)
        arguments = ["run", "--output", output, "--events", "events.jsonl"]
        shown = argorun(tmp_path, *arguments, terminal=output == "rich", GITHUB_ACTIONS="true")
    assert_silent(shown, code)
    assert commands(shown.everything) == []


# -- whole runs ----------------------------------------------------------------------------------------------


def says(*, forever: bool = False, code: int = 0) -> str:
    """The script of a test Job that prints what it should not."""
    known = [c for name, c in CANARIES.items() if name != "proxy"]  # unknown without a proxy
    lines = [
        *known,
        *(f"\x1b[1m{c[:9]}\x1b[0m{c[9:]}" for c in known),
        *(json.dumps({"a": c}) for c in known),
        *(base64.b64encode(f"user:{c}".encode()).decode() for c in known),
        "\x1b[2J\x1b]0;title\x07::error::x",
        "a\r::stop-commands::x",
        "\u200b::set-env name=PATH::x",
        "##[error]x",
        "begun",
    ]
    script = "".join(f"printf '%s\\n' {shlex.quote(line)}\n" for line in lines)
    return script + ("while :; do sleep 0.05; done" if forever else f"exit {code}")


OPTIONS = ("--set", f"db.password={CANARIES['set']}", "--events", "events.jsonl", "--no-settle")


def in_world(folder: Path, test: Callable[[World], Shown], script: str, more: str = "") -> Shown:
    """The result of `test` on a stand-in whose Application has a password among its parameters."""

    async def main() -> Shown:
        async with (
            asyncio.timeout(120),
            world(folder, job("tests", f": TOPIC\n{script}", hook="PostSync")) as it,
        ):
            it.standin.accounts[CANARIES["token"]] = Account(name="ci")
            element = {"name": "db.password", "value": CANARIES["old"]}
            await it.patch({"op": "add", "path": "/spec/source/helm/parameters/-", "value": element})
            configure(folder, it.standin.server, more)
            return await asyncio.to_thread(test, it)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("output", "code", "more"),
    [
        ("plain", 0, {"GITHUB_ACTIONS": "true"}),
        ("plain", 1, {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"}),
        ("json", 1, {"GITHUB_ACTIONS": "true"}),
        ("rich", 1, {"COLUMNS": "60"}),
    ],
)
def test_a_whole_run_shows_no_secret_and_obeys_no_log(
    tmp_path: Path, output: str, code: int, more: dict[str, str]
) -> None:
    def test(_: World) -> Shown:
        arguments = ["run", "--output", output, *OPTIONS]
        return argorun(tmp_path, *arguments, code=NO_KAFKA + MAIN, terminal=output == "rich", **more)

    shown = in_world(tmp_path, test, says(code=code))
    assert "begun" in shown.everything
    assert_silent(shown, code)
    assert "GITHUB_ACTIONS" not in more or commands(shown.everything) == []
    assert set(re.findall(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\]|\x07", shown.everything)) <= {
        "\x1b[?2026h", "\x1b[?2026l", "\x1b[J", *(f"\x1b[{n}A" for n in range(1, 24))
    }  # fmt: skip


@pytest.mark.parametrize("output", ["plain", "json"])
def test_a_dry_run_shows_no_secret(tmp_path: Path, output: str) -> None:
    def test(_: World) -> Shown:
        return argorun(tmp_path, "run", "--dry-run", "--output", output, *OPTIONS, code=NO_KAFKA + MAIN)

    shown = in_world(tmp_path, test, says())
    assert_silent(shown, 0)
    assert "set helm: db.password to *** (now '***'), and put it back" in shown.everything


def test_a_run_that_is_interrupted_and_cannot_clean_up_shows_no_secret(tmp_path: Path) -> None:
    """The commands that undo it by hand hold the former password, and so does the record."""
    broken = (
        "from argorun.argocd.client import Client\nfrom argorun.errors import ArgoCDFailed\n"
        "from argorun.argocd.claim import restore\n"
        "async def fails(*_, **__): raise ArgoCDFailed(f'no: {sys.argv}')\nrestore.give_back = fails\n"
    )

    def test(_: World) -> Shown:
        arguments = ["run", "--output", "plain", *OPTIONS]
        return argorun(tmp_path, *arguments, code=NO_KAFKA + broken + MAIN, interrupt="begun")

    shown = in_world(tmp_path, test, says(forever=True))
    assert_silent(shown, 130)
    assert "argocd app patch weather" in shown.everything
    assert "in the command, replace *** with the secret" in shown.everything


@pytest.mark.parametrize("where", ["preflight", "follow", "clean_up", "__init__"])
def test_an_error_inside_argorun_shows_no_secret(tmp_path: Path, where: str) -> None:
    kind = "def" if where == "__init__" else "async def"
    broken = (
        "import os\nfrom argorun.run.steps import Run\n"
        f"{kind} fails(*_, **__): raise RuntimeError(dict(os.environ), sys.argv)\nRun.{where} = fails\n"
    )

    def test(_: World) -> Shown:
        arguments = ["run", "--output", "plain", *OPTIONS]
        return argorun(tmp_path, *arguments, code=NO_KAFKA + broken + MAIN)

    shown = in_world(tmp_path, test, says())
    assert_silent(shown, 70)
    assert "RuntimeError" in shown.everything


def test_librdkafkas_own_log_is_not_shown(tmp_path: Path) -> None:
    def test(_: World) -> Shown:
        return argorun(tmp_path, "run", "--output", "plain", "--timeout", "3", *OPTIONS)

    shown = in_world(tmp_path, test, says(), more="debug: all")
    assert_silent(shown, 4, 7)
    assert "rdkafka" not in shown.everything.lower()
