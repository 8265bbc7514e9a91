"""Everything that can end a run badly, and the exit code that says so.

    ArgorunError
    ├── TestsFailed          1   a required test Job failed: a verdict, never a crash
    ├── UsageError           2   bad usage, configuration or policy: nothing was touched
    ├── OperationFailed      3   the operation failed otherwise: a hook, a resource, a sync window
    ├── TimedOut             4   timeouts.run is over
    ├── StillBusy            5   another operation held the Application for timeouts.busy
    ├── AccessDenied         6   Argo CD or Kafka refused, or there is no such Application
    ├── KafkaFailed          7   Kafka failed or cannot be reached
    ├── ArgoCDFailed         8   Argo CD cannot be reached, or answers nonsense
    ├── NoTestRan            9   no required test Job ran
    ├── CleanupIncomplete   10   the tests passed, but something is left or could not be written
    ├── InternalError       70   a bug in argorun
    └── Interrupted        129, 130, 143   SIGHUP, SIGINT, SIGTERM

A message says what happened and where; the hint says what to do about it.
"""

from __future__ import annotations

import signal
from typing import ClassVar, Self


class ArgorunError(Exception):
    """A run cannot go on. `exit_code` is the process's; `hint` is advice, `reason` why; both may be empty."""

    exit_code: ClassVar[int]

    def __init__(self, message: str, hint: str = "", *, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason


class TestsFailed(ArgorunError):
    """A required test Job ran in this operation and failed."""

    __test__ = False  # not a pytest class
    exit_code = 1


class UsageError(ArgorunError):
    """The command line, argorun.yaml, the Application or a broker's policy does not allow this run."""

    exit_code = 2


class OperationFailed(ArgorunError):
    """The sync did not end well, and it was not a required test Job that failed."""

    exit_code = 3


class TimedOut(ArgorunError):
    """The run took longer than `timeouts.run`."""

    exit_code = 4


class StillBusy(ArgorunError):
    """Another operation or another run kept the Application for longer than `timeouts.busy`."""

    exit_code = 5


class AccessDenied(ArgorunError):
    """Credentials or permissions are missing; Argo CD answers a missing Application the same way."""

    exit_code = 6


class KafkaFailed(ArgorunError):
    """Kafka cannot be reached or could not do what was asked."""

    exit_code = 7


class ArgoCDFailed(ArgorunError):
    """Argo CD cannot be reached or gave an answer that cannot be understood."""

    exit_code = 8


class NoTestRan(ArgorunError):
    """The operation ended without a required test Job having run in it."""

    exit_code = 9


class CleanupIncomplete(ArgorunError):
    """The tests passed, but something could not be undone or an output file not be written."""

    exit_code = 10


class InternalError(ArgorunError):
    """Something that should not happen inside argorun; the run was cleaned up all the same."""

    exit_code = 70

    @classmethod
    def of(cls, error: Exception, reason: str = "") -> Self:
        """An exception that nobody expected, and whom to tell of it."""
        return cls(
            f"an error inside argorun: {type(error).__name__}: {error}",
            "please report it, with this text and `argorun --version`",
            reason=reason,
        )


class Interrupted(ArgorunError):
    """A signal ended the run. The exit code is 128 plus the signal's number, as a shell has it."""

    exit_code = 130

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum  # type: ignore[misc]  # the one class with a code per instance
