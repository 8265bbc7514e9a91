"""The file is written as a whole or not at all, and nothing that is there is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from argorun.config.problems import Problems
from argorun.errors import UsageError
from argorun.init import target as module
from argorun.init.target import target, write

OVERWRITE = "give another name with -f, or --force to overwrite it"


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def path_of(file: str | None, folder: Path, *, force: bool) -> Path:
    problems = Problems()
    path = target(Path(file) if file else None, folder, problems, force=force)
    problems.raise_any()
    return path


def refused(folder: Path, file: str | None, *, force: bool = False) -> tuple[str, str]:
    with pytest.raises(UsageError) as error:
        path_of(file, folder, force=force)
    return error.value.message, error.value.hint


def test_a_new_file_can_be_read_by_others_as_the_umask_has_it(tmp_path: Path) -> None:
    path = path_of(None, tmp_path, force=False)
    before = os.umask(0o027)
    try:
        write(path, "application: weather\n", force=False)
    finally:
        os.umask(before)
    assert path.read_text() == "application: weather\n"
    assert (names(tmp_path), stat.S_IMODE(path.stat().st_mode)) == (["argorun.yaml"], 0o640)


def test_a_file_that_is_there_stays_without_force(tmp_path: Path) -> None:
    (tmp_path / "argorun.yaml").write_text("mine")
    assert refused(tmp_path, None) == ("argorun.yaml exists already, and nothing was changed", OVERWRITE)


def test_a_broken_link_is_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "argorun.yaml").symlink_to("nowhere")
    assert refused(tmp_path, None)[1] == OVERWRITE


def test_force_overwrites_and_keeps_mode_and_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    (tmp_path / "real.yaml").chmod(0o600)
    (tmp_path / "argorun.yaml").symlink_to("real.yaml")
    write(path_of(None, tmp_path, force=True), "new", force=True)
    assert ((tmp_path / "real.yaml").read_text(), (tmp_path / "argorun.yaml").is_symlink()) == ("new", True)
    assert stat.S_IMODE((tmp_path / "real.yaml").stat().st_mode) == 0o600


def test_a_file_that_comes_up_in_the_meantime_stays(tmp_path: Path) -> None:
    path = path_of(None, tmp_path, force=False)
    path.write_text("somebody's")
    with pytest.raises(UsageError) as error:
        write(path, "ours", force=False)
    assert (path.read_text(), error.value.hint, names(tmp_path)) == (
        "somebody's",
        OVERWRITE,
        ["argorun.yaml"],
    )


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module.os, "link", link)
    write(tmp_path / "argorun.yaml", "ours", force=False)
    with pytest.raises(UsageError):
        write(tmp_path / "argorun.yaml", "again", force=False)
    assert ((tmp_path / "argorun.yaml").read_text(), names(tmp_path)) == ("ours", ["argorun.yaml"])


def test_where_writing_fails_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", fsync)
    with pytest.raises(UsageError) as error:
        write(tmp_path / "argorun.yaml", "ours", force=False)
    assert error.value.message == f"{tmp_path}/argorun.yaml cannot be written: No space left on device"
    assert names(tmp_path) == []


def test_a_folder_or_a_missing_one_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert refused(tmp_path, "conf") == ("conf is a directory", "did you mean -f conf/argorun.yaml?")
    assert refused(tmp_path, "no/a.yaml") == (
        f"no/a.yaml: there is no folder {tmp_path}/no",
        "create it first",
    )


def test_a_name_that_the_system_refuses_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    long = "a" * 300
    for force in (False, True):
        assert refused(tmp_path, long, force=force) == (
            f"{long} cannot be written: File name too long",
            "give another one with -f",
        )


def test_a_link_to_itself_is_replaced_by_force(tmp_path: Path) -> None:
    (tmp_path / "argorun.yaml").symlink_to("argorun.yaml")
    write(path_of(None, tmp_path, force=True), "ours", force=True)
    assert ((tmp_path / "argorun.yaml").read_text(), names(tmp_path)) == ("ours", ["argorun.yaml"])
