"""Packages import only what they may, nothing is too long, and `--version` loads next to nothing."""

from __future__ import annotations

import ast
import asyncio
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import argorun

ROOT = Path(__file__).parents[2]


MOST = {"module": 400, "function": 60}  # lines


def verdicts(folder: Path) -> dict[str, str]:
    """Each contract of [tool.importlinter] in the folder's pyproject.toml: KEPT or BROKEN."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True
    )
    found = dict(re.findall(r"^([\w ]+): .* (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE))
    assert len(found) == len(contracts()), done.stdout + done.stderr
    return found


def contracts() -> list[dict[str, Any]]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return list(linter["contracts"])


def test_every_contract_between_the_packages_is_kept() -> None:
    # The contracts are in pyproject.toml, [tool.importlinter].
    assert set(verdicts(ROOT).values()) == {"KEPT"}


def test_a_module_on_no_layer_breaks_the_contract_of_its_layers_and_no_other(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "argorun", tmp_path / "argorun", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    exhaustive = [c for c in contracts() if c.get("exhaustive")]
    assert ["argorun"] in [c["containers"] for c in exhaustive]
    for container in (container for c in exhaustive for container in c["containers"]):
        stray = tmp_path.joinpath(*container.split("."), "stray.py")
        stray.write_text('"""On no layer."""\n', encoding="utf-8")
    broken = {name for name, verdict in verdicts(tmp_path).items() if verdict == "BROKEN"}
    assert broken == {c["name"].partition(":")[0] for c in exhaustive}


def lengths(file: Path) -> Iterator[tuple[str, str, int]]:
    """The lines of a module and of each of its functions, nested ones included, with what is measured."""
    name, text = file.relative_to(ROOT / "argorun").as_posix(), file.read_text(encoding="utf-8")
    yield "module", name, len(text.splitlines())
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield "function", f"{name}: {node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_no_module_and_no_function_is_too_long() -> None:
    too_long = {
        name: lines
        for file in (ROOT / "argorun").rglob("*.py")
        for kind, name, lines in lengths(file)
        if lines > MOST[kind]
    }
    assert too_long == {}


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
