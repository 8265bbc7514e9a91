"""The questions of `argorun init`, in order: Argo CD, Application, parameter, tests, Kafka.

Each answer is taken from the command line, else it is asked for, else it is taken where only one is possible.
What nobody has answered is reported together, and nothing is written then.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from argorun.argocd.client import Client
from argorun.argocd.types import Application
from argorun.config import checks, connection, missing
from argorun.config.file import Written
from argorun.config.inputs import Inputs
from argorun.config.model import ApplicationRef, ArgoCD, CliSettings, Config, Topic
from argorun.config.problems import Problems
from argorun.errors import ArgorunError, UsageError
from argorun.init import kafka, parameters, texts
from argorun.init.answers import Answers, KafkaAnswer, ServerAnswer, TestsAnswer, TopicAnswer
from argorun.init.hooks import find_tests
from argorun.init.look import APPLICATION, SERVER, Found, Look
from argorun.init.questions import Questions
from argorun.init.rendered import brokers, security
from argorun.init.wishes import Given, check_flags, servers, text
from argorun.run.checks import catalog
from argorun.run.checks.check import ends

T = TypeVar("T")
NONE_YET = ApplicationRef(name="none")  # in the place of one that is not chosen yet
SHOWN = 20  # Applications in a choice


class Requests(Protocol):
    """The way to an Argo CD, for somebody who does not wait in an event loop."""

    def connect(self, argocd: ArgoCD, given: str) -> Client:
        """A client; `given` says where its address came from."""

    def wait(self, request: Awaitable[T]) -> T:
        """The answer to a request."""

    def reached(self, servers: Sequence[str]) -> set[str]:
        """Those lists of brokers of which one accepts a connection from this machine."""


class Init:
    """One call of `argorun init`; `make` asks for the answers."""

    def __init__(self, given: Given, questions: Questions, argocd: Requests) -> None:
        self._given, self._flags, self._ask = given, given.flags, questions
        self._connect, self._wait, self._reached = argocd.connect, argocd.wait, argocd.reached
        self._lacks: list[str] = []  # what nobody has answered, and how to

    def make(self, path: Path, problems: Problems) -> Answers:
        """The answers for the file at `path`. Raises ArgorunError, of `problems` first."""
        properties = check_flags(self._flags, self._given.folder, problems, self._given.check_properties)
        kafka.check_variable(self._flags.bootstrap_servers, self._given.environment, problems)
        problems.raise_any()
        argocd, sources = self._argocd()
        config = _config(NONE_YET, argocd, sources)
        look = Look(self._connect(argocd, config.given("argocd.server")), self._given.mask, config)
        self._server(look)
        ref = self._application(look)
        if ref is None:
            self._missing_kafka([])
            raise self._lacking()
        look.about(_config(ref, argocd, sources))
        ref = self._check_application(look, ref)
        self._ask.wait_for(f"Argo CD renders {ref}")
        found: Found = self._wait(look.found(ref))
        self._ask.say("", *texts.about(found))
        topics = parameters.topics(self._flags, found, self._ask, self._lacks)
        tests = self._tests(found)
        kafka_answer = self._kafka(found, properties)
        if self._lacks:
            raise self._lacking()
        look.about(_config(ref, argocd, sources, topics))
        self._ask.say("", *texts.notes(self._wait(look.changes(found.manifests))))
        return Answers(
            ref,
            server_answer(argocd, self._flags.ca, path, self._given.folder),
            kafka_answer,
            tuple(topics),
            tests,
        )

    # -- Argo CD ------------------------------------------------------------------------------------

    def _argocd(self) -> tuple[ArgoCD, dict[str, str]]:
        """How to reach Argo CD, and where that was given; the address is asked for where it is not known."""
        server = self._flags.server
        while True:
            given, problems = self._given, Problems()
            written, cli = Written(folder=given.folder), given.cli or CliSettings()
            inputs = Inputs(written, given.environment, cli, given.folder, problems, given.mask)
            found = connection.argocd(inputs, server, self._flags.ca)
            problems.raise_any()
            if found is not None:
                return found, inputs.sources
            if missing.SERVER not in inputs.lacks or not self._ask.can_ask:
                raise self._no_argocd(inputs)
            server = self._ask.ask("Argo CD's address (HOST or HOST:PORT)", "", checks.server)

    def _no_argocd(self, inputs: Inputs) -> UsageError:
        lacks = list(inputs.lacks)
        if missing.SERVER in lacks:
            self._lacks += [f"{lack.name}: {texts.WAYS.get(lack.key, lack.ways)}" for lack in lacks]
        elif self._ask.can_ask:  # for the rest
            return UsageError(lacks[0].message, texts.A_TOKEN)
        else:
            self._lacks.append(
                f"{lacks[0].message.removeprefix('no ')}\n{textwrap.indent(texts.A_TOKEN, '  ')}"
            )
        if self._flags.application is None:
            self._lacks.append(texts.APPLICATION)
        self._missing_kafka([])
        return self._lacking()

    def _server(self, look: Look) -> None:
        self._ask.wait_for(f"asking Argo CD at {look.context.config.argocd.url}")
        for outcome in self._wait(look.outcomes(SERVER)):
            if outcome.error is not None:
                raise outcome.error
            self._ask.say(*texts.of_check(outcome))

    # -- the Application ----------------------------------------------------------------------------

    def _application(self, look: Look) -> ApplicationRef | None:
        """The Application that was typed or chosen; None where nobody can choose."""
        if self._flags.application is not None:
            return checks.application(self._flags.application)
        visible: list[Application] = self._wait(look.visible())
        own: str = self._wait(look.own_namespace()) if visible else ""
        names = {texts.called(a, own): a for a in visible}
        if not self._ask.can_ask:
            if len(names) == 1:
                return checks.application(next(iter(names)))
            seen = f"; the token sees: {texts.listed(list(names))}" if names else "; the token sees none"
            self._lacks.append(texts.APPLICATION + seen)
            return None
        self._ask.say("")
        if not names:
            self._ask.say("The token sees no Application; one that is there can be typed.")
            return checks.application(self._ask.ask("Application", "", checks.application))
        shown = list(names)[:SHOWN]
        options = [texts.option(name, names[name]) for name in shown]
        if len(names) > SHOWN:
            self._ask.say(f"{len(names)} Applications; a name that is not shown can be typed.")
        default = [0] if len(names) == 1 else []
        answer = self._ask.choose("Application", options, default, checks.application)[0]
        return checks.application(shown[answer] if isinstance(answer, int) else answer)

    def _check_application(self, look: Look, ref: ApplicationRef) -> ApplicationRef:
        """Check that the token sees it and that its source takes parameters; else ask for another one."""
        while True:
            error: ArgorunError | None = None
            for outcome in self._wait(look.outcomes(APPLICATION)):
                if outcome.check is not catalog.PERMISSIONS:
                    error = error or outcome.error
                elif outcome.error is not None:
                    self._ask.say("", *texts.of_check(outcome))
            if error is None:
                return ref
            error = texts.unfit(error)
            if not self._ask.can_ask or self._flags.application is not None or ends(error):
                raise error
            self._ask.say("", *texts.of_error(error))
            chosen = self._application(look)
            assert chosen is not None
            ref = chosen
            config = look.context.config
            look.about(_config(ref, config.argocd, config.sources))

    # -- its tests, and Kafka -----------------------------------------------------------------------

    def _tests(self, found: Found) -> TestsAnswer:
        hooks = find_tests(found.manifests, found.live_hooks, found.app)
        likely = [h for h in hooks if h.is_test] or hooks
        known = {h.name: h for h in hooks}
        jobs = self._flags.jobs
        if not jobs and self._ask.can_ask:
            self._ask.say("", *texts.about_tests(hooks))
            if hooks:
                default = [i for i, h in enumerate(hooks) if h in likely]
                chosen = self._ask.choose("Tests", [str(h) for h in hooks], default, text, several=True)
                jobs = tuple(hooks[c].name if isinstance(c, int) else c for c in chosen)
            else:
                typed = self._ask.ask(
                    "Tests (names, with commas; Enter: every PostSync Job and Pod)", "", lambda _: None
                )
                jobs = tuple(name.strip() for name in typed.split(",") if name.strip())
        elif not jobs:
            jobs = tuple(h.name for h in likely)
            self._ask.say(*texts.chosen_tests(likely))
        notes = [f"{known[name]}: {known[name].seen}" for name in jobs if name in known]
        if not jobs:
            notes = [texts.NO_HOOK]
        return TestsAnswer(jobs, tuple(notes))

    def _kafka(self, found: Found, properties: dict[str, str]) -> KafkaAnswer:
        seen = brokers(found.manifests, found.values or {})
        hints = security(found.manifests, found.values or {})
        address, source = kafka.given(self._flags.bootstrap_servers, self._given.environment)
        reached: set[str] = set()
        if not address and seen:
            self._ask.wait_for(f"looking which of {len(seen)} brokers can be reached from here")
            reached = self._reached([b.servers for b in seen])
        if not address and self._ask.can_ask:
            self._ask.say("", *kafka.about(seen, reached))
            address = self._ask.ask("Bootstrap servers", kafka.suggestion(seen, reached), servers)
        elif not address:
            address = kafka.only(seen, reached)
            source = "seen in the manifests, and reached from here"
            if not address:
                self._missing_kafka(kafka.states(seen, reached))
        if source and address:
            self._ask.say(f"Kafka: {address} ({source})")
        if not properties and self._ask.can_ask and hints:
            properties = kafka.ask_security(self._ask, hints)
        return kafka.answer(address, properties, seen, hints)

    def _missing_kafka(self, seen: list[str]) -> None:
        if not kafka.given(self._flags.bootstrap_servers, self._given.environment)[0]:
            self._lacks.append("\n  ".join([kafka.WAYS, *seen]))

    def _lacking(self) -> UsageError:
        return texts.lacking(self._lacks)


def _config(
    ref: ApplicationRef, argocd: ArgoCD, sources: dict[str, str], topics: list[TopicAnswer] | None = None
) -> Config:
    made = tuple(Topic(prefix=t.prefix, parameters=(t.parameter,)) for t in topics or ())
    return Config(application=ref, argocd=argocd, kafka={}, topics=made, dry_run=True, sources=sources)


def server_answer(argocd: ArgoCD, ca: str | None, path: Path, folder: Path) -> ServerAnswer:
    """How argorun.yaml says where Argo CD is; a CA's path is relative to that file."""
    notes = []
    if argocd.ca_data:
        notes.append(
            "The argocd CLI's login has a CA of its own: in CI, save it as a file, and name it as ca."
        )
    if argocd.client_cert or argocd.client_pem:
        notes.append(
            "The argocd CLI's login has a client certificate: elsewhere set client_cert and client_key."
        )
    relative = None
    if ca is not None:
        absolute = (folder / Path(ca).expanduser()).absolute()
        relative = (
            os.path.relpath(absolute, path.parent.absolute()) if not Path(ca).is_absolute() else str(absolute)
        )
    return ServerAnswer(
        server=argocd.server,
        ca=relative,
        insecure=argocd.insecure,
        plaintext=argocd.plaintext,
        root_path=argocd.root_path,
        notes=tuple(notes),
    )
