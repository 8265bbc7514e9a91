"""Makes Argo CD notice a finished hook at once, instead of up to 5 s later.

Its controller batches changes of Jobs for 5 s; a refresh, which needs only `get`, makes it look at the
operation immediately (seen: 17-18 s left alone, 8.7 s with it, for the example).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from argorun.argocd.answers import Denied
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from argorun.errors import ArgorunError

EVERY = 1.0  # seconds between two refreshes, at least
TIMES = 5  # refreshes without effect for the same Jobs before we leave it to Argo CD


async def nudge(
    client: Client, app: ApplicationName, live: LiveTree, running: Callable[[], list[Node]]
) -> None:
    """Refresh whenever a Job that the operation still calls running has ended; for ever, until cancelled.

    `running` gives our operation's Jobs that it has not seen the end of. A refresh while the Job still runs
    does nothing, so none is sent then. Gives up where the refresh is refused.
    """
    version, last = -1, 0.0
    told: dict[str, int] = {}
    while True:
        ended = [
            n for n in running() if n.health_status in ("Healthy", "Degraded") and told.get(n.uid, 0) < TIMES
        ]
        if ended and time.monotonic() - last >= EVERY:
            last = time.monotonic()
            for node in ended:
                told[node.uid] = told.get(node.uid, 0) + 1
            try:
                await client.nudge(app)
            except Denied:
                return
            except ArgorunError:
                pass  # it was only a nudge
        version = await live.changed(version, timeout=EVERY if ended else 5.0)
        if ended:
            await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - last)))
