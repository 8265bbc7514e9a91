"""Checks before the verdict that the live objects still provide the topics' names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from argorun.argocd import concurrency
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.hooks.ownership import GONE, OWN_NAMES, other_application
from argorun.argocd.hooks.topic_providers import TopicProvider
from argorun.argocd.manifests.hooks import hook_of
from argorun.argocd.manifests.keys import Key, key_of
from argorun.argocd.manifests.objects import topics_named
from argorun.argocd.types import Json
from argorun.errors import ArgorunError, OperationFailed

LEFT_ALONE = (
    "somebody changed it during the run, or Argo CD leaves the field alone because of "
    "managedFieldsManagers in ignoreDifferences or its own settings"
)


@dataclass(frozen=True)
class LiveProviders:
    """ConfigMaps, workloads and custom resources by key: as rendered, and the topics that each names.

    Tests that name a topic themselves are checked while they run, see `ownership`.
    """

    objects: dict[Key, Json]
    topics: dict[Key, list[str]]

    @classmethod
    def of(cls, providers: Iterable[TopicProvider], namespace: str) -> LiveProviders:
        """Those of the providers that are no tests; `namespace` is for objects that name none."""
        found = cls({}, {})
        for provider in providers:
            if hook_of(provider.manifest) is None:
                key = key_of(provider.manifest, namespace)
                found.objects[key] = provider.manifest
                found.topics.setdefault(key, []).append(provider.topic)
        return found

    async def check(self, client: Client, app: ApplicationName) -> list[str]:
        """Check that each live object still names its topics; returns what could not be checked.

        One that is gone by now is left out: its delete policy may have deleted a hook. Raises OperationFailed
        if one no longer names its topic: the tests may have used another.
        """
        unseen = await concurrency.gather([self._check(client, app, key) for key in self.objects])
        return list(filter(None, unseen))

    async def _check(self, client: Client, app: ApplicationName, key: Key) -> str:
        rendered = self.objects[key]
        version = str(rendered.get("apiVersion", "")).rpartition("/")[2]
        try:
            live = await client.live(app, key.group, version, key.kind, key.namespace, key.name)
        except ArgorunError as e:
            return "" if getattr(e, "status", 0) in GONE else f"{key} still names the topic: {e.message}"
        lost = [t for t in dict.fromkeys(self.topics[key]) if not topics_named(live, [t])]
        if not lost:
            return ""
        by = other_application(live, rendered, client.instance_label)
        others = f"it belongs to {by} now; two Applications with one object overwrite it in turn: {OWN_NAMES}"
        raise OperationFailed(
            f"no verdict: {key} in namespace {key.namespace} no longer names {', '.join(lost)}, so the tests "
            "may have used another topic",
            others if by else LEFT_ALONE,
        )
