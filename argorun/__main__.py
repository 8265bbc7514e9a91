"""The entry point; `--version` is answered before anything is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits with the code that design and README list."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would show a traceback while we import
    if sys.argv[1:] in (["--version"], ["-V"]):
        from argorun import __version__

        print(f"argorun {__version__}")
        return
    from argorun import signals

    signals.install()
    from argorun.cli.run import app
    from argorun.reporters.stderr import install_stderr

    install_stderr()  # from here on nothing gets to stderr by itself
    try:
        app(prog_name="argorun")
    except SystemExit as e:
        signals.end(e.code)


if __name__ == "__main__":
    main()
