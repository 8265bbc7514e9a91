"""An event loop that ends without waiting for hung threads or tasks.

`asyncio.run` joins the threads of its executor: with a dead name server Ctrl-C, twice, took 38 s (seen).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
TASKS = 0.1  # seconds for tasks that are canceled when the loop ends
CLOSING = 2.0  # seconds to close the connections
CLOSING_AT_ONCE = 0.3  # the same after a second signal


class Threads(concurrent.futures.ThreadPoolExecutor):
    """Makes each call in its own daemon thread, which nothing waits for.

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


@contextlib.contextmanager
def opened() -> Iterator[asyncio.AbstractEventLoop]:
    """A new event loop; in the end its tasks are canceled and it is closed. It handles no signals."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(Threads())
    try:
        yield loop
    finally:
        try:
            loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        finally:
            loop.close()


async def _end(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await finished({*tasks, asyncio.create_task(asyncio.get_running_loop().shutdown_asyncgens())}, TASKS)


async def finished(tasks: set[asyncio.Task[Any]], seconds: float) -> bool:
    """Wait up to so many seconds for these tasks; whether all are done. Their errors are never logged."""
    for task in tasks:
        task.add_done_callback(_retrieve)
    return not (await asyncio.wait(tasks, timeout=seconds))[1]


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take the exception, which asyncio would log otherwise."""
    if not task.cancelled():
        task.exception()


@contextlib.asynccontextmanager
async def connections(limit: Callable[[], float]) -> AsyncIterator[contextlib.AsyncExitStack]:
    """A stack of connections, closed within `limit()` seconds; what hangs is left to the loop's end."""
    stack = contextlib.AsyncExitStack()
    try:
        yield stack
    finally:
        await finished({asyncio.create_task(stack.aclose())}, limit())
