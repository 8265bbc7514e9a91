"""The entry point; answers `--version` before it imports anything."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with one of `errors.EXIT_CODES`."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own shows a traceback during imports
    if sys.argv[1:] in (["--version"], ["-V"]):
        from argorun import __version__

        print(f"argorun {__version__}")
        return
    try:
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
    from argorun.errors import InternalError  # which imports no library, so that it is not broken, too

    shown = InternalError.of(error)
    print(f"argorun: {shown.message}\n  {shown.hint}", file=sys.stderr, flush=True)
    return shown.exit_code


if __name__ == "__main__":
    main()
