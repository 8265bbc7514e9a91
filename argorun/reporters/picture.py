"""Draws an events file as SVG: `python -m argorun.reporters.picture EVENTS.jsonl OUT.svg [TITLE]`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from argorun.events import Event
from argorun.reporters.json_lines import decode
from argorun.reporters.render import UNICODE
from argorun.reporters.screen import Screen
from argorun.reporters.terminal import Terminal


class _Recording(Screen):
    """A screen that records what scrolls, and no live lines."""

    def print(self, line: Text) -> None:
        self.console.print(line, soft_wrap=True)
        self.rows += 1

    def line(self, text: str, rows: int = 1) -> None:
        """Nobody copies from a picture: a long line is folded, and each of its rows has the bar."""
        for line in text.split("\n"):
            bar, shown = line[: len(UNICODE.log_bar)], Text.from_ansi(line[len(UNICODE.log_bar) :])
            for row in shown.wrap(self.console, self.console.width - len(bar) - 1):
                self.console.print(Text(bar).append_text(row), soft_wrap=True)
        self.rows += rows

    def draw(self, region: Sequence[Text] = ()) -> None:
        del region


def picture(events: Iterable[Event], *, width: int = 100, title: str = "argorun") -> str:
    """The terminal at the end of the run, as SVG."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        emoji=False,
    )
    now = 0.0
    reporter = Terminal(_Recording(console, lambda _: None, live=True), now=lambda: now)
    for event in events:
        now = event.time
        reporter.report(event)
    reporter.close()
    return console.export_svg(title=title, unique_id="argorun")  # a fixed id: the same run, the same file


def main(source: str, target: str, title: str = "argorun") -> None:
    """Draw one events file."""
    with Path(source).open("rb") as lines:
        Path(target).write_text(picture(decode(lines), title=title), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
