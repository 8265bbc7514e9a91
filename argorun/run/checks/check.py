"""A check by name, and how a list of them is gone through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from argorun.argocd.client import Client
from argorun.argocd.http.errors import ApiError, InvalidResponse, Slow, Unauthenticated, Unreachable
from argorun.argocd.types import Application
from argorun.config.model import ApplicationRef, Config
from argorun.emit import Emitter
from argorun.errors import ArgorunError
from argorun.kafka.errors import LoginRefused
from argorun.kafka.errors import Unreachable as KafkaUnreachable
from argorun.kafka.topics import Topics
from argorun.kinds import NoticeKind
from argorun.run.state import RunState

ARGOCD, KAFKA, APPLICATION, TOPICS = "argocd", "kafka", "application", "topics"
"""The settings that a check needs; the first two are also the services that it asks."""


class Undecided(str):
    """What a check says where it saw too little to decide: the run itself does, once its values are in."""

    __slots__ = ()


@dataclass
class Context:
    """What the checks ask, and what they have found out for those after them.

    `state` gets the topics, named by Argo CD's time, the rendering and the owner; `mask` takes values that
    are secrets, once they are known.
    """

    config: Config
    client: Client
    topics: Topics | None  # None where no check of Kafka is made
    emitter: Emitter
    mask: Callable[..., None]
    state: RunState
    seen: Application = field(default_factory=Application)  # the Application, once it was found
    warned: list[str] = field(default_factory=list)

    @property
    def app(self) -> ApplicationRef:
        return self.config.application

    @property
    def kafka(self) -> Topics:
        """Kafka, for the checks that ask it."""
        assert self.topics is not None
        return self.topics

    def warn(self, text: str, kind: NoticeKind) -> None:
        """Something that a person should know, and that keeps no run from beginning."""
        self.warned.append(text)
        self.emitter.warn(text, kind)

    def undecided(self, text: str) -> Undecided:
        """What a check could not decide; a dry run shows it as well."""
        if self.config.dry_run:
            self.emitter.info(text, NoticeKind.UNCHECKED)
        return Undecided(text)


@dataclass(frozen=True)
class Check:
    """One question before a run.

    `look` returns what it found, in a few words for people, as Undecided where it could not tell, and raises
    the ArgorunError that keeps the run from beginning. `needs` are the checks that must have been good, `of`
    the settings it is about.
    """

    name: str
    asks: str
    look: Callable[[Context], Awaitable[str]]
    of: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def service(self) -> str:
        """Which of the two services it asks."""
        return KAFKA if KAFKA in self.of else ARGOCD


@dataclass(frozen=True)
class Outcome:
    """What came of a check: a fact, warnings, and an error if no run may begin.

    `skipped` says why it was not made.
    """

    check: Check
    fact: str = ""
    warnings: tuple[str, ...] = ()
    error: ArgorunError | None = None
    skipped: str = ""

    @property
    def good(self) -> bool:
        return self.error is None and not self.skipped


async def examine(
    checks: Sequence[Check],
    context: Context,
    missing: Mapping[str, str] | None = None,
    begins: Callable[[Check], None] = lambda check: None,
) -> AsyncIterator[Outcome]:
    """Make each check that can still be made, in their order; what depends on a failed one is skipped.

    `missing` are the settings that are not given, each with why a check of it is skipped; `begins` is called
    before each check that is made.
    """
    bad: dict[str, str] = {}  # the checks that are not good, each with why those that need it are skipped
    missing = dict(missing or {})
    for check in checks:
        why = next((missing[s] for s in check.of if s in missing), "")
        why = why or next((bad[need] for need in check.needs if need in bad), "")
        if why:
            outcome = Outcome(check, skipped=why)
        else:
            begins(check)
            outcome = await _made(check, context)
        if not outcome.good:
            bad[check.name] = why or f"see {check.name}"
        if outcome.error is not None and ends(outcome.error):
            missing[check.service] = f"see {check.name}"
        yield outcome


async def _made(check: Check, context: Context) -> Outcome:
    context.warned.clear()
    try:
        fact = await check.look(context)
    except ArgorunError as e:
        return Outcome(check, warnings=tuple(context.warned), error=e)
    return Outcome(check, fact, tuple(context.warned))


class Expired(Unauthenticated):
    """The token says of itself that it has expired."""


def ends(error: ArgorunError) -> bool:
    """Whether no other question to the same service would be answered either."""
    if isinstance(error, ApiError):
        return error.status in (502, 503, 504)
    if isinstance(error, Slow):
        return False
    lost = Unreachable | InvalidResponse | Unauthenticated | KafkaUnreachable | LoginRefused
    return isinstance(error, lost)


def together(errors: Sequence[ArgorunError]) -> ArgorunError:
    """One error for all: the first, which decides the exit code, with the others in its reason."""
    first, *others = errors
    also = [f"also: {e.message}" + "".join(f"\n  {h}" for h in e.hint.splitlines()) for e in others]
    first.reason = "\n".join(filter(None, [first.reason, *also]))
    return first
