"""A page's commands, one block after the other in one shell, as somebody would who follows the page."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.checkout import ARGORUN, ROOT

LIMIT = 300.0  # seconds a block; no test depends on it
PERSON = {
    f"GIT_{who}_{what}": f"{who.lower()}@example.com"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


class Session:
    """A folder, an environment and what stands for the placeholders of the pages."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        stands_for: Mapping[str, str],
        programs: str = "",
    ) -> None:
        self.folder = folder / "work"
        self._state = folder / "state.sh"
        self._stands_for = dict(stands_for)
        own = folder / "bin"
        for made in (self.folder, own, folder / "home"):
            made.mkdir(parents=True)
        argorun = own / "argorun"
        argorun.write_text(f'#!/bin/sh\nexec {shlex.join(ARGORUN)} "$@"\n', encoding="utf-8")
        argorun.chmod(0o755)
        self._environment = {
            "PATH": os.pathsep.join(p for p in (str(own), programs, os.environ["PATH"]) if p),
            "HOME": str(folder / "home"),
            "PYTHONPATH": str(ROOT),
            "GIT_CONFIG_NOSYSTEM": "1",
            **PERSON,
            **environment,
        }
        self._state.write_text(f"cd {shlex.quote(str(self.folder))}\n", encoding="utf-8")

    def filled(self, text: str) -> str:
        """The text with real values in place of its placeholders."""
        for placeholder, value in self._stands_for.items():
            text = text.replace(placeholder, value)
        return text

    def run(self, commands: str) -> tuple[int, str]:
        """The exit code, and all that was written. What is exported, and the folder, stay."""
        state = shlex.quote(str(self._state))
        keep = f"{{ export -p; echo \"cd '$PWD'\"; }} >{state}"
        script = f". {state}\ntrap {shlex.quote(keep)} EXIT\nset -e\n"
        done = subprocess.run(
            ["sh", "-c", script + self.filled(commands)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return done.returncode, done.stdout
