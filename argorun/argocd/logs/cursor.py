"""How far a container's log was read, by timestamp and number of lines."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Cursor:
    """How far a log was read: the newest stamp, and how many lines were seen from the first that bears it.

    Lines may have equal stamps, stamps run back a little where a container writes to both its outputs, and
    sinceSeconds is in whole seconds (docs/argocd-facts.md#the-log-query). So a resumed stream starts earlier,
    and the lines that were seen are skipped by stamp and number.
    """

    stamp: str = ""
    count: int = 0
    _repeated: int = field(default=0, repr=False)

    def resume(self) -> None:
        """Begin a new stream, which repeats some lines."""
        self._repeated = 0

    def is_new(self, stamp: str) -> bool:
        """Whether a line with this stamp was not seen yet; if so, move past it."""
        if stamp > self.stamp:
            self.stamp, self.count, self._repeated = stamp, 1, 1
            return True
        if stamp < self.stamp and not self._repeated:
            return False
        self._repeated += 1
        if self._repeated <= self.count:
            return False
        self.count += 1
        return True

    @property
    def joined(self) -> bool:
        """Whether the stream has shown the last line that was seen before it: no line is missing between."""
        return self._repeated > 0


def sortable(stamp: str) -> str:
    """An RFC 3339 stamp in UTC with all nine digits: Go leaves out zeros at the end."""
    if len(stamp) == 30:
        return stamp  # nine times in ten
    head, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{head}.{fraction:0<9}Z"
