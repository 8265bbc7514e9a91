"""Makes each check of a run that can still be made, and shows them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from argorun.argocd.claim.claim import Claim
from argorun.argocd.rest_client import RestClient
from argorun.config import missing
from argorun.config.load import Parts
from argorun.config.model import ApplicationRef, ArgoCD, Config, Flags
from argorun.emit import Emitter
from argorun.errors import InternalError, Interrupted, UsageError
from argorun.event_loop import CLOSING, CLOSING_AT_ONCE, connections
from argorun.events import Event, Retrying
from argorun.kafka.topics import Topics
from argorun.reporters import wording
from argorun.reporters.checklist import Checklist, Row, Status
from argorun.run.checks import catalog
from argorun.run.checks.check import (
    APPLICATION,
    ARGOCD,
    KAFKA,
    TOPICS,
    Check,
    Context,
    Outcome,
    Undecided,
    examine,
)
from argorun.run.state import RunState
from argorun.signals import Interrupts

NOWHERE = ArgoCD(server="localhost", token="none", plaintext=True)  # takes the place of what is missing
SERVER, BROKERS = "argocd.server", "kafka.bootstrap.servers"
RETRIES = 2.5  # seconds for a server that does not answer: whoever reads the list can ask for another
CONFIGURATION, ASKED = "configuration", "Is everything given that a run needs?"


async def execute(parts: Parts, flags: Flags, checklist: Checklist, mask: Callable[..., None]) -> int:
    """Examine, and return the exit code that a run would end with at best."""
    interrupts = Interrupts()
    with interrupts.handled():
        async with connections(lambda: CLOSING_AT_ONCE if interrupts.at_once else CLOSING) as stack:
            examination = Examination(parts, flags, checklist, mask)
            try:
                await interrupts.run(examination.make(stack))
            except Interrupted as e:
                checklist.end(e.exit_code, f"{e}")
                return e.exit_code
    checklist.end(examination.exit_code)
    return examination.exit_code


class Examination:
    """One examination of a configuration, parts of which may be missing; changes nothing anywhere."""

    def __init__(self, parts: Parts, flags: Flags, checklist: Checklist, mask: Callable[..., None]) -> None:
        self._parts, self._checklist, self._mask = parts, checklist, mask
        self._config = config_of(parts, flags)
        self._missing = dict(absent(parts))
        self._typed = flags != Flags(file=flags.file)
        self.exit_code = 0

    async def make(self, stack: contextlib.AsyncExitStack) -> None:
        """Make the checks in their order; the connections are closed with the stack."""
        self._show(self._configuration())
        client = await stack.enter_async_context(self._client())
        topics = None
        if KAFKA not in self._missing:
            redact, given = self._checklist.redact, self._config.given(BROKERS)
            retrying = self._retries("kafka", self._config.kafka.get("bootstrap.servers", ""), BROKERS)
            made = Topics(self._config.kafka, redact=redact, given=given, retrying=retrying)
            topics = await stack.enter_async_context(made)
        nobody = Emitter(lambda event: None)  # the warnings come with the outcomes
        claim = Claim(client, self._config.application, "", (), warn=nobody.warn)  # it claims nothing
        state = RunState(operation="", claim=claim)
        context = Context(self._config, client, topics, nobody, self._mask, state)
        checks = [c for c in catalog.DOCTOR if not self._is_known(c)]
        began: list[Check] = []

        def begin(check: Check) -> None:
            began.append(check)
            self._checklist.begin(check.name)

        try:
            async for outcome in examine(checks, context, self._missing, begin):
                self._show(row(outcome))
        except Exception as e:
            self._show(row(Outcome(began[-1], error=InternalError.of(e))))

    def _configuration(self) -> Row:
        name = self._parts.inputs.written.name
        lacks = self._parts.inputs.lacks
        if not lacks:
            return Row(CONFIGURATION, Status.OK, name or "from the command line and the environment", ASKED)
        error = missing.error("run", self._parts.inputs, typed=self._typed)
        code = error.exit_code
        return Row(CONFIGURATION, Status.FAILED, error.message, ASKED, hint=error.hint, exit_code=code)

    def _client(self) -> RestClient:
        """A client; one that is never used where its settings are missing or cannot be used."""
        try:
            argocd, given = self._config.argocd, self._config.given(SERVER)
            retrying = self._retries("argocd", argocd.server, SERVER)
            return RestClient(argocd, given=given, retrying=retrying, retry_for=RETRIES)
        except UsageError as e:
            self._show(row(Outcome(catalog.SERVER, error=e)))
            self._missing[ARGOCD] = f"see {catalog.SERVER.name}"
            return RestClient(NOWHERE)

    def _retries(self, service: Literal["argocd", "kafka"], address: str, key: str) -> Callable[[str], None]:
        """Show each reason for which this service is asked again."""

        def show(event: Event) -> None:
            if isinstance(event, Retrying) and event.reason:
                self._checklist.wait(wording.retrying(event))

        return Emitter(show).retries(service, address, self._config.sources.get(key, ""))

    def _is_known(self, check: Check) -> bool:
        """Whether its settings were found to be of no use already."""
        return check is catalog.SERVER and self._missing.get(ARGOCD) == f"see {check.name}"

    def _show(self, row: Row) -> None:
        self.exit_code = self.exit_code or row.exit_code
        self._checklist.show(row)


def config_of(parts: Parts, flags: Flags) -> Config:
    """What there is as a Config of a dry run; what is missing has a stand-in that no check uses."""
    application, argocd = parts.application or ApplicationRef(name="none"), parts.argocd or NOWHERE
    return parts.config(msgspec.structs.replace(flags, dry_run=True), application, argocd)


def absent(parts: Parts) -> Iterator[tuple[str, str]]:
    """The settings that are not given, each with why the checks of it are not made."""
    lacks = parts.missing
    for setting, keys in (
        (ARGOCD, ("argocd", "token")),
        (KAFKA, ("kafka",)),
        (APPLICATION, ("application",)),
        (TOPICS, ("topics",)),
    ):
        for key in keys:
            if key in lacks:
                yield setting, lacks[key].message
                break


def row(outcome: Outcome) -> Row:
    """What came of a check, as the checklist shows it."""
    error = outcome.error
    made = functools.partial(Row, outcome.check.name, asks=outcome.check.asks, warnings=outcome.warnings)
    if outcome.skipped:
        return made(Status.SKIPPED, outcome.skipped)
    if error is not None:
        details = "\n".join(filter(None, [error.reason, error.hint]))
        return made(Status.FAILED, error.message, hint=details, exit_code=error.exit_code)
    told = Status.UNDECIDED if isinstance(outcome.fact, Undecided) else Status.OK
    return made(Status.WARNING if outcome.warnings else told, outcome.fact)
