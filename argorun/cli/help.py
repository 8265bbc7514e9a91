"""How `--help` looks: options in groups, one form for names, values and defaults.

rich's help costs as much start-up time as everything else together. typer brings a click of its own, or takes
the installed one, depending on its version: what both hand over is `Any` here.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import typer.core

# The groups of options, in the order of the help: `rich_help_panel` of an option is one of these.
WHAT = "What to test"
SWEPT = "What to sweep"
WHERE = "Where"
OUTPUT = "Output"
CLEAN_UP = "Clean-up"
EXPERT = "Expert"
GROUPS = (WHAT, SWEPT, WHERE, OUTPUT, CLEAN_UP, EXPERT)

LEFT = 30  # characters that the left column may have,
LEFT_AT_LEAST = 24  # and has where a name is longer
LONG = "    "  # in front of an option without a letter, where `-f, ` would be
Row = tuple[str, str]


class Command(typer.core.TyperCommand):
    """A command whose options are listed in groups."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _usage(ctx, formatter, self.get_params(ctx), "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _blocks(formatter, _grouped(self.get_params(ctx)))


class Commands(typer.core.TyperGroup):
    """The commands, in `ORDER`; one that is not there comes last."""

    ORDER: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(
            super().list_commands(ctx), key=lambda name: (name not in self.ORDER, self._place(name))
        )

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _usage(ctx, formatter, (), "COMMAND")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        commands = [(name, summary(c.help or "")) for name, c in found if c is not None and not c.hidden]
        _blocks(formatter, {"Commands": commands})
        _blocks(formatter, _grouped(self.get_params(ctx)))

    def _place(self, name: str) -> int:
        return self.ORDER.index(name) if name in self.ORDER else 0


def summary(text: str) -> str:
    """The first line of a help text: what the list of commands says."""
    return text.strip().partition("\n")[0]


def _usage(ctx: Any, formatter: Any, params: Any, command: str) -> None:
    arguments = [f"[{_metavar(p)}]" for p in params if p.param_type_name == "argument"]
    formatter.write_usage(ctx.command_path, " ".join([*filter(None, [command]), *arguments, "[OPTIONS]"]))


def _grouped(params: Any) -> dict[str, list[Row]]:
    """The rows of each group that has any; an option without a group comes last."""
    rows: dict[str, list[Row]] = {name: [] for name in ("Arguments", *GROUPS)}
    for param in params:
        if param.param_type_name == "argument":
            rows["Arguments"].append((_metavar(param), _text(param)))
        elif not param.hidden:
            rows.setdefault(getattr(param, "rich_help_panel", None) or "", []).append(
                (_names(param), _text(param))
            )
    rest = rows.pop("", [])
    blocks = {name: group for name, group in rows.items() if group}
    return blocks | {"Other options" if blocks.keys() & set(GROUPS) else "Options": rest}


def _names(option: Any) -> str:
    names = sorted(option.opts, key=len)
    value = "" if option.is_flag or option.count else f" {_metavar(option)}"
    return ("" if not names[0].startswith("--") else LONG) + ", ".join(names) + value


def _metavar(param: Any) -> str:
    """What stands for the value: NAME, or one|two where these are all there are."""
    if param.metavar:
        return str(param.metavar)
    choices = _choices(param)
    return "|".join(choices) if choices else str(param.name).upper()


def _choices(param: Any) -> list[str]:
    """The values of a choice: typer's own type descriptor has them, or click's type."""
    kind = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    return [str(getattr(choice, "value", choice)) for choice in getattr(kind, "choices", None) or ()]


def _text(param: Any) -> str:
    shown = param.show_default
    default = shown if isinstance(shown, str) else param.default if shown else None
    if default is None or default is False or callable(default):
        return str(param.help or "")
    return f"{param.help} [default: {getattr(default, 'value', default)}]"


def _blocks(formatter: Any, blocks: dict[str, list[Row]]) -> None:
    """Write each group under its name; all have the same two columns."""
    names = [len(name) for group in blocks.values() for name, _ in group]
    left = max([n for n in names if n <= LEFT] + [LEFT_AT_LEAST if n > LEFT else 0 for n in names])
    for title, group in blocks.items():
        with formatter.section(title):
            for name, text in group:
                formatter.write(_row(name, text, left, formatter.width))


def _row(name: str, text: str, left: int, width: int) -> str:
    """One row, its text wrapped; a name that is too long has a line of its own."""
    margin = " " * (2 + left + 2)
    # a bracket is not torn apart where that can be helped
    whole = re.sub(r"\[[^]]{1,30}\]", lambda m: m[0].replace(" ", "\0"), text)
    wide = max(width, len(margin) + 20)
    lines = textwrap.wrap(
        whole, wide, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
    lines = [line.replace("\0", " ") for line in lines] or [margin]
    first = f"  {name}"
    if len(name) <= left:
        lines[0] = first + lines[0][len(first) :]
    else:
        lines.insert(0, first)
    return "".join(f"{line.rstrip()}\n" for line in lines)
