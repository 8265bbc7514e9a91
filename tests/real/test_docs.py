"""The pages whose commands need kubectl and argocd, each from first to last, on the real stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pages
from tests.readme import blocks, test_demo
from tests.readme.blocks import Commands
from tests.readme.session import Session
from tests.real.cluster import Stack

PAGES = sorted({c.block.page for c in blocks.for_users() if c.run == "real"})
TUTORIAL = "docs/tutorial.md"
NAME = "weather"
ADDED = {"argocd-cm": "accounts.argorun", "argocd-rbac-cm": "policy.argorun.csv"}


@pytest.fixture
def session(stack: Stack, tmp_path: Path) -> Iterator[Session]:
    """Somebody who is logged in to Argo CD as an admin, and has an empty repository that Argo CD can read."""
    home = os.environ.get("REALSTACK_HOME", "")
    path = os.pathsep.join([f"{home}/bin", os.environ["PATH"]])
    if not shutil.which("argocd", path=path):
        pytest.skip("there is no argocd command line, neither in $REALSTACK_HOME/bin nor on PATH")
    root = stack.git_root or tmp_path
    remote, repository = root / f"{tmp_path.name}.git", tmp_path / "argorun"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", remote], check=True)
    repository.symlink_to(pages.ROOT)
    environment = {"KUBECONFIG": str(stack.kubeconfig)}
    if stack.ca:
        environment["SSL_CERT_FILE"] = str(stack.ca)  # the CA of this machine, for argocd and argorun
    stands_for = {
        "https://github.com/argorun/argorun": repository.as_uri(),
        "https://github.com/YOU/weather.git": f"{stack.git_url}/{remote.name}"
        if stack.git_url
        else remote.as_uri(),
        "argocd.example.com": stack.server,
        "kafka.example.com:9092": stack.kafka,
        "kafka.kafka.svc:9092": "kafka-broker:29092",
    }
    session = Session(tmp_path, environment, stands_for, programs=f"{home}/bin")
    if stack.git_url:  # Argo CD reads from a server here, and a person writes to its folder
        session.run(f"git config --global url.{remote.as_uri()}.pushInsteadOf {stack.git_url}/{remote.name}")
    code, written = session.run(
        f"argocd login {stack.server} --username admin --password '{os.environ['REALSTACK_ADMIN_PASSWORD']}'"
    )
    assert code == 0, written
    if stack.kafka_service:
        stack.kubectl("create", "namespace", NAME)
        target = ("--external-name", stack.kafka_service)
        stack.kubectl("create", "service", "externalname", "kafka-broker", *target, "-n", NAME)
    try:
        yield session
    finally:
        for configmap, key in ADDED.items():
            patch = json.dumps({"data": {key: None}})
            stack.kubectl("patch", "configmap", configmap, "-n", "argocd", "--type", "merge", "-p", patch)
        session.run(f"env -u ARGOCD_AUTH_TOKEN argocd app delete {NAME} --yes --wait || true")
        stack.kubectl("delete", "namespace", NAME, "--ignore-not-found")


def of_page(page: str) -> list[Commands]:
    """What is run of a page; the demo needs no stack (tests/readme/test_demo.py)."""
    return [
        c
        for c in blocks.for_users()
        if c.block.page == page and c.run != "nowhere" and c.block.text.strip() not in test_demo.COMMANDS
    ]


def until(page: str, heading: str) -> list[Commands]:
    """What is run of a page above a heading."""
    end = pages.page(page).index(f"\n## {heading}\n")
    return [c for c in of_page(page) if c.block.at < end]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, session: Session) -> None:
    """Before another page's commands come the tutorial's, up to its first run."""
    commands = of_page(page) if page == TUTORIAL else until(TUTORIAL, "7. Run") + of_page(page)
    for block, _, code in commands:
        ended, written = session.run(block.text)
        assert ended == code, f"{block.text}\n{written}"
