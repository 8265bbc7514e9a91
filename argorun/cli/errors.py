"""Shows mistakes on the command line like every other error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from argorun.errors import UsageError

OPTIONS = {"help": "--help", "version": "--version", "completion": "--show-completion"}
"""What is a command in other tools, and an option here."""


class Mistake(typer.BadParameter):
    """A mistake on the command line; typer shows it, and exits with its code."""

    exit_code = UsageError.exit_code

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.error = UsageError(text, hint)

    def show(self, file: Any = None) -> None:
        """Write what is wrong and what to do."""
        print(self.error.shown, file=file or sys.stderr)


class Command(TyperCommand):
    """A command that explains what is wrong with its options."""

    def make_parser(self, ctx: Any) -> Any:
        """A parser that also refuses what could be meant in two ways."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            values, rest, given = parse(args=args)
            if not ctx.resilient_parsing:
                _check(values, given)
            return values, rest, given

        parser.parse_args = parse_args  # type: ignore[method-assign]
        return parser

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the command line. Raises Mistake."""
        try:
            return super().make_context(*args, **extra)
        except Exception as e:
            raise explained(e, self) from e


class Commands(TyperGroup):
    """The commands, which explains what is wrong with their names and with its own options."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse what stands before the command. Raises Mistake."""
        try:
            return super().make_context(*args, **extra)
        except Exception as e:
            raise explained(e, self) from e

    def resolve_command(self, *args: Any, **extra: Any) -> Any:
        """The command that was typed. Raises Mistake."""
        try:
            return super().resolve_command(*args, **extra)
        except Exception as e:
            raise explained(e, self) from e


def _check(values: dict[str, Any], given: list[Any]) -> None:
    """Refuse an option that is given twice, though it has one value, and a file without a name.

    Raises Mistake.
    """
    for parameter in given:
        flag = _flag(parameter)
        takes_one = parameter.param_type_name == "option" and not (parameter.multiple or parameter.is_flag)
        if takes_one and given.count(parameter) > 1:
            raise Mistake(f"{flag}: is given {given.count(parameter)} times", "give it once")
        if parameter.metavar in ("FILE", "DIR") and values.get(parameter.name) == "":  # Path("") is a folder
            raise Mistake(f"{flag}: is empty", "is the variable set that it comes from?")


def explained(error: Any, command: Any) -> Exception:
    """A Mistake for one of typer's errors; any other exception as it is.

    The errors are click's, and typer has a copy of its own: what they have in common is how they look.
    """
    if not hasattr(error, "format_message") or isinstance(error, Mistake):
        return error if isinstance(error, Exception) else Exception(error)
    context, kind = getattr(error, "ctx", None), type(error).__name__
    if kind == "NoArgsIsHelpError":
        return error  # type: ignore[no-any-return]
    text = str(error.message).removeprefix("Value error, ").strip().rstrip(".")
    flag = getattr(error, "option_name", "") or _flag(getattr(error, "param", None))
    if kind == "NoSuchOption":
        return Mistake(f"no such option: {flag}", _option_hint(flag, context))
    if kind == "BadOptionUsage" and "requires" in text:
        return Mistake(f"{flag}: needs a value", _form(flag, command))
    if kind == "BadOptionUsage":
        return Mistake(f"{flag}: takes no value")
    if choice := re.fullmatch(r"(?P<value>.*?) is not one of (?P<known>.*)", text, re.DOTALL):
        known = re.findall(r"'([^']*)'", choice["known"])
        near = _near(choice["value"].strip("'"), known)
        hint = f"did you mean {near}?" if near else ""
        return Mistake(f"{flag}: {choice['value']} is not one of {', '.join(known)}", hint)
    if unknown := re.match(r"No such command (['\"])(.*?)\1(\. |$)", text, re.DOTALL):
        return Mistake(f"no such command: {unknown[2]}", _command_hint(unknown[2], context))
    if extra := re.fullmatch(r"Got unexpected extra argument\S* \((.*)\)", text, re.DOTALL):
        many = "s" if " " in extra[1] else ""
        return Mistake(f"unexpected argument{many}: {extra[1]}", _help(context))
    return Mistake(f"{flag}: {text}" if flag else f"{text[:1].lower()}{text[1:]}", _help(context))


def _flag(parameter: Any) -> str:
    """`--output` of an option, `APPLICATION` of an argument."""
    names = [*getattr(parameter, "opts", []), *getattr(parameter, "secondary_opts", [])]
    longest: str = max(names, key=len, default="")
    return longest if longest.startswith("-") else longest.upper()


def _help(context: Any) -> str:
    return f"{context.command_path} --help shows what there is" if context is not None else ""


def _form(flag: str, command: Any) -> str:
    """A hint with the option's form: `write --timeout DURATION`."""
    for parameter in command.params:
        if flag in parameter.opts:
            return f"write {flag} {parameter.metavar or 'VALUE'}"
    return ""


def _option_hint(flag: str, context: Any) -> str:
    """The nearest option of the command, or the command that has this one."""
    if context is None:
        return ""
    near = _near(flag, _options(context.command))
    owners = [name for name, command in _commands(context) if flag in _options(command)]
    if owners and context.parent is None:
        return f"write it after the command: argorun {owners[0]} {flag}"
    if near:
        return f"did you mean {near}?"
    return f"it is an option of argorun {owners[0]}" if owners else _help(context)


def _options(command: Any) -> list[str]:
    return ["--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-"))]


def _near(name: str, known: list[str]) -> str:
    """The most similar name, or an empty string."""
    import difflib

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), "")


def _commands(context: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(context.find_root().command, "commands", {}).items()


def _command_hint(name: str, context: Any) -> str:
    """The nearest command; a name that is none may be an Application's."""
    if context is not None and name in OPTIONS:
        return f"did you mean argorun {OPTIONS[name]}?"
    known = [n for n, _ in _commands(context)] if context is not None else []
    near = _near(name, known)
    return f"did you mean argorun {near}?" if near else f"argorun run {name} runs the tests of an Application"
