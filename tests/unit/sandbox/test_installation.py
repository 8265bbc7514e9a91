"""Without argorun[sandbox], the demo names the command that installs it where this argorun came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argorun.errors import UsageError
from argorun.sandbox import installation as module
from argorun.sandbox.installation import Installation, installation, require_sandbox

UV = "home = /usr/bin\nuv = 0.9.1\n"


def environment(folder: Path, *files: str, cfg: str = "home = /usr/bin\n") -> Path:
    """A virtual environment with python, pip and argorun, and further files."""
    (folder / "bin").mkdir(parents=True)
    for name in ("bin/python", "bin/pip", "bin/argorun", *files):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    (folder / "pyvenv.cfg").write_text(cfg)
    return folder


def found(prefix: Path, origin: object = None, **environ: str) -> Installation:
    """What is found for a program that was started by its name."""
    path = {"PATH": f"{prefix}/bin:/usr/bin"}
    text = json.dumps(origin) if origin else None
    return installation(prefix, f"{prefix}/bin/python", f"{prefix}/bin/argorun", path | environ, text)


def test_pip(tmp_path: Path) -> None:
    venv = environment(tmp_path / "venv")
    assert found(venv) == Installation("pip install 'argorun[sandbox]'", "argorun")


def test_pip_of_an_environment_that_is_not_active_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = environment(tmp_path / "venv")
    monkeypatch.chdir(tmp_path)
    expected = Installation(f"{venv}/bin/python -m pip install 'argorun[sandbox]'", "venv/bin/argorun")
    assert found(venv, PATH="/usr/bin") == expected
    monkeypatch.chdir("/")
    module_run = installation(
        venv, f"{venv}/bin/python", "/x/argorun/__main__.py", {"PATH": "/usr/bin"}, None
    )
    assert module_run.argorun == f"{venv}/bin/python -m argorun"


def test_uvx(tmp_path: Path) -> None:
    venv = environment(tmp_path / "archive-v0" / "7IPKj4VP4DlJuhC6", cfg=UV)
    again = "uvx --from 'argorun[sandbox]' argorun"
    assert found(venv, UV="/usr/bin/uv") == Installation(f"{again} demo", again)


def test_uv_tool(tmp_path: Path) -> None:
    venv = environment(tmp_path / "tools" / "argorun", "uv-receipt.toml", cfg=UV)
    assert found(venv) == Installation("uv tool install --force 'argorun[sandbox]'", "argorun")


def test_a_project_of_uv_and_an_environment_of_uv(tmp_path: Path) -> None:
    venv = environment(tmp_path / ".venv", cfg=UV)
    assert found(venv, UV="/usr/bin/uv").install == "uv add 'argorun[sandbox]'"
    assert found(venv).install == "pip install 'argorun[sandbox]'"
    (venv / "bin" / "pip").unlink()
    assert found(venv).install == f"uv pip install --python {venv}/bin/python 'argorun[sandbox]'"


def test_pipx(tmp_path: Path) -> None:
    venv = environment(tmp_path / "pipx" / "venvs" / "argorun", "pipx_metadata.json", cfg=UV)
    assert found(venv) == Installation("pipx install --force 'argorun[sandbox]'", "argorun")
    run = environment(tmp_path / "pipx" / ".cache" / "aea9458d185060c", "pipx_metadata.json")
    again = "pipx run --spec 'argorun[sandbox]' argorun"
    assert found(run) == Installation(f"{again} demo", again)


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        (
            {"url": "https://example.com/argorun", "vcs_info": {"vcs": "git", "requested_revision": "v1"}},
            "'argorun[sandbox] @ git+https://example.com/argorun@v1'",
        ),
        (
            {"url": "https://example.com/argorun", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "'argorun[sandbox] @ git+https://example.com/argorun'",
        ),
        ({"url": "file:///my%20files/argorun.whl", "archive_info": {}}, "'/my files/argorun.whl[sandbox]'"),
        ({"url": "https://example.com/a.whl"}, "'argorun[sandbox] @ https://example.com/a.whl'"),
        ({"url": "file:///src/argorun", "dir_info": {}}, "'/src/argorun[sandbox]'"),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "--editable '/src[sandbox]'"),
    ],
)
def test_what_came_from_elsewhere_than_an_index_is_installed_from_there(
    tmp_path: Path, origin: object, wanted: str
) -> None:
    assert found(environment(tmp_path / "venv"), origin).install == f"pip install {wanted}"


def test_one_missing_package_is_enough_to_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    require_sandbox()
    monkeypatch.setattr(module, "EXTRA", (*module.EXTRA, "a_package_that_is_not_there"))
    with pytest.raises(UsageError) as caught:
        require_sandbox()
    assert caught.value.message == "the demo needs a few more packages"
    assert caught.value.hint == f"{module.here().install} (a Java runtime and Kafka, about 80 MB)"
