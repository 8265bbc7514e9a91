"""What is cut off in its midst, and the traces that Python leaves of it."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def connections_cancelled() -> Iterator[None]:
    """A connection that is canceled while it is made leaves its socket to the collector: to this one here.

    asyncio's own, seen on Python 3.11; otherwise some later test would be blamed for it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            gc.collect()
