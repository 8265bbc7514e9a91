"""argorun as a process: always the one of this checkout, whichever is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARGORUN = (sys.executable, "-m", "argorun")


def environment(home: Path, **more: str) -> dict[str, str]:
    """All that such a process sees; `more` are further variables."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **more}
