"""Runs the questions against one Argo CD, and makes the file's text of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from argorun import event_loop, signals
from argorun.argocd.client import Client
from argorun.argocd.rest_client import RestClient
from argorun.config.model import ArgoCD
from argorun.event_loop import CLOSING
from argorun.init import texts
from argorun.init.document import text_of
from argorun.init.look import reachable
from argorun.init.questions import Questions
from argorun.init.steps import Init
from argorun.init.wishes import Given

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """The text of the file, and the variables in it that are not set."""

    text: str
    unset: tuple[str, ...]

    def next_steps(self, shown: str) -> list[str]:
        """What to do next, with the file of this name."""
        return list(texts.next_steps(shown, self.unset))


def cancel(signum: int) -> None:
    """End the process at once: nothing was written or changed."""
    with contextlib.suppress(OSError):
        os.write(2, b"\nargorun: canceled, and nothing was written\n")
    os._exit(128 + signum)


class Requests:
    """Requests in an event loop that runs only while one of them is waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clients: list[RestClient] = []

    def connect(self, argocd: ArgoCD, given: str) -> Client:
        self._clients.append(RestClient(argocd, given=given))
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


def execute(given: Given, path: Path, questions: Questions) -> Asked:
    """The file for `path`, which is not written here. Raises ArgorunError."""
    signals.handle_with(cancel)
    with event_loop.opened() as loop:
        requests = Requests(loop)
        try:
            answers = Init(given, questions, requests).make(path)
        finally:
            questions.say()  # an error does not stand behind what was waited for
            requests.close()
    text = text_of(answers)
    named = dict.fromkeys(re.findall(r"\$\{(\w+)\}", " ".join(answers.kafka.properties.values())))
    questions.say("", *(f"  {line}".rstrip() for line in text.splitlines()))
    return Asked(text, tuple(name for name in named if not given.environment.get(name)))
