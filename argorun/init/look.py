"""What Argo CD tells of itself and of one Application; changes nothing there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from argorun.argocd.claim.claim import Claim
from argorun.argocd.claim.original import original
from argorun.argocd.client import Client
from argorun.argocd.http.errors import ApiError
from argorun.argocd.manifests.hooks import RUNNING, hooks_of
from argorun.argocd.parameters.kind import Candidate
from argorun.argocd.parameters.kinds import KINDS
from argorun.argocd.parameters.record import record_of
from argorun.argocd.types import Application, Json
from argorun.argocd.types.messages import cause
from argorun.config.model import ApplicationRef, Config
from argorun.emit import Emitter
from argorun.errors import AccessDenied, ArgoCDFailed
from argorun.init.rendered import hosts
from argorun.run.checks import catalog
from argorun.run.checks.check import Check, Context, Outcome, examine
from argorun.run.plan import draw
from argorun.run.state import RunState

MOST = 20  # hooks that are read from the cluster
PROBE = 1.5  # seconds for a broker to accept a connection
SERVER = (catalog.SERVER, catalog.TOKEN)
APPLICATION = (catalog.FOUND, catalog.SOURCE, catalog.PERMISSIONS)
CHANGES = (catalog.AUTO_SYNC, catalog.OWNER)  # who else changes the Application


@dataclass(frozen=True)
class Found:
    """An Application as it is without a run: what it renders to, and what its chart knows.

    `values` is None where Argo CD does not show them, `manifests` is empty where the source does not render.
    """

    app: Application
    manifests: Sequence[Json] = ()
    live_hooks: Sequence[Json] = ()  # those of earlier syncs, if none is rendered
    values: dict[str, str] | None = None
    why_not_rendered: str = ""
    grantee: str = ""  # whom a policy gives what the token may do

    @property
    def kinds(self) -> list[str]:
        """The kinds of parameters that its source takes."""
        return [name for name, kind in KINDS.items() if self.app.status.source_type == kind.SOURCE_TYPE]

    @property
    def candidates(self) -> list[tuple[str, Candidate]]:
        """The kind and the place of each parameter that may take a topic's name, the likeliest first."""
        found = [
            (name, each)
            for name in self.kinds
            for each in KINDS[name].candidates(self.app.spec, self.manifests, self.values or {})
        ]
        return sorted(found, key=lambda pair: -pair[1].likeness)


class Look:
    """The questions to one Argo CD, by the checks that a run makes as well."""

    def __init__(self, client: Client, mask: Callable[..., None], config: Config) -> None:
        self.client, self._mask = client, mask
        self.context = self._context(config, Application())

    def about(self, config: Config) -> None:
        """From now on the checks are about this configuration; the Application that was found stays."""
        self.context = self._context(config, self.context.seen)

    def _context(self, config: Config, seen: Application) -> Context:
        claim = Claim(self.client, config.application, "", (), warn=lambda *_: None)  # it claims nothing
        state = RunState(operation="", claim=claim)
        nobody = Emitter(lambda event: None)  # the warnings come with the outcomes
        return Context(config, self.client, None, nobody, self._mask, state, seen=seen)

    async def outcomes(self, checks: Iterable[Check]) -> list[Outcome]:
        """What came of each of these checks."""
        return [outcome async for outcome in examine(list(checks), self.context)]

    async def changes(self, manifests: Sequence[Json]) -> list[Outcome]:
        """What came of the checks who else changes the Application."""
        state = self.context.state
        state.former = list(manifests)
        state.topics = draw(self.context.config.topics, self.client.clock.now())
        made = [Check(c.name, c.asks, c.look, c.of) for c in CHANGES]  # what they need was checked
        return await self.outcomes(made)

    async def visible(self) -> list[Application]:
        """The Applications that the token sees, by name; none where it may not list them."""
        with contextlib.suppress(AccessDenied):
            found = await self.client.applications()
            return sorted(found, key=lambda a: (a.metadata.name, a.metadata.namespace))
        return []

    async def own_namespace(self) -> str:
        """Argo CD's own namespace; empty where it does not tell."""
        return (await self.client.server_settings()).controller_namespace

    async def found(self, ref: ApplicationRef) -> Found:
        """The Application that the checks have found, as it is without a run."""
        seen, why = self.context.seen, ""
        manifests: list[Json] = []
        try:
            manifests = await self.client.manifests(ref)
        except ApiError as e:
            why = cause(e.text)
        hooks = hooks_of(manifests)
        live = [] if any("PostSync" in h.phases for h in hooks) else await self._live_hooks(ref, seen)
        values = None
        with contextlib.suppress(ArgoCDFailed, AccessDenied):
            values = await self.client.chart_values(ref, seen)
        return Found(original(seen, record_of(seen)), manifests, live, values, why, self.client.grantee)

    async def _live_hooks(self, ref: ApplicationRef, seen: Application) -> list[Json]:
        """The hooks in the cluster, as far as Argo CD shows them."""
        found: list[Json] = []
        for r in seen.status.resources or ():
            if r.hook and r.kind in RUNNING and len(found) < MOST:
                with contextlib.suppress(ArgoCDFailed, AccessDenied):
                    found.append(await self.client.live(ref, r.group, r.version, r.kind, r.namespace, r.name))
        return found


async def reachable(servers: Sequence[str]) -> set[str]:
    """Those lists of brokers of which one accepts a connection from this machine."""
    answers = await asyncio.gather(*(_answers(s) for s in servers))
    return {s for s, answered in zip(servers, answers, strict=True) if answered}


async def _answers(servers: str) -> bool:
    for address, host in zip(servers.split(","), hosts(servers), strict=True):
        port = address.rpartition(":")[2]
        with contextlib.suppress(OSError, TimeoutError, ValueError, UnicodeError):
            async with asyncio.timeout(PROBE):
                _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return True
    return False
