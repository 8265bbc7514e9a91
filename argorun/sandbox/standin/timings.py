"""Delays and intervals of the stand-in."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timings:
    """How long things take, in seconds: small ones for tests; `real()` is what a real cluster has."""

    pick_up: float = 0.0  # between POST /sync and the operation's first state
    wave_delay: float = 0.02  # after every wave but the last
    job_batch: float = 0.1  # an operation looks at changed objects after this; a refresh cuts it short
    container_start: float = 0.02
    backoff: float = 0.1  # the first delay before a failed container or pod runs again; doubled each time
    keep_alive: float = 15.0  # between comments on an SSE stream

    @classmethod
    def real(cls) -> Timings:
        """Argo CD's and Kubernetes' own."""
        return cls(pick_up=0.05, wave_delay=2.0, job_batch=5.0, container_start=0.5, backoff=10.0)
