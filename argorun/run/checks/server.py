"""Checks of Argo CD itself: that it answers, its clock, and the token."""

from __future__ import annotations

from argorun.argocd.clock import stamp
from argorun.argocd.http.errors import NEW_TOKEN
from argorun.humanize import duration, limit
from argorun.kinds import NoticeKind
from argorun.run.checks.check import Context, Expired, Undecided


async def answers(context: Context) -> str:
    """Whether Argo CD answers; its version, where it is, and the way to it."""
    argocd = context.config.argocd
    version = await context.client.version()
    for text in argocd.warnings:
        context.warn(text, NoticeKind.CONNECTION)
    way = f"through the proxy {argocd.proxy}" if argocd.proxy else "no proxy"
    source = context.config.sources.get("argocd.server", "")
    return f"{version} at {argocd.url}{f' ({source})' if source else ''}, {way}"


async def clock(context: Context) -> str:
    """Whether this machine's clock is Argo CD's; a warning if not."""
    if not context.client.clock.known:
        return Undecided("Argo CD does not tell its time")
    if text := context.client.clock.warning():
        context.warn(text, NoticeKind.CLOCK)
        return "Argo CD's time is used"
    ahead = context.client.clock.ahead()
    if abs(ahead) < 1:  # Argo CD tells the time in whole seconds
        return "the same as Argo CD's"
    return f"{abs(ahead):.0f}s {'ahead of' if ahead > 0 else 'behind'} Argo CD's"


async def account(context: Context) -> str:
    """Whether Argo CD knows the token: whose it is, and until when it is good."""
    lasts = await lifetime(context)
    user = await context.client.user_info()
    if not user.logged_in:
        await context.client.can_i("get", "applications", "*/*")  # raises Unauthenticated, with the reason
        text = f"Argo CD does not know this token, and takes you for a guest; {NEW_TOKEN}"
        context.warn(text, NoticeKind.TOKEN)
    return f"account {user.username}, {lasts}" if user.username else lasts


async def lifetime(context: Context) -> str:
    """Until when the token is good; a warning if the run may take longer. Raises Expired."""
    expires, now = context.config.argocd.token_expires, context.client.clock.now()
    if expires is None:
        return "it does not say when it expires"
    if expires <= now:
        raise Expired(f"the token for Argo CD expired at {stamp(expires)}", NEW_TOKEN)
    limits = context.config.timeouts
    if expires < now + limits.run + limits.cleanup:
        context.warn(
            f"the token expires at {stamp(expires)} (in {duration(expires - now)}), before the run may "
            f"end ({limit(limits.run)} + {limit(limits.cleanup)} for the clean-up): after that "
            f"nothing can be restored; {NEW_TOKEN}",
            NoticeKind.TOKEN,
        )
    return f"expires at {stamp(expires)} (in {rough(expires - now)})"


async def timeouts(context: Context) -> str:
    """The run's limits."""
    return str(context.config.timeouts)


def rough(seconds: float) -> str:
    """A time from now on, roughly: `89 days`, `5h12m`."""
    days = int(seconds // 86400)
    return f"{days} days" if days > 1 else duration(seconds)
