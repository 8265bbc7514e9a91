"""The file that is written: checked before anything is asked, and written as a whole."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from argorun.config.document import DEFAULT_FILE
from argorun.config.problems import Problems
from argorun.errors import UsageError

OTHERS = "give another name with -f, or --force to overwrite it"
ANOTHER = "give another one with -f"


def target(file: Path | None, folder: Path, problems: Problems, *, force: bool) -> Path:
    """The path to write to; that it cannot be, or that something is there already, goes to `problems`."""
    path = folder / (file or DEFAULT_FILE)
    shown = file or DEFAULT_FILE
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as e:  # its name is too long, or it may not be looked at
        problems.typed(f"{shown} cannot be written: {e.strerror}", ANOTHER)
        return path
    if os.path.isdir(path):
        problems.typed(f"{shown} is a directory", f"did you mean -f {Path(shown) / DEFAULT_FILE}?")
    elif not os.path.isdir(path.parent):
        problems.typed(f"{shown}: there is no folder {path.parent}", "create it first")
    elif os.path.lexists(path) and not force:
        problems.typed(f"{shown} exists already, and nothing was changed", OTHERS)
    elif not os.access(path.parent, os.W_OK):
        problems.typed(f"{shown}: the folder {path.parent} may not be written to", ANOTHER)
    return path


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the file: under another name first, so that it is never there in half.

    Raises UsageError where it cannot be written, or has come up in the meantime.
    """
    real = Path(os.path.realpath(path)) if force else path  # a link stays one
    try:
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o666 & ~_umask()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=real.parent, prefix=f".{real.name}.", delete=False
        ) as made:
            try:
                made.write(text)
                made.flush()
                os.fsync(made.fileno())
                os.fchmod(made.fileno(), mode)
                _put(Path(made.name), real, force=force)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(made.name)
    except FileExistsError:
        raise UsageError(f"{path} was created in the meantime, and nothing was changed", OTHERS) from None
    except OSError as e:
        raise UsageError(f"{path} cannot be written: {e.strerror}", ANOTHER) from None


def _put(made: Path, path: Path, *, force: bool) -> None:
    """Give the file its name; without `force` only if nothing has that."""
    if not force:
        try:
            os.link(made, path)
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(path):
                raise FileExistsError from None
    os.replace(made, path)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
