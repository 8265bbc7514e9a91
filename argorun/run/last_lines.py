"""Keeps the last lines of a Job's newest attempt, a repeated line once."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Sequence

from argorun.argocd.logs.container import Container

LAST_LINES = 20
MOST_LOGS = 3  # of pods and containers that wrote side by side
NAMES: tuple[Callable[[Container], str], ...] = (
    lambda c: "",
    lambda c: f"{c.job} | ",
    lambda c: f"{c.pod} | ",
    lambda c: f"{c.name} | ",
    lambda c: f"{c.pod}/{c.name} | ",
)


class Tail:
    """The last lines of one log. A line that is written again and again takes one place, with a count."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._lines: collections.deque[tuple[str, int]] = collections.deque(maxlen=LAST_LINES)

    def add(self, texts: Iterable[str]) -> None:
        """Take lines as they are written."""
        last, count = self._lines.pop() if self._lines else ("", 0)
        for text in texts:
            if text == last and count:
                count += 1
                continue
            if count:
                self._lines.append((last, count))
            last, count = text, 1
        if count:
            self._lines.append((last, count))

    def lines(self, most: int) -> list[str]:
        """The last ones, `most` at most: `Waiting for the broker (repeated 57 times)`."""
        shown = list(self._lines)[-most:]
        return [f"{text} (repeated {count:,} times)" if count > 1 else text for text, count in shown]


class Tails:
    """The last lines of all the logs of one Job; of earlier attempts only their number is kept."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, str], Tail] = {}  # of the newest attempt, by pod and container
        self._attempts = 0
        self._logs: set[tuple[str, str]] = set()  # all that were seen, of every attempt

    def add(self, c: Container, texts: Iterable[str]) -> None:
        """Take lines that a container wrote."""
        self._logs.add((c.pod, c.name))
        if c.attempt > self._attempts:
            self._attempts = c.attempt
            self._tails.clear()
        if c.attempt < self._attempts:
            return
        tail = self._tails.pop((c.pod, c.name), None)  # put at the end again: it wrote last
        if tail is None or c.restart > tail.container.restart:
            tail = Tail(c)
        self._tails[c.pod, c.name] = tail
        if c.restart == tail.container.restart:
            tail.add(texts)

    def newest(self) -> list[tuple[Container, list[str]]]:
        """The logs of the newest attempt that wrote last, with their last lines."""
        tails = list(self._tails.values())
        tails = [tail for tail in tails if not tail.container.init] or tails
        tails = tails[-MOST_LOGS:]
        return [(tail.container, tail.lines(LAST_LINES // len(tails))) for tail in tails]

    def label(self) -> str:
        """`attempt 3, pod run-tests-x7k2p`: which log this is, where the Job has written several."""
        shown = [container for container, _ in self.newest()]
        parts = [f"attempt {self._attempts}"] if self._attempts > 1 else []
        if len(shown) > 1:
            return ", ".join([*parts, f"{len(shown)} of {len(self._logs)} logs"])
        (c,) = shown
        parts += [f"restart {c.restart}"] if c.restart else []
        pods = {pod for pod, _ in self._logs}
        parts += [f"pod {c.pod}"] if len(pods) > 1 else []
        parts += [f"container {c.name}"] if len(self._logs) > len(pods) else []
        return ", ".join(parts)


def joined(sources: Sequence[tuple[Container, list[str]]]) -> tuple[str, ...]:
    """The lines of these logs; each with the shortest name in front that distinguishes the logs."""
    if not sources:
        return ()
    called = next(name for name in NAMES if len({name(c) for c, _ in sources}) == len(sources))
    return tuple(called(c) + line for c, lines in sources for line in lines)
