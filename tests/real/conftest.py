"""Fixtures for tests on a real Argo CD, Kubernetes and Kafka."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ARGORUN
from tests.real import cluster


@pytest.fixture(scope="session")
def stack() -> Iterator[cluster.Stack]:
    """Where the real stack is. A missing one is an error, never a skip: these tests were asked for."""
    try:
        found = cluster.Stack.from_environment(os.environ)
    except cluster.StackMissing as e:
        pytest.exit(str(e), returncode=4)
    yield found
    found.http.close()


@pytest.fixture
def git_repo(stack: cluster.Stack, tmp_path: Path) -> Callable[[Mapping[str, str]], cluster.GitRepo]:
    """Makes a Git repository from files: git_repo(example("helm")), git_repo({"app/job.yaml": "…"})."""
    return lambda files: cluster.make_repo(stack, tmp_path, files)


@pytest.fixture
def application(
    stack: cluster.Stack, request: pytest.FixtureRequest
) -> Iterator[Callable[..., cluster.Application]]:
    """Makes an Application that is gone after the test: application(repo, "helm", deploy=True).

    `deploy` syncs it first, without hooks, and waits until it is Synced and Healthy; `source` adds to
    spec.source, other keywords to spec.
    """
    made: list[cluster.Application] = []

    def make(
        repo: cluster.GitRepo,
        path: str,
        *,
        deploy: bool = False,
        source: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> cluster.Application:
        name = cluster.unique(request.node.name.removeprefix("test_"))
        app = cluster.Application(stack, name, {"repoURL": repo.url, "path": path, **(source or {})}, **spec)
        made.append(app)
        app.wait_compared()
        if deploy:
            app.deploy()
        return app

    yield make
    for app in made:
        app.delete()


@pytest.fixture
def argorun(stack: cluster.Stack, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs argorun as a shell would: argorun("run", "-f", file). Keywords are variables (None: unset)."""

    def run(
        *arguments: str | Path, timeout: float = 240, **environment: str | None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ARGORUN, *map(str, arguments)],
            cwd=tmp_path,
            env=cluster.argorun_environment(stack, tmp_path, environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
