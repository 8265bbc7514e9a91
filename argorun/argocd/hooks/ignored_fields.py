"""The fields that a sync does not write (RespectIgnoreDifferences=true). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from argorun.argocd.hooks import topic_providers
from argorun.argocd.hooks.topic_providers import TopicProvider
from argorun.argocd.manifests import ignore_differences
from argorun.argocd.manifests.hooks import is_hook
from argorun.argocd.manifests.ignore_differences import RESPECT
from argorun.argocd.manifests.keys import find_node, key_of
from argorun.argocd.types import IgnoreRule, Json, Tree


@dataclass(frozen=True)
class IgnoredFields:
    """The fields of live objects that a sync does not write, with RespectIgnoreDifferences=true.

    Argo CD puts into what it applies the live object's values in place of what its rules point at; an object
    that is not there yet, and a hook, is applied as it is rendered (source: controller/sync.go,
    normalizeTargetResources; docs/argocd-facts.md#ignored-differences-in-a-sync). `rules` are those that
    syncs respect, see `ignore_differences.respected`. Rules by managedFieldsManagers and those in Argo CD's
    own settings are unknown here: `live_providers` checks the live objects.
    """

    rules: Sequence[IgnoreRule]
    namespace: str  # of objects that name none
    tree: Tree  # what is in the cluster

    def applied(self, manifests: Sequence[Json]) -> list[Json]:
        """The rendered objects without what the sync does not write of them."""
        return [ignore_differences.without(m, self._about(m)) for m in manifests]

    def describe(self, providers: Iterable[TopicProvider]) -> list[str]:
        """A sentence for each provider whose topic's name the sync does not write, with the rules."""
        return list(dict.fromkeys(self._describe(providers)))

    def _describe(self, providers: Iterable[TopicProvider]) -> Iterator[str]:
        for provider in providers:
            rules = self._about(provider.manifest)
            if rules and not topic_providers.holders(
                provider.topic, [ignore_differences.without(provider.manifest, rules)]
            ):
                paths = [p for r in rules for p in (*(r.json_pointers or ()), *(r.jq_path_expressions or ()))]
                called = key_of(provider.manifest, self.namespace)
                yield (
                    f"{called} keeps what it has: ignoreDifferences with {RESPECT} leaves {', '.join(paths)} "
                    "alone; remove the rule or the option"
                )

    def _about(self, manifest: Json) -> list[IgnoreRule]:
        if not self.rules or is_hook(manifest):
            return []
        key = key_of(manifest, self.namespace)
        if find_node(self.tree, key) is None:
            return []
        return ignore_differences.matching(self.rules, key.name, key.namespace, key.group, key.kind)
