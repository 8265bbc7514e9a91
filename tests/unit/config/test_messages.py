"""Whatever is typed or written wrongly is one message: what, where and what to do, and exit 2."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import checkout
from tests.unit.config.sessions import Session, every, prepare, run

SESSIONS = every()


@pytest.mark.parametrize("session", SESSIONS, ids=lambda s: s.name)
def test_a_mistake_is_one_message_that_says_what_where_and_what_to_do(
    session: Session, tmp_path: Path
) -> None:
    assert run(session, tmp_path) == (2, "", session.said)


def test_there_are_many_mistakes_and_each_has_a_name_of_its_own() -> None:
    assert len({s.name for s in SESSIONS}) == len(SESSIONS) > 70


@pytest.mark.parametrize("session", SESSIONS, ids=lambda s: s.name)
def test_no_message_has_a_librarys_sentence_or_a_secret(session: Session) -> None:
    words = (
        "Traceback",
        "object missing",
        "Expected `",
        "expected `",
        "Value error",
        "Usage:",
        "codec",
        "yaml.",
    )
    assert [w for w in (*words, "hunter2") if w in session.said] == []
    assert session.said.startswith("argorun: ")


PROCESSES = ("an empty folder", "several wrong flags at once", "three keys with a typo", "an unknown option")


@pytest.mark.parametrize("session", [s for s in SESSIONS if s.name in PROCESSES], ids=lambda s: s.name)
def test_a_process_says_the_same(session: Session, tmp_path: Path) -> None:
    folder = prepare(session, tmp_path)
    done = subprocess.run(
        [*checkout.ARGORUN, *session.arguments],
        cwd=folder,
        env=checkout.environment(tmp_path) | session.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stderr.replace(str(tmp_path), "~").rstrip("\n")
    assert (done.returncode, done.stdout, said) == (2, "", session.said)
