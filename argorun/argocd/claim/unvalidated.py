"""Writes an Application without validation, and restores an edit that this overwrote."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable

import msgspec

from argorun.argocd import normal_form
from argorun.argocd.client import ApplicationName, Client
from argorun.argocd.http.errors import ApiError, typed
from argorun.argocd.parameters.record import RECORD, Record
from argorun.argocd.types import Application, Json
from argorun.emit import Warn
from argorun.errors import ArgorunError
from argorun.kinds import NoticeKind

WATCHED = ",".join(
    "result." + f
    for f in (
        "type",
        "application.metadata.name",
        "application.metadata.resourceVersion",
        "application.metadata.annotations",
        "application.metadata.labels",
        "application.metadata.finalizers",
        "application.spec",
    )
)
# Argo CD's own annotations, which it adds and removes (source: pkg/apis/application/v1alpha1).
NOTES = tuple(f"argocd.argoproj.io/{n}" for n in ("refresh", "hydrate", "hydrate-timestamp"))
WATCH_LAG = 2.0  # seconds within which the watch shows what was just written
ATTEMPTS = 5  # how many edits in a row are restored

Goal = Callable[[Application], tuple[Json, Record | None]]  # the spec and the record to write


class Overwritten(Exception):
    """Others kept editing between reading and writing; `edit` is the last version."""

    def __init__(self, edit: Application) -> None:
        super().__init__(edit.metadata.name)
        self.edit = edit


async def write(client: Client, app: ApplicationName, goal: Goal, warn: Warn) -> None:
    """Bring the Application to its `goal` with a PUT, which neither renders nor validates.

    Argo CD has no conditional write: what somebody else writes between reading and writing is lost (source:
    Argo CD's server/application/application.go, Update and updateApp;
    docs/argocd-facts.md#put-without-validation). So the watch is read across the write, and an edit that it
    shows in between is written again. Raises Overwritten if the edits do not end,
    ArgoCDFailed, AccessDenied.
    """
    async with _seen(client, app) as versions:
        raw = copy.deepcopy(await client.raw(app))
        last = Application()
        for _ in range(ATTEMPTS):
            read = typed(raw, Application, f"show Application {app.name}")
            spec, record = goal(read)
            await _put(client, app, raw, spec, record)
            edit = await _edited(versions, read, spec)
            if edit is None:
                return
            warn(
                f"somebody edited {app.name} at the same moment; argorun restores the edit",
                NoticeKind.CHANGED,
            )
            raw |= {"spec": copy.deepcopy(edit.spec)}
            raw["metadata"] |= {
                "annotations": dict(edit.metadata.annotations or {}),
                "labels": dict(edit.metadata.labels or {}),
                "finalizers": list(edit.metadata.finalizers or ()),
            }
            last = edit
        raise Overwritten(last)


async def _put(client: Client, app: ApplicationName, raw: Json, spec: Json, record: Record | None) -> None:
    """Put the whole Application, or only its spec if Argo CD accepts no more."""
    annotations = dict((raw.get("metadata") or {}).get("annotations") or {})
    if record is None:
        annotations.pop(RECORD, None)
    else:
        annotations[RECORD] = msgspec.json.encode(record).decode()
    metadata = raw["metadata"] | {"annotations": annotations}
    try:
        await client.replace(app, raw | {"metadata": metadata, "spec": spec})
    except ApiError:
        if normal_form.same(raw["spec"], spec):
            raise  # only the annotation is left, and a spec cannot remove it
        await client.replace_spec(app, spec)


class _Versions:
    """The versions of an Application that the watch has shown, in order."""

    def __init__(self) -> None:
        self.all: list[Application] = []
        self.changed = asyncio.Condition()


@contextlib.asynccontextmanager
async def _seen(client: Client, app: ApplicationName) -> AsyncIterator[_Versions]:
    """Collect what the watch shows inside the block. It may drop changes, and may end early."""
    versions = _Versions()

    async def watch() -> None:
        with contextlib.suppress(ArgorunError):
            async with contextlib.aclosing(client.watch(app, WATCHED)) as changes:
                async for change in changes:
                    async with versions.changed:
                        versions.all.append(change)
                        versions.changed.notify_all()

    task = asyncio.create_task(watch())
    try:
        with contextlib.suppress(TimeoutError):  # the first version shows that the watch is on
            async with asyncio.timeout(WATCH_LAG), versions.changed:
                await versions.changed.wait_for(lambda: bool(versions.all) or task.done())
        yield versions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _edited(versions: _Versions, read: Application, written: Json) -> Application | None:
    """What somebody else wrote between this reading and this writing; None if nobody did."""

    def shows() -> bool:
        return any(normal_form.same(v.spec, written) for v in _since(versions, read))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WATCH_LAG), versions.changed:
            await versions.changed.wait_for(shows)
    expected = [(normal_form.normalize(spec), _metadata(read)) for spec in (read.spec, written)]
    shown = _since(versions, read)
    others = [v for v in shown if (normal_form.normalize(v.spec), _metadata(v)) not in expected]
    versions.all.clear()
    return others[-1] if others else None


def _metadata(seen: Application) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """The metadata that others set, without argorun's record and Argo CD's own annotations."""
    found = (seen.metadata.annotations or {}).items()
    annotations = {k: v for k, v in found if k not in (RECORD, *NOTES)}
    return annotations, seen.metadata.labels or {}, seen.metadata.finalizers or []


def _since(versions: _Versions, read: Application) -> list[Application]:
    """The versions shown that are newer than the one read; the watch may begin with older ones.

    Versions are growing numbers (source: kubernetes.io/docs, API Concepts, Resource versions).
    """
    at = _number(read)
    return [v for v in versions.all if at and _number(v) > at]


def _number(seen: Application) -> int:
    """The version of an Application; 0 if it is not a number."""
    version = seen.metadata.resource_version
    return int(version) if version.isdecimal() else 0
