"""Checks that Argo CD can keep auto-sync off during a run.

See docs/argocd-facts.md#hold-auto-sync-off.
"""

from __future__ import annotations

import contextlib
import re

from argorun.argocd.client import Client
from argorun.argocd.types import Application
from argorun.errors import AccessDenied, ArgoCDFailed, UsageError

SINCE = 3, 1  # the first Argo CD that knows syncPolicy.automated.enabled
HINT = (
    "upgrade Argo CD to 3.1 or newer, switch auto-sync off for the Application that is used for tests, or "
    "use a separate Application for tests, without auto-sync"
)


async def check(client: Client, before: Application) -> bool:
    """Whether auto-sync is off, or Argo CD is known to be new enough to switch it off.

    `before` is the Application as it was before runs came. Raises UsageError (2) if Argo CD is too old. If
    the version cannot be read, the run goes on: `was_dropped` looks at the switch once it is sent.
    """
    if not before.is_auto_synced:
        return True
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
    return number is not None


def refusal(app: object) -> UsageError:
    """The error to raise if the switch did not hold, once everything is given back."""
    return UsageError(
        f"auto-sync of Application {app} could not be switched off: Argo CD dropped "
        "`automated.enabled: false`, as versions before 3.1 do",
        HINT,
    )


def was_dropped(seen: Application) -> bool:
    """Whether auto-sync is on and `enabled` is gone: a person who switches it on leaves `true`."""
    return seen.is_auto_synced and "enabled" not in seen.spec["syncPolicy"]["automated"]
