"""Restores the objects that a run's operation changed, and checks each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence

from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, Denied, InvalidResponse, Unreachable
from argorun.argocd.http.retry import RetryBudget
from argorun.argocd.manifests import ignore_differences
from argorun.argocd.manifests.hooks import RUNNING, is_applied
from argorun.argocd.manifests.keys import Key, by_key, find_node, key_of_listed
from argorun.argocd.manifests.objects import content, kept_claims, resource_version, topics_named
from argorun.argocd.manifests.pod_references import pod_spec
from argorun.argocd.manifests.sync_options import CONFIRM
from argorun.argocd.settle import suspects
from argorun.argocd.settle.live_objects import LiveObjects
from argorun.argocd.settle.plan import (
    Plan,
    Rendering,
    plan_from_cluster,
    plan_from_renderings,
    rendered_differently,
    to_confirm,
)
from argorun.argocd.settle.pod_users import GRACE, readers
from argorun.argocd.settle.remains import LIVES_ON, Remains, still_being_deleted
from argorun.argocd.settle.snapshot import Snapshot
from argorun.argocd.settle.suspects import CONFIGMAP, SECRET
from argorun.argocd.types import Application, Json, ResourceStatus, Tree
from argorun.argocd.types.messages import cause
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed, UsageError

MOST = 200  # objects that are read before the sync
POLL = 0.3  # seconds between two reads of an object that is being deleted
COMPARED = 1.0  # seconds between two comparisons with Git, each of which is work for Argo CD
UNKNOWN = "it differs from Git, and Argo CD does not show whether the run changed it"
WAS_THERE = "and it was there before: only its owner knows how it was"
KEPT_CLAIM = "Kubernetes keeps it when its StatefulSet is deleted"
HIDDEN_DIFFERENCE = "it differs from Git, which ignoreDifferences hides"
SECRET_HOOK = "it is as the run's sync left it, and Argo CD does not show its values"


class Settlement:
    """What one run's operation changed, and how it is restored. `topics` are the names that must be gone.

    With `secrets`, a Secret may hold one of them, whose values Argo CD hides. Call `take_snapshot` before the
    sync, `plan` once the parameters are back, and `find_remains` once the plan is carried out. Every
    coroutine raises ArgoCDFailed or AccessDenied.
    """

    def __init__(
        self, client: Client, app: ApplicationName, topics: Sequence[str], *, secrets: bool = False
    ) -> None:
        self._client, self._app, self._topics = client, app, tuple(topics)
        self._secrets = secrets
        self._live = LiveObjects(client, app)
        # Known before the sync:
        self._namespace = ""
        self._ours = Rendering()
        self._before = Snapshot()
        self._others_secrets = False  # a Secret that is not Synced may have been so before
        # What a person would do in place of `plan`: until that is made, by the renderings alone.
        self.recovery_plan = Plan()
        # Known once it is planned:
        self._planned = False
        self._plan = Plan()
        self._former: Mapping[Key, Json] = {}  # what the source renders to without the run's values
        self._options: Collection[str] = ()  # the Application's sync options
        self._claims: list[Key] = []  # volume claims of pruned StatefulSets, which Kubernetes keeps
        self._ignored: list[Key] = []  # Secrets that differ from Git, whatever status Argo CD reports
        self._secret_hooks: dict[Key, str] = {}  # the version that the run's sync has left
        self._hidden: list[Key] = []  # Secrets of which it is unknown whether the run changed them
        self._partly_new: list[Key] = []  # new objects that no sync takes back as a whole

    # -- before the sync ------------------------------------------------------------------------------

    async def take_snapshot(
        self, seen: Application, tree: Tree, ours: Sequence[Json], former: Sequence[Json]
    ) -> list[Remains]:
        """Remember the live objects; return the data hooks that cannot be restored later.

        `ours` is what the source renders to with the run's values, `former` without them; that is empty if it
        does not render so. Raises UsageError if the sync would wait for a person.
        """
        self._namespace, taken_at = destination(seen), self._client.clock.now()
        await self.renders(ours)
        without = await asyncio.to_thread(by_key, former, self._namespace)
        self._live.tree = tree
        options = seen.sync_options
        held = [k for k in to_confirm(self._ours.objects, without, options) if find_node(tree, k)]
        if held:
            raise UsageError(
                f"{', '.join(map(str, held))} of {self._app} has the option {CONFIRM}, and is not "
                "rendered with the run's values: the sync would wait for a person to confirm its deletion",
                "remove the option, or leave the topic out of its name",
            )
        differing = await self._differing(without) if without else self._ours.naming
        self.recovery_plan = await asyncio.to_thread(
            plan_from_renderings, self._ours.objects, without, differing, tree, options
        )
        self._plan = self.recovery_plan  # until the cluster is looked at
        hooks = self._ours.data_hooks
        # Of very many objects, and of those that cannot be read, the version alone tells later whether they
        # were changed.
        wanted = dict.fromkeys([*differing, *hooks] if len(differing) <= MOST else hooks)
        read = await self._live.read(wanted, strict=False)
        self._before = Snapshot.of(tree, {k: content(m) for k, m in read.items()}, taken_at)
        at_risk = [k for k in hooks if k in self._ours.naming or k[:2] == SECRET]
        return [r for k in at_risk if (r := await self._cannot_patch(k)) is not None]

    async def renders(self, ours: Sequence[Json]) -> None:
        """Take over what the source renders to with the run's values: Git may have moved."""
        self._ours = await asyncio.to_thread(Rendering.of, ours, self._namespace, self._topics)

    async def reconstruct(
        self, seen: Application, since: float, revision: str | None, *, stands: bool, synced: bool
    ) -> None:
        """Do what `take_snapshot` does for a run that died, as far as that is still known.

        `since` is when it began, in seconds since the epoch; `revision` is what it synced. `stands`: its
        values are still in the spec; if not, they cannot be rendered, and only an object that names a topic
        is known to be the run's. `synced`: the Application was Synced before; then a Secret that is not was
        changed by the run.
        """
        self._namespace = destination(seen)
        if stands:
            with contextlib.suppress(ApiError):
                await self.renders(await self._client.manifests(self._app, revision))
                self.recovery_plan = plan_from_renderings(
                    self._ours.objects, {}, self._ours.naming, self._live.tree
                )
        self._before, self._others_secrets = Snapshot(since=since), not synced

    async def _differing(self, former: Mapping[Key, Json]) -> list[Key]:
        return await asyncio.to_thread(rendered_differently, self._ours.objects, former)

    async def _cannot_patch(self, key: Key) -> Remains | None:
        """Why a data hook cannot be patched; None if it can: an empty patch is tried."""
        if key[:2] == SECRET:
            return Remains(key, "Argo CD hides a Secret's values")
        if key in self._ours.generated:
            return Remains(key, "each sync creates another one")
        budget = RetryBudget(self._client.retry_for)
        while True:
            try:
                await self._live.patch(key, {})
            except Denied as e:
                return Remains(key, e.text)
            except ApiError:
                return None  # it is not there yet: the permission is checked first
            except (Unreachable, InvalidResponse) as e:
                await budget.wait(e)
            else:
                return None

    # -- the plan -------------------------------------------------------------------------------------

    async def plan(self, revision: str | None) -> Plan:
        """How each changed object goes back to what this commit renders to with the current parameters.

        Raises OperationFailed if Argo CD cannot compare with Git, or cannot render.
        """
        try:
            manifests = await self._client.manifests(self._app, revision)
        except ApiError as e:
            self._plan = Plan(stay=self._ours.naming)  # for `find_remains`
            why = cause(e.text)
            raise OperationFailed(f"Argo CD cannot render {self._app} without the topic: {why}") from None
        former = self._former = await asyncio.to_thread(by_key, manifests, self._namespace)
        seen = await self._compared()
        self._live.tree = await self._client.tree(self._app)
        live = await self._changed_objects(seen, former)
        self._options = seen.sync_options
        self._plan = await asyncio.to_thread(
            plan_from_cluster, live, self._ours.objects, former, self._before, self._options
        )
        self.recovery_plan, self._planned = self._plan, True
        new = [k for k in self._plan.settle if self._before.is_new(live[k])]
        # Of a new object, a sync leaves what RespectIgnoreDifferences protects.
        rules = ignore_differences.respected(seen.spec, f"show {self._app.name}") if new else ()
        where = [(k, (k.name, k.namespace, k.group, k.kind)) for k in new]
        self._partly_new = [k for k, at in where if ignore_differences.matching(rules, *at)]
        pruned = [live[k] for k in self._plan.prune]
        self._claims = [k for sts in pruned for k in kept_claims(sts, self._live.tree)]
        return self._plan

    async def _changed_objects(self, seen: Application, former: Mapping[Key, Json]) -> dict[Key, Json]:
        """The live objects that the operation may have changed."""
        ours, tree = self._ours, self._live.tree
        rewritten = suspects.rewritten_secrets(seen, tree, ours, former, self._before)
        self._ignored = [k for k in rewritten if not await self._live.is_as_in_git(k)]
        secret_hooks = [k for k in ours.data_hooks if k[:2] == SECRET] if self._secrets else []
        found = dict.fromkeys(
            [
                *await self._differing(former),
                *suspects.unsynced(seen, ours, former),
                *self._ignored,
                *secret_hooks,
                *suspects.generated_hooks(tree, ours, self._before),
                *(() if ours.objects else suspects.without_a_rendering(tree, self._topics, former)),
            ]
        )
        live = await self._live.read(found)
        self._secret_hooks = {k: resource_version(live[k]) for k in secret_hooks if k in live}
        if self._others_secrets or not ours.objects:
            self._hidden = [k for k in live if k[:2] == SECRET and not topics_named(live[k], self._topics)]
            live = {k: m for k, m in live.items() if k not in self._hidden}
        if not ours.objects:
            live = {k: m for k, m in live.items() if topics_named(m, self._topics)}
        return live

    async def _compared(self) -> Application:
        seen = await self._client.application(self._app, refresh="normal")
        if seen.status.sync.status not in ("Synced", "OutOfSync"):
            why = "; ".join(seen.errors) or seen.status.sync.status
            raise OperationFailed(f"Argo CD cannot compare {self._app.name} with Git: {why}")
        return seen

    async def apply_patches(self, plan: Plan) -> list[Remains]:
        """Send the plan's patches; return the objects whose patch failed."""
        left = []
        for key, patch in plan.patch:
            if not patch:
                continue
            try:
                await self._live.patch(key, patch)
            except (AccessDenied, ArgoCDFailed) as e:
                left.append(Remains(key, e.text if isinstance(e, Denied) else e.message, patch))
        return left

    def resources_to_sync(self, plan: Plan) -> list[ResourceStatus]:
        """The resources of the settling sync, named as the live objects are."""
        nodes = [find_node(self._live.tree, k) for k in (*plan.settle, *plan.prune)]
        return [
            ResourceStatus(group=n.group, kind=n.kind, namespace=n.namespace, name=n.name)
            for n in nodes
            if n is not None
        ]

    # -- what it is about -------------------------------------------------------------------------------

    @property
    def changed(self) -> tuple[Key, ...]:
        """The objects that the operation changed, once `plan` has seen them."""
        return self._plan.changed

    def left_by_deletion(self) -> list[Remains]:
        """The objects that the run made to name a topic, if the Application was deleted without them."""
        why = f"{LIVES_ON}, and it names the topic"
        there = [k for k in self._ours.naming if k.kind not in RUNNING and is_applied(self._ours.objects[k])]
        return [Remains(k, why, delete=True) for k in there]

    def topic_sources(self) -> set[Key]:
        """The ConfigMaps that held a topic's name, and the Secrets that may have."""
        # Without a rendering, what changed is what was seen to name one.
        naming = set(self._ours.naming if self._ours.objects else self.changed)
        return {k for k in self.changed if k[:2] == SECRET or (k[:2] == CONFIGMAP and k in naming)}

    def uncertain_sources(self) -> set[Key]:
        """Those of `topic_sources` that need not have held one: every topic was seen in something else."""
        return set() if self._secrets else {k for k in self.changed if k[:2] == SECRET}

    def pod_owners(self) -> list[Key]:
        """The objects whose pods may use the topics: those that changed, and those that read these."""
        sources, objects = self.topic_sources(), self._ours.objects or self._former
        return list(dict.fromkeys([*self.changed, *(readers(objects, sources) if sources else ())]))

    def grace_period(self) -> float:
        """The longest time, in seconds, for which a pod of `pod_owners` may run on while it is deleted."""
        rendered = (pod_spec(self._ours.objects.get(k, {})) for k in self.pod_owners())
        return max((float(s.get("terminationGracePeriodSeconds", GRACE)) for s in rendered), default=GRACE)

    @property
    def orphans_pods(self) -> bool:
        """Whether pods of what is pruned run on out of sight (source: Argo CD's docs, Sync Options)."""
        return "PrunePropagationPolicy=background" in self._options

    # -- what is not back -------------------------------------------------------------------------------

    async def find_remains(self, patience: float) -> list[Remains]:
        """Read the changed objects; return those that are not back, with what a person can do.

        For `patience` seconds at most it waits for objects that are being deleted, and for Argo CD's
        comparison: that may be with the cluster as it was some seconds ago (seen after one sync in four).
        """
        until = asyncio.get_running_loop().time() + patience
        secrets = [k for k in (*self.changed, *self._hidden) if k[:2] == SECRET]
        alone = frozenset(self._plan.alone if self._planned else ())
        while True:
            left = await self._secrets_not_back(secrets) if secrets else []
            live = await self._live.read(k for k in self.changed if k[:2] != SECRET)
            whys = await asyncio.to_thread(self._whys, live, alone)
            leaving = [
                k for k in whys if whys[k] and (live[k].get("metadata") or {}).get("deletionTimestamp")
            ]
            coming = any(not remains.hook for remains in left)
            if not (leaving or coming) or asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(COMPARED if coming else POLL)
        for key, why in whys.items():
            if why:
                left.append(
                    still_being_deleted(key, live[key]) if key in leaving else self._remains(key, why)
                )
        return [*left, *(Remains(k, KEPT_CLAIM, delete=True) for k in self._claims)]

    def _whys(self, live: Mapping[Key, Json], alone: Collection[Key]) -> dict[Key, str]:
        """Why each object is not back, some 100 µs an object: call it in a thread."""
        return {k: self._why_not_back(m, alone=k in alone) for k, m in live.items()}

    def _why_not_back(self, now: Json, *, alone: bool) -> str:
        """Why an object is not as it was; empty if it is. `alone`: only the run has it."""
        if found := topics_named(now, self._topics):
            return f"it still names {', '.join(found)}"
        return "the run created it, and it is still there" if alone else ""

    def _remains(self, key: Key, why: str) -> Remains:
        patch, hook = dict(self._plan.patch).get(key), key in self._ours.data_hooks
        if key in self._plan.foreign or (patch == {} and not hook):
            return Remains(key, f"{why}, {WAS_THERE}", command="")
        alone = key in (*self._plan.alone, *self._partly_new)
        # An empty patch: what differs, others changed.
        return Remains(key, why, patch or None, delete=alone, hook=patch == {})

    async def _secrets_not_back(self, keys: Collection[Key]) -> list[Remains]:
        """The Secrets that are not back: only Argo CD sees their values, and calls them Synced."""
        seen = await self._compared()
        synced = {key_of_listed(r): r.status for r in seen.status.resources or ()}
        status = {k: synced.get(k, "") for k in keys}
        out = {k: s for k, s in status.items() if s not in ("Synced", "")}
        whys = {k: UNKNOWN if k in self._hidden else f"Argo CD reports it as {s}" for k, s in out.items()}
        whys |= {k: UNKNOWN for k in self._plan.foreign if k[:2] == SECRET}
        for key in self._ignored:
            if key not in whys and not await self._live.is_as_in_git(key):
                whys[key] = HIDDEN_DIFFERENCE
        left = [Remains(key, why) for key, why in whys.items()]
        hooks = await self._live.read(self._secret_hooks)
        same = [k for k, m in hooks.items() if resource_version(m) == self._secret_hooks[k]]
        return [*left, *(Remains(k, SECRET_HOOK, hook=True) for k in same)]


def destination(seen: Application) -> str:
    """The namespace of those of an Application's objects that name none."""
    return str((seen.spec.get("destination") or {}).get("namespace") or "")
