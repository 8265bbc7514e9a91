"""Takes secrets out of events before any reporter sees them."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from urllib.parse import quote, quote_plus

from argorun.reporters.fields import E, all_text, rewrite
from argorun.reporters.text import clean

MASK = "***"
_SHORTEST_PART = 8  # of base64 inside other base64, and of a line of a key: less would mask innocent text


class Redactor:
    """Masks secrets, also urlencoded and in base64. Made once; a line without a secret costs little."""

    def __init__(self, secrets: Collection[str]) -> None:
        forms = {form for secret in secrets if secret.strip() for form in _forms(secret)}
        self._needles = sorted(forms, key=lambda needle: (-len(needle), needle))

    def event(self, event: E) -> E:
        """The event, without a secret in any of its texts."""
        if not self._needles:
            return event
        everything = all_text(event)
        # An escape sequence can sit inside a secret (grep --color writes such): look behind it.
        if "\x1b" in everything or self._found(everything):
            return rewrite(event, self.text)
        return event

    def text(self, text: str) -> str:
        """The text, with every secret in it masked."""
        if "\x1b" in text:
            shown = clean(text)
            if self._found(shown):
                return self._mask(shown)
        return self._mask(text) if self._found(text) else text

    def _found(self, text: str) -> bool:
        for needle in self._needles:  # noqa: SIM110  # any() with a generator costs twice as much, 200,000 times
            if needle in text:
                return True
        return False

    def _mask(self, text: str) -> str:
        # Secrets may overlap: mask their union, so that no end of one stays readable.
        masked, end = [], 0
        for start, stop in _union(sorted(span for needle in self._needles for span in _spans(needle, text))):
            masked += [text[end:start], MASK]
            end = stop
        return "".join([*masked, text[end:]])


def _forms(secret: str) -> Iterator[str]:
    for whole in {secret, secret.strip()}:
        yield whole
        raw = whole.encode("utf-8", "surrogatepass")
        yield quote(raw)
        yield quote(raw, safe="")
        yield quote_plus(raw)
        yield from _base64_forms(raw)
    lines = secret.strip().splitlines()
    if len(lines) > 1:  # a PEM key is logged line by line
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_PART)


def _base64_forms(secret: bytes) -> Iterator[str]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode()
        yield encode(secret).decode().rstrip("=")
        # "user:password" in base64: the password's own characters, wherever it begins among three bytes.
        for before in range(3):
            bits = 8 * before
            first, last = -(-bits // 6), (bits + 8 * len(secret)) // 6
            part = encode(bytes(before) + secret + bytes(2)).decode()[first:last]
            if len(part) >= _SHORTEST_PART:
                yield part


def _spans(needle: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(needle)
    while start >= 0:
        yield start, start + len(needle)
        start = text.find(needle, start + 1)


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
