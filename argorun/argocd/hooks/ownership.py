"""Whose a live hook object is: this Application's, or another's under the same name."""

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
    "give them names with the release's name ({{ .Release.Name }}-tests), or each Application a namespace"
)


def application_of(manifest: Json, label: str = INSTANCE) -> str:
    """The Application that an object says it belongs to, as Argo CD writes it; empty where it says none.

    By its tracking id, or else its instance label, which Argo CD's setting application.instanceLabelKey may
    call otherwise (source: Argo CD's util/argo/resource_tracking.go). An Application outside of Argo CD's
    own namespace is written NAMESPACE_NAME.
    """
    metadata = manifest.get("metadata") or {}
    tracking = str((metadata.get("annotations") or {}).get(TRACKING, ""))
    return tracking.partition(":")[0] or str((metadata.get("labels") or {}).get(label, ""))


def readable(instance: str) -> str:
    """An Application as people write it: NAMESPACE/NAME."""
    return instance.replace("_", "/", 1)


def stranger(live: Json, rendered: Json, topics: Sequence[str] = (), label: str = INSTANCE) -> str:
    """Whose a live object is, if not the Application's that renders `rendered`; empty where it is.

    Argo CD writes its tracking into what it renders. Where the pods of the rendered object hold a topic's
    name, the live one's must, too: else another operation made it.
    """
    wanted, found = application_of(rendered, label), application_of(live, label)
    if wanted and found != wanted:
        return f"Application {readable(found)}" if found else NOBODY
    template, now = (json.dumps((m.get("spec") or {}), ensure_ascii=False) for m in (rendered, live))
    missing = [t for t in topics if t in template and t not in now]
    return f"another run: it does not name {', '.join(missing)}" if missing else ""


def other(live: Json, rendered: Json, label: str = INSTANCE) -> str:
    """Which other Application a live object says it is of; empty where it names none."""
    by = stranger(live, rendered, label=label)
    return by if by != NOBODY else ""


class Rendered:
    """The Jobs and Pods that an Application renders, by what they are called when they are live.

    `label` is what Argo CD calls its instance label.
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
        """Those that are hooks and have a name of their own."""
        return {k: m for k, m in self._named.items() if is_hook(m)}

    def rendered(self, node: Node) -> Json | None:
        """What a live object was made from; None where that is not known."""
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

    def stranger(self, node: Node, live: Json) -> str:
        """Whose a live object is, if not ours; empty where it is, or where nothing is known of it."""
        rendered = self.rendered(node)
        return stranger(live, rendered, self._topics, self._label) if rendered is not None else ""

    def other(self, node: Node, live: Json) -> str:
        """Which other Application a live object says it is of; empty where it names none."""
        rendered = self.rendered(node)
        return other(live, rendered, self._label) if rendered is not None else ""


@dataclass(frozen=True)
class Taken:
    """A live object of another Application, under the name of one of this run's."""

    key: Key
    by: str


async def taken(
    client: Client, app: ApplicationName, tree: Tree, rendered: Mapping[Key, Json]
) -> list[Taken]:
    """The rendered objects under whose names one of another Application stands in the cluster.

    Argo CD's tree holds what stands under a name that the Application renders, whoever made it (source:
    GetManagedLiveObjs in gitops-engine's pkg/cache/cluster.go). What cannot be read is left out.
    """

    async def one(key: Key, manifest: Json) -> Taken | None:
        node = find_node(tree, key)
        if node is None:
            return None
        try:
            live = await client.live(app, node.group, node.version, node.kind, node.namespace, node.name)
        except ArgorunError:
            return None  # gone; or it is seen during the run whose it is
        by = other(live, manifest, client.instance_label)
        return Taken(key, by) if by else None

    found = await concurrency.gather([one(k, m) for k, m in rendered.items()])
    return [t for t in found if t is not None]


def refusal(app: ApplicationName, found: Sequence[Taken]) -> UsageError:
    """Why a run does not begin where other Applications' objects stand in the place of its own."""
    shown = "\n".join(f"{t.key} in namespace {t.key.namespace} is {t.by}'s" for t in found)
    names = ", ".join(t.key.name for t in found)
    return UsageError(
        f"Application {app.name} has objects under names that others use: {names}",
        f"each sync would take the other's away: {OWN_NAMES}; --force-owned goes on",
        reason=shown,
    )
