"""What a container writes cannot drive the terminal, the CI runner, or the order in which people read."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.redact.sanitize import clean, clean_lines, for_github
from tests.unit.reporters.github_runner import commands, weightless

SGR = re.compile("\x1b\\[[0-9;:]*m")
PIECES = st.sampled_from(
    [
        "\x1b",
        "[",
        "]",
        "31m",
        "0",
        ";",
        "m",
        "2J",
        "P",
        "\x07",
        "\x1b\\",
        "\x9c",
        "\x9b",
        "\r",
        "\t",
        "(B",
        "a",
    ]
)
NASTY = st.one_of(
    st.text(), st.lists(PIECES).map("".join), st.lists(st.one_of(PIECES, st.text())).map("".join)
)


def drives(text: str) -> list[str]:
    """The characters that could do more than show themselves."""
    return [
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\t")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]


@given(NASTY)
def test_without_colors_no_text_can_drive_the_terminal(text: str) -> None:
    assert drives(clean(text)) == []


@given(NASTY)
def test_with_colors_nothing_but_colors_reaches_the_terminal(text: str) -> None:
    assert drives(SGR.sub("", clean(text, color=True))) == []


@given(NASTY)
def test_a_color_never_runs_on_into_the_next_line(text: str) -> None:
    shown = clean(text, color=True)
    assert "\x1b" not in shown or shown.endswith("\x1b[0m")


@given(NASTY)
def test_colors_change_nothing_about_what_can_be_read(text: str) -> None:
    assert SGR.sub("", clean(text, color=True)) == clean(text)


@given(NASTY)
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u061c")))
def test_letters_of_any_script_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b(Bcharset \x1bcreset", "charset reset"),
        ("\x1b]0;never ended", "\\x1b]0;never ended"),
        ("ends in \x1b", "ends in \\x1b"),
        ("\x9b31m", "\\x9b31m"),
        ("10%\r20%\r\n", "10%\\r20%"),
        ("a\tb\x07\x08\x00", "a\tb\\x07\\x08\\x00"),
        ("evil\u202etxt.exe\u2066", "evil\\u202etxt.exe\\u2066"),
        ("half \ud83d", "half \\ud83d"),
        ("👩\u200d💻 naïve 漢字", "👩\u200d💻 naïve 漢字"),
    ],
)
def test_control_sequences_go_and_control_characters_become_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_colors_are_kept_and_reset_where_they_are_wanted() -> None:
    assert clean("\x1b[1;38:5:9mE\x1b[2J  no", color=True) == "\x1b[1;38:5:9mE  no\x1b[0m"


def test_a_message_of_several_lines_keeps_them_and_their_indentation() -> None:
    assert clean_lines("\nfirst\r\n  second\x1b[2J\n\n") == ["first", "  second"]
    assert clean_lines(" \n") == []


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("::error::x", "| ::error::x"),
        ("  \t::error::x", "|   \t::error::x"),
        ("\u200b:\u200b:error::x", "| \u200b:\u200b:error::x"),
        ("a ##[error]x", "a ## [error]x"),
        ("#\u200b#[error]x", "## [error]x"),
        ("std::vector ## x", "std::vector ## x"),
        ("job | ::error::x", "job | ::error::x"),
    ],
)
def test_a_test_cannot_give_github_commands(line: str, written: str) -> None:
    assert for_github(line) == written


WEIGHTLESS = [chr(c) for c in range(sys.maxunicode + 1) if weightless(chr(c))]


@given(
    st.lists(
        st.sampled_from(
            [
                *("::", ":", "##[", "#", "[", "]", " ", "\xa0", "\t", "\r", "\x1b[31m", "\x1b", "x", "|"),
                *("error", "stop-commands", "add-mask", "set-env name=A", "\u200b", "\ufeff", "\x01"),
            ]
        )
    ).map("".join)
)
def test_no_line_is_a_github_command_after_all(line: str) -> None:
    """Held against the runner's own way to find them, whether or not the line was cleaned before."""
    for color in (True, False):
        assert commands(for_github(clean(line, color=color))) == []
    assert commands("\n".join(map(for_github, line.split("\r")))) == []


def test_no_character_without_weight_hides_a_command() -> None:
    for c in WEIGHTLESS:
        for line in (f"{c}::error::x", f" {c} :{c}:{c}error::x", f"a #{c}#{c}[error]x"):
            assert commands(for_github(line)) == [], ascii(line)


def test_the_runner_of_these_tests_does_find_commands() -> None:
    found = "::error file=a::x\n \u200b:\u200b:warning::y\rz ##[error]x\n"
    assert commands(f"{found}::none::\n##[none]\n::error:x\n| ::error::") == ["error", "warning", "error"]
    assert commands("::t0ken::", {"t0ken"}) == ["t0ken"]  # what ends `stop-commands`
    assert commands(for_github("::t0ken::"), {"t0ken"}) == []
