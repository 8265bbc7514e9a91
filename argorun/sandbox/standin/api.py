"""The API's handlers, one per path, which answer like Argo CD v3.6."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from argorun.sandbox.standin.accounts import Account, authenticate, token_of
from argorun.sandbox.standin.application import (
    BUFFER,
    OWN_NAMESPACE,
    Application,
    RenderError,
    policy_object,
)
from argorun.sandbox.standin.controller import Controller
from argorun.sandbox.standin.faults import DENIED, INVALID, NOT_FOUND, UNKNOWN, ApiError
from argorun.sandbox.standin.logs import LogQuery, read_logs, selected_pods
from argorun.sandbox.standin.objects import Json, Key, key_of, without_secrets
from argorun.sandbox.standin.patching import patched
from argorun.sandbox.standin.streams import stream, trimmed
from argorun.sandbox.standin.tasks import is_hook
from argorun.sandbox.standin.tree import resource_tree

VERSION = "v3.6.1+argorun-stand-in"
MERGE_PATCH = "application/merge-patch+json"


class Api:
    """The handlers. Every one that needs a token finds the Application by `_find`.

    Applications and controllers are by the Application's name, accounts by their token.
    """

    def __init__(
        self,
        apps: Mapping[str, Application],
        controllers: Mapping[str, Controller],
        accounts: dict[str, Account],
        keep_alive: float,
    ) -> None:
        self.apps, self.controllers, self.accounts = apps, controllers, accounts
        self.keep_alive = keep_alive  # seconds between comments on an SSE stream

    def routes(self) -> list[BaseRoute]:
        """All paths."""
        app = "/api/v1/applications/{name}"
        pairs = [
            ("/api/version", self.version, "GET"),
            ("/api/v1/session/userinfo", self.userinfo, "GET"),
            ("/api/v1/settings", self.settings, "GET"),
            ("/api/v1/account/{account}/token", self.token, "POST"),
            ("/api/v1/account/can-i/{resource}/{action}/{subresource:path}", self.can_i, "GET"),
            ("/api/v1/applications", self.list_all, "GET"),
            ("/api/v1/stream/applications", self.watch, "GET"),
            ("/api/v1/stream/applications/{name}/resource-tree", self.watch_tree, "GET"),
            (app, self.get, "GET"),
            (app, self.patch, "PATCH"),
            (app, self.put, "PUT"),
            (f"{app}/spec", self.put_spec, "PUT"),
            ("/api/v1/repositories/{repo:path}/appdetails", self.app_details, "POST"),
            (f"{app}/sync", self.sync, "POST"),
            (f"{app}/operation", self.terminate, "DELETE"),
            (f"{app}/resource-tree", self.tree, "GET"),
            (f"{app}/logs", self.logs, "GET"),
            (f"{app}/pods/{{podName}}/logs", self.logs, "GET"),
            (f"{app}/manifests", self.manifests, "GET"),
            (f"{app}/resource", self.resource, "GET"),
            (f"{app}/resource", self.patch_resource, "POST"),
            (f"{app}/events", self.events, "GET"),
            (f"{app}/managed-resources", self.managed_resources, "GET"),
            (f"{app}/syncwindows", self.sync_windows, "GET"),
        ]
        return [Route(path, handler, methods=[method]) for path, handler, method in pairs]

    # -- accounts and objects ---------------------------------------------------------------------

    def _account(self, request: Request) -> Account:
        return authenticate(request, self.accounts)

    def _find(self, request: Request, action: str, body: Json | None = None) -> tuple[Application, Account]:
        """The Application that a request names; 403 or 404 as Argo CD answers."""
        account, query = self._account(request), request.query_params
        name = request.path_params.get("name") or query.get("name", "")
        project = str((body or {}).get("project") or query.get("project", ""))
        namespace = str((body or {}).get("appNamespace") or query.get("appNamespace", ""))
        app = self.apps.get(name)
        named = policy_object(project, namespace, name)
        if project and not account.may("applications", action, named):
            raise ApiError(DENIED, "permission denied")
        if app is None or (namespace or OWN_NAMESPACE) != app.doc["metadata"]["namespace"]:
            if project and namespace in ("", OWN_NAMESPACE):
                raise ApiError(NOT_FOUND, f'applications.argoproj.io "{name}" not found')
            raise ApiError(DENIED, "permission denied")
        if not account.may("applications", action, app.policy_object):
            raise ApiError(DENIED, "permission denied")
        if project and app.project != project:
            raise ApiError(NOT_FOUND, f'applications.argoproj.io "{name}" not found')
        return app, account

    def _tree(self, app: Application) -> Json:
        controller = self.controllers[app.name]
        return resource_tree(app.cluster, controller.live(), controller.missing())

    async def version(self, request: Request) -> Response:
        """GET /api/version: names the stand-in; needs no token, and answers more with one."""
        answer = {"Version": VERSION}
        if token_of(request) in self.accounts:
            answer |= {"BuildDate": "1970-01-01T00:00:00Z", "Platform": "argorun Argo CD stand-in"}
        return JSONResponse(answer)

    async def settings(self, request: Request) -> Response:
        """GET /settings: needs no token; holds Argo CD's own namespace only with one."""
        known = token_of(request) in self.accounts
        namespace = {"controllerNamespace": OWN_NAMESPACE} if known else {}
        return JSONResponse({"appLabelKey": "app.kubernetes.io/instance", **namespace})

    async def token(self, request: Request) -> Response:
        """POST /account/NAME/token {"expiresIn": SECONDS}: a new token; only one's own here."""
        account, body = self._account(request), await read_json(request)
        if account.name != request.path_params["account"]:
            raise ApiError(DENIED, "permission denied")
        made = account.lasting(int(body.get("expiresIn") or 0))
        token = made.token()
        self.accounts[token] = made
        return JSONResponse({"token": token})

    async def userinfo(self, request: Request) -> Response:
        """GET /session/userinfo: needs no token."""
        account = self.accounts.get(token_of(request))
        return JSONResponse({"loggedIn": True, "username": account.name, "iss": "argocd"} if account else {})

    async def can_i(self, request: Request) -> Response:
        """GET /account/can-i/RESOURCE/ACTION/PROJECT[/NAMESPACE]/APP."""
        account, params = self._account(request), request.path_params
        subject = params["subresource"]
        if len(parts := subject.split("/")) == 3:
            subject = policy_object(*parts)
        may = account.may(params["resource"], params["action"], subject)
        return JSONResponse({"value": "yes" if may else "no"})

    # -- the Application ------------------------------------------------------------------

    async def list_all(self, request: Request) -> Response:
        """GET /applications?fields=: those that the account may see, and of each only these fields."""
        account = self._account(request)
        apps = [a for a in self.apps.values() if account.may("applications", "get", a.policy_object)]
        fields = request.query_params.get("fields", "").replace("items.", "result.")
        items = [trimmed(app.with_health(), fields) for app in apps]
        return JSONResponse({"metadata": {"resourceVersion": "1"}, "items": items or None})

    async def get(self, request: Request) -> Response:
        """GET /applications/NAME?refresh=."""
        if len(request.query_params.getlist("project")) > 1:
            raise ApiError(
                INVALID, "multiple projects specified - the get endpoint accepts either zero or one project"
            )
        app, _ = self._find(request, "get")
        if kind := request.query_params.get("refresh"):
            await app.refresh("hard" if kind == "hard" else "normal")
        return JSONResponse(app.with_health())

    async def patch(self, request: Request) -> Response:
        """PATCH /applications/NAME."""
        body = await read_json(request)
        app, account = self._find(request, "get", body)
        account.enforce("applications", "update", app.policy_object)
        kind, text = str(body.get("patchType", "")), str(body.get("patch", ""))
        app.update(patched(app.snapshot(), text, kind))
        return JSONResponse(app.snapshot())

    async def put(self, request: Request) -> Response:
        """PUT /applications/NAME?validate=: spec, labels, annotations and finalizers are taken over."""
        body = await read_json(request)
        app, account = self._find(request, "get")
        account.enforce("applications", "update", app.policy_object)
        app.update(body, validate=_validates(request))
        return JSONResponse(app.snapshot())

    async def put_spec(self, request: Request) -> Response:
        """PUT /applications/NAME/spec?validate=."""
        body = await read_json(request)
        app, _ = self._find(request, "update")
        app.update(app.snapshot() | {"spec": body}, validate=_validates(request))
        return JSONResponse(copy.deepcopy(app.spec))

    async def sync(self, request: Request) -> Response:
        """POST /applications/NAME/sync."""
        body = await read_json(request)
        app, account = self._find(request, "get", body)
        account.enforce("applications", "sync", app.policy_object)
        app.start(body, account.name)
        return JSONResponse(app.snapshot())

    async def terminate(self, request: Request) -> Response:
        """DELETE /applications/NAME/operation."""
        app, _ = self._find(request, "sync")
        app.terminate()
        return JSONResponse({})

    # -- what the cluster knows -----------------------------------------------------------

    async def tree(self, request: Request) -> Response:
        """GET /applications/NAME/resource-tree."""
        app, _ = self._find(request, "get")
        return JSONResponse(self._tree(app))

    async def logs(self, request: Request) -> Response:
        """GET /applications/NAME/logs and /pods/POD/logs."""
        app, account = self._find(request, "get")
        account.enforce("logs", "get", app.policy_object)
        query = dict(request.query_params)
        if pod := request.path_params.get("podName"):
            query["podName"] = pod
        wanted = LogQuery(query)
        pods = selected_pods(self._tree(app), query)
        return stream(request, read_logs(app.cluster, pods, wanted), self.keep_alive)

    async def app_details(self, request: Request) -> Response:
        """POST /repositories/URL/appdetails: the names of a chart's values, for an Application's source."""
        account, body = self._account(request), await read_json(request)
        account.enforce("repositories", "get", request.path_params["repo"])
        app = self.apps.get(str(body.get("appName")))
        if app is None or body.get("appProject") != app.project or body.get("source") != app.source:
            raise ApiError(DENIED, "permission denied")
        account.enforce("applications", "get", app.policy_object)
        values: Mapping[str, str] | None = getattr(app.render, "values", None)
        helm = [{"name": name, "value": value} for name, value in (values or {}).items()]
        return JSONResponse({} if values is None else {"type": "Helm", "helm": {"parameters": helm}})

    async def manifests(self, request: Request) -> Response:
        """GET /applications/NAME/manifests?revision=."""
        app, _ = self._find(request, "get")
        source = copy.deepcopy(app.source)
        if revision := request.query_params.get("revision"):
            source["targetRevision"] = revision
        try:
            targets = self.controllers[app.name].targets(source, placed=False)
        except RenderError as error:
            raise ApiError(UNKNOWN, f"error getting manifests: {error}") from None
        return JSONResponse({"manifests": [json.dumps(without_secrets(target)) for target in targets]})

    async def resource(self, request: Request) -> Response:
        """GET /applications/NAME/resource: a live manifest."""
        app, _ = self._find(request, "get")
        live = app.cluster.objects[self._resource(app, request)]
        return JSONResponse({"manifest": json.dumps(without_secrets(live))})

    async def patch_resource(self, request: Request) -> Response:
        """POST /applications/NAME/resource: change a live object by a patch, a string in JSON."""
        app, _ = self._find(request, "update")
        key = self._resource(app, request)
        kind = request.query_params.get("patchType", "")
        if kind != MERGE_PATCH:
            raise ApiError(UNKNOWN, f"error patching resource: the stand-in takes no patch of type '{kind}'")
        try:
            change = json.loads(json.loads(await request.body()))
            if not isinstance(change, dict):
                raise ValueError("not an object")
        except (ValueError, TypeError) as error:
            raise ApiError(UNKNOWN, f"error patching resource: {error}") from None
        return JSONResponse({"manifest": json.dumps(without_secrets(app.cluster.patch(key, change)))})

    def _resource(self, app: Application, request: Request) -> Key:
        """The live object that a request names; 400 where the tree has none."""
        names = ("group", "kind", "namespace", "resourceName")
        key = Key(*(request.query_params.get(name, "") for name in names))
        known = {
            key_of(obj) for root in self.controllers[app.name].live() for obj in app.cluster.descendants(root)
        }
        if key not in known:
            raise ApiError(
                INVALID, f"{key.kind} {key.group} {key.name} not found as part of application {app.name}"
            )
        return key

    async def events(self, request: Request) -> Response:
        """GET /applications/NAME/events."""
        app, _ = self._find(request, "get")
        query = request.query_params
        fields = {"uid": "resourceUID", "name": "resourceName", "namespace": "resourceNamespace"}
        wanted = {field: query.get(parameter, "") for field, parameter in fields.items()}
        if not (wanted["uid"] or wanted["name"]):  # the Application's own
            return JSONResponse({"metadata": {"resourceVersion": "1"}, "items": []})
        nodes = self._tree(app).get("nodes", [])
        if not any(all(n.get(field, "") == value for field, value in wanted.items()) for n in nodes):
            raise ApiError(INVALID, f"{wanted['name']} not found as part of application {app.name}")
        items = [
            event
            for event in app.cluster.events
            if all(event["involvedObject"][field] == value for field, value in wanted.items() if value)
        ]
        return JSONResponse({"metadata": {"resourceVersion": "1"}, "items": items})

    async def managed_resources(self, request: Request) -> Response:
        """GET /applications/NAME/managed-resources: hooks are left out."""
        app, _ = self._find(request, "get")
        items = []
        for target in self.controllers[app.name].targets(app.source):
            key = key_of(target)
            if is_hook(target):
                continue
            live = app.cluster.objects.get(key)
            entry: Json = {"group": key.group} if key.group else {}
            entry |= {"kind": key.kind, "namespace": key.namespace, "name": key.name}
            entry |= {"targetState": json.dumps(target), "liveState": json.dumps(live)}
            items.append(
                entry | {"normalizedLiveState": json.dumps(live), "predictedLiveState": json.dumps(target)}
            )
        return JSONResponse({"items": items})

    async def sync_windows(self, request: Request) -> Response:
        """GET /applications/NAME/syncwindows: the stand-in's one project has none."""
        self._find(request, "get")
        return JSONResponse({"canSync": True})

    # -- streams --------------------------------------------------------------------------

    async def watch(self, request: Request) -> Response:
        """GET /stream/applications?name=&resourceVersion=&fields=."""
        account = self._account(request)
        return stream(request, self._trimmed(request, account), self.keep_alive)

    async def _trimmed(self, request: Request, account: Account) -> AsyncIterator[list[Json]]:
        """The changes with the wanted fields only; what is the same as the last one is left out then."""
        fields = request.query_params.get("fields", "")
        last: Json | None = None
        async with contextlib.aclosing(self._changes(request, account)) as changes:
            async for change in changes:
                events = [trimmed(event, fields) for event in change]
                if not fields or events[-1] != last:
                    last = events[-1]
                    yield events

    async def _changes(self, request: Request, account: Account) -> AsyncGenerator[list[Json]]:
        query = request.query_params
        name, at_least = query.get("name", ""), query.get("resourceVersion", "")
        oldest = int(at_least) if at_least.isdigit() else 0
        apps = [
            a
            for a in self.apps.values()
            if name in ("", a.name) and account.may("applications", "get", a.policy_object)
        ]
        queue: asyncio.Queue[Json] = asyncio.Queue(BUFFER)
        for app in apps:
            app.watchers.add(queue)
        try:
            for app in apps if name or not at_least else ():
                if app.version > oldest:
                    yield [{"type": "ADDED", "application": app.with_health()}]
            while True:
                event = await queue.get()
                if int(event["application"]["metadata"]["resourceVersion"]) > oldest:
                    yield [event]
        finally:
            for app in apps:
                app.watchers.discard(queue)

    async def watch_tree(self, request: Request) -> Response:
        """GET /stream/applications/NAME/resource-tree: changes only."""
        app, _ = self._find(request, "get")
        return stream(request, self._trees(app), self.keep_alive)

    async def _trees(self, app: Application) -> AsyncIterator[list[Json]]:
        seen, last = app.cluster.pulse.count, self._tree(app)
        while True:
            seen = await app.cluster.pulse.wait(seen)
            tree = self._tree(app)
            if tree != last:
                last = tree
                yield [tree]


def _validates(request: Request) -> bool:
    return request.query_params.get("validate") != "false"


async def read_json(request: Request) -> Json:
    """A request's JSON object; an empty body is an empty one."""
    text = await request.body()
    try:
        body = json.loads(text or b"{}")
        if not isinstance(body, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise ApiError(INVALID, str(error)) from None
    return body
