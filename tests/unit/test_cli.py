"""The command line: version and help load little, a mistake is one clear error with exit 2."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from argorun import __version__, app
from argorun.cli.main import commands
from argorun.config.model import Flags
from tests import checkout
from tests.checkout import ARGORUN

CONFIG = """
application: weather
argocd: {{server: "127.0.0.1:{port}", plaintext: true}}
kafka: {{bootstrap.servers: "127.0.0.1:{port}"}}
topics: [{{prefix: weather_updates, parameter: kafka.topic}}]
"""


def argorun(
    folder: Path, *arguments: str, code: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """argorun in a process of its own, with nothing in its environment."""
    command = ["-c", code] if code is not None else ARGORUN[1:]
    clean = checkout.environment(folder, COLUMNS="100")
    return subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def outcome(result: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return result.returncode, result.stdout, result.stderr


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, Callable[[], bool]]]:
    """A port on loopback, and whether something has connected to it."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)

        def was_reached() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield server.getsockname()[1], was_reached


# -- version and help ---------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_shown_without_loading_anything(tmp_path: Path, flag: str) -> None:
    code = (
        "import sys; from argorun.__main__ import main; main()\n"
        "heavy = {'typer', 'click', 'rich', 'httpx', 'msgspec', 'yaml', 'confluent_kafka', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert outcome(argorun(tmp_path, flag, code=code)) == (0, f"argorun {__version__}\n[]\n", "")


def test_the_version_is_shown_beside_other_options_too(tmp_path: Path) -> None:
    assert outcome(argorun(tmp_path, "--version", "run")) == (0, f"argorun {__version__}\n", "")


def test_help_loads_neither_the_network_nor_kafka(tmp_path: Path) -> None:
    code = (
        "import sys, atexit; from argorun.__main__ import main\n"
        "heavy = {'rich', 'httpx', 'msgspec', 'yaml', 'confluent_kafka', 'asyncio'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules))))\n"
        "main()"
    )
    result = argorun(tmp_path, "--help", code=code)
    assert (result.returncode, result.stdout.splitlines()[-1], result.stderr) == (0, "[]", "")
    for word in ("run", "demo", "--version"):
        assert word in result.stdout


OPTIONS = [
    "--file",
    "--topic",
    "--parameter",
    "--job",
    "--timeout",
    "--revision",
    "--set",
    "--set-string",
    "--output",
    "--events",
    "--keep-topics",
    "--no-settle",
    "--no-nudge",
    "--dry-run",
    "--help",
]


def test_the_help_of_run_has_every_option_and_every_exit_code(tmp_path: Path) -> None:
    result = argorun(tmp_path, "run", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert [o for o in OPTIONS if o not in result.stdout] == []
    codes = [*"0123456789", "10", "70", "129, 130, 143"]
    assert [c for c in codes if f" {c}  " not in result.stdout] == []
    assert "ARGOCD_AUTH_TOKEN" in result.stdout


def test_the_help_of_sweep_has_every_option_and_every_exit_code(tmp_path: Path) -> None:
    result = argorun(tmp_path, "sweep", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    options = ["--file", "--topic", "--older-than", "--dry-run", "--output", "--help"]
    assert [o for o in options if o not in result.stdout] == []
    assert [c for c in (*"02678", "10", "129, 130, 143") if f" {c}  " not in result.stdout] == []


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_no_default_in_the_help_stands_in_brackets_within_brackets(tmp_path: Path, command: str) -> None:
    assert "[default: (" not in argorun(tmp_path, command, "--help").stdout


# -- mistakes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "a", "b"],
        ["run", "--output", "neon"],
        ["run", "--timeout"],
        ["run", "--topic", "a", "--timeout", "soon"],
        ["run", "-f", "none.yaml"],
        ["run", "-f", "."],
        ["run"],
        ["run", "weather"],
        ["run", "Wea ther"],
        ["run", "weather", "--set", "x"],
        ["sweep", "--output", "rich"],
        ["sweep", "--topic", "a"],
        ["sweep", "--older-than", "soon"],
        ["sweep", "-f", "none.yaml"],
        ["sweep", "weather"],
        ["demo", "--nonsense"],
    ],
)
def test_bad_usage_is_2_and_no_traceback(tmp_path: Path, arguments: list[str]) -> None:
    result = argorun(tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr


def test_a_typo_in_the_file_names_the_nearest_key_and_touches_nothing(tmp_path: Path) -> None:
    with listening() as (port, was_reached):
        text = CONFIG.format(port=port).replace("parameter:", "paramter:")
        (tmp_path / "argorun.yaml").write_text(text)
        events = tmp_path / "events.jsonl"
        result = argorun(tmp_path, "run", "--events", str(events), ARGOCD_AUTH_TOKEN="t0ken")
        assert not was_reached()
    assert outcome(result) == (
        2,
        "",
        "argorun: argorun.yaml:5: unknown key 'paramter' in topics: first entry\n"
        "  did you mean 'parameter'?\n",
    )
    assert not events.exists()


@pytest.mark.parametrize(
    "text", ["[", "a: 2020-13-45", "\0", "application: [", "- a", "topics: {a: 1}", "[" * 5000]
)
def test_no_file_makes_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "argorun.yaml").write_text(text)
    result = argorun(tmp_path, "run", ARGOCD_AUTH_TOKEN="t0ken")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("argorun: argorun.yaml:")
    assert "Traceback" not in result.stderr


def test_an_events_file_that_cannot_be_opened_is_2_before_the_first_request(tmp_path: Path) -> None:
    with listening() as (port, was_reached):
        (tmp_path / "argorun.yaml").write_text(CONFIG.format(port=port))
        events = tmp_path / "none" / "events.jsonl"
        result = argorun(tmp_path, "run", "--events", str(events), ARGOCD_AUTH_TOKEN="t0ken")
        assert not was_reached()
    assert (result.returncode, result.stdout) == (2, "")
    assert str(events) in result.stderr
    assert "Traceback" not in result.stderr


class Unauthorized(http.server.BaseHTTPRequestHandler):
    """An Argo CD that accepts no token."""

    def do_GET(self) -> None:
        body = b'{"error": "e", "message": "invalid session", "code": 16}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_a_wrong_token_is_6_and_is_not_shown(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unauthorized) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            (tmp_path / "argorun.yaml").write_text(CONFIG.format(port=server.server_port))
            result = argorun(tmp_path, "run", "--output", "plain", ARGOCD_AUTH_TOKEN="t0ken-s3cret")
        finally:
            server.shutdown()
    shown = result.stdout + result.stderr
    assert result.returncode == 6
    assert "Argo CD does not know this token (invalid session)" in shown
    assert "Traceback" not in shown
    assert "t0ken-s3cret" not in shown


# -- from flags to the exit code ----------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_an_error_that_cannot_be_shown_keeps_its_code(tmp_path: Path) -> None:
    environment = checkout.environment(tmp_path)
    with open("/dev/full", "wb") as full:
        command = [*ARGORUN, "run", "-f", "none.yaml"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=full, stderr=full, timeout=60, check=False
        )
    assert done.returncode == 2


def test_every_flag_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    started: list[tuple[Any, ...]] = []

    def run(*arguments: Any) -> int:
        started.append(arguments)
        return 5

    monkeypatch.setattr(app, "run", run)
    typed = "run ns/app -f a.yaml --topic t --parameter p --job a --job b --timeout 5m --revision abc"
    typed += (
        " --set x=1 --set y= --set-string z=1 --output json --events e.jsonl --keep-topics --no-settle"
        " --no-nudge --force-owned --dry-run --logs hooks --log-dir logs"
        " --server h:1 --ca ca.pem --bootstrap-servers k:1"
    )
    result = CliRunner().invoke(commands, typed.split(" "))
    assert (result.exit_code, result.output) == (5, "")
    flags = Flags(
        application="ns/app",
        file=Path("a.yaml"),
        topic="t",
        parameter="p",
        jobs=("a", "b"),
        timeout="5m",
        revision="abc",
        sets=("x=1", "y="),
        set_strings=("z=1",),
        keep_topics=True,
        no_settle=True,
        no_nudge=True,
        force_owned=True,
        dry_run=True,
        logs="hooks",
        server="h:1",
        ca="ca.pem",
        bootstrap_servers="k:1",
    )
    assert started == [(flags, app.Outputs("json", Path("e.jsonl"), Path("logs")))]
    CliRunner().invoke(commands, ["run"])
    assert started[1:] == [(Flags(), app.Outputs("auto"))]


def test_every_flag_of_sweep_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from argorun.config.sweep import SweepFlags

    started: list[tuple[Any, ...]] = []

    def sweep(*arguments: Any) -> int:
        started.append(arguments)
        return 10

    monkeypatch.setattr(app, "sweep", sweep)
    typed = "sweep -f a.yaml --topic a --topic b --older-than 1h --dry-run --output json"
    typed += " --server h:1 --ca ca.pem --bootstrap-servers k:1"
    result = CliRunner().invoke(commands, typed.split(" "))
    assert (result.exit_code, result.output) == (10, "")
    flags = SweepFlags(
        file=Path("a.yaml"),
        topics=("a", "b"),
        older_than="1h",
        server="h:1",
        ca="ca.pem",
        bootstrap_servers="k:1",
        dry_run=True,
    )
    assert started == [(flags, app.Outputs("json"))]
    CliRunner().invoke(commands, ["sweep"])
    assert started[1:] == [(SweepFlags(), app.Outputs("auto"))]


def test_a_sweep_shows_no_secret_and_says_once_why_kafka_cannot_be_asked(tmp_path: Path) -> None:
    with listening() as (port, _):
        pass  # nothing listens there any longer
    (tmp_path / "argorun.yaml").write_text(
        f"kafka: {{bootstrap.servers: '127.0.0.1:{port}', sasl.password: '${{SECRET}}'}}\n"
        "topics: [{prefix: weather_updates, parameter: kafka.topic}]\n"
    )
    result = argorun(tmp_path, "sweep", SECRET="s3cret-word")
    assert (result.returncode, result.stdout) == (7, ""), result.stderr
    assert "s3cret-word" not in result.stderr
    last = result.stderr.splitlines()[-2]
    assert last.startswith("==> FAILED after ")
    assert f"exit code 7: Kafka at 127.0.0.1:{port} cannot be reached" in last
