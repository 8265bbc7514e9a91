"""Checks of the Application: permissions, source, owners, sync windows, who uses it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence

from argorun.argocd import owners
from argorun.argocd.claim import autosync, liveness
from argorun.argocd.claim.original import original
from argorun.argocd.client import policy_object
from argorun.argocd.http.errors import Denied, policy_line
from argorun.argocd.parameters.record import record_of
from argorun.argocd.parameters.spec import check_source, secrets
from argorun.argocd.sync import operation, windows
from argorun.argocd.types import Application
from argorun.errors import AccessDenied, ArgorunError
from argorun.humanize import limit, nearest
from argorun.kinds import NoticeKind
from argorun.redact.secrets import in_address
from argorun.run.checks.check import Context, Undecided
from argorun.run.plan import draw, settings

ASKED = (("update", "applications"), ("sync", "applications"), ("get", "logs"))
SHOWN = 8  # Applications that are listed where one is not found
LIKENESS = 0.5


async def found(context: Context) -> str:
    """Whether the token may see the Application; the topics are named by the time of Argo CD's answer."""
    try:
        seen = await context.client.application(context.app)
    except Denied as e:
        raise await not_seen(context, e) from None
    finally:
        context.state.topics = draw(context.config.topics, context.client.clock.now())
    if not seen.status.source_type:
        seen = await context.client.application(context.app, refresh="normal")
    context.seen = seen
    where = str((seen.spec.get("source") or {}).get("repoURL", ""))
    context.mask(*secrets(seen), *(in_address(where) if where.startswith("http") else ()))
    states = (seen.status.source_type, seen.status.sync.status, seen.status.health.status)
    shown = ", ".join(filter(None, states))
    return f"{context.app} in project {seen.project}{f': {shown}' if shown else ''}"


async def not_seen(context: Context, refused: Denied) -> AccessDenied:
    """The error for an Application that Argo CD does not show, with those that it shows."""
    app, visible = context.app, list[Application]()
    with contextlib.suppress(ArgorunError):
        visible = await context.client.applications()
    subject = policy_object(app.project or "default", app.namespace or "", app.name, "")
    allow = policy_line(context.client.grantee, "applications", "get", subject)
    for other in (a for a in visible if a.metadata.name == app.name):
        project, namespace = other.project, other.metadata.namespace
        if app.project not in (None, project):
            text = f"Application {app.name} is in project {project}, not in {app.project}"
            return AccessDenied(text, f"write project: {project}")
        if app.namespace != namespace:
            place = f", not in {app.namespace}" if app.namespace else ""
            text = f"Application {app.name} is in namespace {namespace}{place}"
            return AccessDenied(text, f"write {namespace}/{app.name}")
    sees = _visible(app.name, visible)
    add = f"{'or ' if sees else ''}add to Argo CD's policy.csv"
    add += ":" if app.project else ", with its project in place of default:"
    return AccessDenied(
        f"Argo CD shows no Application {app}: there is none, or the token may not see it ({refused.text})",
        "\n".join(filter(None, [sees, add, allow])),
    )


def _visible(name: str, visible: Sequence[Application]) -> str:
    """Those that the token sees, the most alike first, and which one may have been meant."""
    names = sorted({a.metadata.name for a in visible})
    near = nearest(name, names, LIKENESS)
    names.sort(key=lambda n: n != near)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    sees = f"the token sees: {', '.join(names[:SHOWN])}{rest}" if names else ""
    return f"did you mean {near}? {sees}" if near else sees


async def source(context: Context) -> str:
    """Whether the Application's source takes the parameters."""
    seen = context.seen
    check_source(seen, settings(context.config, context.state.topics))
    places = dict.fromkeys(str(p) for t in context.config.topics for p in t.parameters)
    takes = f"takes {', '.join(places)}" if places else "takes parameters"
    return f"{seen.status.source_type}, {takes}"


async def auto_sync(context: Context) -> str:
    """Whether Argo CD can keep auto-sync off during a run."""
    before = original(context.seen, record_of(context.seen))
    if not await autosync.check(context.client, before):
        return Undecided("on: only Argo CD 3.1 or newer can switch it off, and this one's version is unknown")
    return "on: a run switches it off, and on again" if before.is_auto_synced else "off"


async def permissions(context: Context) -> str:
    """Whether the token's account may do what a run does; the error has every policy line that is missing."""
    client, seen, namespace = context.client, context.seen, context.app.namespace or ""
    known = await client.server_settings()
    own = known.controller_namespace if namespace else ""
    subject = policy_object(seen.project, namespace, seen.metadata.name, own)
    answers = await asyncio.gather(*(client.can_i(action, what, subject) for action, what in ASKED))
    missing = [asked for asked, allowed in zip(ASKED, answers, strict=True) if not allowed]
    if missing:
        lines = [policy_line(client.grantee, what, action, subject) for action, what in missing]
        raise AccessDenied(
            f"the token's account misses permissions on {subject}: "
            + ", ".join(f"{what} {action}" for action, what in missing),
            "\n".join(["add to Argo CD's policy.csv:", *lines]),
        )
    return f"applications get, update, sync and logs get on {subject}"


async def owner(context: Context) -> str:
    """Whether something else writes the Application's spec, and would undo what the run changes."""
    wanted = settings(context.config, context.state.topics)
    changed = owners.changed(context.seen, wanted, context.state.former)
    force = context.config.force_owned
    context.state.owner = await owners.check(
        context.client, *changed, functools.partial(context.warn, kind=NoticeKind.OWNER), force=force
    )
    unknown = not context.state.owner and context.warned
    return "" if unknown else context.state.owner or "nothing else writes its spec"


async def sync_windows(context: Context) -> str:
    """Whether a sync window forbids to sync the Application now."""
    if not await windows.check(context.client, context.app, context.seen.project):
        return Undecided("Argo CD does not tell: it refuses the sync itself if one forbids it")
    return "none forbids a sync now"


async def free(context: Context) -> str:
    """Whether anybody uses the Application right now; a run would wait for them."""
    seen, record = context.seen, record_of(context.seen)
    wait = f"a run waits for that, {limit(context.config.timeouts.busy)} at most"
    if seen.running is not None:
        context.warn(f"{operation.holder(seen)}: {wait}", NoticeKind.OTHER)
        return ""
    if record is None:
        return "nobody uses it"
    if liveness.is_alive(record, seen, context.client.clock.now()):
        context.warn(f"run {record.run} uses it: {wait}", NoticeKind.OTHER)
    else:
        text = (
            f"run {record.run} was killed and left its values: the next run restores them, or argorun sweep"
        )
        context.warn(text, NoticeKind.KILLED_RUN)
    return ""
