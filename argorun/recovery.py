"""The commands that a person runs where argorun could not undo something."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from argorun.argocd.manifests.keys import Key
from argorun.argocd.rest_client import as_go_writes_it
from argorun.argocd.settle.plan import Plan
from argorun.argocd.settle.remains import Remains
from argorun.argocd.types import Node

CLIENT_PROPERTIES = "client.properties"  # the Java client's settings: in docs/troubleshooting.md
IN_ONE_COMMAND = 100  # topics: a command line has an end


def delete_topics(kafka: Mapping[str, str], names: Sequence[str]) -> str:
    """Delete these topics and those that are derived from their names; nothing where there are none.

    `kafka` has librdkafka's properties. kafka-topics takes a regular expression that matches whole names, and
    its own settings from a file, which a cluster with TLS or a login needs: the person has to write it.
    """
    plaintext = kafka.get("security.protocol", "plaintext").lower() == "plaintext"
    settings = "" if plaintext else f" --command-config {CLIENT_PROPERTIES}"
    server = shlex.quote(kafka["bootstrap.servers"])
    delete = f"kafka-topics --bootstrap-server {server}{settings} --delete --if-exists --topic"
    parts = [names[at : at + IN_ONE_COMMAND] for at in range(0, len(names), IN_ONE_COMMAND)]
    return "; ".join(f"{delete} {shlex.quote(_matching(part))}" for part in parts)


def _matching(names: Sequence[str]) -> str:
    """A regular expression for these topics and those that are derived from their names."""
    escaped = [name.replace(".", r"\.") for name in names]
    return (escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})") + "([-._].*)?"


def end_operation(app: object) -> str:
    """End the operation that runs, and wait until it is over: Argo CD accepts no other before."""
    return f"argocd app terminate-op {app}; argocd app wait {app} --operation"


def sync(app: object) -> str:
    """A sync without hooks, of the whole Application."""
    return f"argocd app sync {app} --strategy apply"


def settle(app: object, keys: Iterable[Key], *, prune: bool = False) -> str:
    """A sync without hooks, of these objects; nothing where there are none.

    With `prune`, those among them that Git does not have are deleted.
    """
    named = " ".join(f"--resource {resource(k)}" for k in keys)
    return f"argocd app sync {app} {named}{' --prune' if prune else ''}" if named else ""


def restore_objects(app: object, plan: Plan) -> str:
    """All objects of a plan: hooks that hold data, what a sync restores, and what none does."""
    objects = [Remains(key, "", patch) for key, patch in plan.patch if patch]
    objects += [Remains(key, "", delete=True) for key in (*plan.delete, *plan.stay)]
    synced = settle(app, [*plan.settle, *plan.prune], prune=bool(plan.prune))
    return "; ".join(filter(None, [*(restore_object(app, remains) for remains in objects), synced]))


def resource(key: Key) -> str:
    """An object as the argocd CLI takes it: GROUP:KIND:NAMESPACE/NAME."""
    return shlex.quote(f"{key.group}:{key.kind}:{key.namespace}/{key.name}")


def delete_job(job: Node) -> str:
    """Delete a hook's Job and its pods; `argocd app delete-resource` does not find hooks."""
    return _delete("job", job)


def delete_pod(pod: Node) -> str:
    """Delete one pod."""
    return _delete("pod", pod)


def _delete(kind: str, target: Node | Key) -> str:
    """Delete an object; what ends by itself before the person comes is no error."""
    return f"kubectl delete {kind} {_place(target)} --ignore-not-found"


def _place(target: Node | Key) -> str:
    """An object's name and namespace as kubectl takes them."""
    namespace = f" --namespace {shlex.quote(target.namespace)}" if target.namespace else ""
    return shlex.quote(target.name) + namespace


def restore_object(app: object, remains: Remains) -> str:
    """Take a topic's name out of one object."""
    key = remains.key
    if remains.command is not None:
        return remains.command
    if remains.hook:
        return f"argocd app sync {app}"
    kind = key.resource.lower()
    if remains.patch is not None:
        patched = shlex.quote(json.dumps(remains.patch))
        return f"kubectl patch {kind} {_place(key)} --type merge --patch {patched}"
    if remains.delete:
        return _delete(kind, key)
    return settle(app, [key])


def patch(app: object, operations: Sequence[dict[str, Any]]) -> str:
    """Send a JSON patch; nothing where it has no operation."""
    if not operations:
        return ""
    written = as_go_writes_it(list(operations))
    shown = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in written)
    return f"argocd app patch {app} --type json --patch {shlex.quote(shown)}"
