"""Asks Argo CD for the names of its Applications, for a shell's completion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from argorun import event_loop
from argorun.argocd.rest_client import NAMED, RestClient
from argorun.config import connection
from argorun.config.argocd_cli import stored
from argorun.config.file import read
from argorun.config.inputs import Inputs
from argorun.config.model import ArgoCD, CliSettings
from argorun.config.problems import Problems
from argorun.init.texts import called

LIMIT = 2.0  # seconds, for all of it
RETRIES = 0.1  # seconds: whoever has pressed TAB can press it again


def application_names(
    file: Path | None, server: str | None, ca: str | None, environment: Mapping[str, str], folder: Path
) -> list[str]:
    """How argorun.yaml would name each Application that the token sees. Raises ArgorunError, TimeoutError.

    `file`, `server` and `ca` are flags; Kafka's part of the file does not matter.
    """
    problems = Problems()
    written = read(file, folder, problems)
    cli = stored(environment) or CliSettings()
    inputs = Inputs(written, environment, cli, folder, problems, lambda *secrets: None)
    argocd = connection.argocd(inputs, server, ca)
    if argocd is None:
        return []
    with event_loop.opened() as loop:
        return loop.run_until_complete(asyncio.wait_for(_names(argocd), LIMIT))


async def _names(argocd: ArgoCD) -> list[str]:
    async with RestClient(argocd, retry_for=RETRIES) as client:
        found, settings = await asyncio.gather(client.applications(NAMED), client.server_settings())
    return [called(app, settings.controller_namespace) for app in found]
