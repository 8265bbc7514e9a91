"""One object as an Application keeps it: how Git has it, and how it is."""

from __future__ import annotations

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import decode
from argorun.argocd.manifests.changes import Key, key_of_listed
from argorun.argocd.types import Json, ManagedResource


async def managed(client: Client, app: ApplicationName, key: Key) -> ManagedResource | None:
    """The object; None where the Application does not keep it. Raises ArgoCDFailed, AccessDenied."""
    asked = {"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name}
    found = await client.managed(app, **asked)
    return next((kept for kept in found if key_of_listed(kept) == key), None)


def state(text: str, doing: str) -> Json | None:
    """One of its states; None if there is none. Raises InvalidResponse, which names `doing`."""
    return decode(text.encode(), Json, doing) if text not in ("", "null") else None
