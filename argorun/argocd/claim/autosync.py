"""Whether Argo CD can keep auto-sync off while a run lasts."""

from __future__ import annotations

import contextlib
import re

from argorun.argocd.client import Client
from argorun.argocd.types import Application
from argorun.errors import AccessDenied, ArgoCDFailed, UsageError

SINCE = 3, 1  # the first Argo CD that knows syncPolicy.automated.enabled
HINT = (
    "upgrade Argo CD to 3.1 or newer, switch auto-sync off for the Application that is used for tests, or "
    "use an Application of its own for tests, without auto-sync"
)


async def check(client: Client, before: Application) -> None:
    """Raise UsageError (2) where auto-sync is on and Argo CD is too old to switch it off.

    `before` is the Application as it was before runs came. A version that cannot be read refuses nothing:
    what Argo CD has kept of the switch is looked at once it is sent (see `was_dropped`).
    """
    if not before.is_auto_synced:
        return
    version = ""
    with contextlib.suppress(ArgoCDFailed, AccessDenied):
        version = await client.version()
    number = re.match(r"v?(\d{1,9})\.(\d{1,9})", version)
    if number is not None and (int(number[1]), int(number[2])) < SINCE:
        raise UsageError(
            f"Application {before.metadata.name} has auto-sync on, which Argo CD {version} cannot switch off "
            "for a run (automated.enabled)",
            HINT,
        )


def refusal(app: object) -> UsageError:
    """What to raise where the switch did not hold, once everything is given back."""
    return UsageError(
        f"auto-sync of Application {app} could not be switched off: Argo CD did not keep "
        "`automated.enabled: false`, as none before 3.1 does",
        HINT,
    )


def was_dropped(seen: Application) -> bool:
    """Whether auto-sync is on with nothing left of a switch: somebody who switches it on leaves `true`."""
    return seen.is_auto_synced and "enabled" not in seen.spec["syncPolicy"]["automated"]
