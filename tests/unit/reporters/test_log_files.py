"""`--log-dir`: whole logs in files, exactly as Argo CD gave them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from argorun.errors import UsageError
from argorun.events import Event, LogEnded, LogLines, LogStarted
from argorun.reporters import Announcer
from argorun.reporters.log_files import LogFiles, safe


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_each_instance_of_a_container_has_a_file(tmp_path: Path, line: LogLines) -> None:
    folder = tmp_path / "made" / "logs"
    reporter = LogFiles(folder)
    for restart in (0, 1):
        at = {"job": "tests", "pod": "tests-x", "container": "main", "attempt": 1, "restart": restart}
        reporter.report(LogStarted(time=1.0, **at))
        for texts in (("a", "\x1b[31mb\x1b[0m"), (f"{restart}",)):
            stamps = ("",) * len(texts)
            reporter.report(LogLines(time=1.0, stamps=stamps, texts=texts, **at))
        reporter.report(LogEnded(time=1.0, lines=3, complete=True, **at))
    reporter.close()
    assert files(folder) == {
        "tests/tests-x.main.log": b"a\n\x1b[31mb\x1b[0m\n0\n",
        "tests/tests-x.main.restart-1.log": b"a\n\x1b[31mb\x1b[0m\n1\n",
    }


def test_a_container_that_said_nothing_has_an_empty_file(tmp_path: Path) -> None:
    reporter = LogFiles(tmp_path)
    reporter.report(LogStarted(time=1.0, job="j", pod="p", container="", attempt=1))
    reporter.close()
    assert files(tmp_path) == {"j/p.log": b""}


def test_a_log_that_was_never_there_leaves_no_file(tmp_path: Path, green: list[Event]) -> None:
    reporter = LogFiles(tmp_path)
    nothing = LogEnded(time=1.0, job="j", pod="", container="", attempt=1, lines=0, complete=False)
    for event in (*green[:5], nothing):
        reporter.report(event)
    reporter.close()
    assert files(tmp_path) == {}


def test_a_file_is_not_masked_and_what_is_shown_is(tmp_path: Path, line: LogLines) -> None:
    shown: list[Event] = []

    class Watcher:
        def report(self, event: Event) -> None:
            shown.append(event)

        def close(self) -> None:
            pass

    secret = dataclasses.replace(line, texts=("the password is hunter22",))
    announcer = Announcer([Watcher()], ["hunter22"], untouched=[LogFiles(tmp_path)])
    announcer(secret)
    announcer.close()
    assert shown == [dataclasses.replace(line, texts=("the password is ***",))]
    assert list(files(tmp_path).values()) == [b"the password is hunter22\n"]


def test_a_file_that_cannot_be_written_in_the_end_is_a_failure(tmp_path: Path, line: LogLines) -> None:
    announcer = Announcer([], untouched=[LogFiles(tmp_path)])
    (tmp_path / line.job).write_text("a file where a directory should be")
    announcer(line)
    assert announcer.failures == [f"log directory {tmp_path}: File exists"]


def test_a_directory_that_cannot_be_made_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        LogFiles(tmp_path / "file")
    assert caught.value.message == f"the log directory {tmp_path}/file cannot be made: File exists"
    with pytest.raises(UsageError):
        LogFiles(tmp_path / "file" / "logs")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tests-x.main.log", "tests-x.main.log"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("..", "_."),
        ("", "_"),
        ("a/b\x00c", "a_b_c"),
        ("x" * 400, "x" * 250),
    ],
)
def test_a_files_name_stays_in_its_directory(name: str, kept: str) -> None:
    assert safe(name) == kept
