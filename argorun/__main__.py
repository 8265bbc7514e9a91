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
    from argorun import signals

    signals.install()
    from argorun.cli.main import commands
    from argorun.reporters.stderr import install_stderr

    install_stderr()  # from here on nothing gets to stderr by itself
    try:
        commands(prog_name="argorun")
    except SystemExit as e:
        signals.end(e.code)


if __name__ == "__main__":
    main()
