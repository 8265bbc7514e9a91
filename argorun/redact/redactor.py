"""Redacts secrets from events, before any reporter gets them, and from text on stderr."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from argorun.redact.event_text import E, all_text, rewrite
from argorun.redact.forms import credentials, forms
from argorun.redact.sanitize import clean

MASK = "***"
SHORTEST = 4  # characters of a secret that is masked within words, too


class Redactor:
    """Masks secrets in every form in which they are likely to appear; `mask` adds further secrets.

    A secret of less than `SHORTEST` characters is masked only as a whole word: with "***" for each "a", no
    text could be read, and the secret would be obvious. A line without a secret costs little.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._forms: set[str] = set()
        self._needles: list[str] = []  # the longest first
        self._quick: list[str] = []  # every text that holds a form holds one of these
        self.mask(*secrets)

    def mask(self, *secrets: str) -> None:
        """Mask these secrets, too, from now on."""
        known = {part for secret in secrets for part in (secret, *credentials(secret)) if part.strip()}
        fresh = {form for secret in known for form in forms(secret)} - self._forms
        if fresh:
            self._forms |= fresh
            self._needles = sorted(self._forms, key=lambda needle: (-len(needle), needle))
            self._quick = [n for n in self._needles if not any(m in n for m in self._forms if m != n)]

    def event(self, event: E) -> E:
        """The event with every secret in its texts masked."""
        if not self._needles:
            return event
        everything = all_text(event)
        # An escape sequence can split a secret (grep --color writes such): check the text without it.
        if "\x1b" in everything or self._found(everything):
            return rewrite(event, self.text)
        return event

    def text(self, text: str) -> str:
        """The text with every secret in it masked."""
        if "\x1b" in text:
            shown = clean(text)
            if self._found(shown):
                return self._masked(shown)
        return self._masked(text) if self._found(text) else text

    def _found(self, text: str) -> bool:
        for needle in self._quick:  # noqa: SIM110  # any() with a generator costs twice as much, 200,000 times
            if needle in text:
                return True
        return False

    def _masked(self, text: str) -> str:
        # Secrets may overlap: mask their union, so that no part of one stays readable.
        masked, end = [], 0
        for start, stop in _union(sorted(span for needle in self._needles for span in _spans(needle, text))):
            masked += [text[end:start], MASK]
            end = stop
        return "".join([*masked, text[end:]])


def _spans(needle: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(needle)
    while start >= 0:
        end = start + len(needle)
        if len(needle) >= SHORTEST or not (
            _in_word(text[start - 1 : start]) or _in_word(text[end : end + 1])
        ):
            yield start, end
        start = text.find(needle, start + 1)


def _in_word(neighbor: str) -> bool:
    return neighbor.isalnum() or neighbor == "_"


def _union(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    if not spans:
        return
    start, stop = spans[0]
    for next_start, next_stop in spans[1:]:
        if next_start > stop:
            yield start, stop
            start = next_start
        stop = max(stop, next_stop)
    yield start, stop
