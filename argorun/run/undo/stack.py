"""Undoes what a run did, last in first out, each undo within its own limit.

An undo is registered *before* its act, so a lost reply leaks nothing; every undo is harmless if its act never
happened. In a hurry (a person pressed Cancel) all that matters is undone at once, the patient rest later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from argorun.emit import Emit
from argorun.errors import AccessDenied, ArgoCDFailed, ArgorunError
from argorun.events import LeftBehind, Step, Undone, Waiting
from argorun.kinds import Subject

ONCE_MORE = 1.0  # seconds before an undo that failed is tried again
STUCK = 3.0  # seconds past its limit after which an undo that does not even stop is left
NAMED_AFTER = 3.0  # seconds after which an undo that still runs is reported
RESERVE = 5.0  # seconds of the budget that are reserved for each undo still to come, at most

Act = Callable[[], Awaitable[str | None]]
Command = Callable[[], str]  # what a person runs in place of an act; empty where there is nothing to do
Leave = Callable[[str], bool]  # gets why; whether there was anything to emit


@dataclass(eq=False)
class Undo:
    """One thing to undo. `act` returns a phrase for what it did, or None if there was nothing to do."""

    what: str
    act: Act
    command: Command
    kind: Subject
    names: tuple[str, ...]
    limit: float  # seconds
    patient: bool = False  # done last in a hurry
    swept: bool = False  # `argorun sweep` undoes it, too
    leave: Leave | None = None  # emits each thing that is left by itself; whether it knew any
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    done: bool = False
    did: bool = False  # there was something to do, and it was done


def no_command() -> str:
    """There is no command for it: those of other undos do it."""
    return ""


class UndoStack:
    """Undoes last in first out, each within its limit, all within the budget; errors are collected.

    `on_hurry` is called when a hurry begins.
    """

    def __init__(self, emit: Emit, on_hurry: Callable[[], None] = lambda: None) -> None:
        self._emit, self._on_hurry = emit, on_hurry
        self._stack: list[Undo] = []
        self._hurry = asyncio.Event()
        self.left: list[LeftBehind] = []
        self.abandoned = False  # nothing more is to be undone

    @property
    def left_for_sweep(self) -> bool:
        """Whether `argorun sweep` would undo something of what is left."""
        return any(left.swept for left in self.left)

    @property
    def hurried(self) -> bool:
        return self._hurry.is_set()

    def hurry(self) -> None:
        """From now on undo at once what matters, and the patient rest afterwards."""
        self._hurry.set()
        self._on_hurry()

    async def unless_hurried(self, waiting: Coroutine[None, None, object], grace: float = 0.0) -> bool:
        """Wait for something, but in a hurry only `grace` seconds longer; whether it came to its end."""
        task, hurry = asyncio.create_task(waiting), asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait({task, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and grace:
                await asyncio.wait({task}, timeout=grace)
            if not task.done():
                return False
            task.result()
            return True
        finally:
            task.cancel()
            hurry.cancel()
            await asyncio.gather(task, hurry, return_exceptions=True)

    def register(
        self,
        what: str,
        act: Act,
        command: Command,
        kind: Subject,
        *names: str,
        limit: float = 20.0,
        patient: bool = False,
        last: bool = False,
        swept: bool = False,
        leave: Leave | None = None,
    ) -> Undo:
        """Register how to undo what is about to be done; `last`, after all that was registered so far.

        `kind` and `names` are for programs, in place of the words in `what`. `leave` gets why something is
        left: where only the undo knows the things, it emits each by itself, and returns whether it did.
        """
        undo = Undo(what, act, command, kind, names, limit, patient, swept, leave)
        self._stack.insert(0 if last else len(self._stack), undo)
        return undo

    def forget(self, undo: Undo) -> None:
        """Remove an undo whose act did not happen and never will."""
        self._stack.remove(undo)

    @property
    def pending(self) -> bool:
        """Whether anything is still to undo."""
        return any(not u.done for u in self._stack)

    async def unwind(self, budget: float) -> None:
        """Undo everything within `budget` seconds; what could not be undone is emitted, never raised."""
        self._end = asyncio.get_running_loop().time() + budget
        # Reserve at most half of a small budget, or the first undo would have no time at all.
        self._reserve = min(RESERVE, budget / (2 * max(1, len(self._stack))))
        hurry = asyncio.create_task(self._hurry.wait())
        try:
            while (waiting := [u for u in self._stack if u.task is None]) and not self.hurried:
                await self._wait_for(waiting[-1], hurry)
            for undo in self._stack:
                if not undo.patient:
                    self._begin(undo)
            for undo in reversed(self._stack):
                # A patient one waits for what lies above it, and for nothing else. The task itself is not
                # awaited: a run that must stop at once does not wait for what an undo does when canceled.
                await self._wait_for(undo)
        except asyncio.CancelledError:
            self.abandon("argorun was told to stop at once")
        finally:
            hurry.cancel()

    def time_left(self) -> float:
        """Seconds that an undo may still wait, without what is reserved for those to come."""
        to_come = sum(1 for u in self._stack if u.task is None)
        return self._end - asyncio.get_running_loop().time() - self._reserve * to_come

    async def _wait_for(self, undo: Undo, *or_for: asyncio.Task[object]) -> None:
        """Wait until it or one of these is done; give up on an undo that ignores its own limit."""
        tasks, limit = {self._begin(undo), *or_for}, undo.limit + STUCK
        done, _ = await asyncio.wait(tasks, timeout=NAMED_AFTER, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._emit(Waiting(time=time.time(), step=Step.CLEANUP, reason=undo.what))
            done, _ = await asyncio.wait(
                tasks, timeout=limit - NAMED_AFTER, return_when=asyncio.FIRST_COMPLETED
            )
        if not done:
            self._leave(undo, f"it did not stop within {undo.limit + STUCK:.0f} s")

    def abandon(self, why: str) -> None:
        """Undo nothing more: emit all that is left for a person to undo, and how."""
        self.abandoned = True
        for undo in reversed(self._stack):
            if undo.task is not None:
                undo.task.cancel()
            if self._command(undo) != "":
                self._leave(undo, why)
            undo.done = True

    def _begin(self, undo: Undo) -> asyncio.Task[None]:
        if undo.task is None:
            undo.task = asyncio.create_task(self._undo(undo))
        return undo.task

    async def _undo(self, undo: Undo) -> None:
        began = time.monotonic()
        limit = max(min(undo.limit, self.time_left()), 1.0)
        try:
            async with asyncio.timeout(limit):
                did = await self._act(undo)
        except TimeoutError:
            self._leave(undo, f"not done within {limit:.0f} s")
        except ArgorunError as e:
            self._leave(undo, e.message)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            self._leave(undo, "it was canceled")  # from inside: the clean-up itself goes on
        except Exception as e:  # an undo that breaks must not keep the others from being done
            self._leave(undo, f"{type(e).__name__}: {e}")
        else:
            undo.done, undo.did = True, did is not None
            if did is not None:
                seconds, kind, names = time.monotonic() - began, undo.kind, undo.names
                self._emit(Undone(time=time.time(), what=did, seconds=seconds, kind=kind, names=names))

    async def _act(self, undo: Undo) -> str | None:
        """Try once more after an error: a single wrong answer of a proxy must leave nothing behind."""
        try:
            return await undo.act()
        except (AccessDenied, ArgoCDFailed):
            if self.abandoned:
                raise
            await asyncio.sleep(ONCE_MORE)
            return await undo.act()

    def leave(
        self,
        what: str,
        why: str,
        command: str,
        kind: Subject,
        *names: str,
        namespace: str = "",
        resource: str = "",
        swept: bool = False,
    ) -> None:
        """Emit something that could not be undone, and the command with which a person undoes it."""
        event = LeftBehind(
            time=time.time(),
            what=what,
            why=why,
            command=command,
            kind=kind,
            names=names,
            namespace=namespace,
            resource=resource,
            swept=swept,
        )
        self.left.append(event)
        self._emit(event)

    def _leave(self, undo: Undo, why: str) -> None:
        if not undo.done:  # emitted once
            undo.done = True
            with contextlib.suppress(Exception):  # then it is emitted as a whole
                if undo.leave is not None and undo.leave(why):
                    return
            self.leave(undo.what, why, self._command(undo) or "", undo.kind, *undo.names, swept=undo.swept)

    def _command(self, undo: Undo) -> str | None:
        """The command; None where it cannot be given, which must not keep the others from being done."""
        try:
            return undo.command()
        except Exception:
            return None
