"""Finds and rewrites the texts in an event, whatever its class."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args, get_type_hints

from argorun.events import Event

E = TypeVar("E", bound=Event)

_TEXTS = (str, str | None, tuple[str, ...])


# Per class of event, the names of the fields that hold free text: not enumerations, not numbers.
TEXT_FIELDS: dict[type, tuple[str, ...]] = {
    kind: tuple(name for name, hint in get_type_hints(kind).items() if hint in _TEXTS)
    for kind in get_args(Event)
}


def all_text(event: Event) -> str:
    """Every text of the event in one string, for a quick search."""
    values = _GETTERS[type(event)](event)
    try:
        return "\n".join(values)
    except TypeError:  # a None or a tuple among them
        return "\n".join(_flat(values))


def rewrite(event: E, change: Callable[[str], str]) -> E:
    """The event with `change` applied to each of its texts."""
    changed: dict[str, Any] = {}
    for name in TEXT_FIELDS[type(event)]:
        value = getattr(event, name)
        if isinstance(value, str):
            changed[name] = change(value)
        elif value is not None:
            changed[name] = tuple(map(change, value))
    return dataclasses.replace(event, **changed)


def _getter(names: tuple[str, ...]) -> Callable[[Event], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda event: tuple(getattr(event, name) for name in names)


_GETTERS = {kind: _getter(names) for kind, names in TEXT_FIELDS.items()}


def _flat(values: Iterable[str | tuple[str, ...] | None]) -> list[str]:
    flat: list[str] = []
    for value in values:
        if isinstance(value, str):
            flat.append(value)
        else:
            flat.extend(value or ())
    return flat
