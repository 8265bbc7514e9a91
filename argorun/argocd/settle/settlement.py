"""Takes what a run's operation changed back to how Git has it, object by object."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from argorun.argocd import concurrency
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.diagnosis import waiting
from argorun.argocd.http.errors import ApiError, Denied, InvalidResponse, Unreachable
from argorun.argocd.http.retry import RetryBudget
from argorun.argocd.managed_resource import managed, state
from argorun.argocd.manifests import changes, ignore_differences
from argorun.argocd.manifests.changes import TESTS, Before, Key, Plan, Rendering
from argorun.argocd.manifests.hooks import is_applied
from argorun.argocd.manifests.pod_references import pod_spec
from argorun.argocd.settle.pod_users import GRACE, readers
from argorun.argocd.types import Application, Json, Node, ResourceStatus, Tree
from argorun.errors import AccessDenied, ArgoCDFailed, OperationFailed, UsageError

MOST = 200  # objects that are read before the sync
POLL = 0.3  # seconds between two looks at an object that is being deleted
COMPARED = 1.0  # seconds between two comparisons with Git, each of which is work for Argo CD
GONE = (400, 404)  # the answers for an object that has left the tree, or the cluster
LIVES_ON = "the Application was deleted; unless all that it had made was, too, it lives on"
UNKNOWN = "it is not as Git has it, and whether the run has changed it nobody is shown"
WAS_THERE = "and it was there before: only who made it knows how it was"
SECRET, CONFIGMAP = ("", "Secret"), ("", "ConfigMap")


@dataclass(frozen=True)
class Remains:
    """One object that is not back as it was, why, and what a person can do about it."""

    key: Key
    why: str
    patch: Json | None = None  # send this JSON merge patch
    delete: bool = False  # delete it; where neither is given, sync it
    hook: bool = False  # only a sync of the whole, hooks and all, makes it anew
    command: str | None = None  # in place of all these


class Settlement:
    """What one run's operation changed, and the way back. `topics` are the names that must be gone.

    With `secrets`, one of them may be in a Secret, whose values Argo CD hides.
    Call `note` before the sync, `plan` once the parameters are back, and `look` after the plan is done.
    Every method raises ArgoCDFailed or AccessDenied.
    """

    def __init__(
        self, client: Client, app: ApplicationName, topics: Sequence[str], *, secrets: bool = False
    ) -> None:
        self._client, self._app, self._topics = client, app, tuple(topics)
        self._secrets = secrets
        self._claims: list[Key] = []  # of StatefulSets that are pruned, which Kubernetes keeps
        self._ignored: list[Key] = []  # Secrets that are not as Git has them, whatever Argo CD calls them
        self._hooks: dict[Key, str] = {}  # Secrets that are hooks: the version that our sync has left
        self._namespace = ""
        self._ours = Rendering()
        self._former: Mapping[Key, Json] = {}  # what the source renders to without the run's values
        self._options: Collection[str] = ()  # the Application's sync options
        self._before = Before()
        self._others_secrets = False  # a Secret that is not Synced may have been so before
        self._hidden: list[Key] = []  # Secrets that may be the run's: nobody can tell
        self._as_made: list[
            Key
        ] = []  # new objects of which a sync leaves something (RespectIgnoreDifferences)
        self._plan = Plan()
        self._planned = False  # it is known what is there only with the run's values
        self.by_hand = Plan()  # what a person would do in place of `plan`: until then, by the renderings
        self._tree = Tree()

    # -- before the sync ------------------------------------------------------------------------------

    async def note(
        self, seen: Application, tree: Tree, ours: Sequence[Json], former: Sequence[Json]
    ) -> list[Remains]:
        """Remember the live objects; gives back the hooks that hold data and cannot be put back later.

        `ours` is what the source renders to with the run's values, `former` without them; that is empty where
        it does not render so. Raises UsageError where the sync would wait for a person.
        """
        self._namespace, noted = destination(seen), self._client.clock.now()
        await self.renders(ours)
        without = await asyncio.to_thread(changes.by_key, former, self._namespace)
        self._tree = tree
        options = seen.sync_options
        held = [k for k in changes.to_confirm(self._ours.objects, without, options) if changes.find(tree, k)]
        if held:
            raise UsageError(
                f"{', '.join(map(str, held))} of {self._app} has the option {changes.CONFIRM}, and is not "
                "rendered with the run's values: the sync would wait for a person to confirm that it goes",
                "take the option off, or leave the topic out of its name",
            )
        differing = await self._differing(without) if without else self._ours.naming
        self.by_hand = await asyncio.to_thread(
            changes.rendered_plan, self._ours.objects, without, differing, tree, options
        )
        self._plan = self.by_hand  # until the cluster is looked at
        hooks = self._ours.data_hooks
        # Of very many the version alone tells later whether they were changed.
        wanted = dict.fromkeys([*differing, *hooks] if len(differing) <= MOST else hooks)
        # What cannot be read now is told by its version alone, too.
        contents = {k: changes.content(m) for k, m in (await self._read(wanted, strict=False)).items()}
        self._before = Before.of(self._tree, contents, noted)
        at_risk = [k for k in hooks if k in self._ours.naming or k[:2] == SECRET]
        return [r for k in at_risk if (r := await self._cannot_patch(k)) is not None]

    async def renders(self, ours: Sequence[Json]) -> None:
        """What the source renders to with the run's values: something else, perhaps, once Git has moved."""
        self._ours = await asyncio.to_thread(Rendering.of, ours, self._namespace, self._topics)

    async def _differing(self, former: Mapping[Key, Json]) -> list[Key]:
        return await asyncio.to_thread(changes.differing, self._ours.objects, former)

    async def note_dead(
        self, seen: Application, since: float, revision: str | None, *, stands: bool, synced: bool
    ) -> None:
        """The same for a run that died, as far as it can still be told.

        `since` is when it began, `revision` what it has synced. `stands` says that its values are still in
        the spec: else nobody can render them, and only what names a topic is known to be the run's. `synced`
        says that the Application was Synced before: then a Secret that is not is the run's.
        """
        self._namespace = destination(seen)
        if stands:
            with contextlib.suppress(ApiError):
                await self.renders(await self._client.manifests(self._app, revision))
                self.by_hand = changes.rendered_plan(self._ours.objects, {}, self._ours.naming, self._tree)
        self._before, self._others_secrets = Before(since=since), not synced

    async def _cannot_patch(self, key: Key) -> Remains | None:
        """Whether a hook that holds data could be put back: a patch that changes nothing is tried."""
        if key[:2] == SECRET:
            return Remains(key, "Argo CD hides what a Secret holds")
        if key in self._ours.generated:
            return Remains(key, "each sync makes another one")
        patience = RetryBudget(self._client.retry_for)
        while True:
            try:
                await self._patch(key, {})
            except Denied as e:
                return Remains(key, e.text)
            except ApiError:
                return None  # it is not there yet: the permission is asked for first
            except (Unreachable, InvalidResponse) as e:
                await patience.wait(e)
            else:
                return None

    # -- the way back ---------------------------------------------------------------------------------

    async def plan(self, revision: str | None) -> Plan:
        """How each changed object goes back to what this commit renders to with today's parameters.

        Raises OperationFailed where Argo CD cannot compare with Git, or cannot render.
        """
        try:
            manifests = await self._client.manifests(self._app, revision)
        except ApiError as e:
            self._plan = Plan(stay=self._ours.naming)  # for the look
            raise OperationFailed(f"Argo CD cannot render {self._app} without the topic: {e.text}") from None
        former = self._former = await asyncio.to_thread(changes.by_key, manifests, self._namespace)
        seen = await self._compared()
        self._tree = await self._client.tree(self._app)
        self._ignored = [k for k in self._rewritten(seen, former) if not await self._is_as_in_git(k)]
        hooks = [k for k in self._ours.data_hooks if k[:2] == SECRET] if self._secrets else []
        suspects = dict.fromkeys(
            [
                *await self._differing(former),
                *self._unsynced(seen, former),
                *self._ignored,
                *hooks,
                *self._generated(),
                *(self._named_like_a_topic(former) if not self._ours.objects else ()),
            ]
        )
        live = await self._read(suspects)
        self._hooks = {k: changes.version(live[k]) for k in hooks if k in live}
        if self._others_secrets or not self._ours.objects:
            self._hidden = [k for k in live if k[:2] == SECRET and not changes.named(live[k], self._topics)]
            live = {k: m for k, m in live.items() if k not in self._hidden}
        if not self._ours.objects:
            live = {k: m for k, m in live.items() if changes.named(m, self._topics)}
        options = self._options = seen.sync_options
        self._plan = await asyncio.to_thread(
            changes.plan, live, self._ours.objects, former, self._before, options
        )
        self.by_hand, self._planned = self._plan, True
        new = [k for k in self._plan.settle if self._before.is_new(live[k])]
        rules = ignore_differences.respected(seen.spec, f"show {self._app.name}") if new else ()
        where = [(k, (k.name, k.namespace, k.group, k.kind)) for k in new]
        self._as_made = [k for k, at in where if ignore_differences.matching(rules, *at)]
        pruned = {k: live[k] for k in self._plan.prune}
        self._claims = [k for sts in pruned.values() for k in changes.kept_claims(sts, self._tree)]
        return self._plan

    async def _compared(self) -> Application:
        seen = await self._client.application(self._app, refresh="normal")
        if seen.status.sync.status not in ("Synced", "OutOfSync"):
            why = "; ".join(c.message for c in seen.status.conditions or () if c.type == "ComparisonError")
            raise OperationFailed(
                f"Argo CD cannot compare {self._app.name} with Git: {why or seen.status.sync.status}"
            )
        return seen

    def _unsynced(self, seen: Application, former: Mapping[Key, Json]) -> list[Key]:
        """Secrets differ in what Argo CD hides: its comparison tells. Without a rendering, all do."""
        unsynced = [r for r in seen.status.resources or () if r.status == "OutOfSync" and not r.hook]
        asked = [r for r in unsynced if (r.group, r.kind) == SECRET or not self._ours.objects]
        pruned = {changes.key_of_listed(r): r.requires_pruning for r in asked}
        ours = self._ours.objects
        return [k for k, extra in pruned.items() if k in former or (extra and (k in ours or not ours))]

    def _named_like_a_topic(self, former: Mapping[Key, Json]) -> list[Key]:
        """What only a look can tell without a rendering: hooks that hold data, and objects by their names."""
        spelled = [s for topic in self._topics for s in changes.spellings(topic)]
        nodes = [n for n in self._tree.nodes or () if not n.parent_refs and n.kind not in TESTS]
        named = [changes.key_of_listed(n) for n in nodes if any(s in n.name for s in spelled)]
        return [*(k for k, m in former.items() if changes.is_data_hook(m)), *named]

    def _generated(self) -> list[Key]:
        """Hooks that hold data and were made under a new name, which Argo CD adds to the rendered one."""
        return [
            changes.key_of_listed(n)
            for k in self._ours.generated
            for n in self._tree.of_kind(k.kind)
            if (n.group, n.namespace) == (k.group, k.namespace)
            and n.name.startswith(k.name)
            and n.uid not in self._before.versions
        ]

    def _rewritten(self, seen: Application, former: Mapping[Key, Json]) -> list[Key]:
        """The Secrets in which Argo CD compares not all, and that are other ones than before our sync."""
        rules = ignore_differences.written(seen.spec, f"show {self._app.name}")
        return [
            k
            for k, m in self._ours.objects.items()
            if k[:2] == SECRET
            and k in former
            and not changes.is_hook(m)
            and ignore_differences.matching(rules, k.name, k.namespace, k.group, k.kind)
            and (node := changes.find(self._tree, k)) is not None
            and self._before.versions.get(node.uid) != node.resource_version
        ]

    async def put_hooks_back(self, plan: Plan) -> list[Remains]:
        """Patch the hooks that hold data; gives back those that could not be."""
        left = []
        for key, patch in plan.patch:
            if not patch:
                continue
            try:
                await self._patch(key, patch)
            except (AccessDenied, ArgoCDFailed) as e:
                left.append(Remains(key, e.text if isinstance(e, Denied) else e.message, patch))
        return left

    @property
    def changed(self) -> tuple[Key, ...]:
        """The objects that the operation changed, once `plan` has seen them."""
        return self._plan.changed

    def naming(self) -> list[Remains]:
        """The objects that were made to name a topic, where nobody can look at them any longer."""
        why = f"{LIVES_ON}, and it names the topic"
        there = [k for k in self._ours.naming if k.kind not in TESTS and is_applied(self._ours.objects[k])]
        return [Remains(k, why, delete=True) for k in there]

    def sources(self) -> set[Key]:
        """The ConfigMaps that held a topic's name, and the Secrets that may have."""
        # Without a rendering of ours, what was changed is what was seen to name one.
        naming = set(self._ours.naming if self._ours.objects else self.changed)
        return {k for k in self.changed if k[:2] == SECRET or (k[:2] == CONFIGMAP and k in naming)}

    def perhaps(self) -> set[Key]:
        """Those of the sources that need not have held one: every topic was seen in something else."""
        return set() if self._secrets else {k for k in self.changed if k[:2] == SECRET}

    def with_pods(self) -> list[Key]:
        """The objects whose pods may use the topics: what was changed, and what reads what was changed."""
        held, objects = self.sources(), self._ours.objects or self._former
        return list(dict.fromkeys([*self.changed, *(readers(objects, held) if held else ())]))

    def grace(self) -> float:
        """For how long, in seconds, a pod of what was changed may run on once it is told to stop."""
        rendered = (pod_spec(self._ours.objects.get(k, {})) for k in self.with_pods())
        return max((float(s.get("terminationGracePeriodSeconds", GRACE)) for s in rendered), default=GRACE)

    @property
    def leaves_pods(self) -> bool:
        """Whether the pods of what is pruned run on, out of sight (source: Argo CD's docs, Sync Options)."""
        return "PrunePropagationPolicy=background" in self._options

    def resources(self, plan: Plan) -> list[ResourceStatus]:
        """What the settling sync is about, as the live objects are called."""
        nodes = [changes.find(self._tree, k) for k in (*plan.settle, *plan.prune)]
        return [
            ResourceStatus(group=n.group, kind=n.kind, namespace=n.namespace, name=n.name)
            for n in nodes
            if n is not None
        ]

    # -- the look -------------------------------------------------------------------------------------

    async def look(self, patience: float) -> list[Remains]:
        """Read the changed objects: which of them still name a topic, and how a person takes that out.

        One that is being deleted is waited for, `patience` seconds at most, and so is Argo CD's comparison:
        for some seconds it may be one with the cluster as it was before (seen after one sync in four).
        """
        until = asyncio.get_running_loop().time() + patience
        secrets = [k for k in (*self.changed, *self._hidden) if k[:2] == SECRET]
        alone = frozenset(self._plan.alone if self._planned else ())
        while True:
            left = await self._secrets_not_back(secrets) if secrets else []
            live = await self._read(k for k in self.changed if k[:2] != SECRET)
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
                left.append(leaves(key, live[key]) if key in leaving else self._remains(key, why))
        why = "Kubernetes keeps it when its StatefulSet is deleted"
        return [*left, *(Remains(k, why, delete=True) for k in self._claims)]

    def _whys(self, live: Mapping[Key, Json], alone: Collection[Key]) -> dict[Key, str]:
        """Some 100 µs an object: where there are thousands, for a thread of its own."""
        return {k: self._why_not_back(m, alone=k in alone) for k, m in live.items()}

    def _why_not_back(self, now: Json, *, alone: bool) -> str:
        """Why an object is not as it was; empty where it is. `alone`: it should not be there at all."""
        if found := changes.named(now, self._topics):
            return f"it still names {', '.join(found)}"
        return "the run has made it, and it is still there" if alone else ""

    def _remains(self, key: Key, why: str) -> Remains:
        patch, hook = dict(self._plan.patch).get(key), key in self._ours.data_hooks
        if key in self._plan.foreign or (patch == {} and not hook):
            return Remains(key, f"{why}, {WAS_THERE}", command="")
        alone = key in (*self._plan.alone, *self._as_made)
        # Where others' changes stand in the way of a patch, there is none.
        return Remains(key, why, patch or None, delete=alone, hook=patch == {})

    async def _secrets_not_back(self, keys: Collection[Key]) -> list[Remains]:
        """A Secret is back when Argo CD calls it Synced: nobody else may see what it holds."""
        seen = await self._compared()
        synced = {changes.key_of_listed(r): r.status for r in seen.status.resources or ()}
        status = {k: synced.get(k, "") for k in keys}
        out = {k: s for k, s in status.items() if s not in ("Synced", "")}
        whys = {k: UNKNOWN if k in self._hidden else f"Argo CD calls it {s}" for k, s in out.items()}
        whys |= {k: UNKNOWN for k in self._plan.foreign if k[:2] == SECRET}
        for key in self._ignored:
            if key not in whys and not await self._is_as_in_git(key):
                whys[key] = "it is not as Git has it, which ignoreDifferences hides"
        left = [Remains(key, why) for key, why in whys.items()]
        why = "it is as the run's sync left it, and Argo CD does not say what it holds"
        hooks = await self._read(self._hooks)
        same = [k for k, m in hooks.items() if changes.version(m) == self._hooks[k]]
        return [*left, *(Remains(k, why, hook=True) for k in same)]

    async def _is_as_in_git(self, key: Key) -> bool:
        """Whether a Secret holds what Git has in it; more, which others have put in, does not matter.

        Argo CD writes a hidden value alike in both only where it is the same (source: gitops-engine
        pkg/diff/diff.go, HideSecretData).
        """
        kept = await managed(self._client, self._app, key)
        if kept is None:
            return True
        states = (state(text, f"show {key}") or {} for text in (kept.target_state, kept.live_state))
        target, live = (s.get("data") or {} for s in states)
        return all(live.get(name) == value for name, value in target.items())

    # -- requests -------------------------------------------------------------------------------------

    async def _read(self, keys: Iterable[Key], *, strict: bool = True) -> dict[Key, Json]:
        """The live objects under these keys, those that are there; unless `strict`, that can be read."""

        async def one(key: Key) -> Json | None:
            node = changes.find(self._tree, key)
            if node is None:
                return None
            try:
                return await self._one(node)
            except (ArgoCDFailed, Denied):
                if strict:
                    raise
                return None

        wanted = list(keys)
        found = await concurrency.gather([one(k) for k in wanted])
        return {k: m for k, m in zip(wanted, found, strict=True) if m is not None}

    async def _one(self, node: Node) -> Json | None:
        try:
            return await self._client.live(
                self._app, node.group, node.version, node.kind, node.namespace, node.name
            )
        except (ApiError, Denied) as e:
            if e.status in GONE:
                return None
            raise

    async def _patch(self, key: Key, patch: Json) -> None:
        node = changes.find(self._tree, key)
        version = node.version if node is not None else "v1"
        namespace = node.namespace if node is not None else key.namespace
        await self._client.patch_resource(self._app, key.group, version, key.kind, namespace, key.name, patch)


def leaves(key: Key, now: Json) -> Remains:
    """What is being deleted and not gone: to delete it again does nothing."""
    held = waiting.obstacle(now, ())
    why = "it is being deleted, and not gone"
    return Remains(key, f"{why}: {held.phrase}; {held.hint}" if held is not None else why, command="")


def destination(seen: Application) -> str:
    """The namespace of an Application's objects that name none themselves."""
    return str((seen.spec.get("destination") or {}).get("namespace") or "")
