"""Offsets are asked for in another process, whose crash costs one answer."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from argorun.kafka import offsets


def ask(groups: list[str], timeout: float = 0.2) -> dict[str, set[str]]:
    properties = {"bootstrap.servers": "127.0.0.1:1", "sasl.password": "hunter2"}
    return asyncio.run(offsets.ask_elsewhere(properties, groups, timeout))


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Let the other process be this program."""
    python = folder / "python"
    python.write_text(f"#!{sys.executable}\nimport json, os, sys\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_a_group_without_an_answer_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(["a", "b"]) == {}
    assert capfd.readouterr() == ("", "")


def test_a_crash_leaves_what_was_answered_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = """print(json.dumps(["a", "t1", "t2"]), flush=True)
print(json.dumps(["b"]), flush=True)
print('["c", "t', end="", flush=True)
os.abort()"""
    pretend(monkeypatch, tmp_path, program)
    assert ask(["a", "b", "c", "d"]) == {"a": {"t1", "t2"}, "b": set()}


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    pretend(
        monkeypatch,
        tmp_path,
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\nsys.stdin.read()\nimport time\ntime.sleep(60)",
    )
    monkeypatch.setattr(offsets, "_START", 1.0)
    assert ask(["a"]) == {}
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_secrets_are_not_on_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = """question = json.load(sys.stdin)
assert question["properties"]["sasl.password"] == "hunter2"
print(json.dumps(["seen", *sys.argv]))"""
    pretend(monkeypatch, tmp_path, program)
    assert "hunter2" not in " ".join(ask(["seen"])["seen"])
