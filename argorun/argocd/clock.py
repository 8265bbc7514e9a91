"""Argo CD's time, known from the Date header of its answers.

See docs/argocd-facts.md#server-clock.
"""

from __future__ import annotations

import datetime
import math
import re
import time
from collections.abc import Callable, Mapping

from argorun.humanize import duration

# Years in which a server's clock may be: a topic's name holds unix seconds of ten digits (see kafka.names).
USABLE = 1e9, 1e10
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HTTP_DATE = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def steady() -> float:
    """Seconds by a clock that nobody can set, and that runs on while the machine sleeps.

    On Linux the monotonic clock stops then, and CLOCK_BOOTTIME does not; elsewhere there is only one.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


TOLERANCE = 30.0  # seconds by which this machine's clock may differ from Argo CD's without a warning


class Clock:
    """Argo CD's clock, in seconds since the epoch; this machine's until the first answer with a date.

    Each answer says in whole seconds when it was made, which was between the request and its arrival: that
    bounds the difference between Argo CD's clock and the steady one. The bounds of all answers hold at once,
    so a slow answer takes nothing from what a quick one gave. This machine's clock is read once, at the
    start: setting it later changes nothing.
    """

    def __init__(self, steady: Callable[[], float] = steady, local: Callable[[], float] = time.time) -> None:
        self._steady, self._local = steady, local
        self._start = local() - steady()  # the difference by this machine's clock
        self._low, self._high = -math.inf, math.inf  # its bounds by Argo CD's answers

    @property
    def known(self) -> bool:
        """Whether an answer of Argo CD has bounded it."""
        return math.isfinite(self._high)

    def now(self) -> float:
        """The time by Argo CD's clock: this machine's, as long as that is within the bounds."""
        within = self._low <= self._start <= self._high
        return self._steady() + (self._start if within else (self._low + self._high) / 2)

    def ahead(self) -> float:
        """Seconds by which this machine's clock is ahead of Argo CD's; negative if it is behind."""
        return self._local() - self.now() if self.known else 0.0

    def warning(self) -> str:
        """What is wrong with this machine's clock, if it differs by more than TOLERANCE; else empty."""
        ahead = self.ahead()
        if abs(ahead) <= TOLERANCE:
            return ""
        about = round(abs(ahead), -1)  # a date is in whole seconds, and its answer took some time
        how = f"{duration(about)} {'ahead of' if ahead > 0 else 'behind'} Argo CD's"
        return f"the clock of this machine is {how}: Argo CD's time is used"

    def sent(self) -> float:
        """The steady time at which a request is sent, for `answered`."""
        return self._steady()

    def answered(self, headers: Mapping[str, str], sent: float) -> None:
        """Take in the date of an answer that has just arrived (header names in any case).

        An answer without a usable date counts for nothing, and neither does one from a cache (it has an Age).
        """
        made = None if "age" in headers else date(headers.get("date", ""))
        if made is None:
            return
        low, high = made - self._steady(), made + 1 - sent
        if low > self._high or high < self._low:  # Argo CD's clock was set, or another replica answered
            self._low, self._high = low, high
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)


def date(text: str) -> float | None:
    """An HTTP date (RFC 9110, 5.6.7) in seconds since the epoch; None if it is none, or out of range."""
    match = HTTP_DATE.fullmatch(text)
    try:
        if match is None:
            return None
        day, month, year, hour, minute, second = match.groups()
        of_day = datetime.time(int(hour), int(minute), int(second), tzinfo=datetime.UTC)
        made = datetime.datetime.combine(datetime.date(int(year), MONTHS.index(month) + 1, int(day)), of_day)
    except ValueError:
        return None
    return made.timestamp() if USABLE[0] <= made.timestamp() < USABLE[1] else None


def seconds(stamp: str) -> float:
    """A time as Argo CD and Kubernetes write it, in seconds since the epoch."""
    return datetime.datetime.fromisoformat(stamp).timestamp()


def stamp(seconds: float) -> str:
    """Seconds since the epoch as Argo CD writes a time: 2026-11-26T01:20:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
