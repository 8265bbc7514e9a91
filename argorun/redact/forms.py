"""The forms in which a secret is likely to appear: quoted, URL-encoded, base64, lines."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import textwrap
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

_SHORTEST_PART = 8  # of base64 within other base64, and of a line of a key: less would mask other text


def credentials(header: str) -> Iterator[str]:
    """The credentials in an Authorization header, and the password in Basic credentials."""
    match = re.fullmatch(r"(bearer|basic|token)\s+(\S+)", header.strip(), re.IGNORECASE)
    if match:
        yield match[2]
        if match[1].lower() == "basic":
            with contextlib.suppress(ValueError):  # no base64, no UTF-8
                yield base64.b64decode(match[2]).decode().partition(":")[2]


def forms(secret: str) -> Iterator[str]:
    """The texts to mask for a secret: itself, and as it may be written elsewhere; with repetitions."""
    for whole in {secret, secret.strip()}:
        raw = whole.encode("utf-8", "surrogatepass")
        yield from _quoted(whole, raw)
        for percent in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
            yield percent
            yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), percent)
        yield from _base64_forms(raw)
    lines = secret.strip().splitlines()
    if len(lines) > 1:  # a PEM key is logged line by line
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_PART)


def _quoted(secret: str, raw: bytes) -> Iterator[str]:
    """As Python, HTML, JSON and JSON in JSON write it, each also within a shell's single quotes."""
    written = {secret, repr(secret)[1:-1], repr(raw)[2:-1], html.escape(secret)}
    for ascii_only in (True, False):
        text = secret
        for _ in range(2):
            text = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            written.add(text)
            written.add(re.sub("[&<>]", lambda sign: f"\\u{ord(sign[0]):04x}", text))  # as Go does
    for text in written:
        yield text
        yield text.replace("'", "'\"'\"'")


def _base64_forms(secret: bytes) -> Iterator[str]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        whole = encode(secret).decode()
        yield whole
        yield whole.rstrip("=")
        if len(whole) > 64:  # base64 and openssl break it into lines
            for width in (64, 76):
                yield from (line for line in textwrap.wrap(whole, width) if len(line) >= _SHORTEST_PART)
        # "user:password" in base64: the password's own characters, wherever it begins among three bytes.
        for before in range(3):
            bits = 8 * before
            first, last = -(-bits // 6), (bits + 8 * len(secret)) // 6
            part = encode(bytes(before) + secret + bytes(2)).decode()[first:last]
            if len(part) >= _SHORTEST_PART:
                yield part
