"""`--log-dir`: whole logs in files, exactly as Argo CD returned them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argorun.errors import UsageError
from argorun.events import Event, LogEnded, LogLines, LogStarted
from argorun.reporters.dispatcher import Dispatcher
from argorun.reporters.log_files import LogFiles, safe
from argorun.reporters.reporter import Reporter


def write(reporter: LogFiles, *events: Event) -> None:
    """Report these, and wait for the last byte."""
    for event in events:
        reporter.report(event)
    reporter.close()
    reporter.drain(None)


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
    write(reporter)
    assert files(folder) == {
        "tests/tests-x.main.log": b"a\n\x1b[31mb\x1b[0m\n0\n",
        "tests/tests-x.main.restart-1.log": b"a\n\x1b[31mb\x1b[0m\n1\n",
    }


def test_a_container_without_output_has_an_empty_file(tmp_path: Path) -> None:
    write(LogFiles(tmp_path), LogStarted(time=1.0, job="j", pod="p", container="", attempt=1))
    assert files(tmp_path) == {"j/p.log": b""}


def test_a_log_that_was_never_there_leaves_no_file(tmp_path: Path, green: list[Event]) -> None:
    nothing = LogEnded(time=1.0, job="j", pod="", container="", attempt=1, lines=0, complete=False)
    write(LogFiles(tmp_path), *green[:5], nothing)
    assert files(tmp_path) == {}


def test_a_file_is_not_masked_and_what_is_shown_is(tmp_path: Path, line: LogLines) -> None:
    shown: list[Event] = []

    class Watcher(Reporter):
        name = "watcher"

        def report(self, event: Event) -> None:
            shown.append(event)

        def close(self) -> None:
            pass

    secret = dataclasses.replace(line, texts=("the password is hunter22",))
    dispatcher = Dispatcher([Watcher()], ["hunter22"], untouched=[LogFiles(tmp_path)])
    dispatcher(secret)
    dispatcher.close()
    assert shown == [dataclasses.replace(line, texts=("the password is ***",))]
    assert list(files(tmp_path).values()) == [b"the password is hunter22\n"]


def through_the_dispatcher(folder: Path, line: LogLines) -> list[str]:
    """What could not be written."""
    dispatcher = Dispatcher([], untouched=[LogFiles(folder)])
    dispatcher(line)
    dispatcher.close()
    return dispatcher.failures


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177])
def test_only_its_owner_may_read_what_is_kept_whatever_the_umask(
    tmp_path: Path, line: LogLines, mask: int
) -> None:
    folder = tmp_path / "logs"
    with umask(mask):
        assert through_the_dispatcher(folder, line) == []
    kept = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")}
    (file,) = files(folder)
    assert kept == {"logs": 0o700, f"logs/{line.job}": 0o700, f"logs/{file}": 0o600}


def test_a_file_of_an_earlier_run_is_replaced_by_one_that_only_its_owner_may_read(
    tmp_path: Path, line: LogLines
) -> None:
    through_the_dispatcher(tmp_path, line)
    (name,) = files(tmp_path)
    (tmp_path / name).write_text("of an earlier run, and longer than the new one")
    (tmp_path / name).chmod(0o644)
    assert through_the_dispatcher(tmp_path, line) == []
    assert files(tmp_path) == {name: (line.texts[0] + "\n").encode()}
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def linked_folder(folder: Path, name: str, elsewhere: Path) -> str:
    (folder / name).parent.rename(elsewhere / "folder")
    (folder / name).parent.symlink_to(elsewhere / "folder")
    return f"{Path(name).parent} is a link or no directory; it is not followed"


def file_for_a_folder(folder: Path, name: str, elsewhere: Path) -> str:
    (folder / name).unlink()
    (folder / name).parent.rmdir()
    (folder / name).parent.write_text("a file where a directory should be")
    return f"{Path(name).parent} is a link or no directory; it is not followed"


def linked_file(folder: Path, name: str, elsewhere: Path) -> str:
    (folder / name).unlink()
    (folder / name).symlink_to(elsewhere / "victim")
    return "it is a link or no ordinary file; it is not followed"


def fifo_for_a_file(folder: Path, name: str, elsewhere: Path) -> str:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    return "it is a link or no ordinary file; it is not followed"


@pytest.mark.parametrize("plant", [linked_folder, linked_file, file_for_a_folder, fifo_for_a_file])
def test_no_link_below_the_directory_is_followed(
    tmp_path: Path, line: LogLines, plant: Callable[[Path, str, Path], str]
) -> None:
    folder, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "victim").write_text("not to be touched")
    through_the_dispatcher(folder, line)
    (name,) = files(folder)
    why = plant(folder, name, elsewhere)
    before = files(elsewhere)
    assert through_the_dispatcher(folder, line) == [f"log directory {folder}: {name}: {why}"]
    assert files(elsewhere) == before


def test_a_hard_link_to_another_file_is_not_written_through(tmp_path: Path, line: LogLines) -> None:
    folder, victim = tmp_path / "logs", tmp_path / "victim"
    victim.write_text("not to be touched")
    through_the_dispatcher(folder, line)
    (name,) = files(folder)
    (folder / name).unlink()
    (folder / name).hardlink_to(victim)
    assert through_the_dispatcher(folder, line) == []
    assert (victim.read_text(), files(folder)[name]) == ("not to be touched", (line.texts[0] + "\n").encode())


def test_a_directory_that_cannot_be_created_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as caught:
        LogFiles(tmp_path / "file")
    assert caught.value.message == f"the log directory {tmp_path}/file cannot be created: File exists"
    with pytest.raises(UsageError):
        LogFiles(tmp_path / "file" / "logs")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tests-x.main.log", "tests-x.main.log"),
        ("../../etc/passwd", "_._.._etc_passwd-3754d6cb"),
        ("..", "_.-5ec1f7e7"),
        ("", "-e3b0c442"),
        ("a/b\x00c", "a_b_c-51a83b4c"),
        ("x" * 250, "x" * 250),
        ("x" * 400, "x" * 241 + "-7b0bd700"),
    ],
)
def test_a_files_name_stays_in_its_directory_and_is_unique(name: str, kept: str) -> None:
    assert safe(name) == kept
