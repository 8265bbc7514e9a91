"""What `pip install argorun` gives, without an extra: the wheel and its plain dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from argorun import __version__
from tests.readme import installs


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed `argorun`, in an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    programs = installs.environment(folder / "venv")
    installs.done(programs / "python", *installs.PIP, "install", wheel, folder=folder)
    return programs / "argorun"


def argorun(program: Path, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr."""
    result = installs.process(program, *arguments, folder=folder, HOME=str(folder))
    return result.returncode, result.stdout, result.stderr


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


def test_argorun_alone_shows_its_help(program: Path, tmp_path: Path) -> None:
    assert argorun(program, tmp_path) == argorun(program, tmp_path, "--help")


@pytest.mark.parametrize("arguments", [("demo",), ("demo", "--fail"), ("demo", "--output", "json")])
def test_the_demo_without_its_extra_is_one_error_that_says_what_to_install(
    program: Path, wheel: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    install = f"{program.with_name('python')} -m pip install '{wheel}[sandbox]'"
    missing = (
        f"argorun: the demo needs a few more packages\n  {install} (a Java runtime and Kafka, about 80 MB)\n"
    )
    assert argorun(program, tmp_path, *arguments) == (2, "", missing)


def test_no_module_that_a_plain_run_imports_needs_the_extra(program: Path, tmp_path: Path) -> None:
    """Every module outside the sandbox can be imported."""
    code = (
        "import importlib, pkgutil, argorun\n"
        "modules = pkgutil.walk_packages(argorun.__path__, 'argorun.', onerror=lambda _: None)\n"
        "found = [m.name for m in modules\n"
        "         if not m.name.startswith('argorun.sandbox.') and m.name != 'argorun.__main__']\n"
        "for name in found: importlib.import_module(name)\n"
        "print(len(found) > 100)"
    )
    result = installs.process(program.with_name("python"), "-c", code, folder=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")
