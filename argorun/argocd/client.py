"""The calls to Argo CD that argorun makes, as a protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from argorun.argocd.clock import Clock
from argorun.argocd.http.retry import RenderLimit
from argorun.argocd.types import (
    Application,
    ApplicationSet,
    ClusterEvent,
    Json,
    LogEntry,
    ManagedResource,
    Node,
    Project,
    ServerSettings,
    SyncWindows,
    Tree,
    UserInfo,
)

INSTANCE = "app.kubernetes.io/instance"  # the label that names an object's Application, unless Argo CD's
# setting application.instanceLabelKey says otherwise


class ApplicationName(Protocol):
    """An Application as the API addresses it; argorun.config.model.ApplicationRef has this shape."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...


class Client(Protocol):
    """One Argo CD; argorun.argocd.rest_client has the one over HTTP.

    Every method raises AccessDenied (6) or ArgoCDFailed (8). What is read is retried, what changes something
    is sent once.
    """

    retry_for: float  # seconds for which a read is retried
    rendering: RenderLimit  # for what makes Argo CD render
    clock: Clock  # Argo CD's time
    grantee: str  # whom a policy gives what the token may do
    instance_label: str  # the label that names an object's Application; exact once `server_settings` was read

    # -- the Application ----------------------------------------------------------------------------

    async def application(self, app: ApplicationName, *, refresh: str | None = None) -> Application:
        """The live Application; `refresh` ("normal", "hard") compares it with the cluster first."""

    async def is_gone(self, app: ApplicationName, project: str) -> bool:
        """Whether there is no such Application in this project; False if Argo CD does not say so."""

    async def nudge(self, app: ApplicationName) -> None:
        """Make the controller look at the Application now."""

    async def applications(self) -> list[Application]:
        """Every Application that the token's account may see: name, annotations and spec only."""

    async def patch(
        self, app: ApplicationName, operations: list[Json], *, harmless_late: bool = False
    ) -> Application:
        """Change the Application by a JSON patch; ApiError(500, code 2) if a `test` fails."""

    async def replace_spec(self, app: ApplicationName, spec: Json) -> None:
        """Replace the whole spec without validation."""

    async def replace(self, app: ApplicationName, application: Json) -> None:
        """Replace the whole Application, metadata included, without validation."""

    async def raw(self, app: ApplicationName) -> Json:
        """The live Application as JSON, for `replace`."""

    async def helm_command(
        self, app: ApplicationName, revision: str | None = None, helm: Json | None = None
    ) -> str:
        """An error message of Argo CD's that quotes its helm command; empty if there is none."""

    async def chart_values(self, app: ApplicationName, seen: Application) -> dict[str, str] | None:
        """The values that the Application's chart knows, by name; None where Argo CD does not say."""

    # -- its owners and windows -----------------------------------------------------------------------

    async def application_set(self, name: str, namespace: str) -> ApplicationSet:
        """An ApplicationSet."""

    async def managed(self, app: ApplicationName, **filters: str) -> list[ManagedResource]:
        """The objects that an Application keeps, hooks left out; by `group`, `kind`, `namespace`, `name`."""

    async def sync_windows(self, app: ApplicationName) -> SyncWindows:
        """When the Application may be synced."""

    async def project(self, name: str) -> Project:
        """A project."""

    # -- its operation ------------------------------------------------------------------------------

    async def sync(self, app: ApplicationName, body: Json) -> Application:
        """Start an operation; after a lost answer the caller must look whether it was started."""

    async def terminate(self, app: ApplicationName) -> None:
        """Ask to end the running operation; it is over only when its phase says so."""

    # -- its objects --------------------------------------------------------------------------------

    async def tree(self, app: ApplicationName) -> Tree:
        """The live objects, from the server's cache."""

    async def manifests(self, app: ApplicationName, revision: str | None = None) -> list[Json]:
        """What the source renders to now, hooks included."""

    async def live(
        self, app: ApplicationName, group: str, version: str, kind: str, namespace: str, name: str
    ) -> Json:
        """A live object of the Application, read from the cluster."""

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
        """Change a live object by a JSON merge patch."""

    async def events(self, app: ApplicationName, node: Node) -> list[ClusterEvent]:
        """The Kubernetes events about a live object of the Application."""

    # -- Argo CD itself -----------------------------------------------------------------------------

    async def can_i(self, action: str, resource: str, subject: str) -> bool:
        """Whether the token's account may do this; True if the server does not say."""

    async def server_settings(self) -> ServerSettings:
        """Argo CD's settings, as far as it shows them."""

    async def version(self) -> str:
        """Argo CD's version, "v3.6.1" for example."""

    async def user_info(self) -> UserInfo:
        """Whom Argo CD takes the token's owner for."""

    # -- streams ------------------------------------------------------------------------------------

    def watch(self, app: ApplicationName, fields: str) -> AsyncGenerator[Application]:
        """The Application whenever it changes, the first at once; may drop changes and end at any time."""

    def watch_tree(self, app: ApplicationName) -> AsyncGenerator[Tree]:
        """The tree whenever it changes, but not as it stands; may drop changes and end at any time."""

    def logs(
        self, app: ApplicationName, pod: str, namespace: str, container: str, **extra: str
    ) -> AsyncGenerator[list[LogEntry]]:
        """A container's log entries in batches; `extra` are further parameters of the request."""

    # -- answers that did not come ------------------------------------------------------------------

    def has_answered(self, within: float) -> bool:
        """Whether Argo CD has answered a request in the last `within` seconds."""

    def late_change_until(self) -> float | None:
        """The loop time until which an unanswered change may still take effect; None: all were answered."""

    def late_terminate_until(self) -> float | None:
        """The loop time until which an unanswered `terminate` may still end the operation that runs then."""

    async def wait_for_in_flight(self) -> None:
        """Wait for the answers to canceled requests, a few seconds at most."""


def policy_object(project: str, namespace: str, name: str, own_namespace: str) -> str:
    """What Argo CD's policy calls an Application or ApplicationSet: PROJECT/NAME in its own namespace.

    Anywhere else it is PROJECT/NAMESPACE/NAME (source: Argo CD's util/security/rbac.go, RBACName;
    docs/argocd-facts.md#rbac).
    """
    return f"{project}/{name}" if namespace in ("", own_namespace) else f"{project}/{namespace}/{name}"
