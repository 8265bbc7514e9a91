"""The packages know only what they may, and `argorun --version` loads next to nothing."""

from __future__ import annotations

import ast
import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import argorun

ROOT = Path(__file__).parents[2]


def test_no_package_imports_across_its_borders() -> None:
    # The borders themselves are in pyproject.toml, [tool.importlinter].
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_confluent_kafka_is_imported_in_one_place_of_the_kafka_package() -> None:
    importing = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "argorun" / "kafka").rglob("*.py")
        if "confluent_kafka" in imported_names(file)
    }
    assert importing == {"argorun/kafka/admin.py"}


@pytest.fixture(scope="module")
def version() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "argorun", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )


def test_version_says_the_version(version: subprocess.CompletedProcess[str]) -> None:
    assert version.stdout == f"argorun {argorun.__version__}\n"


def test_version_loads_no_library(version: subprocess.CompletedProcess[str]) -> None:
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in version.stderr.splitlines()}
    libraries = {
        "asyncio",
        "confluent_kafka",
        "httpx",
        "msgspec",
        "rich",
        "stamina",
        "truststore",
        "typer",
        "yaml",
    }
    assert "argorun" in loaded
    assert loaded & libraries == set()


async def fetch(host: str) -> None:
    await asyncio.open_connection(host, 80)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_unit_tests_cannot_reach_the_network(host: str) -> None:
    with pytest.raises(Exception, match=f"this test reaches out to {host}; unit tests stay on this machine"):
        asyncio.run(fetch(host))
    with pytest.raises(Exception, match=f"this test reaches out to {host}; unit tests stay on this machine"):
        socket.create_connection((host, 80))


def imported_names(file: Path) -> set[str]:
    """The top-level names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names
