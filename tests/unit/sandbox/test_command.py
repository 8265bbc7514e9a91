"""The demo's command: what is said around its run."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from argorun.reporters.dispatcher import Dispatcher
from argorun.sandbox import command


def test_the_demo_says_what_could_not_be_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def execute(_: object, dispatcher: Dispatcher) -> int:
        dispatcher.failures.append("stdout: No space left on device")
        return 10

    monkeypatch.setattr(command, "require_sandbox", lambda: None)
    monkeypatch.setattr("argorun.sandbox.demo.demo_environment", lambda **_: contextlib.nullcontext())
    monkeypatch.setattr(command, "demo_config", lambda _: SimpleNamespace(secrets=()))
    monkeypatch.setattr(command, "execute", execute)
    assert command.demo(fail=False, output="plain") == 10
    said = "argorun: not everything could be shown or written: stdout: No space left on device\n"
    assert capsys.readouterr().err == said
