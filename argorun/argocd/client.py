"""Argo CD's REST API: one method a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator
from typing import Protocol
from urllib.parse import quote

from argorun.argocd import streams
from argorun.argocd.answers import Denied, Unreachable, decode
from argorun.argocd.connection import Connection
from argorun.argocd.types import (
    Application,
    Applications,
    ApplicationSet,
    ClusterEvent,
    ClusterEvents,
    Json,
    LogEntry,
    ManagedResource,
    ManagedResources,
    Manifests,
    Node,
    Project,
    SyncWindows,
    Tree,
    WatchEvent,
)

LISTED = {"fields": "items.metadata.name,items.metadata.namespace,items.metadata.annotations,items.spec"}
REFRESHED = 3.0, 7.0  # seconds for which a refreshing GET is waited for, and the one after it


class ApplicationName(Protocol):
    """An Application as the API addresses it; argorun.config.ApplicationRef has this shape."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...


class Client(Connection):
    """One Argo CD. Every method raises AccessDenied (6) or ArgoCDFailed (8); nothing of httpx gets out."""

    # -- the Application ----------------------------------------------------------------------------

    async def application(self, app: ApplicationName, *, refresh: str | None = None) -> Application:
        """The live Application; `refresh` ("normal", "hard") compares it anew first.

        A refreshing GET waits for an event that Argo CD may miss, without a deadline of its own (source:
        server/application/application.go, Get; seen under load, 4 of 841 times): it is sent once more, and in
        the end the Application is read as it stands, compared by then.
        """
        doing = f"show Application {app.name}"
        with contextlib.suppress(Unreachable):
            for limit in REFRESHED if refresh is not None else ():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limit):
                        return await self._get(doing, path(app), Application, query(app, refresh=refresh))
        return await self._get(doing, path(app), Application, query(app))

    async def nudge(self, app: ApplicationName) -> None:
        """Make the controller look at the Application now: a refresh, sent once; its answer is no matter."""
        doing, params = f"refresh Application {app.name}", query(app, refresh="normal")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(sum(REFRESHED)):
                await self._once("GET", doing, path(app), None, Application, params)

    async def applications(self) -> list[Application]:
        """Every Application that the token's account may see: name, annotations and spec, nothing else."""
        answer = await self._get("list the Applications", "/api/v1/applications", Applications, LISTED)
        return answer.items or []

    async def patch(
        self, app: ApplicationName, operations: list[Json], *, harmless_late: bool = False
    ) -> Application:
        """Change the Application by a JSON patch, sent once; Refused(500, code 2) where a `test` fails.

        `harmless_late`: `unheard_until` need not tell of it.
        """
        body = with_place(app, {"name": app.name, "patch": as_go_writes_it(operations), "patchType": "json"})
        doing = f"change Application {app.name}"
        return await self._send("PATCH", doing, path(app), body, Application, harmless_late=harmless_late)

    async def replace_spec(self, app: ApplicationName, spec: Json) -> None:
        """Put the whole spec without validation, which also works while Git is unreachable."""
        doing = f"replace the spec of Application {app.name}"
        params = query(app) | {"validate": "false"}
        await self._send("PUT", doing, path(app, "spec"), spec, Json, params)

    async def replace(self, app: ApplicationName, application: Json) -> None:
        """Put the whole Application, metadata included, without validation."""
        doing = f"replace Application {app.name}"
        params = {"validate": "false"} | ({"project": app.project} if app.project else {})
        await self._send("PUT", doing, path(app), application, Json, params)

    async def raw(self, app: ApplicationName) -> Json:
        """The live Application as it is written, for `replace`."""
        return await self._get(f"show Application {app.name}", path(app), Json, query(app))

    # -- who else has a say -------------------------------------------------------------------------

    async def application_set(self, name: str, namespace: str) -> ApplicationSet:
        """An ApplicationSet; needs `applicationsets, get`."""
        params = {"appsetNamespace": namespace} if namespace else {}
        url = f"/api/v1/applicationsets/{quote(name)}"
        return await self._get(f"show ApplicationSet {name}", url, ApplicationSet, params)

    async def managed(self, app: ApplicationName, **filters: str) -> list[ManagedResource]:
        """The objects that an Application keeps, hooks left out; by `group`, `kind`, `namespace`, `name`."""
        doing = f"show what {app.name} keeps"
        url = path(app, "managed-resources")
        return (await self._get(doing, url, ManagedResources, query(app, **filters))).items or []

    async def sync_windows(self, app: ApplicationName) -> SyncWindows:
        """When the Application may be synced; needs only `get`."""
        doing = f"show the sync windows of {app.name}"
        return await self._get(doing, path(app, "syncwindows"), SyncWindows, query(app))

    async def project(self, name: str) -> Project:
        """A project; needs `projects, get`."""
        return await self._get(f"show project {name}", f"/api/v1/projects/{quote(name)}", Project, {})

    # -- its operation ------------------------------------------------------------------------------

    async def sync(self, app: ApplicationName, body: Json) -> Application:
        """Start an operation, sent once: after a lost answer the caller must look whether it took."""
        return await self._send(
            "POST", f"sync {app.name}", path(app, "sync"), with_place(app, body), Application
        )

    async def terminate(self, app: ApplicationName) -> None:
        """Ask to end the running operation; it is over only when its phase says so."""
        doing, where = f"end the operation of {app.name}", path(app, "operation")
        await self._send("DELETE", doing, where, None, Json, query(app), harmless_late=True)

    # -- what it is made of -------------------------------------------------------------------------

    async def tree(self, app: ApplicationName) -> Tree:
        """The live objects, from the server's cache."""
        return await self._get(
            f"show the resources of {app.name}", path(app, "resource-tree"), Tree, query(app)
        )

    async def manifests(self, app: ApplicationName, revision: str | None = None) -> list[Json]:
        """What the source renders to now, hooks included."""
        doing = f"render the manifests of {app.name}"
        where = path(app, "manifests")
        answer = await self._get(doing, where, Manifests, query(app, revision=revision), also_500=False)
        return [decode(m.encode(), Json, doing) for m in answer.manifests or ()]

    async def live(
        self, app: ApplicationName, group: str, version: str, kind: str, namespace: str, name: str
    ) -> Json:
        """A live object of the Application, read from the cluster."""
        doing = f"show {kind} {name}"
        where = {
            "group": group,
            "version": version,
            "kind": kind,
            "namespace": namespace,
            "resourceName": name,
        }
        answer = await self._get(doing, path(app, "resource"), Json, query(app, **where), also_500=False)
        return decode(str(answer.get("manifest", "")).encode(), Json, doing)

    async def events(self, app: ApplicationName, node: Node) -> list[ClusterEvent]:
        """The Kubernetes events about a live object of the Application; refused once it has left the tree."""
        where = {"resourceNamespace": node.namespace, "resourceName": node.name, "resourceUID": node.uid}
        doing = f"show the events of {node.kind} {node.name}"
        answer = await self._get(doing, path(app, "events"), ClusterEvents, query(app, **where))
        return answer.items or []

    async def can_i(self, action: str, resource: str, subject: str) -> bool:
        """Whether the token's account may; True where the server does not tell."""
        doing = f"say whether {action} is allowed"
        url = f"/api/v1/account/can-i/{resource}/{action}/{quote(subject, safe='/')}"
        try:
            answer = await self._get(doing, url, Json, {})
        except Denied as e:
            if e.status == 401:
                raise
            return True
        return answer.get("value") != "no"

    # -- streams ------------------------------------------------------------------------------------

    async def watch(self, app: ApplicationName, fields: str) -> AsyncGenerator[Application]:
        """The Application whenever it changes, the first at once; may drop changes and end at any time."""
        params = {"name": app.name} | query(app, fields=fields)
        blocks = self._stream(f"watch {app.name}", "/api/v1/stream/applications", params)
        async with contextlib.aclosing(streams.newest(blocks)) as frames:
            async for data in frames:
                yield streams.result(data, WatchEvent).application

    async def watch_tree(self, app: ApplicationName) -> AsyncGenerator[Tree]:
        """The resource tree whenever it changes; the tree as it stands is not sent."""
        url = f"/api/v1/stream/applications/{quote(app.name)}/resource-tree"
        blocks = self._stream(f"watch the resources of {app.name}", url, query(app))
        async with contextlib.aclosing(streams.newest(blocks)) as frames:
            async for data in frames:
                yield streams.result(data, Tree)

    async def logs(
        self, app: ApplicationName, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        """A container's log entries, as many as came at once.

        A failure to open it comes as an entry without a pod's name.
        """
        params = query(app, namespace=namespace, container=container, **extra)
        url = path(app, "pods", pod, "logs")
        # Not as server-sent events: under a flood of lines Argo CD's keep-alive tears the chunks (seen at
        # 160,000 lines; its flush is not under the lock of its writes). Uncompressed, or lines come late.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async for block in self._stream(f"read the log of {pod}", url, params, headers):
            for entries in streams.log_entries(block):
                yield entries


def path(app: ApplicationName, *parts: str) -> str:
    return "/".join(["/api/v1/applications", quote(app.name), *(quote(p) for p in parts)])


def query(app: ApplicationName, **more: str | None) -> dict[str, str]:
    """The query that addresses the Application, and whatever else is given."""
    place = {"appNamespace": app.namespace, "project": app.project} | more
    return {k: v for k, v in place.items() if v is not None}


def as_go_writes_it(operations: list[Json]) -> str:
    """A JSON patch whose `test` ops can hold: Argo CD compares strings byte by byte with Go's own encoding.

    Source: evanphx/json-patch (lazyNode.equal), and seen on the real server. The signs occur only in strings.
    """
    text = json.dumps(operations, ensure_ascii=False)
    return re.sub("[&<>\u2028\u2029]", lambda sign: f"\\u{ord(sign[0]):04x}", text)


def with_place(app: ApplicationName, body: Json) -> Json:
    return body | {"name": app.name} | query(app)
