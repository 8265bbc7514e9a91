"""Kubernetes events and container log lines, as Argo CD passes them on."""

from __future__ import annotations

from argorun.argocd.types.base import Camel
from argorun.argocd.types.tree import Ref


class ClusterEvent(Camel, frozen=True):
    """A Kubernetes event; Argo CD fills in the count and the last time if only `series` has them.

    Source: server/events/events.go, k8sEventToAPIEvent.
    """

    type: str = ""  # Normal, Warning
    reason: str = ""
    message: str = ""
    count: int = 0
    last_timestamp: str | None = None  # RFC 3339, whole seconds
    involved_object: Ref = Ref()


class ClusterEvents(Camel, frozen=True):
    items: list[ClusterEvent] | None = None


class LogEntry(Camel, frozen=True, gc=False):
    content: str = ""
    time_stamp_str: str = ""
    pod_name: str = ""
    last: bool = False
