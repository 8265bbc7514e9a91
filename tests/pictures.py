"""Draws docs/run.svg and docs/red.svg from real runs: `make pictures`.

With ARGOCD_SERVER set, the runs are those of the example's Helm chart on that Argo CD, whose Application
`weather` must be there (config/README.md). Without it they are `argorun demo`, whose Argo CD is a stand-in:
the picture's title says so. Only Argo CD's address is replaced.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from argorun.events import Event, RunEnded, RunStarted
from argorun.redact.event_text import rewrite
from argorun.reporters.json_lines import decode
from argorun.reporters.picture import picture
from tests.checkout import ARGORUN

ROOT = Path(__file__).parents[1]
SHOWN_AS = "https://argocd.example.com"
RUN = ["run", "-f", str(ROOT / "config" / "argorun.yaml")]
REAL = {"run": RUN, "red": [*RUN, "--set", "tests.expected=rainy"]}
DEMO = {"run": ["demo"], "red": ["demo", "--fail"]}
EXIT_CODES = {"run": 0, "red": 1}


def events_of(arguments: list[str]) -> list[Event]:
    """The events of one run, with another address of Argo CD."""
    command = [*ARGORUN, *arguments, "--output", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    events = list(decode(done.stdout.splitlines()))
    urls = [e.url for e in events if isinstance(e, RunStarted)]
    address = re.compile("|".join(re.escape(url.partition("/applications/")[0]) for url in urls))
    return [rewrite(e, lambda text: address.sub(SHOWN_AS, text)) for e in events]


def main() -> None:
    real = bool(os.environ.get("ARGOCD_SERVER"))
    title = "argorun run" if real else "argorun demo (its Argo CD is a stand-in)"
    for name, arguments in (REAL if real else DEMO).items():
        events = events_of(arguments)
        code = next((e.exit_code for e in events if isinstance(e, RunEnded)), None)
        if code != EXIT_CODES[name]:
            sys.exit(f"{name}: expected exit code {EXIT_CODES[name]}, got {code}")
        target = ROOT / "docs" / f"{name}.svg"
        target.write_text(picture(events, title=title), encoding="utf-8")
        print(f"{target.relative_to(ROOT)}: {events[-1].time - events[0].time:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
