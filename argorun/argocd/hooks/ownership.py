"""Whether a live object is this Application's, or another's under the same name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from argorun.argocd import concurrency
from argorun.argocd.client import INSTANCE, ApplicationName, Client
from argorun.argocd.manifests.hooks import RUNNING, is_hook
from argorun.argocd.manifests.keys import Key, find_node, key_of, key_of_listed
from argorun.argocd.manifests.objects import TRACKING
from argorun.argocd.types import Json, Node, Tree
from argorun.errors import ArgorunError, UsageError

GONE = (400, 404)
NOBODY = "no Application"
OWN_NAMES = (
    "put the release's name into their names ({{ .Release.Name }}-tests), or give each Application its own "
    "namespace"
)


def application_of(manifest: Json, label: str = INSTANCE) -> str:
    """The Application that an object names as its own, as Argo CD writes it; empty if it names none.

    By its tracking id, or else its instance label, which Argo CD's setting application.instanceLabelKey may
    call otherwise (source: Argo CD's util/argo/resource_tracking.go). An Application outside of Argo CD's
    own namespace is written NAMESPACE_NAME. See docs/argocd-facts.md#who-an-object-belongs-to.
    """
    metadata = manifest.get("metadata") or {}
    tracking = str((metadata.get("annotations") or {}).get(TRACKING, ""))
    return tracking.partition(":")[0] or str((metadata.get("labels") or {}).get(label, ""))


def display_name(instance: str) -> str:
    """An Application's name as people write it: NAMESPACE/NAME."""
    return instance.replace("_", "/", 1)


def foreign_owner(live: Json, rendered: Json, topics: Sequence[str] = (), label: str = INSTANCE) -> str:
    """The owner of a live object that is not of the Application that renders `rendered`; empty if it is.

    Argo CD writes its tracking into what it renders. If the rendered object's pods hold a topic's name, the
    live one's must, too: else another operation made it.
    """
    wanted, found = application_of(rendered, label), application_of(live, label)
    if wanted and found != wanted:
        return f"Application {display_name(found)}" if found else NOBODY
    template, now = (json.dumps((m.get("spec") or {}), ensure_ascii=False) for m in (rendered, live))
    missing = [t for t in topics if t in template and t not in now]
    return f"another run: it does not name {', '.join(missing)}" if missing else ""


def other_application(live: Json, rendered: Json, label: str = INSTANCE) -> str:
    """The other Application that a live object names as its own; empty if it names none."""
    by = foreign_owner(live, rendered, label=label)
    return by if by != NOBODY else ""


class Rendered:
    """The Jobs and Pods that an Application renders, found by the names of live objects.

    `label` is the name of Argo CD's instance label.
    """

    def __init__(
        self, manifests: Iterable[Json], namespace: str, topics: Sequence[str], label: str = INSTANCE
    ) -> None:
        self._topics, self._label = tuple(topics), label
        self._named: dict[Key, Json] = {}
        self._generated: list[tuple[Key, Json]] = []
        for m in manifests:
            if m.get("kind") in RUNNING:
                key = key_of(m, namespace)
                if (m.get("metadata") or {}).get("name"):
                    self._named[key] = m
                else:
                    self._generated.append((key, m))

    def hooks(self) -> dict[Key, Json]:
        """Those that are hooks and have a fixed name."""
        return {k: m for k, m in self._named.items() if is_hook(m)}

    def rendered(self, node: Node) -> Json | None:
        """The manifest that a live object was made from; None if unknown."""
        key = key_of_listed(node)
        if key in self._named:
            return self._named[key]
        made = [
            (k.name, m)
            for k, m in self._generated
            if key._replace(name=k.name) == k and key.name.startswith(k.name)
        ]
        # One name may begin with another: tests-, tests-e2e-.
        return max(made, key=lambda pair: len(pair[0]))[1] if made else None

    def foreign_owner(self, node: Node, live: Json) -> str:
        """The owner of a live object that is not this Application's; empty if it is, or if unknown."""
        rendered = self.rendered(node)
        return foreign_owner(live, rendered, self._topics, self._label) if rendered is not None else ""

    def other_application(self, node: Node, live: Json) -> str:
        """The other Application that a live object names as its own; empty if it names none."""
        rendered = self.rendered(node)
        return other_application(live, rendered, self._label) if rendered is not None else ""


@dataclass(frozen=True)
class NameConflict:
    """A live object of another Application under the name of one of this run's."""

    key: Key
    by: str


async def name_conflicts(
    client: Client, app: ApplicationName, tree: Tree, rendered: Mapping[Key, Json]
) -> list[NameConflict]:
    """The rendered objects under whose names the cluster has another Application's.

    Argo CD's tree holds what stands under a name that the Application renders, whoever made it (source:
    GetManagedLiveObjs in gitops-engine's pkg/cache/cluster.go; docs/argocd-facts.md#the-resource-tree). What
    cannot be read is left out.
    """

    async def one(key: Key, manifest: Json) -> NameConflict | None:
        node = find_node(tree, key)
        if node is None:
            return None
        try:
            live = await client.live(app, node.group, node.version, node.kind, node.namespace, node.name)
        except ArgorunError:
            return None  # gone; or its owner is found during the run
        by = other_application(live, manifest, client.instance_label)
        return NameConflict(key, by) if by else None

    found = await concurrency.gather([one(k, m) for k, m in rendered.items()])
    return [t for t in found if t is not None]


def conflict_error(app: ApplicationName, found: Sequence[NameConflict]) -> UsageError:
    """The error that keeps a run from beginning while other Applications use its objects' names."""
    shown = "\n".join(f"{t.key} in namespace {t.key.namespace} belongs to {t.by}" for t in found)
    names = ", ".join(t.key.name for t in found)
    return UsageError(
        f"Application {app.name} has objects whose names other Applications use: {names}",
        f"each sync would replace the other's objects: {OWN_NAMES}; --force-owned runs anyway",
        reason=shown,
    )
