"""Step 2, preflight: whether the Application, Argo CD and Kafka allow the run.

It touches nothing, so there is nothing to undo if it fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from argorun.argocd import owners
from argorun.argocd.claim import autosync
from argorun.argocd.claim.original import original
from argorun.argocd.client import Client, policy_object
from argorun.argocd.clock import stamp
from argorun.argocd.hooks import lint
from argorun.argocd.hooks.ownership import Rendered, conflict_error, name_conflicts
from argorun.argocd.http.errors import NEW_TOKEN, ApiError
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters import helm_command
from argorun.argocd.parameters.kind import Setting
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.record import record_of
from argorun.argocd.parameters.spec import check_rendered, check_source, secrets
from argorun.argocd.settle.settlement import destination
from argorun.argocd.sync import windows
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application, Json
from argorun.config.model import ApplicationRef, Config
from argorun.emit import Emitter
from argorun.errors import AccessDenied, UsageError
from argorun.humanize import duration
from argorun.kafka.spec import TopicExists
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.run.plan import draw, planned, settings, topic_spec
from argorun.run.state import RunState
from argorun.run.topic_reach import check_pins


class Preflight:
    """The checks before a run. Each raises the ArgorunError that keeps the run from beginning.

    `mask` takes values that are secrets, once they are known.
    """

    def __init__(
        self, config: Config, client: Client, topics: Topics, emitter: Emitter, mask: Callable[..., None]
    ) -> None:
        self._config, self._app = config, config.application
        self._client, self._topics = client, topics
        self._emitter, self._mask = emitter, mask

    async def run(self, state: RunState) -> None:
        """Make every check; `state` gets the topics, named by Argo CD's time, the rendering and the owner."""
        seen = await self._client.application(self._app)
        if text := self._client.clock.warning():
            self._emitter.warn(text, NoticeKind.CLOCK)
        self._check_token()
        state.topics = draw(self._config.topics, self._client.clock.now())
        if not seen.status.source_type:
            seen = await self._client.application(self._app, refresh="normal")
        check_source(seen, settings(self._config, state.topics))
        self._mask(*secrets(seen))
        await autosync.check(self._client, original(seen, record_of(seen)))
        await self._check_permissions(seen)
        await self._check_topics(state)
        wanted = settings(self._config, state.topics)
        manifests = state.former = await self._render(seen, wanted)
        self._check_tests(wanted, manifests)
        await self._check_hooks(seen, manifests)
        changed = owners.changed(seen, wanted, manifests)
        state.owner = await self._check_owners(changed)
        await windows.check(self._client, self._app, seen.project)
        if self._config.dry_run:
            before = original(seen, record_of(seen))
            for line in planned(self._config, state.topics, wanted, before, manifests, time.time()):
                self._emitter.emit(line)
            await self._lint(manifests)
            await self._check_pins(state, changed[1])

    async def _check_topics(self, state: RunState) -> None:
        """Check the topics in Kafka; a name that is taken is replaced by a new one."""
        while True:
            try:
                await self._topics.preflight({t.name: topic_spec(t.topic) for t in state.topics})
                return
            except TopicExists as e:
                self._emitter.warn(f"{e}; using another name", NoticeKind.FOREIGN)
                fresh = draw(self._config.topics, self._client.clock.now())
                pairs = zip(state.topics, fresh, strict=True)
                state.topics = [new if old.name == e.name else old for old, new in pairs]

    def _check_token(self) -> None:
        """Warn if the token expires before the run may end. Raises AccessDenied if it has expired."""
        expires, now = self._config.argocd.token_expires, self._client.clock.now()
        if expires is None:
            return
        if expires <= now:
            raise AccessDenied(f"the token for Argo CD expired at {stamp(expires)}", NEW_TOKEN)
        limits = self._config.timeouts
        if expires < now + limits.run + limits.cleanup:
            self._emitter.warn(
                f"the token expires at {stamp(expires)} (in {duration(expires - now)}), before the run may "
                f"end ({duration(limits.run)} + {duration(limits.cleanup)} for the clean-up): after that "
                f"nothing can be restored; {NEW_TOKEN}",
                NoticeKind.TOKEN,
            )

    async def _check_permissions(self, seen: Application) -> None:
        namespace = self._app.namespace or ""
        known = await self._client.server_settings()
        own = known.controller_namespace if namespace else ""
        subject = policy_object(seen.project, namespace, seen.metadata.name, own)
        asked = (("update", "applications"), ("sync", "applications"), ("get", "logs"))
        answers = await asyncio.gather(*(self._client.can_i(action, what, subject) for action, what in asked))
        for (action, what), allowed in zip(asked, answers, strict=True):
            if not allowed:
                raise AccessDenied(
                    f"the token's account may not '{action}' {what} of {subject}",
                    f"add to Argo CD's policy.csv: p, ROLE, {what}, {action}, {subject}, allow",
                )

    async def _check_owners(self, changed: tuple[Application, Application]) -> str:
        """The name of the spec's owner; raises UsageError if it would undo what the run will change."""
        force = self._config.force_owned
        return await owners.check(self._client, *changed, self._emitter.warner(NoticeKind.OWNER), force=force)

    async def _render(self, seen: Application, wanted: Sequence[Setting]) -> list[Json]:
        """What the source renders to without the run's values; empty if a chart needs them to render."""
        try:
            manifests = await self._client.manifests(self._app, self._config.revision)
        except ApiError as e:
            if not (self._config.revision or any(KINDS[s.kind].NEEDS_MANIFESTS for s in wanted)):
                return []
            at = f" at revision {self._config.revision}" if self._config.revision else ""
            raise UsageError(f"Argo CD cannot render {self._app}{at}: {e.text}") from None
        check_rendered(str(self._app), wanted, manifests, seen.spec)
        return manifests

    def _check_tests(self, wanted: Sequence[Setting], manifests: Sequence[Json]) -> None:
        """Check that the test Jobs are hooks, as far as that is certain without the run's values.

        A chart may make its hooks only with them, Kustomize cannot; and a Job that is there as something else
        becomes no hook by a value. The rest is checked once the values are in.
        """
        complete = not any(KINDS[s.kind].ADDS_OBJECTS for s in wanted)
        if not manifests or not (complete or self._config.jobs):
            return
        gap = lint.gap(manifests, self._config.jobs)
        if gap is not None and (complete or gap.taken):
            raise gap.error(self._app)
        lint.check_ends(manifests, self._config.jobs)

    async def _check_hooks(self, seen: Application, manifests: Sequence[Json]) -> None:
        """Check that no other Application has a hook of the same name in the cluster."""
        rendered = Rendered(manifests, destination(seen), (), self._client.instance_label)
        if not rendered.hooks():
            return
        found = await name_conflicts(
            self._client, self._app, await self._client.tree(self._app), rendered.hooks()
        )
        if found and not self._config.force_owned:
            raise conflict_error(self._app, found)
        for hook in found:
            self._emitter.warn(
                f"{hook.key} belongs to {hook.by}: the sync deletes it, and creates this run's",
                NoticeKind.FOREIGN,
            )

    async def _check_pins(self, state: RunState, after: Application) -> None:
        """Check for a dry run that no file in Git overrides the run's values, which `after` has."""
        helm = (after.spec.get("source") or {}).get("helm")
        if helm and any(p.helm for topic in self._config.topics for p in topic.parameters):
            command = await self._client.helm_command(self._app, self._config.revision, helm)
            check_pins(self._config, state.topics, helm_command.parameters(command))

    async def _lint(self, manifests: Sequence[Json]) -> None:
        """Lint the manifests without the run's values; a chart may render its hooks only with them."""
        try:
            manifests = manifests or await self._client.manifests(self._app, self._config.revision)
        except ApiError as e:
            text = f"without the topic's name {self._app} does not render: {e.text}"
            self._emitter.info(text, NoticeKind.UNCHECKED)
            return
        for text in lint.warnings(manifests, self._config.jobs):
            self._emitter.warn(text, NoticeKind.HOOKS)
        if gap := lint.gap(manifests, self._config.jobs):
            text = f"without the topic's name {self._app} has no {gap.wanted}; {gap.instead}"
            self._emitter.info(text, NoticeKind.UNCHECKED)


async def check_others(
    client: Client,
    app: ApplicationRef,
    live: LiveTree,
    emitter: Emitter,
    hooks: Mapping[Key, Json],
    providers: Mapping[Key, Json],
    *,
    force: bool,
) -> None:
    """Check right before the sync that no other Application has objects of these names. Raises UsageError.

    Argo CD's tree shows the object of a hook's name as it was at the Application's last comparison.
    """
    if hooks:
        await client.application(app, refresh="normal")
    found = await name_conflicts(client, app, await live.read(), {**hooks, **providers})
    if found and not force:
        raise conflict_error(app, found)
    for shared in (t for t in found if t.key in providers):
        text = f"{shared.key} also belongs to {shared.by}, whose syncs remove the topic from it"
        emitter.warn(text, NoticeKind.FOREIGN)
