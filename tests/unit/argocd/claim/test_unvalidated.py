"""A write that nothing validates overwrites nobody: an edit in between is put back, or named as lost."""

from __future__ import annotations

import asyncio
import copy

import msgspec
import pytest

from argorun.argocd.claim import unvalidated
from argorun.argocd.claim.unvalidated import Overwritten
from argorun.argocd.http.errors import ApiError
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.types import Application
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

SPEC: Json = {"source": {"repoURL": "git", "targetRevision": "main"}, "ours": "in"}
OURS = Record(run="mine", until=9_000_000_000)
INVALID = ApiError("change", 400, 3, "application spec for weather is invalid: repository not accessible")


def goal(seen: Application) -> tuple[Json, Record | None]:
    """Our own part out of it, whatever else there is."""
    return {k: v for k, v in seen.spec.items() if k != "ours"}, None


class Stage:
    """An Application that carries our part and record, and a watch that shows whatever is written."""

    def __init__(self, shows: bool = True) -> None:
        record = msgspec.json.encode(OURS).decode()
        self.argocd = FakeArgoCD(copy.deepcopy(SPEC), {RECORD: record, "kept": "x"})
        self.notices: list[str] = []
        if shows:
            self.argocd.tell()
            write = self.argocd.written

            def written() -> None:
                write()
                self.argocd.tell()

            self.argocd.written = written  # type: ignore[method-assign]

    def edits(self, revision: str, **annotations: str) -> None:
        """Somebody changes the Application."""
        self.argocd.spec["source"]["targetRevision"] = revision
        self.argocd.document["metadata"]["annotations"] |= annotations
        self.argocd.written()

    def write(self) -> None:
        run(unvalidated.write(self.argocd.client, APP, goal, self.notices.append))

    @property
    def puts(self) -> int:
        return self.argocd.calls.count("replace")

    @property
    def stands(self) -> tuple[Json, Json]:
        return self.argocd.spec, self.argocd.document["metadata"]["annotations"]


def without_ours(revision: str = "main") -> Json:
    return {"source": {"repoURL": "git", "targetRevision": revision}}


def test_what_nobody_edits_is_written_once() -> None:
    stage = Stage()
    stage.write()
    assert stage.stands == (without_ours(), {"kept": "x"})
    assert (stage.puts, stage.notices) == (1, [])


def test_where_the_watch_shows_nothing_it_is_written_once() -> None:
    stage = Stage(shows=False)
    stage.write()
    assert (stage.stands, stage.puts) == ((without_ours(), {"kept": "x"}), 1)


@pytest.mark.parametrize("ends", [None, DOWN])
def test_where_the_watch_breaks_it_is_written_once(ends: Exception | None) -> None:
    stage = Stage(shows=False)
    stage.argocd.changes.put_nowait(ends)
    stage.write()
    assert (stage.stands, stage.puts) == ((without_ours(), {"kept": "x"}), 1)


def test_an_edit_between_reading_and_writing_is_put_back_and_told() -> None:
    stage = Stage()
    stage.argocd.meets("replace", lambda _: stage.edits("theirs", theirs="y"))
    stage.write()
    assert stage.stands == (without_ours("theirs"), {"kept": "x", "theirs": "y"})
    assert stage.puts == 2
    assert stage.notices == ["somebody edited weather at the same moment; argorun restores the edit"]


def test_an_older_version_that_the_watch_begins_with_is_no_edit_where_nothing_more_is_shown() -> None:
    """Its first one comes from a cache, which may be behind what was read."""
    stage = Stage()
    stage.edits("v2")
    stage.argocd.written = lambda: None  # type: ignore[method-assign]
    before = unvalidated.typed

    def behind(raw: Json, kind: type[Application], doing: str) -> Application:
        raw["metadata"]["resourceVersion"] = "1000"
        return before(raw, kind, doing)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(unvalidated, "typed", behind)
        stage.write()
    assert (stage.puts, stage.notices) == (1, [])
    assert stage.argocd.spec["source"]["targetRevision"] == "v2"


def test_an_edit_before_reading_is_what_was_read_and_no_edit_at_the_same_moment() -> None:
    stage = Stage()
    stage.argocd.meets("raw", lambda _: stage.edits("theirs"))
    stage.write()
    assert (stage.stands[0], stage.puts, stage.notices) == (without_ours("theirs"), 1, [])


def test_an_annotation_that_is_added_in_between_is_an_edit_too() -> None:
    stage = Stage()
    stage.argocd.meets("replace", lambda _: stage.edits("main", theirs="y"))
    stage.write()
    assert stage.stands == (without_ours(), {"kept": "x", "theirs": "y"})
    assert stage.puts == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", {"team": "checkout"}),
        ("finalizers", ["resources-finalizer.argocd.argoproj.io"]),
        ("annotations", {"kept": "x", "argocd.argoproj.io/skip-reconcile": "true"}),
    ],
)
def test_whatever_else_somebody_has_put_there_in_between_is_an_edit_too(field: str, value: object) -> None:
    stage = Stage()

    def edited(argocd: FakeArgoCD) -> None:
        argocd.document["metadata"][field] = value
        argocd.written()

    stage.argocd.meets("replace", edited)
    stage.write()
    assert stage.argocd.document["metadata"][field] == value
    assert (stage.puts, len(stage.notices)) == (2, 1)


@pytest.mark.parametrize("own", ["argocd.argoproj.io/refresh", RECORD])
def test_what_argo_cd_or_argorun_notes_there_is_no_edit(own: str) -> None:
    stage = Stage()
    stage.argocd.meets("replace", lambda _: stage.edits("main", **{own: "normal"}))
    stage.write()
    assert (stage.puts, stage.notices) == (1, [])


def test_a_change_that_leaves_the_spec_as_it_is_is_no_edit() -> None:
    """Argo CD writes the status all the time."""
    stage = Stage()
    stage.argocd.meets("replace", lambda a: a.written())
    stage.write()
    assert (stage.puts, stage.notices) == (1, [])


def test_several_edits_in_a_row_are_all_put_back() -> None:
    stage = Stage()
    stage.argocd.meets("replace", *[lambda _, r=r: stage.edits(r) for r in ("one", "two", "three")])
    stage.write()
    assert (stage.stands[0], stage.puts) == (without_ours("three"), 4)


def test_edits_without_end_are_not_fought_and_the_last_one_is_named() -> None:
    stage = Stage()
    edits = [str(i) for i in range(99)]
    stage.argocd.meets("replace", *[lambda _, r=r: stage.edits(r) for r in edits])
    with pytest.raises(Overwritten) as e:
        stage.write()
    assert stage.puts == unvalidated.ATTEMPTS
    assert e.value.edit.spec["source"]["targetRevision"] == edits[unvalidated.ATTEMPTS - 1]


def test_where_only_the_spec_can_be_put_it_is() -> None:
    stage = Stage()
    stage.argocd.meets("replace", INVALID)
    stage.write()
    assert stage.argocd.spec == without_ours()
    assert record_of(stage.argocd.seen()) == OURS, "which only a PUT of the whole takes away"


def test_where_nothing_but_the_record_is_left_and_argo_cd_takes_no_put_it_is_told() -> None:
    stage = Stage()
    del stage.argocd.spec["ours"]
    stage.argocd.meets("replace", INVALID)
    with pytest.raises(ApiError):
        stage.write()
    assert "replace_spec" not in stage.argocd.calls


def test_a_goal_that_refuses_what_it_sees_writes_nothing() -> None:
    """Another run holds it by now, say."""
    stage = Stage()

    def refuses(seen: Application) -> tuple[Json, Record | None]:
        raise DOWN

    with pytest.raises(type(DOWN)):
        run(unvalidated.write(stage.argocd.client, APP, refuses, stage.notices.append))
    assert stage.puts == 0


def test_nothing_of_it_lives_on() -> None:
    stage = Stage()

    async def write() -> set[asyncio.Task[object]]:
        await unvalidated.write(stage.argocd.client, APP, goal, stage.notices.append)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert run(write()) == set()
