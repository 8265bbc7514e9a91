"""Waits until Argo CD's comparison has caught up with the cluster.

See docs/argocd-facts.md#a-comparison-lags.
"""

from __future__ import annotations

import asyncio

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.types import Application

# Seconds in which a comparison may be behind the end of a sync. Clocks differ, and more costs little.
BEHIND = 30.0
# Seconds for which Synced is waited for. Something else, such as an object to be pruned, may keep the
# Application OutOfSync; not so if it was Synced before.
WAIT, WAIT_IF_IT_WAS_SYNCED = 2.0, 10.0
POLL = 0.3


def synced_lately(app: Application, now: float) -> bool:
    """Whether a sync that should leave the Application Synced has just succeeded.

    For some seconds Argo CD may compare with the cluster as it was before (seen: OutOfSync 0.7 s after the
    end). A run's own sync does not count: it leaves the workloads on that run's topic.
    """
    state = app.status.operation_state
    if state is None or state.phase != "Succeeded" or state.ended_at is None:
        return False
    tests = state.operation.run and not state.operation.settles
    return not tests and abs(now - state.ended_at) < BEHIND


async def until_synced(client: Client, app: ApplicationName, seconds: float) -> Application:
    """Compare the Application with the cluster, again and again until it is Synced or the time is over.

    It is compared at least once. Raises ArgoCDFailed, AccessDenied.
    """
    until = asyncio.get_running_loop().time() + seconds
    while True:
        seen = await client.application(app, refresh="normal")
        if seen.status.sync.status == "Synced" or asyncio.get_running_loop().time() >= until:
            return seen
        await asyncio.sleep(POLL)
