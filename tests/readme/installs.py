"""Ways to install the wheel of this checkout, each in an environment of its own."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from argorun import __version__

ROOT = Path(__file__).parents[2]
WHEEL = f"argorun-{__version__}-py3-none-any.whl"
LIMIT = 300  # seconds: a package index may be slow
BUILDERS = ("hatchling", "hatch_fancy_pypi_readme")
PIP = ("-m", "pip", "--disable-pip-version-check")
# Where Kafka's jars are, so that not every test fetches them again.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


def process(*command: str | Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process that sees neither this checkout nor somebody's settings of argorun."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "ARGOCD_", "KAFKA_", "ARGORUN_", "GITHUB_", "UV_", "PIPX_")
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


def done(*command: str | Path, folder: Path, **settings: str) -> str:
    """What a process that must succeed has said."""
    result = process(*command, folder=folder, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build(folder: Path) -> Path:
    """The wheel, built in `folder`; without an index where the build's packages are installed."""
    own = all(importlib.util.find_spec(name) for name in BUILDERS)
    isolation = ["--no-build-isolation"] if own else []
    done(sys.executable, *PIP, "wheel", "--no-deps", *isolation, "--wheel-dir", folder, ROOT, folder=folder)
    return folder / WHEEL


def environment(folder: Path, python: str | Path = sys.executable) -> Path:
    """A new virtual environment; its folder of programs."""
    done(python, "-m", "venv", folder, folder=folder.parent)
    return folder / "bin"


@functools.cache
def tool(name: str, folder: Path) -> Path:
    """uv or pipx, from the index; skips the test where there is none to be had."""
    programs = environment(folder / f"tool-{name}")
    result = process(programs / "python", *PIP, "install", name, folder=folder)
    if result.returncode != 0:
        pytest.skip(f"no package index has {name}: {(result.stderr.splitlines() or ['no answer'])[-1]}")
    return programs / name
