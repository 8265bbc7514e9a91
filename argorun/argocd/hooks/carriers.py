"""The live objects from which tests get a topic's name, looked at before their verdict counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from argorun.argocd import concurrency
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.hooks.ownership import GONE, OWN_NAMES, other
from argorun.argocd.hooks.topic_readers import Carrier
from argorun.argocd.manifests.hooks import hook_of
from argorun.argocd.manifests.keys import Key, key_of
from argorun.argocd.manifests.objects import topics_named
from argorun.argocd.types import Json
from argorun.errors import ArgorunError, OperationFailed

LEFT_ALONE = (
    "somebody changed it during the run, or Argo CD leaves the field alone: by managedFieldsManagers in "
    "ignoreDifferences, or by its own settings"
)


@dataclass(frozen=True)
class Carriers:
    """ConfigMaps, workloads and custom resources by identity: as rendered, and the topics that each names.

    Tests that name a topic themselves are looked at while they run, see `ownership`.
    """

    objects: dict[Key, Json]
    topics: dict[Key, list[str]]

    @classmethod
    def of(cls, carriers: Iterable[Carrier], namespace: str) -> Carriers:
        """Of these, those that are no tests; objects without a namespace are in this one."""
        found = cls({}, {})
        for carrier in carriers:
            if hook_of(carrier.manifest) is None:
                key = key_of(carrier.manifest, namespace)
                found.objects[key] = carrier.manifest
                found.topics.setdefault(key, []).append(carrier.topic)
        return found

    async def check(self, client: Client, app: ApplicationName) -> list[str]:
        """See that each live object names its topics still; gives back what could not be seen.

        One that is gone by now, a hook that its policy has deleted say, tells nothing. Raises
        OperationFailed where one names another: then the tests may have been on that.
        """
        unseen = await concurrency.gather([self._check(client, app, key) for key in self.objects])
        return list(filter(None, unseen))

    async def _check(self, client: Client, app: ApplicationName, key: Key) -> str:
        rendered = self.objects[key]
        version = str(rendered.get("apiVersion", "")).rpartition("/")[2]
        try:
            live = await client.live(app, key.group, version, key.kind, key.namespace, key.name)
        except ArgorunError as e:
            return (
                "" if getattr(e, "status", 0) in GONE else f"{key} names the topic was not seen: {e.message}"
            )
        lost = [t for t in dict.fromkeys(self.topics[key]) if not topics_named(live, [t])]
        if not lost:
            return ""
        by = other(live, rendered, client.instance_label)
        others = f"it is {by}'s by now; two Applications that have it overwrite each other's: {OWN_NAMES}"
        raise OperationFailed(
            f"no verdict: {key} in namespace {key.namespace} no longer names {', '.join(lost)}, so the tests "
            "may have used another topic",
            others if by else LEFT_ALONE,
        )
