"""Collects why a run failed, and verifies that its tests read the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis.analyze import Finding
from argorun.argocd.diagnosis.stuck import Watch
from argorun.argocd.hooks.live_providers import LiveProviders
from argorun.argocd.types import ResourceResult

LIMIT = 10.0  # seconds for each question


async def why(watch: Watch, failed: Sequence[ResourceResult], *, late: bool) -> Finding:
    """Why these failed, by evidence from the cluster; `late`: the time ran out."""
    try:
        async with asyncio.timeout(LIMIT):
            return await watch.why(failed, late=late)
    except TimeoutError:
        return Finding(evidence=(f"(the cluster did not say why within {LIMIT:.0f} s)",))


async def unseen(providers: LiveProviders, client: Client, app: ApplicationName) -> list[str]:
    """Check that what the tests read still names the topics; return what could not be checked.

    Raises OperationFailed if it names others.
    """
    try:
        async with asyncio.timeout(LIMIT):
            return await providers.check(client, app)
    except TimeoutError:
        return [f"what the tests read still names the topic: no answer within {LIMIT:.0f} s"]
