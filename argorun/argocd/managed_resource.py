"""Reads one object that an Application manages: as Git renders it, and live."""

from __future__ import annotations

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import decode
from argorun.argocd.manifests.keys import Key, key_of_listed
from argorun.argocd.types import Json, ManagedResource


async def managed(client: Client, app: ApplicationName, key: Key) -> ManagedResource | None:
    """The object; None if the Application does not manage it. Raises ArgoCDFailed, AccessDenied."""
    asked = {"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name}
    found = await client.managed(app, **asked)
    return next((kept for kept in found if key_of_listed(kept) == key), None)


def state(text: str, doing: str) -> Json | None:
    """One of its states, decoded; None if there is none. Raises InvalidResponse, which names `doing`."""
    return decode(text.encode(), Json, doing) if text not in ("", "null") else None
