"""Step 4, parameters: waits until the Application is free, and sets the run's values."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import time

from argorun import events
from argorun.argocd.claim import acquire, restore
from argorun.argocd.claim.acquire import Lost, Reverted
from argorun.argocd.claim.original import topics_of
from argorun.argocd.client import Client
from argorun.argocd.http.errors import ApiError
from argorun.argocd.http.retry import WaitBudget
from argorun.argocd.parameters.record import record_of
from argorun.argocd.parameters.spec import original_value
from argorun.argocd.types import Application
from argorun.config.model import Config
from argorun.emit import Emitter
from argorun.errors import OperationFailed, StillBusy
from argorun.events import Step
from argorun.run import plan, predecessor
from argorun.run.progress import Progress
from argorun.run.state import RunState

REVERTS = 3  # times in a row that a known owner undoes the values; twice as many, where none is known


class Parameters:
    """Sets the run's values in the Application, again where somebody else was faster."""

    def __init__(
        self, config: Config, client: Client, state: RunState, progress: Progress, emitter: Emitter
    ) -> None:
        self._config, self._app, self._client = config, config.application, client
        self._state, self._progress, self._emitter = state, progress, emitter
        self._busy = WaitBudget(config.timeouts.busy)
        self._reverts = 0  # how often in a row the run's values were undone

    async def set(self) -> bool:
        """Wait until nobody uses the Application, and set the values; False where somebody was faster.

        Raises StillBusy after timeouts.busy, OperationFailed where an owner of the Application undoes the
        values time and again, UsageError, ArgoCDFailed, AccessDenied.
        """
        try:
            waits = functools.partial(self._progress.waits, Step.PARAMETERS)
            seen = await acquire.wait_until_free(self._state.claim, waits, self._busy)
            await self._undo_predecessor(seen)
            try:
                await acquire.take(self._state.claim, self._state.former, self._until())
            except Lost as e:
                await self.let_go(str(e) or "somebody who was faster", undone=isinstance(e, Reverted))
                async with self._busy.spent():
                    await asyncio.sleep(0.5 + secrets.randbelow(1000) / 1000)
                return False
        except TimeoutError:
            reason = self._progress.waiting_for or "others"
            raise StillBusy(
                f"{self._app} was not free within {self._config.timeouts.busy:.0f} s: {reason}",
                "try again later, or raise timeouts.busy",
            ) from None
        self._emit_values()
        return True

    async def let_go(self, to: str, *, undone: bool) -> None:
        """Give the Application up to somebody, to try again; `undone`: the values were undone by no run.

        Raises OperationFailed where an owner of the Application undoes them time and again.
        """
        self._reverts = self._reverts + 1 if undone else 0
        self._progress.waits(Step.PARAMETERS, to)
        await restore.let_go(self._state.claim)
        owner = self._state.owner
        if self._reverts == (REVERTS if owner else 2 * REVERTS):
            who = f"{owner} restores its own values" if owner else "it is not known by whom"
            hint = f"Without --force-owned argorun prints what {owner} must leave alone. "
            raise OperationFailed(
                f"the parameters of {self._app} were undone at once, {self._reverts} times in a row: {who}",
                f"{hint if owner else ''}Use a separate Application for tests",
            )

    async def give_up_overwritten(self, seen: Application) -> None:
        """Give the Application up because the run's values are no longer in it, as seen."""
        rival = self._state.claim.rival(seen)
        to = f"{rival}, which took the Application" if rival else "somebody who changed the parameters"
        await self.let_go(f"{to} at the same moment", undone=not rival)

    async def _undo_predecessor(self, seen: Application) -> None:
        """Undo what a dead run left, and render the source anew."""
        dead = record_of(seen)
        if dead is None or dead.run == self._state.claim.run_id or not topics_of(dead):
            return
        limit = self._config.timeouts.cleanup
        await predecessor.undo(self._client, self._app, dead, limit, self._emitter)
        with contextlib.suppress(ApiError):  # it may not render without the run's values
            self._state.former = await self._client.manifests(self._app, self._config.revision)

    def _emit_values(self) -> None:
        before = self._state.claim.before or Application()
        for s in plan.settings(self._config, self._state.topics):
            was = original_value(before, s, self._state.former)
            self._emitter.emit(
                events.ParameterSet(
                    time=time.time(),
                    place=str(s),
                    value=s.value,
                    original=was,
                    kind=s.kind,
                    name=s.name,
                    key=s.key,
                )
            )

    def _until(self) -> float:
        """When the run is over at the latest, in seconds since the epoch, by Argo CD's clock."""
        limits = self._config.timeouts
        return self._client.clock.now() + limits.run + limits.cleanup
