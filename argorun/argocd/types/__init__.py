"""The parts of Argo CD's JSON that argorun reads, as typed values.

Here JSON ends. Field names are Argo CD's own (source: pkg/apis/application/v1alpha1/types.go). The spec,
which a run must put back exactly, stays raw JSON. Import every type from this package.
"""

from argorun.argocd.types.application import (
    Application,
    Applications,
    Condition,
    Deployed,
    ResourceStatus,
    Status,
    Sync,
    WatchEvent,
)
from argorun.argocd.types.application_set import (
    ApplicationSet,
    ApplicationSetPolicy,
    ApplicationSetSpec,
    IgnoreRule,
    PreservedFields,
)
from argorun.argocd.types.base import Camel, Health, Info, Json, Metadata, OwnerReference
from argorun.argocd.types.cluster import ClusterEvent, ClusterEvents, LogEntry
from argorun.argocd.types.operation import (
    RUN_INFO,
    SETTLE,
    Initiator,
    Operation,
    OperationState,
    ResourceResult,
    SyncOperation,
    SyncResult,
)
from argorun.argocd.types.project import Project, ProjectSpec, SyncWindow, SyncWindows
from argorun.argocd.types.resources import ManagedResource, ManagedResources, Manifests, SourceDetails
from argorun.argocd.types.server import ErrorBody, ServerSettings, ServerVersion, StreamError, UserInfo
from argorun.argocd.types.tree import Node, Ref, Tree

__all__ = [
    "RUN_INFO",
    "SETTLE",
    "Application",
    "ApplicationSet",
    "ApplicationSetPolicy",
    "ApplicationSetSpec",
    "Applications",
    "Camel",
    "ClusterEvent",
    "ClusterEvents",
    "Condition",
    "Deployed",
    "ErrorBody",
    "Health",
    "IgnoreRule",
    "Info",
    "Initiator",
    "Json",
    "LogEntry",
    "ManagedResource",
    "ManagedResources",
    "Manifests",
    "Metadata",
    "Node",
    "Operation",
    "OperationState",
    "OwnerReference",
    "PreservedFields",
    "Project",
    "ProjectSpec",
    "Ref",
    "ResourceResult",
    "ResourceStatus",
    "ServerSettings",
    "ServerVersion",
    "SourceDetails",
    "Status",
    "StreamError",
    "Sync",
    "SyncOperation",
    "SyncResult",
    "SyncWindow",
    "SyncWindows",
    "Tree",
    "UserInfo",
    "WatchEvent",
]
