"""What `argorun init` asks a person, and says to them, as a protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Questions(Protocol):
    """A person at a terminal, or nobody: then nothing is ever asked.

    Every text may hold what others wrote: it is made safe to show, and secrets are masked.
    """

    @property
    def can_ask(self) -> bool:
        """Whether somebody can answer."""

    def say(self, *lines: str) -> None:
        """Show these lines, in the place of what was waited for."""

    def wait_for(self, text: str) -> None:
        """Show for what is waited, until anything else is shown."""

    def ask(self, question: str, default: str, check: Callable[[str], object]) -> str:
        """A text, asked for until `check` raises no Wrong; `default` is taken where nothing is typed."""

    def choose(
        self,
        question: str,
        options: Sequence[str],
        default: Sequence[int],
        check: Callable[[str], object],
        *,
        several: bool = False,
    ) -> list[int | str]:
        """One of the options by its index, or what was typed in its place, checked; or `several`."""

    def confirm(self, question: str) -> bool:
        """Yes or no; yes where nothing is typed."""
