"""Everything that can end a run badly, and what each exit code means.

    ArgorunError
    ├── TestsFailed          1
    ├── UsageError           2
    ├── OperationFailed      3
    ├── TimedOut             4
    ├── StillBusy            5
    ├── AccessDenied         6
    ├── KafkaFailed          7
    ├── ArgoCDFailed         8
    ├── NoTestRan            9
    ├── CleanupIncomplete   10
    ├── InternalError       70
    └── Interrupted        129, 130, 143

A message says what happened and where; the hint says what to do about it. `EXIT_CODES` says what
each exit code means, for `--help` and the README.
"""

from __future__ import annotations

import errno
import os
import signal
import traceback
from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Self

ISSUES = "https://github.com/argorun/argorun/issues"
TRACEBACK = "ARGORUN_TRACEBACK"  # the variable with which an unexpected error is shown with its traceback


class ArgorunError(Exception):
    """A run cannot go on, and ends with `exit_code`. `hint`, what to do, and `reason` may be empty.

    `hooks` are the names of the hooks that are to blame, tests first.
    """

    exit_code: ClassVar[int]

    def __init__(self, message: str, hint: str = "", *, reason: str = "", hooks: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason
        self.hooks = tuple(dict.fromkeys(hooks))

    @property
    def shown(self) -> str:
        """The error as it stands on stderr: the message, and below it each line of the hint."""
        return "\n  ".join([f"argorun: {self.message}", *self.hint.splitlines()])


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
    """Something that should not happen inside argorun; the run was cleaned up anyway."""

    exit_code = 70

    @classmethod
    def of(cls, error: Exception, reason: str = "") -> Self:
        """An unexpected exception, with the request to report it, or to install what cannot be imported.

        Without a `reason`, which has the traceback, the hint says how to get it, or with TRACEBACK has it.
        """
        if isinstance(error, ImportError):
            message = f"this installation of argorun is broken: {error}"
            hint = "install argorun in a virtual environment of its own; if it still is, please report it"
            report = f"{hint}:\n{ISSUES}"
        else:
            message = f"an error inside argorun: {type(error).__name__}: {error}"
            report = f"please report it, with this text and `argorun --version`:\n{ISSUES}"
        if not reason and os.environ.get(TRACEBACK):
            report += "\n" + "".join(traceback.format_exception(error)).rstrip()
        elif not reason:
            report += f"\n{TRACEBACK}=1 shows where it happened"
        return cls(message, report, reason=reason)


UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def unhandled(error: Exception) -> InternalError | UsageError:
    """The error for an exception that nothing has handled.

    A stream that cannot be written is none of argorun's: what has a name is handled where it is used, and
    what has none is stdout.
    """
    if isinstance(error, OSError) and error.errno in UNWRITABLE and error.filename is None:
        return UsageError(f"stdout cannot be written: {error.strerror}")
    return InternalError.of(error)


class Interrupted(ArgorunError):
    """A signal ended the run. The exit code is 128 plus the signal's number, as a shell has it."""

    exit_code = 130

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum  # type: ignore[misc]  # the one class with a code per instance


class ExitCode(NamedTuple):
    """What an exit code means, or several codes that mean the same."""

    codes: tuple[int, ...]
    meaning: str
    brief: str = ""  # the meaning in `argorun run --help`, where it must be shorter
    sweep: str = ""  # the meaning in `argorun sweep --help`; empty where no sweep ends so


EXIT_CODES = (
    ExitCode(
        (0,),
        "the tests passed, nothing is left",
        brief="passed, nothing is left",
        sweep="done, or nothing to do",
    ),
    ExitCode((TestsFailed.exit_code,), "a required test Job failed"),
    ExitCode(
        (UsageError.exit_code,),
        "bad usage, configuration or policy; nothing was touched",
        brief="bad usage; nothing was touched",
        sweep="bad usage; nothing was touched",
    ),
    ExitCode(
        (OperationFailed.exit_code,),
        "the operation failed otherwise: a PreSync hook, a resource, a sync window, ended by someone else",
        brief="the operation failed otherwise",
    ),
    ExitCode((TimedOut.exit_code,), "time ran out"),
    ExitCode(
        (StillBusy.exit_code,),
        "the Application stayed busy with another operation",
        brief="the Application stayed busy",
    ),
    ExitCode(
        (AccessDenied.exit_code,),
        "Argo CD or Kafka refused the credentials or the permission, or there is no such Application",
        brief="access denied, or no Application",
        sweep="access denied",
    ),
    ExitCode(
        (KafkaFailed.exit_code,),
        "Kafka failed or cannot be reached",
        sweep="Kafka failed or cannot be reached",
    ),
    ExitCode(
        (ArgoCDFailed.exit_code,),
        "Argo CD cannot be reached, or its answer cannot be understood",
        brief="Argo CD failed or cannot be reached",
        sweep="Argo CD failed or cannot be reached",
    ),
    ExitCode((NoTestRan.exit_code,), "no required test Job ran"),
    ExitCode(
        (CleanupIncomplete.exit_code,),
        "the tests passed, but something could not be cleaned up or written",
        brief="passed, but something is left",
        sweep="something could not be put back",
    ),
    ExitCode((InternalError.exit_code,), "an error inside argorun", brief="a bug in argorun"),
    ExitCode(
        tuple(128 + s for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)),
        "ended by SIGHUP, SIGINT, SIGTERM; what is left is printed",
        sweep="ended by SIGHUP, SIGINT, SIGTERM; what is left is printed",
    ),
)
