"""Step 2, preflight: whether the Application, Argo CD and Kafka allow the run.

It touches nothing, so there is nothing to undo if it fails. The checks are in `checks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from argorun.argocd.claim.original import original
from argorun.argocd.client import Client
from argorun.argocd.hooks.ownership import conflict_error, name_conflicts
from argorun.argocd.manifests.keys import Key
from argorun.argocd.parameters.record import record_of
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Json
from argorun.config.model import ApplicationRef, Config
from argorun.emit import Emitter
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.run.checks import catalog
from argorun.run.checks.check import Context, examine, together
from argorun.run.plan import planned, settings
from argorun.run.state import RunState


class Preflight:
    """The checks before a run. `mask` takes values that are secrets, once they are known."""

    def __init__(
        self, config: Config, client: Client, topics: Topics, emitter: Emitter, mask: Callable[..., None]
    ) -> None:
        self._config, self._client, self._topics = config, client, topics
        self._emitter, self._mask = emitter, mask

    async def run(self, state: RunState) -> None:
        """Make every check; `state` gets the topics, named by Argo CD's time, the rendering and the owner.

        Raises one ArgorunError for everything that keeps the run from beginning: a check that fails does not
        keep those from being made that do not depend on it.
        """
        config, emitter = self._config, self._emitter
        context = Context(config, self._client, self._topics, emitter, self._mask, state)
        outcomes = [o async for o in examine(catalog.DRY_RUN if config.dry_run else catalog.RUN, context)]
        if errors := [o.error for o in outcomes if o.error is not None]:
            raise together(errors)
        if config.dry_run:
            wanted, before = settings(config, state.topics), original(context.seen, record_of(context.seen))
            for line in planned(config, state.topics, wanted, before, state.former, time.time()):
                emitter.emit(line)


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
