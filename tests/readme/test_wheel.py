"""What `pip install argorun` gives, without an extra: the wheel and its plain dependencies."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from argorun import __version__

ROOT = Path(__file__).parents[2]
LIMIT = 300  # seconds: a package index may be slow


def process(*command: str | Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process that sees neither this checkout nor somebody's settings of argorun."""
    hidden = ("PYTHONPATH", "ARGOCD_", "KAFKA_", "ARGORUN_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed `argorun`, in an environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    builder = [sys.executable, *pip[1:]] if isolation else pip
    for step in (
        [sys.executable, "-m", "venv", python.parents[1]],
        [*builder, "wheel", "--no-deps", *isolation, "--wheel-dir", folder, ROOT],
        [*pip, "install", folder / f"argorun-{__version__}-py3-none-any.whl"],
    ):
        done = process(*step, folder=folder)
        assert done.returncode == 0, done.stderr
    return python.with_name("argorun")


def argorun(program: Path, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr."""
    done = process(program, *arguments, folder=folder, HOME=str(folder))
    return done.returncode, done.stdout, done.stderr


def test_it_knows_its_version_and_its_commands(program: Path, tmp_path: Path) -> None:
    assert argorun(program, tmp_path, "--version") == (0, f"argorun {__version__}\n", "")
    code, help_text, stderr = argorun(program, tmp_path, "--help")
    assert (code, stderr) == (0, "")
    assert [c for c in ("run", "sweep", "demo") if f"\n  {c} " not in help_text] == []


def test_a_run_without_settings_is_one_error_that_says_what_is_missing(program: Path, tmp_path: Path) -> None:
    code, stdout, stderr = argorun(program, tmp_path, "run")
    assert (code, stdout) == (2, "")
    assert stderr.startswith(
        "argorun: no argorun.yaml in ~, and nothing on the command line\n  missing: Kafka ("
    )


def test_the_demo_without_its_extra_is_one_error_that_says_what_to_install(
    program: Path, tmp_path: Path
) -> None:
    missing = "argorun: the sandbox is not installed\n  pip install 'argorun[sandbox]'\n"
    assert argorun(program, tmp_path, "demo") == (2, "", missing)
