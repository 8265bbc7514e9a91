"""The sentences about what does not fit in a configuration file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from argorun.config.document import Items, Keys, Node, Scalar
from argorun.config.problems import Wrong, quoted, short

Path = tuple[str | int, ...]
"""Keys and indices, from the top of the file."""

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date"}
TOKEN = "the token comes from ARGOCD_AUTH_TOKEN or `argocd login`, never from this file"


def place_of(path: Path) -> str:
    """A place in words: `argocd.server`, `topics: first entry: partitions`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f": {ordinal(part)} entry"
        else:
            text += f"{': ' if text.endswith(' entry') else '.' if text else ''}{short(part)}"
    return text


def ordinal(index: int) -> str:
    """`first` for 0, `11th` for 10."""
    if index < len(ORDINALS):
        return ORDINALS[index]
    number = index + 1
    last = 0 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def got(node: Node, *, show: bool = True) -> str:
    """What was given in the place of something else; a secret only by its kind."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Keys):
        return "keys and values"
    if not node.text:
        return "nothing"
    if not show:
        return "a single value"
    return quoted(node.text) if node.kind == "str" else short(node.text)


def trap(form: str, node: Scalar, *, show: bool) -> Wrong:
    """A text that YAML takes for something else, because it has no quotes."""
    quotes = f'quote it: "{short(node.text)}"' if show else "quote it"
    return Wrong(
        f"{form}; got {got(node, show=show)}", f"{quotes} (without quotes, YAML reads {KINDS[node.kind]})"
    )


def octal(form: str, node: Scalar, *, show: bool, quote: bool = False) -> Wrong:
    """A number in one of YAML's rarer notations: 010 is 8, 1:30 is 90."""
    fix = "quote it" if quote else "write only digits, and no 0 in front"
    return Wrong(f"{form}; got {got(node, show=show)}", f"{fix} (YAML reads another number)")


def instead(node: Node) -> str:
    """A hint for a value of the wrong kind, or an empty string."""
    if isinstance(node, Scalar) and not node.plain and node.kind == "str":
        plain = node.text.strip().lower()
        return "leave the quotes out" if plain.isdigit() or plain in ("true", "false") else ""
    return ""


def one_value(node: Node) -> str:
    """A hint where a single value is needed and several are given."""
    if isinstance(node, Items):
        return "write a list as one text, with commas"
    return "write the whole name on one line, with its dots: bootstrap.servers: HOST:PORT"


def unknown_key(
    key: str, known: Sequence[str], path: Path, elsewhere: Mapping[str, str]
) -> tuple[Wrong, str]:
    """The problem of a key that is not known, and the known key that was meant, or an empty string."""
    place = f" in {place_of(path)}" if path else ""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    lower = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.5)
    meant = (near or lower or [""])[0]
    close = meant and difflib.SequenceMatcher(None, key.lower(), meant).ratio() > 0.8
    if path == ("argocd",) and "token" in key.lower():
        hint, meant = TOKEN, ""
    elif "." in key and not close and path[:1] in ((), ("topics",)):
        whose, section = ("Kafka's", "config:") if path else ("librdkafka's", "kafka:")
        hint, meant = f"{whose} properties belong under {section}", ""
    elif key in elsewhere and not close:
        hint, meant = f"it belongs {elsewhere[key]}", ""
    elif meant:
        hint = f"did you mean '{meant}'?"
    else:
        hint = f"known keys: {', '.join(known)}"
    return Wrong(f"unknown key '{short(key)}'{place}", hint), meant


def missing_keys(
    path: Path, missing: Sequence[str], form: Mapping[str, str], given: Mapping[str, object]
) -> Wrong:
    """A struct that lacks keys: `topics: first entry needs prefix: as well ({prefix: PREFIX, …})`."""
    keys = " and ".join(f"{name}:" for name in missing)
    shown = {n: v if isinstance(v := given.get(n), str) else default for n, default in form.items()}
    shown |= {n: v for n, v in given.items() if isinstance(v, str)}
    example = ", ".join(f"{n}: {short(v)}" for n, v in shown.items())
    return Wrong(f"{place_of(path)} needs {keys}{' as well' if given else ''} ({{{example}}})")
