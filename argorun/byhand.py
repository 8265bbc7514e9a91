"""The commands by which a person does what argorun could not, with the others' own tools."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from argorun.argocd.client import as_go_writes_it
from argorun.argocd.effects import Key
from argorun.argocd.settlement import Remains
from argorun.argocd.types import Node


def delete_topics(server: str, names: Iterable[str]) -> str:
    """Delete these topics, on the brokers at `server`."""
    delete = f"kafka-topics --bootstrap-server {shlex.quote(server)} --delete --if-exists --topic"
    return "; ".join(f"{delete} {name}" for name in names)


def end(app: object) -> str:
    """End the operation that runs, and wait until it is over: Argo CD takes no other before."""
    return f"argocd app terminate-op {app}; argocd app wait {app} --operation"


def sync(app: object) -> str:
    """A sync without hooks, of the whole Application."""
    return f"argocd app sync {app} --strategy apply"


def settle(app: object, keys: Iterable[Key]) -> str:
    """A sync without hooks, of these objects; nothing where there are none."""
    named = " ".join(f"--resource {resource(k)}" for k in keys)
    return f"argocd app sync {app} {named}" if named else ""


def resource(key: Key) -> str:
    """An object as the argocd CLI takes it: GROUP:KIND:NAMESPACE/NAME."""
    return shlex.quote(f"{key.group}:{key.kind}:{key.namespace}/{key.name}")


def delete_job(job: Node) -> str:
    """Delete a hook's Job and its pods; `argocd app delete-resource` knows no hooks."""
    return f"kubectl delete job {shlex.quote(job.name)} --namespace {shlex.quote(job.namespace)}"


def object_back(app: object, remains: Remains) -> str:
    """Take a topic's name out of one object."""
    key = remains.key
    where = f"{shlex.quote(key.name)}" + (
        f" --namespace {shlex.quote(key.namespace)}" if key.namespace else ""
    )
    kind = f"{key.kind}.{key.group}".rstrip(".").lower()
    if remains.patch is not None:
        return f"kubectl patch {kind} {where} --type merge --patch {shlex.quote(json.dumps(remains.patch))}"
    if remains.delete:
        return f"kubectl delete {kind} {where}"
    return settle(app, [key])


def patch(app: object, operations: Sequence[dict[str, Any]]) -> str:
    """Send a JSON patch; nothing where it has no operation."""
    if not operations:
        return ""
    written = as_go_writes_it(list(operations))
    shown = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in written)
    return f"argocd app patch {app} --type json --patch {shlex.quote(shown)}"
