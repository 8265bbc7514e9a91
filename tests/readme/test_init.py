"""The first minutes: what `argorun init` writes for the example is checked and run, on the stand-in."""

from __future__ import annotations

import subprocess
from pathlib import Path

from argorun.sandbox.demo import APPLICATION, DemoEnvironment
from tests import checkout

LIMIT = 240.0  # seconds after which something that hangs is ended; no test depends on it


def argorun(demo: DemoEnvironment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    servers = {"ARGOCD_SERVER": f"http://{demo.server}", "ARGOCD_AUTH_TOKEN": demo.token}
    return subprocess.run(
        [*checkout.ARGORUN, *arguments],
        cwd=folder,
        env=checkout.environment(folder, **servers),
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
