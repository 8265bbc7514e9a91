"""A library that cannot be imported ends every command with 70 and one clear error, never with 1."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from argorun.errors import ISSUES
from tests import checkout
from tests.checkout import ARGORUN

SETTINGS = {
    "ARGOCD_SERVER": "localhost:1",
    "ARGOCD_AUTH_TOKEN": "t0ken",
    "KAFKA_BOOTSTRAP_SERVERS": "localhost:1",
}
RUN = ("run", "weather", "--topic", "weather_updates", "--parameter", "kafka.topic")
SWEEP = ("sweep", "--topic", "weather_updates")
HEAVY = ("typer", "msgspec", "yaml", "httpx", "truststore", "stamina", "confluent_kafka")
WHERE = "https://github.com/argorun/argorun/issues\n  ARGORUN_TRACEBACK=1 shows where it happened"
REPORT = f"please report it, with this text and `argorun --version`:\n  {WHERE}"
AGAIN = f"install argorun in a virtual environment of its own; if it still is, please report it:\n  {WHERE}"


def argorun(folder: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr; a module in `folder` takes the place of the one that is installed."""
    done = subprocess.run(
        [*ARGORUN, *arguments],
        cwd=folder,
        env=checkout.environment(folder, **SETTINGS, **more, PYTHONPATH=f"{folder}:{checkout.ROOT}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", [RUN, SWEEP, ("demo",)], ids=lambda command: command[0])
@pytest.mark.parametrize("library", HEAVY)
def test_a_library_that_fails_while_it_is_imported_is_70(
    tmp_path: Path, library: str, command: tuple[str, ...]
) -> None:
    (tmp_path / f"{library}.py").write_text("raise RuntimeError('half an upgrade')\n")
    (tmp_path / "argorun.yaml").write_text("application: weather\n")
    error = f"argorun: an error inside argorun: RuntimeError: half an upgrade\n  {REPORT}\n"
    assert argorun(tmp_path, *command) == (70, "", error)


@pytest.mark.parametrize("command", [RUN, SWEEP, ("demo",)], ids=lambda command: command[0])
@pytest.mark.parametrize("library", HEAVY)
def test_a_library_that_is_not_there_is_70_and_says_to_install_again(
    tmp_path: Path, library: str, command: tuple[str, ...]
) -> None:
    (tmp_path / f"{library}.py").write_text("import a_library_that_is_gone\n")
    (tmp_path / "argorun.yaml").write_text("application: weather\n")
    error = f"this installation of argorun is broken: No module named 'a_library_that_is_gone'\n  {AGAIN}\n"
    assert argorun(tmp_path, *command) == (70, "", f"argorun: {error}")


def test_a_module_of_its_own_that_cannot_be_imported_is_70(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").write_text("raise OSError('a bad block')\n")
    error = f"argorun: an error inside argorun: OSError: a bad block\n  {REPORT}\n"
    assert argorun(tmp_path, *RUN) == (70, "", error)


def test_the_place_to_report_to_is_the_projects() -> None:
    metadata = tomllib.loads((checkout.ROOT / "pyproject.toml").read_text())
    assert metadata["project"]["urls"]["Issues"] == ISSUES


def test_a_variable_shows_the_traceback_of_an_unexpected_error(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").write_text("raise OSError('a bad block')\n")
    code, _, stderr = argorun(tmp_path, *RUN, ARGORUN_TRACEBACK="1")
    assert code == 70
    assert "  Traceback (most recent call last):\n" in stderr
    assert stderr.endswith("  OSError: a bad block\n")
    assert "ARGORUN_TRACEBACK" not in stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help"), ("schema",), ()])
@pytest.mark.parametrize("buffering", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_disk_under_stdout_is_one_error_and_no_verdict(
    tmp_path: Path, arguments: tuple[str, ...], buffering: str
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*ARGORUN, *arguments],
            cwd=tmp_path,
            env=checkout.environment(tmp_path, PYTHONUNBUFFERED=buffering),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    said = "argorun: stdout cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize("library", HEAVY[1:])
def test_help_and_version_need_none_of_them(tmp_path: Path, library: str) -> None:
    (tmp_path / f"{library}.py").write_text("raise RuntimeError('half an upgrade')\n")
    for arguments in (("--version",), ("--help",), ("run", "--help"), ()):
        code, shown, stderr = argorun(tmp_path, *arguments)
        assert (code, bool(shown), stderr) == (0, True, "")


def test_a_reader_that_has_seen_enough_of_the_help_makes_no_verdict(tmp_path: Path) -> None:
    environment = checkout.environment(tmp_path)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [*ARGORUN, "run", "--help"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_question_that_nobody_answers_is_no_verdict(tmp_path: Path) -> None:
    """typer ends with 1 where a prompt meets the end of its input."""
    code = (
        "import typer; from argorun.sandbox import command\n"
        "command.demo = lambda **_: typer.prompt('Which Application')\n"
        "from argorun.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "demo"],
        cwd=tmp_path,
        env=checkout.environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "Which Application: ")
    assert "Traceback" not in done.stderr
