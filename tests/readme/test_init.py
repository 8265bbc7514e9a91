"""The first minutes: what `argorun init` writes for the example is checked and run, on the stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from argorun.sandbox.demo import APPLICATION, DemoEnvironment, demo_environment
from tests.threads import in_a_thread

LIMIT = 240.0  # seconds after which something that hangs is ended; no test depends on it


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoEnvironment]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with in_a_thread(demo_environment(), "demo", LIMIT) as (environment, _):
        yield environment


def argorun(demo: DemoEnvironment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ARGOCD_SERVER": f"http://{demo.server}",
        "ARGOCD_AUTH_TOKEN": demo.token,
    }
    return subprocess.run(
        [sys.executable, "-m", "argorun", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_what_init_writes_is_checked_and_green_with_nothing_edited(
    demo: DemoEnvironment, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    made = argorun(demo, folder, "init", "--bootstrap-servers", demo.bootstrap_servers)
    assert made.returncode == 0, made.stderr
    assert f"application: {APPLICATION}\n" in (folder / "argorun.yaml").read_text(encoding="utf-8")
    for arguments in (["run", "--dry-run"], ["run", "--output", "plain"]):
        result = argorun(demo, folder, *arguments)
        assert result.returncode == 0, result.stdout + result.stderr
