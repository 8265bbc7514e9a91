"""What a sync leaves as it is in the cluster, by the Application's ignoreDifferences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from argorun.argocd import effects, ignoring, reach
from argorun.argocd.answers import typed
from argorun.argocd.ignoring import RESPECT
from argorun.argocd.types import IgnoreRule, Json, Tree


class LeftAlone:
    """The fields of live objects that a sync does not write, with RespectIgnoreDifferences=true.

    Argo CD puts into what it applies the live object's values in place of what its rules point at; an object
    that is not there yet, and a hook, is applied as it is rendered (source: controller/sync.go,
    normalizeTargetResources). `rules` are empty where it writes all. Rules by managedFieldsManagers and those
    in Argo CD's own settings are not seen here: a look at the live objects tells, see `carriers`.
    """

    def __init__(self, spec: Json) -> None:
        policy = spec.get("syncPolicy") or {}
        written = spec.get("ignoreDifferences") if RESPECT in (policy.get("syncOptions") or ()) else None
        self.rules = typed(written or [], list[IgnoreRule], "show the Application's ignoreDifferences")
        self._namespace = str((spec.get("destination") or {}).get("namespace") or "")
        self._tree = Tree()

    def there(self, tree: Tree) -> None:
        """These objects are in the cluster."""
        self._tree = tree

    def applied(self, manifests: Sequence[Json]) -> list[Json]:
        """The rendered objects without what the sync does not write of them."""
        return [ignoring.without(m, self._about(m)) for m in manifests] if self.rules else list(manifests)

    def told(self, topic: str, manifests: Sequence[Json], jobs: Sequence[str]) -> list[str]:
        """What would carry a topic's name to a test if the sync wrote it, each with its rules."""
        return list(dict.fromkeys(self._told(topic, manifests, jobs)))

    def _told(self, topic: str, manifests: Sequence[Json], jobs: Sequence[str]) -> Iterator[str]:
        for carrier in reach.carriers([topic], manifests, jobs):
            rules = self._about(carrier.manifest)
            if rules and not reach.holders(topic, [ignoring.without(carrier.manifest, rules)]):
                paths = [p for r in rules for p in (*(r.json_pointers or ()), *(r.jq_path_expressions or ()))]
                called = effects.key_of(carrier.manifest, self._namespace)
                yield (
                    f"{called} keeps what it has: ignoreDifferences with {RESPECT} leaves {', '.join(paths)} "
                    "alone; take the rule or the option off"
                )

    def _about(self, manifest: Json) -> list[IgnoreRule]:
        key = effects.key_of(manifest, self._namespace)
        if not self.rules or effects.is_hook(manifest) or effects.find(self._tree, key) is None:
            return []
        return ignoring.matching(self.rules, key.name, key.namespace, key.group, key.kind)
