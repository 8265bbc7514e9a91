"""Whether the run that left a record is still at it, by what the cluster has of its tests as well."""

from __future__ import annotations

from argorun.argocd.claim import records
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.manifests.keys import find_node, key_of_listed
from argorun.argocd.parameters.record import Record
from argorun.argocd.sync import operation
from argorun.argocd.types import Application


async def is_live(client: Client, app: ApplicationName, record: Record, seen: Application) -> bool:
    """Whether the run may still be at it. Raises ArgoCDFailed, AccessDenied.

    Argo CD takes a test for ended that is not, a suspended Job say: its run waits for it long after the
    operation's end.
    """
    now = client.clock.now()
    if records.live(record, seen, now):
        return True
    state = seen.status.operation_state
    if state is None or not records.may_wait(record, seen, now):
        return False
    tree = await client.tree(app)
    tests = [key_of_listed(h) for h in operation.hooks(state) if h.kind in RUNNING]
    found = [node for key in tests if (node := find_node(tree, key)) is not None]
    # A Job that was suspended and resumed is Healthy while it runs (seen in 3.6): its pods tell.
    return any(not node.ended for node in [*found, *tree.pods_under({node.uid for node in found})])
