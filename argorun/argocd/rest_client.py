"""The client over Argo CD's REST API: one method a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from urllib.parse import quote

from argorun.argocd.client import INSTANCE, ApplicationName
from argorun.argocd.http import streams
from argorun.argocd.http.connection import Connection
from argorun.argocd.http.errors import ApiError, Denied, Unreachable, decode
from argorun.argocd.normal_form import go_json
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
    ServerSettings,
    ServerVersion,
    SourceDetails,
    SyncWindows,
    Tree,
    UserInfo,
    WatchEvent,
)

NAMED = "items.metadata.name,items.metadata.namespace"
LISTED = f"{NAMED},items.metadata.annotations,items.spec"
IMPOSSIBLE = "argorun asks how helm is called"  # valid neither as a release name nor as a label
REFRESHED = 3.0, 7.0  # seconds for a refreshing GET, and for the one after it
REFRESH = "argocd.argoproj.io/refresh"  # the annotation that asks for a comparison; it goes when that is done


class RestClient(Connection):
    """A Client of one Argo CD, see argorun.argocd.client for what each method is for."""

    instance_label = INSTANCE

    # -- the Application ----------------------------------------------------------------------------

    async def application(self, app: ApplicationName, *, refresh: str | None = None) -> Application:
        """The live Application; `refresh` ("normal", "hard") compares it anew first.

        A refreshing GET waits for an event that Argo CD may miss, without a deadline of its own (source:
        server/application/application.go, Get; seen under load, 4 of 841 times): it is sent once more, and
        again while the comparison is not done, as long as one may take. In the end the Application is read
        without one (docs/argocd-facts.md#refresh).
        """
        doing = f"show Application {app.name}"
        if refresh is not None:
            with contextlib.suppress(Unreachable, TimeoutError):
                return await self._refreshed(app, doing, query(app, refresh=refresh))
        return await self._get(doing, path(app), Application, query(app))

    async def is_gone(self, app: ApplicationName, project: str) -> bool:
        """Whether there is no such Application in this project; False if Argo CD does not say so.

        Only a request that names the project is answered 404 for a missing one, and 403 for a missing
        permission (source: server/application/application.go, getAppEnforceRBAC;
        docs/argocd-facts.md#missing-and-forbidden-look-alike).
        """
        try:
            params = query(app) | {"project": project}
            await self._get(f"show Application {app.name}", path(app), Application, params)
        except Denied as e:
            return e.status == 404
        return False

    async def _refreshed(self, app: ApplicationName, doing: str, params: dict[str, str]) -> Application:
        for limit in REFRESHED:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    return await self._get(doing, path(app), Application, params)
        async with self.rendering.kept():
            while True:
                seen = await self._get(doing, path(app), Application, query(app))
                if REFRESH not in (seen.metadata.annotations or {}):
                    return seen
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REFRESHED[-1]):
                        return await self._get(doing, path(app), Application, params)

    async def nudge(self, app: ApplicationName) -> None:
        """Make the controller check the Application now: a refresh, sent once, whatever the answer.

        See docs/argocd-facts.md#a-refresh-speeds-hooks-up.
        """
        doing, params = f"refresh Application {app.name}", query(app, refresh="normal")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(sum(REFRESHED)):
                await self._once("GET", doing, path(app), None, Application, params)

    async def applications(self, fields: str = LISTED) -> list[Application]:
        """Every Application that the token's account may see: name, annotations and spec, nothing else.

        Argo CD leaves out the others without a word (docs/argocd-facts.md#listing-applications).
        """
        answer = await self._get(
            "list the Applications", "/api/v1/applications", Applications, {"fields": fields}
        )
        return answer.items or []

    async def patch(
        self, app: ApplicationName, operations: list[Json], *, harmless_late: bool = False
    ) -> Application:
        """Change the Application by a JSON patch, sent once; ApiError(500, code 2) if a `test` fails.

        `harmless_late`: `late_change_until` leaves it out. Argo CD renders the source to validate it
        (docs/argocd-facts.md#patch-validates).
        """
        body = with_place(app, {"name": app.name, "patch": as_go_writes_it(operations), "patchType": "json"})
        doing = f"change Application {app.name}"
        return await self._send(
            "PATCH", doing, path(app), body, Application, harmless_late=harmless_late, renders=True
        )

    async def replace_spec(self, app: ApplicationName, spec: Json) -> None:
        """Put the whole spec without validation: nothing is rendered, Git may be out of reach.

        See docs/argocd-facts.md#put-without-validation.
        """
        doing = f"replace the spec of Application {app.name}"
        params = query(app) | {"validate": "false"}
        await self._send("PUT", doing, path(app, "spec"), spec, Json, params)

    async def replace(self, app: ApplicationName, application: Json) -> None:
        """Put the whole Application, metadata included, without validation.

        See docs/argocd-facts.md#put-without-validation.
        """
        doing = f"replace Application {app.name}"
        params = {"validate": "false"} | ({"project": app.project} if app.project else {})
        await self._send("PUT", doing, path(app), application, Json, params)

    async def raw(self, app: ApplicationName) -> Json:
        """The live Application as it is written, for `replace`."""
        return await self._get(f"show Application {app.name}", path(app), Json, query(app))

    async def helm_command(
        self, app: ApplicationName, revision: str | None = None, helm: Json | None = None
    ) -> str:
        """An error message of Argo CD's that quotes its helm command; empty if there is none.

        Argo CD shows neither Git's files nor the command: GET …/manifests leaves `commands` out (source:
        server/application/application.go, GetManifests, v3.6; docs/argocd-facts.md#how-helm-is-called). It
        quotes the command if Helm fails. So this requests a change that cannot be made: Helm refuses the
        release name when Argo CD validates the change, and, should a file in Git set another one, Kubernetes
        refuses the label. Nothing is written. With `helm` the source's `helm` section is taken to be that;
        else it must have one. Raises ArgoCDFailed, AccessDenied.
        """
        section: Json = {"op": "add", "path": "/spec/source/helm/releaseName", "value": IMPOSSIBLE}
        if helm is not None:
            section = {"op": "add", "path": "/spec/source/helm", "value": helm | {"releaseName": IMPOSSIBLE}}
        impossible = [section, {"op": "add", "path": "/metadata/labels", "value": {IMPOSSIBLE: ""}}]
        if revision is not None:
            impossible.append({"op": "add", "path": "/spec/source/targetRevision", "value": revision})
        try:
            await self.patch(app, impossible, harmless_late=True)
        except ApiError as e:
            return e.text
        return ""

    async def chart_values(self, app: ApplicationName, seen: Application) -> dict[str, str] | None:
        """The values in the chart's values.yaml and the Application's value files, by name.

        A template may use others. Needs `repositories, get`: None where that is refused, or where this is no
        chart (source: GetAppDetails in server/repository/repository.go, GetParameters in util/helm/helm.go;
        docs/argocd-facts.md#the-values-of-a-chart). Raises ArgoCDFailed, Unauthenticated.
        """
        source = seen.spec.get("source") or {}
        doing = f"show the chart of {app.name}"
        url = f"/api/v1/repositories/{quote(str(source.get('repoURL', '')), safe='')}/appdetails"
        body: Json = {"source": source, "appName": str(app), "appProject": seen.project}
        try:
            answer = await self._once("POST", doing, url, body, SourceDetails, {})
        except (ApiError, Denied):
            return None
        return None if answer.helm is None else {p.name: p.value for p in answer.helm.parameters or ()}

    # -- its owners and windows -----------------------------------------------------------------------

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
        """Start an operation, sent once: after a lost answer the caller must look whether it took.

        See docs/argocd-facts.md#starting-a-sync.
        """
        return await self._send(
            "POST", f"sync {app.name}", path(app, "sync"), with_place(app, body), Application, renders=True
        )

    async def terminate(self, app: ApplicationName) -> None:
        """Ask to end the running operation; it is over only when its phase says so.

        See docs/argocd-facts.md#ending-an-operation.
        """
        doing, where = f"end the operation of {app.name}", path(app, "operation")
        await self._send("DELETE", doing, where, None, Json, query(app), harmless_late=True, ends=True)

    # -- its objects --------------------------------------------------------------------------------

    async def tree(self, app: ApplicationName) -> Tree:
        """The live objects, from the server's cache."""
        return await self._get(
            f"show the resources of {app.name}", path(app, "resource-tree"), Tree, query(app)
        )

    async def manifests(self, app: ApplicationName, revision: str | None = None) -> list[Json]:
        """What the source renders to now, hooks included."""
        doing = f"render the manifests of {app.name}"
        where = path(app, "manifests")
        params = query(app, revision=revision)
        answer = await self._get(doing, where, Manifests, params, also_500=False, renders=True)
        return [decode(m.encode(), Json, doing) for m in answer.manifests or ()]

    async def live(
        self, app: ApplicationName, group: str, version: str, kind: str, namespace: str, name: str
    ) -> Json:
        """A live object of the Application, read from the cluster.

        See docs/argocd-facts.md#manifests-and-events.
        """
        doing = f"show {kind} {name}"
        where = an_object(app, group, version, kind, namespace, name)
        answer = await self._get(doing, path(app, "resource"), Json, where, also_500=False)
        return decode(str(answer.get("manifest", "")).encode(), Json, doing)

    async def patch_resource(
        self,
        app: ApplicationName,
        group: str,
        version: str,
        kind: str,
        namespace: str,
        name: str,
        patch: Json,
    ) -> None:
        """Change a live object by a JSON merge patch; needs `applications, update/GROUP/KIND/NAMESPACE/NAME`.

        Denied is answered before Argo CD looks whether there is such an object, ApiError (400) where it is
        none of the Application's (source: getAppLiveResource in server/application/application.go;
        docs/argocd-facts.md#rbac).
        """
        where = an_object(app, group, version, kind, namespace, name)
        where["patchType"] = "application/merge-patch+json"
        doing = f"change {kind} {name}"
        body = json.dumps(patch)  # a string that holds JSON
        await self._send("POST", doing, path(app, "resource"), body, Json, where)

    async def events(self, app: ApplicationName, node: Node) -> list[ClusterEvent]:
        """The Kubernetes events about a live object of the Application; refused once it has left the tree.

        See docs/argocd-facts.md#manifests-and-events.
        """
        where = {"resourceNamespace": node.namespace, "resourceName": node.name, "resourceUID": node.uid}
        doing = f"show the events of {node.kind} {node.name}"
        answer = await self._get(doing, path(app, "events"), ClusterEvents, query(app, **where))
        return answer.items or []

    async def can_i(self, action: str, resource: str, subject: str) -> bool:
        """Whether the token's account may do this; True if the server does not say."""
        doing = f"say whether {action} is allowed"
        url = f"/api/v1/account/can-i/{resource}/{action}/{quote(subject, safe='/')}"
        try:
            answer = await self._get(doing, url, Json, {})
        except Denied:
            return True
        return answer.get("value") != "no"

    async def server_settings(self) -> ServerSettings:
        """Argo CD's settings, as far as it shows them; reads `instance_label`, too."""
        settings = ServerSettings()
        with contextlib.suppress(Denied):
            doing = "show Argo CD's settings"
            settings = await self._get(doing, "/api/v1/settings", ServerSettings, {})
        self.instance_label = settings.app_label_key or INSTANCE
        return settings

    async def version(self) -> str:
        """Argo CD's version, `v3.6.1` for example; needs no permission."""
        return (await self._get("show Argo CD's version", "/api/version", ServerVersion, {})).version

    async def user_info(self) -> UserInfo:
        """Whom Argo CD takes the token's owner for; needs no permission, and no token that is known."""
        return await self._get("show the token's account", "/api/v1/session/userinfo", UserInfo, {})

    # -- streams ------------------------------------------------------------------------------------

    async def watch(self, app: ApplicationName, fields: str) -> AsyncGenerator[Application]:
        """The Application whenever it changes, the first at once; may drop changes and end at any time.

        It ends when the Application is deleted. See docs/argocd-facts.md#watch-an-application.
        """
        params = {"name": app.name} | query(app, fields=fields)
        blocks = self._stream(f"watch {app.name}", "/api/v1/stream/applications", params)
        async with contextlib.aclosing(streams.newest(blocks)) as frames:
            async for data in frames:
                event = streams.result(data, WatchEvent)
                if event.type == "DELETED":
                    return
                yield event.application

    async def watch_tree(self, app: ApplicationName) -> AsyncGenerator[Tree]:
        """The resource tree whenever it changes; the tree as it is now is not sent.

        See docs/argocd-facts.md#watch-the-tree.
        """
        url = f"/api/v1/stream/applications/{quote(app.name)}/resource-tree"
        blocks = self._stream(f"watch the resources of {app.name}", url, query(app))
        async with contextlib.aclosing(streams.newest(blocks)) as frames:
            async for data in frames:
                yield streams.result(data, Tree)

    async def logs(
        self, app: ApplicationName, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        """A container's log entries, as many as came at once.

        A failure to open it comes as an entry without a pod's name (docs/argocd-facts.md#log-entries).
        """
        params = query(app, namespace=namespace, container=container, **extra)
        url = path(app, "pods", pod, "logs")
        # Not as server-sent events: under a flood of lines Argo CD's keep-alive tears the chunks (seen at
        # 160,000 lines; its flush is not under the lock of its writes; see
        # docs/argocd-facts.md#server-sent-events-tear-under-load). Uncompressed, or lines come late.
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


def an_object(
    app: ApplicationName, group: str, version: str, kind: str, namespace: str, name: str
) -> dict[str, str]:
    """The query that addresses one live object of the Application."""
    where = {"group": group, "version": version, "kind": kind, "namespace": namespace, "resourceName": name}
    return query(app, **where)


def as_go_writes_it(operations: list[Json]) -> str:
    """A JSON patch whose `test` ops can hold: Argo CD compares strings and numbers as Go writes them.

    Source: evanphx/json-patch (lazyNode.equal), and seen (docs/argocd-facts.md#tests-in-a-json-patch).
    """
    return go_json(operations)


def with_place(app: ApplicationName, body: Json) -> Json:
    return body | {"name": app.name} | query(app)
