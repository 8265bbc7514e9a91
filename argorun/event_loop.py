"""Runs the event loop; its end waits for no thread and no task that hangs.

`asyncio.run` joins the threads of its executor: with a dead name server Ctrl-C, twice, took 38 s (seen).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
LEFT = 0.1  # seconds for tasks that were left and are canceled in the end
CLOSING = 2.0  # seconds to close the connections
CLOSING_AT_ONCE = 0.3  # the same after a second signal


class Threads(concurrent.futures.ThreadPoolExecutor):
    """Makes each call in a daemon thread of its own, which nothing waits for.

    A few getaddrinfo calls that hang (30 s each with a dead name server) do not keep the others waiting.
    """

    def submit(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        future = concurrent.futures.Future[T]()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args, **kwargs))
                except BaseException as error:  # raised where the future is awaited
                    future.set_exception(error)

        threading.Thread(target=work, name="argorun-call", daemon=True).start()
        return future


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, as `asyncio.run` does but for what hangs; signals are not its business."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(Threads())
    try:
        return loop.run_until_complete(_whole(main))
    finally:
        loop.close()


async def _whole(main: Coroutine[Any, Any, T]) -> T:
    try:
        return await main
    finally:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        left = {task for task in asyncio.all_tasks() if task is not me}
        for task in left:
            task.cancel()
        left.add(asyncio.create_task(loop.shutdown_asyncgens()))
        await finished(left, LEFT)


async def finished(tasks: set[asyncio.Task[Any]], seconds: float) -> bool:
    """Wait for these, so long at most; whether all are done. No error of theirs is shown as unheard of."""
    for task in tasks:
        task.add_done_callback(_heard)
    return not (await asyncio.wait(tasks, timeout=seconds))[1]


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


@contextlib.asynccontextmanager
async def connections(limit: Callable[[], float]) -> AsyncIterator[contextlib.AsyncExitStack]:
    """A stack of connections whose closing takes `limit()` seconds at most; what hangs is left to the end."""
    stack = contextlib.AsyncExitStack()
    try:
        yield stack
    finally:
        await finished({asyncio.create_task(stack.aclose())}, limit())
