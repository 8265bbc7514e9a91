"""How questions look in a terminal, and what is done with answers."""

from __future__ import annotations

import io

import pytest

from argorun.cli.prompts import Prompts
from argorun.config.problems import Wrong


def prompts(typed: str = "", *, live: bool = False) -> tuple[Prompts, io.StringIO]:
    shown = io.StringIO()
    made = Prompts(
        io.StringIO(typed), shown, lambda text: text.replace("s3cret", "***"), can_ask=True, live=live
    )
    return made, shown


def number(text: str) -> None:
    if not text.startswith("n"):
        raise Wrong("is not right", "write n")


def test_empty_lines_separate_and_never_pile_up() -> None:
    asked, shown = prompts()
    asked.say("", "a", "", "", "b", "")
    asked.say("", "c")
    assert shown.getvalue() == "a\n\nb\n\nc\n"


def test_secrets_are_masked_and_nothing_controls_the_terminal() -> None:
    asked, shown = prompts("\n")
    asked.say("a s3cret\x1b[31m\x07")
    asked.ask("s3cret?", "s3cret", lambda _: None)
    assert shown.getvalue() == "a ***\\x07\n***? [***]: "


def test_what_is_waited_for_is_erased_by_what_comes_next() -> None:
    asked, shown = prompts(live=True)
    asked.wait_for("asking")
    asked.say("answered")
    asked.say()
    assert shown.getvalue() == "asking …\r\x1b[Kanswered\n"


def test_without_a_terminal_nothing_is_said_of_what_is_waited_for() -> None:
    asked, shown = prompts()
    asked.wait_for("asking")
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("typed", "default", "several", "answer"),
    [
        ("2\n", [], False, [1]),
        ("\n", [0, 2], True, [0, 2]),
        ("3, 1,3\n", [], True, [2, 0]),
        ("4\n0\n1\n", [], False, [0]),
        ("\n1\n", [], False, [0]),
        (",\n1\n", [], True, [0]),
        ("nine\n", [0], False, ["nine"]),
        ("x\nnine,2\n", [0], True, ["nine", 1]),
        ("n1,2\n", [0], False, ["n1,2"]),
    ],
)
def test_a_choice_by_number_or_by_name(
    typed: str, default: list[int], several: bool, answer: list[int | str]
) -> None:
    asked, _ = prompts(typed)
    assert asked.choose("Which", ["a", "b", "c"], default, number, several=several) == answer


def test_a_wrong_answer_is_explained() -> None:
    asked, shown = prompts("x\nn\n")
    assert asked.ask("What", "", number) == "n"
    assert shown.getvalue() == "What:   ✗ is not right; write n\nWhat: "


@pytest.mark.parametrize("typed", ["\udcff", "n\x1b[A"])
def test_what_is_no_text_is_asked_for_again(typed: str) -> None:
    asked, shown = prompts(f"{typed}\nn\n")
    assert asked.ask("What", "", lambda _: None) == "n"
    assert shown.getvalue() == (
        "What:   ✗ this is not UTF-8 text, or it has a control character: type it again\nWhat: "
    )


@pytest.mark.parametrize(
    ("typed", "answer"), [("\n", True), ("Y\n", True), ("x\nno\n", False), ("n\n", False)]
)
def test_yes_or_no(typed: str, answer: bool) -> None:
    assert prompts(typed)[0].confirm("Sure?") is answer
