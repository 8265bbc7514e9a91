"""Undoes what a killed run left in an Application, before the next one begins."""

from __future__ import annotations

import asyncio

from argorun import recovery
from argorun.argocd.claim import leftovers
from argorun.argocd.client import Client
from argorun.argocd.parameters.record import Record
from argorun.config.model import ApplicationRef
from argorun.emit import Emitter
from argorun.errors import OperationFailed
from argorun.kinds import NoticeKind


async def undo(client: Client, app: ApplicationRef, dead: Record, limit: float, emitter: Emitter) -> None:
    """Undo parameters and workloads within `limit` seconds, or they would pass for the original ones.

    Raises OperationFailed, ArgoCDFailed, AccessDenied where that fails.
    """
    text = f"run {dead.run} left its parameters behind; argorun removes them"
    emitter.warn(text, NoticeKind.KILLED_RUN)
    try:
        async with asyncio.timeout(limit):
            done = await leftovers.undo(client, app, dead, limit, emitter.warn)
    except TimeoutError:
        raise OperationFailed(
            f"what run {dead.run} left in {app} was not undone within {limit:.0f} s",
            "argorun sweep undoes it, or prints the commands to do it by hand",
        ) from None
    for remains in done.left:
        command = recovery.restore_object(app, remains)
        text = f"{remains.key}, as run {dead.run} left it: {remains.why}; {command}"
        emitter.warn(text, NoticeKind.KILLED_RUN)
    if done.did:
        emitter.info(f"{app}: {', '.join(done.did.values())}", NoticeKind.KILLED_RUN)
