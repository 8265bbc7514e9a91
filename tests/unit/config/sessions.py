"""Terminal sessions in text files: files, a command, and everything that it says.

    === what the case is about
    --- argorun.yaml
    application: 5
    $ ARGOCD_AUTH_TOKEN=t argorun run
    argorun: argorun.yaml:1: …

`python -m tests.unit.config.sessions` writes what is said today into the files: read the difference.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from argorun.cli.main import commands

FOLDER = Path(__file__).parent / "messages"


class Session(NamedTuple):
    """One case: the files that are there, the command with its environment, and what it says."""

    name: str
    files: Mapping[str, str]
    command: str
    said: str

    @property
    def environment(self) -> dict[str, str]:
        """The assignments in front of the command."""
        words = shlex.split(self.command)
        return dict(w.split("=", 1) for w in words[: words.index("argorun")])

    @property
    def arguments(self) -> list[str]:
        words = shlex.split(self.command)
        return words[words.index("argorun") + 1 :]


def sessions(path: Path) -> Iterator[Session]:
    """The cases of one file."""
    for block in path.read_text(encoding="utf-8").split("\n=== ")[1:]:
        name, _, rest = block.partition("\n")
        given, _, output = rest.partition("$ ")
        command, _, said = output.partition("\n")
        files = dict(part.split("\n", 1) for part in f"\n{given}".split("\n--- ")[1:])
        yield Session(
            name,
            {n.strip(): t if t.endswith("\n") else f"{t}\n" for n, t in files.items()},
            command,
            said.strip("\n"),
        )


def every() -> list[Session]:
    return [session for path in sorted(FOLDER.glob("*.txt")) for session in sessions(path)]


def prepare(session: Session, home: Path) -> Path:
    """The folder ~/weather with the session's files; a name that ends in / is a folder."""
    folder = home / "weather"
    folder.mkdir()
    for name, text in session.files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            text.encode().decode("unicode_escape") if "\\x" in text else text,
            encoding="latin-1" if "\\x" in text else "utf-8",
        )
    return folder


def run(session: Session, home: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command, in this process."""
    folder, before = prepare(session, home), (dict(os.environ), Path.cwd())
    os.environ.clear()
    os.environ.update({"HOME": str(home), "PATH": before[0]["PATH"], "COLUMNS": "100"} | session.environment)
    os.chdir(folder)
    try:
        done = CliRunner().invoke(commands, session.arguments, prog_name="argorun")
    finally:
        os.chdir(before[1])
        os.environ.clear()
        os.environ.update(before[0])
    return done.exit_code, done.stdout, done.stderr.replace(str(home), "~").rstrip("\n")


def rewrite(path: Path) -> None:
    """Write what is said today into the file."""
    text = path.read_text(encoding="utf-8")
    head = text.split("\n=== ")[0]
    blocks = [head]
    for session in sessions(path):
        with tempfile.TemporaryDirectory() as home:
            said = run(session, Path(home))[2]
        files = "".join(f"--- {name}\n{content}" for name, content in session.files.items())
        blocks.append(f"{session.name}\n{files}$ {session.command}\n{said}\n")
    path.write_text("\n=== ".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    for each in sorted(FOLDER.glob("*.txt")):
        with contextlib.chdir(FOLDER):
            rewrite(each)
