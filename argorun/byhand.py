"""The commands by which a person does what argorun could not, with Kafka's and Argo CD's own tools."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from argorun.argocd.client import as_go_writes_it
from argorun.argocd.types import Node


def delete_topics(server: str, names: Iterable[str]) -> str:
    """Delete these topics, on the brokers at `server`."""
    delete = f"kafka-topics --bootstrap-server {shlex.quote(server)} --delete --if-exists --topic"
    return "; ".join(f"{delete} {name}" for name in names)


def delete_job(app: object, job: Node) -> str:
    """Delete a Job of an Application, and its pods."""
    name, namespace = shlex.quote(job.name), shlex.quote(job.namespace)
    where = f"--kind Job --namespace {namespace} --resource-name {name}"
    return f"argocd app delete-resource {app} {where}"


def patch(app: object, operations: Sequence[dict[str, Any]]) -> str:
    """Send a JSON patch; nothing where it has no operation."""
    if not operations:
        return ""
    written = as_go_writes_it(list(operations))
    shown = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in written)
    return f"argocd app patch {app} --type json --patch {shlex.quote(shown)}"
