"""The entry point; answers `--version` before it imports anything."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with one of `errors.EXIT_CODES`."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own shows a traceback during imports
    try:
        if sys.argv[1:] in (["--version"], ["-V"]):
            from argorun import __version__

            print(f"argorun {__version__}", flush=True)
            return
        from argorun import signals

        signals.install()
        from argorun.reporters.stderr import install_stderr

        install_stderr()  # from here on nothing gets to stderr by itself
        from argorun.cli.main import commands

        commands(prog_name="argorun")
    except SystemExit as e:
        signals.end(_without_verdict(e) if e.code == 1 else e.code)
    except Exception as e:  # a library that cannot be imported, say
        sys.exit(_unexpected(e))


def _without_verdict(ending: SystemExit) -> int:
    """The code for what typer ends with 1, which only a verdict may: a closed stdout, an open question."""
    if isinstance(ending.__context__, BrokenPipeError):
        return 0
    return 130 if type(ending.__context__).__name__ == "Abort" else 1


def _unexpected(error: Exception) -> int:
    """Show an error that nothing has handled, and return its exit code."""
    import os

    from argorun.errors import unhandled  # which imports no library, so that it is not broken, too

    if isinstance(error, OSError) and sys.stdout is not None:
        # Python writes what is left of stdout again when it ends, and complains.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # --version | true
        return 0
    shown = unhandled(error)
    print(shown.shown, file=sys.stderr, flush=True)
    return shown.exit_code


if __name__ == "__main__":
    main()
