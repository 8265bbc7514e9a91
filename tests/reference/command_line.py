"""docs/reference/cli.md: every command with its arguments and options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer.main

from argorun.cli.help import GROUPS
from argorun.cli.main import commands
from tests.reference.markdown import block, code, table
from tests.reference.markdown import page as whole

ORDER = ("Arguments", *GROUPS, "Options", "Other options")


def page() -> str:
    """The page."""
    group: Any = typer.main.get_command(commands)
    named = all_commands()
    rows = [[f"[`argorun {n}`](#argorun-{n})", summary(c.help)] for n, c in named.items()]
    intro = [explained(group.help), table(["command", "what it does"], rows), _options(_shown(group.params))]
    return whole("Command line", *intro, *(part for n, c in named.items() for part in _command(n, c)))


def all_commands() -> dict[str, Any]:
    """Each command by its name, in the order of `argorun --help`."""
    group: Any = typer.main.get_command(commands)
    names = group.list_commands(None)
    return {name: group.commands[name] for name in names}


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [f"[{_metavar(p)}]" for p in command.params if p.param_type_name == "argument"]
    yield f"## argorun {name}"
    yield block(" ".join(["argorun", name, *arguments, "[OPTIONS]"]))
    yield explained(command.help)
    for heading, params in _grouped(_shown(command.params)):
        yield f"**{heading}**"
        yield _options(params)
    if command.epilog:
        yield "How it ends: [exit codes](exit-codes.md)."


def _shown(params: Sequence[Any]) -> list[Any]:
    return [p for p in params if not getattr(p, "hidden", False)]


def _grouped(params: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """The parameters by their groups, in the order of `--help`."""
    found: dict[str, list[Any]] = {}
    several = any(isinstance(p.rich_help_panel, str) for p in params)
    for p in params:
        alone = "Arguments" if p.param_type_name == "argument" else "Other options" if several else "Options"
        found.setdefault(p.rich_help_panel if isinstance(p.rich_help_panel, str) else alone, []).append(p)
    return sorted(found.items(), key=lambda item: ORDER.index(item[0]))


def _options(params: Sequence[Any]) -> str:
    what = "argument" if all(p.param_type_name == "argument" for p in params) else "option"
    return table([what, "meaning"], [[_names(p), _meaning(p)] for p in params])


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{_metavar(param)}`"
    value = "" if param.is_flag else f" {_metavar(param)}"
    *short, long = sorted(param.opts, key=len)
    return ", ".join([*(f"`{name}`" for name in short), f"`{long}{value}`"])


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _choices(param: Any) -> list[str]:
    """The values of a choice, in whichever version of typer."""
    kind = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    return [str(getattr(choice, "value", choice)) for choice in getattr(kind, "choices", None) or ()]


def _meaning(param: Any) -> str:
    text = re.sub(r"\s*\[env: (\w+)\]", r" Variable: \1.", param.help or "")
    parts = [code(text if text.endswith(".") else f"{text}.")]
    if choices := _choices(param):
        parts.append(f"One of {', '.join(f'`{c}`' for c in choices)}.")
    if param.param_type_name == "option" and param.multiple:
        parts.append("May be given several times.")
    default = param.show_default if isinstance(param.show_default, str) else param.default
    if param.show_default and not param.is_flag and isinstance(default, str):
        parts.append(f"Default: `{getattr(default, 'value', default)}`.")
    return " ".join(parts)


def summary(text: str) -> str:
    """The first line of a help text."""
    return code(text.strip().partition("\n")[0])


def explained(text: str) -> str:
    """A help text; the lines that it marks to stay as they are become code."""
    shown = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = paragraph.strip("\n").splitlines()
        if lines[0] == "\b":
            shown += [line for line in lines[1:] if not line.startswith(" ")]
            shown.append(block("\n".join(line[2:] for line in lines[1:] if line.startswith(" "))))
        elif paragraph.startswith("    "):
            shown.append(block(paragraph.strip()))
        else:
            shown.append(code(paragraph))
    return "\n\n".join(shown)
