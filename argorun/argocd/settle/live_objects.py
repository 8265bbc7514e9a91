"""Reads and patches an Application's live objects by their identity."""

from __future__ import annotations

from collections.abc import Iterable

from argorun.argocd import concurrency
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.managed_resource import managed, state
from argorun.argocd.manifests.keys import Key, find_node
from argorun.argocd.types import Json, Node, Tree
from argorun.errors import ArgoCDFailed

GONE = (400, 404)  # the answers for an object that has left the tree, or the cluster


class LiveObjects:
    """The live objects of the Application's resource tree as it was read last, `tree`."""

    def __init__(self, client: Client, app: ApplicationName) -> None:
        self._client, self._app = client, app
        self.tree = Tree()

    async def read(self, keys: Iterable[Key], *, strict: bool = True) -> dict[Key, Json]:
        """The live objects under these keys, without those that are not there.

        Without `strict`, those that cannot be read are left out, too. Raises ArgoCDFailed, AccessDenied.
        """

        async def one(key: Key) -> Json | None:
            node = find_node(self.tree, key)
            if node is None:
                return None
            try:
                return await self._read(node)
            except (ArgoCDFailed, Denied):
                if strict:
                    raise
                return None

        wanted = list(keys)
        found = await concurrency.gather([one(k) for k in wanted])
        return {k: m for k, m in zip(wanted, found, strict=True) if m is not None}

    async def _read(self, node: Node) -> Json | None:
        try:
            return await self._client.live(
                self._app, node.group, node.version, node.kind, node.namespace, node.name
            )
        except (ApiError, Denied) as e:
            if e.status in GONE:
                return None
            raise

    async def patch(self, key: Key, patch: Json) -> None:
        """Send a JSON merge patch. Raises ArgoCDFailed, AccessDenied."""
        node = find_node(self.tree, key)
        version = node.version if node is not None else "v1"
        namespace = node.namespace if node is not None else key.namespace
        await self._client.patch_resource(self._app, key.group, version, key.kind, namespace, key.name, patch)

    async def is_as_in_git(self, secret: Key) -> bool:
        """Whether a Secret holds what Git has in it; further values, from others, do not matter.

        Argo CD writes a hidden value alike in both states only if it is the same (source: gitops-engine
        pkg/diff/diff.go, HideSecretData; docs/argocd-facts.md#secrets-are-hidden). Raises ArgoCDFailed,
        AccessDenied.
        """
        kept = await managed(self._client, self._app, secret)
        if kept is None:
            return True
        states = (state(text, f"show {secret}") or {} for text in (kept.target_state, kept.live_state))
        target, live = (s.get("data") or {} for s in states)
        return all(live.get(name) == value for name, value in target.items())
