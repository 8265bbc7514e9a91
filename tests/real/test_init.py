"""`argorun init` on the example of config/: what it writes is checked and run with nothing edited."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from argorun.argocd.types import Json
from tests.checkout import ARGORUN
from tests.real.cluster import Stack
from tests.real.support import Bench
from tests.real.test_example import weather

PLACES: dict[str, Json] = {
    "helm": {"helm": "kafka.topic"},
    "kustomize": {"kustomize": {"configmap": "topic-config", "key": "topic_name"}},
}


@pytest.fixture(params=PLACES)
def example(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Bench]]:
    with weather(stack, tmp_path_factory, request.param) as bench:
        yield request.param, bench


def argorun(bench: Bench, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ARGORUN, *arguments],
        cwd=folder,
        env=bench.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def where(bench: Bench) -> list[str]:
    """The CA of the stack's Argo CD, where it has one of its own."""
    return ["--ca", str(bench.stack.ca)] if bench.stack.ca else []


def test_what_it_writes_is_green(example: tuple[str, Bench], tmp_path: Path) -> None:
    form, bench = example
    given = where(bench)
    # The role of these tests may not read repositories, so a chart's values are not shown to it.
    given += ["--parameter", "kafka.topic"] if form == "helm" else []
    before = bench.app.get()
    made = argorun(bench, tmp_path, "init", bench.app.name, "--topic", bench.prefix, *given)
    assert made.returncode == 0, made.stderr
    assert bench.app.get()["metadata"]["generation"] == before["metadata"]["generation"], (
        "nothing was changed"
    )
    written = yaml.safe_load((tmp_path / "argorun.yaml").read_text(encoding="utf-8"))
    assert written["topics"] == [{"prefix": bench.prefix, "parameter": PLACES[form]}]
    jobs = {
        "helm": None,
        "kustomize": {"jobs": ["run-automation-tests-job"]},
    }  # a chart's are not rendered yet
    assert written.get("tests") == jobs[form]
    checked = argorun(bench, tmp_path, "run", "--dry-run")
    assert checked.returncode == 0, checked.stderr
    with bench.as_it_was():
        ran = argorun(bench, tmp_path, "run", "--output", "plain")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    again = argorun(bench, tmp_path, "init", bench.app.name, "--topic", bench.prefix, "--force", *given)
    assert again.returncode == 0, again.stderr
    written = yaml.safe_load((tmp_path / "argorun.yaml").read_text(encoding="utf-8"))
    assert written["tests"] == {"jobs": ["run-automation-tests-job"]}, "the run's hooks are in the cluster"


def test_an_application_that_the_token_does_not_see_is_6(example: tuple[str, Bench], tmp_path: Path) -> None:
    _, bench = example
    result = argorun(bench, tmp_path, "init", "no-such-one", "--yes", *where(bench))
    assert (result.returncode, list(tmp_path.iterdir())) == (6, [])
    assert "Argo CD shows no Application no-such-one" in result.stderr


def test_a_shell_is_offered_the_applications(example: tuple[str, Bench], tmp_path: Path) -> None:
    _, bench = example
    line = " ".join(["argorun run", *where(bench), bench.app.name[:-2]])
    asked = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_ARGORUN_COMPLETE": "complete_bash",
    }
    result = subprocess.run(
        ARGORUN,
        cwd=tmp_path,
        env=bench.environment() | asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert bench.app.name in result.stdout.split()
