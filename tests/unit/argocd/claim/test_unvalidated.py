"""A write that nothing validates overwrites nobody: an edit in between is put back, or named as lost."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from argorun.argocd.claim import unvalidated
from argorun.argocd.claim.unvalidated import Overwritten
from argorun.argocd.http.errors import ApiError
from argorun.argocd.parameters.record import RECORD, Record, record_of
from argorun.argocd.types import Application
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import Scenario
from tests.unit.virtual import run

SPEC: Json = {"source": {"repoURL": "git", "targetRevision": "main"}, "ours": "in"}
OURS = Record(run="mine", until=9_000_000_000)
INVALID = ApiError("change", 400, 3, "application spec for weather is invalid: repository not accessible")


def goal(seen: Application) -> tuple[Json, Record | None]:
    """Our own part out of it, whatever else there is."""
    return {k: v for k, v in seen.spec.items() if k != "ours"}, None


class UnvalidatedWrites(Scenario):
    """An Application that carries our part and record, and a watch that shows whatever is written."""

    def __init__(self, shows: bool = True) -> None:
        record = msgspec.json.encode(OURS).decode()
        super().__init__(SPEC, {RECORD: record, "kept": "x"})
        if shows:
            self.argocd.send_change()
            write = self.argocd.written

            def written() -> None:
                write()
                self.argocd.send_change()

            self.argocd.written = written  # type: ignore[method-assign]

    def edits(self, revision: str, **annotations: str) -> None:
        """Somebody changes the Application."""
        self.argocd.spec["source"]["targetRevision"] = revision
        self.argocd.document["metadata"]["annotations"] |= annotations
        self.argocd.written()

    def write(self) -> None:
        run(unvalidated.write(self.argocd.client, APP, goal, self.emitter.warn))

    @property
    def puts(self) -> int:
        return self.argocd.calls.count("replace")

    @property
    def stands(self) -> tuple[Json, Json]:
        return self.argocd.spec, self.argocd.document["metadata"]["annotations"]


def without_ours(revision: str = "main") -> Json:
    return {"source": {"repoURL": "git", "targetRevision": revision}}


def test_what_nobody_edits_is_written_once() -> None:
    scenario = UnvalidatedWrites()
    scenario.write()
    assert scenario.stands == (without_ours(), {"kept": "x"})
    assert (scenario.puts, scenario.notices) == (1, [])


def test_where_the_watch_shows_nothing_it_is_written_once() -> None:
    scenario = UnvalidatedWrites(shows=False)
    scenario.write()
    assert (scenario.stands, scenario.puts) == ((without_ours(), {"kept": "x"}), 1)


@pytest.mark.parametrize("ends", [None, DOWN])
def test_where_the_watch_breaks_it_is_written_once(ends: Exception | None) -> None:
    scenario = UnvalidatedWrites(shows=False)
    scenario.argocd.changes.put_nowait(ends)
    scenario.write()
    assert (scenario.stands, scenario.puts) == ((without_ours(), {"kept": "x"}), 1)


def test_an_edit_between_reading_and_writing_is_put_back_and_reported() -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", lambda _: scenario.edits("theirs", theirs="y"))
    scenario.write()
    assert scenario.stands == (without_ours("theirs"), {"kept": "x", "theirs": "y"})
    assert scenario.puts == 2
    assert scenario.notices == ["somebody edited weather at the same moment; argorun restores the edit"]


def test_an_older_version_that_the_watch_begins_with_is_no_edit_where_nothing_more_is_shown() -> None:
    """Its first one comes from a cache, which may be behind what was read."""
    scenario = UnvalidatedWrites()
    scenario.edits("v2")
    scenario.argocd.written = lambda: None  # type: ignore[method-assign]
    before = unvalidated.typed

    def behind(raw: Json, kind: type[Application], doing: str) -> Application:
        raw["metadata"]["resourceVersion"] = "1000"
        return before(raw, kind, doing)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(unvalidated, "typed", behind)
        scenario.write()
    assert (scenario.puts, scenario.notices) == (1, [])
    assert scenario.argocd.spec["source"]["targetRevision"] == "v2"


def test_an_edit_before_reading_is_what_was_read_and_no_edit_at_the_same_moment() -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("raw", lambda _: scenario.edits("theirs"))
    scenario.write()
    assert (scenario.stands[0], scenario.puts, scenario.notices) == (without_ours("theirs"), 1, [])


def test_an_annotation_that_is_added_in_between_is_an_edit_too() -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", lambda _: scenario.edits("main", theirs="y"))
    scenario.write()
    assert scenario.stands == (without_ours(), {"kept": "x", "theirs": "y"})
    assert scenario.puts == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", {"team": "checkout"}),
        ("finalizers", ["resources-finalizer.argocd.argoproj.io"]),
        ("annotations", {"kept": "x", "argocd.argoproj.io/skip-reconcile": "true"}),
    ],
)
def test_whatever_else_somebody_has_put_there_in_between_is_an_edit_too(field: str, value: object) -> None:
    scenario = UnvalidatedWrites()

    def edited(argocd: FakeArgoCD) -> None:
        argocd.document["metadata"][field] = value
        argocd.written()

    scenario.argocd.meets("replace", edited)
    scenario.write()
    assert scenario.argocd.document["metadata"][field] == value
    assert (scenario.puts, len(scenario.notices)) == (2, 1)


@pytest.mark.parametrize("own", ["argocd.argoproj.io/refresh", RECORD])
def test_what_argo_cd_or_argorun_notes_there_is_no_edit(own: str) -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", lambda _: scenario.edits("main", **{own: "normal"}))
    scenario.write()
    assert (scenario.puts, scenario.notices) == (1, [])


def test_a_change_that_leaves_the_spec_as_it_is_is_no_edit() -> None:
    """Argo CD writes the status all the time."""
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", lambda a: a.written())
    scenario.write()
    assert (scenario.puts, scenario.notices) == (1, [])


def test_several_edits_in_a_row_are_all_put_back() -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", *[lambda _, r=r: scenario.edits(r) for r in ("one", "two", "three")])
    scenario.write()
    assert (scenario.stands[0], scenario.puts) == (without_ours("three"), 4)


def test_edits_without_end_are_not_fought_and_the_last_one_is_named() -> None:
    scenario = UnvalidatedWrites()
    edits = [str(i) for i in range(99)]
    scenario.argocd.meets("replace", *[lambda _, r=r: scenario.edits(r) for r in edits])
    with pytest.raises(Overwritten) as e:
        scenario.write()
    assert scenario.puts == unvalidated.ATTEMPTS
    assert e.value.edit.spec["source"]["targetRevision"] == edits[unvalidated.ATTEMPTS - 1]


def test_where_only_the_spec_can_be_put_it_is() -> None:
    scenario = UnvalidatedWrites()
    scenario.argocd.meets("replace", INVALID)
    scenario.write()
    assert scenario.argocd.spec == without_ours()
    assert record_of(scenario.argocd.seen()) == OURS, "which only a PUT of the whole takes away"


def test_where_nothing_but_the_record_is_left_and_argo_cd_takes_no_put_it_is_reported() -> None:
    scenario = UnvalidatedWrites()
    del scenario.argocd.spec["ours"]
    scenario.argocd.meets("replace", INVALID)
    with pytest.raises(ApiError):
        scenario.write()
    assert "replace_spec" not in scenario.argocd.calls


def test_a_goal_that_refuses_what_it_sees_writes_nothing() -> None:
    """Another run holds it by now, say."""
    scenario = UnvalidatedWrites()

    def refuses(seen: Application) -> tuple[Json, Record | None]:
        raise DOWN

    with pytest.raises(type(DOWN)):
        run(unvalidated.write(scenario.argocd.client, APP, refuses, scenario.emitter.warn))
    assert scenario.puts == 0


def test_nothing_of_it_lives_on() -> None:
    scenario = UnvalidatedWrites()

    async def write() -> set[asyncio.Task[object]]:
        await unvalidated.write(scenario.argocd.client, APP, goal, scenario.emitter.warn)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert run(write()) == set()
