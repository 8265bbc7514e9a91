"""What `--help` shows: groups, one form for values and defaults, and lines that fit."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from argorun.cli import help as help_
from argorun.cli.main import ORDER, commands

COMMANDS: dict[str, Any] = typer.main.get_command(commands).commands  # type: ignore[attr-defined]
NAMES = sorted(COMMANDS)


def shown(*arguments: str, columns: int = 80) -> str:
    """The help that a command prints on stdout."""
    result = CliRunner().invoke(commands, [*arguments, "--help"], env={"COLUMNS": str(columns)})
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def options(command: str) -> list[Any]:
    return [p for p in COMMANDS[command].params if p.param_type_name == "option" and not p.hidden]


def test_argorun_alone_shows_what_its_help_shows() -> None:
    result = CliRunner().invoke(commands, [], env={"COLUMNS": "80"})
    assert (result.exit_code, result.stdout, result.stderr) == (0, shown(), "")


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("arguments", [(), *((name,) for name in NAMES)])
def test_no_line_is_wider_than_the_terminal(arguments: tuple[str, ...], columns: int) -> None:
    assert [line for line in shown(*arguments, columns=columns).splitlines() if len(line) > columns] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_listed_with_a_whole_sentence_on_one_line(name: str) -> None:
    sentence = help_.summary(COMMANDS[name].help)
    assert sentence.endswith(".")
    assert re.search(rf"^  {name} +{re.escape(sentence)}$", shown(), re.MULTILINE)


def test_the_commands_are_listed_in_the_order_in_which_they_are_needed() -> None:
    listed = re.findall(
        r"^  (\w+)  ", shown().partition("Commands:\n")[2].partition("Options:\n")[0], re.MULTILINE
    )
    assert listed == [name for name in ORDER if name in COMMANDS]
    assert sorted(listed) == NAMES


def test_the_options_of_run_stand_in_groups() -> None:
    text = shown("run")
    titles = re.findall(r"^(\w[\w -]+):$", text, re.MULTILINE)
    assert titles == ["Arguments", "What to test", "Where", "Output", "Clean-up", "Expert", "Other options"]
    rest = text.partition("Other options:\n")[2].partition("Exit codes:")[0]
    assert re.findall(r"(--[\w-]+)  ", rest) == ["--dry-run", "--help"]


@pytest.mark.parametrize("name", NAMES)
def test_every_group_of_an_option_is_one_that_the_help_knows(name: str) -> None:
    groups = {o.rich_help_panel for o in options(name)} - {None}
    assert groups <= set(help_.GROUPS)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_drawn_in_the_same_way(name: str) -> None:
    assert isinstance(COMMANDS[name], help_.Command)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_defaults_have_one_form(name: str) -> None:
    text = " ".join(shown(name, columns=100).split())
    assert "by default" not in text.partition("Exit codes:")[0].partition("Options:")[2]
    assert re.findall(r"<(str|path|int)>|\[default: \(|\[default: None", text) == []
    for option in options(name):
        assert re.search(r"\.( \[env: [A-Z_]+\])?$", option.help), option.opts
        assert option.is_flag or re.search(rf"{option.opts[0]}(, -\w)? [A-Z=]+ |\|", text), option.opts


def test_a_default_stands_at_the_end_and_choices_in_the_place_of_a_value() -> None:
    text = " ".join(shown("run", columns=100).split())
    assert "--output auto|rich|plain|json auto: rich in a terminal" in text
    assert "--timeout DURATION Time limit for the whole run: 90, 90s, 15m, 1h30m. [default: 15m]" in text
    assert "-f, --file FILE Configuration file. [default: ./argorun.yaml, if it exists]" in text
