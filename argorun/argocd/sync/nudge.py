"""Makes Argo CD notice a finished hook at once, not up to 5 s later.

Its controller batches changes of Jobs for 5 s; a refresh, which needs only `get`, makes it check the
operation immediately (seen: 17-18 s without it, 8.7 s with it, for the example;
docs/argocd-facts.md#a-refresh-speeds-hooks-up).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import Denied
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node
from argorun.errors import ArgorunError

EVERY = 1.0  # seconds between two refreshes, at least
# A Job is nudged for once more if the first time had no effect. Argo CD sleeps 2 s after each wave before
# it writes down what it has seen (source: controller/sync.go, delayBetweenSyncWaves), so an effect takes that
# long to show; after 5 s it notices by itself (docs/argocd-facts.md#hooks-lag).
AGAIN = 3.5  # seconds
TIMES = 2


async def nudge(
    client: Client, app: ApplicationName, live: LiveTree, running: Callable[[], list[Node]]
) -> None:
    """Refresh when a Job or bare Pod that the operation still calls running has ended, until canceled.

    `running` returns those of our operation that it has not seen the end of. A refresh while one still runs
    has no effect, so none is sent then. Gives up if the refresh is denied.
    """
    clock = asyncio.get_running_loop().time
    version, last = -1, 0.0
    nudged: dict[str, list[float]] = {}  # when a Job was nudged for, by its uid
    while True:
        now = clock()
        ended = [n.uid for n in running() if n.health_status in ("Healthy", "Degraded")]
        due = {uid: nudged[uid][-1] + AGAIN if uid in nudged else now for uid in ended}
        due = {uid: max(at, last + EVERY) for uid, at in due.items() if len(nudged.get(uid, ())) < TIMES}
        if any(at <= now for at in due.values()):
            last = now
            for uid in ended:
                nudged.setdefault(uid, []).append(now)
            try:
                await client.nudge(app)
            except Denied:
                return
            except ArgorunError:
                pass  # it was only a nudge
            continue
        version = await live.changed(version, timeout=min([5.0, *(at - now for at in due.values())]))
