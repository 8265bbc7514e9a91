"""How far a container's log was read, by stamp and number: it can only be resumed by whole seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Position:
    """How far a log was read: the newest stamp, and how many lines were seen from the first that bears it.

    Lines with equal stamps exist, stamps run back a little where a container writes to both its outputs, and
    sinceSeconds is in whole seconds: a resumed stream starts earlier, and what was seen is skipped by stamp
    and number.
    """

    stamp: str = ""
    count: int = 0
    _met: int = field(default=0, repr=False)

    def resume(self) -> None:
        """A new stream begins, which repeats some lines."""
        self._met = 0

    def is_new(self, stamp: str) -> bool:
        """Whether a line with this stamp was not seen yet; moves on where it was not."""
        if stamp > self.stamp:
            self.stamp, self.count, self._met = stamp, 1, 1
            return True
        if stamp < self.stamp and not self._met:
            return False
        self._met += 1
        if self._met <= self.count:
            return False
        self.count += 1
        return True

    @property
    def met(self) -> bool:
        """Whether the stream has shown the last line seen before it: nothing lies between."""
        return self._met > 0


def sortable(stamp: str) -> str:
    """An RFC 3339 stamp in UTC with all nine digits: Go leaves out zeros at the end."""
    if len(stamp) == 30:
        return stamp  # nine times in ten
    head, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{head}.{fraction:0<9}Z"
