"""Runs the questions against one Argo CD, and makes the file's text of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argorun import event_loop, signals
from argorun.argocd.client import Client
from argorun.argocd.rest_client import RestClient
from argorun.config.model import ArgoCD
from argorun.config.problems import Problems
from argorun.emit import Emitter
from argorun.event_loop import CLOSING
from argorun.events import Event, Retrying
from argorun.init import texts
from argorun.init.document import text_of
from argorun.init.look import reachable
from argorun.init.questions import Questions
from argorun.init.steps import Init
from argorun.init.wishes import Given
from argorun.reporters import wording

T = TypeVar("T")
CANCELED = "argorun: canceled, and nothing was written"


@dataclass(frozen=True)
class Asked:
    """The text of the file, and the variables in it that are not set."""

    text: str
    unset: tuple[str, ...]

    def next_steps(self, shown: str) -> list[str]:
        """What to do next, with the file of this name."""
        return list(texts.next_steps(shown, self.unset))


def canceling(said: str) -> signals.Handler:
    """End the process at once, and say what was written."""

    def cancel(signum: int) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"\n{said}\n".encode())
        os._exit(128 + signum)

    return cancel


class Requests:
    """Requests in an event loop that runs only while one of them is waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[str], None]) -> None:
        self._loop, self._say = loop, say
        self._clients: list[RestClient] = []

    def connect(self, argocd: ArgoCD, given: str) -> Client:
        def show(event: Event) -> None:
            if isinstance(event, Retrying) and event.reason:
                self._say(wording.retrying(event))

        retrying = Emitter(show).retries("argocd", argocd.server, given)
        self._clients.append(RestClient(argocd, given=given, retrying=retrying))
        return self._clients[-1]

    def wait(self, request: Awaitable[T]) -> T:
        return self._loop.run_until_complete(_awaited(request))

    def reached(self, servers: Sequence[str]) -> set[str]:
        return self.wait(reachable(servers))

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            with contextlib.suppress(TimeoutError):
                self.wait(asyncio.wait_for(client.__aexit__(None, None, None), CLOSING))


async def _awaited(request: Awaitable[T]) -> T:
    return await request


def execute(given: Given, path: Path, questions: Questions, problems: Problems) -> Asked:
    """The file for `path`, which is not written here. Raises ArgorunError; of `problems` first."""
    signals.handle_with(canceling(CANCELED))
    with event_loop.opened() as loop:
        requests = Requests(loop, questions.say)
        try:
            answers = Init(given, questions, requests).make(path, problems)
        except KeyboardInterrupt:
            questions.say("", CANCELED)
            raise
        finally:
            questions.say()  # an error does not stand behind what was waited for
            requests.close()
    text = text_of(answers)
    named = dict.fromkeys(re.findall(r"\$\{(\w+)\}", " ".join(answers.kafka.properties.values())))
    questions.say("", *(f"  {line}".rstrip() for line in text.splitlines()))
    return Asked(text, tuple(name for name in named if not given.environment.get(name)))
