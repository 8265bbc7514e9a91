"""Emits what a sweep could not do, with the commands that a person runs instead."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from argorun import events, recovery
from argorun.argocd.claim.leftovers import Leftover
from argorun.argocd.claim.original import patch_to_original
from argorun.argocd.parameters.record import record_of
from argorun.argocd.settle.remains import Remains
from argorun.emit import Emitter
from argorun.errors import AccessDenied, ArgorunError, CleanupIncomplete, InternalError
from argorun.humanize import count
from argorun.kafka.names import TopicName
from argorun.kinds import Subject


class LeftBehind:
    """What a sweep could not do so far: how many things, and what exit code that gives."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.count = 0
        self._errors: set[type[ArgorunError]] = set()

    @property
    def exit_code(self) -> int:
        """The exit code of a sweep that came to its end."""
        if not self.count:
            return 0
        for kind in (InternalError, AccessDenied):
            if any(issubclass(error, kind) for error in self._errors):
                return kind.exit_code
        return CleanupIncomplete.exit_code

    def add_application(self, found: Leftover, what: str, why: str | ArgorunError, command: str) -> None:
        """Emit an Application that is not restored."""
        self._add(what, why, command, Subject.APPLICATION, [str(found.app)])

    def add_object(self, what: str, remains: Remains, command: str) -> None:
        """Emit an object in the cluster that is not back, or a pod."""
        key = remains.key
        kind = Subject.POD if key.resource == "Pod" else Subject.RESOURCE
        self._add(what, remains.why, command, kind, [key.name], key.namespace, key.resource)

    def add_groups(self, prefix: str, why: ArgorunError) -> None:
        """Emit the consumer groups with this prefix."""
        self._add(f"consumer groups {prefix}*", why, "", Subject.CONSUMER_GROUP, [prefix])

    def add_topics(
        self, kafka: Mapping[str, str], topics: Mapping[str, TopicName], why: str | ArgorunError
    ) -> None:
        """Emit these topics, each with the name that it was drawn under. `kafka` has librdkafka's properties.

        Of several, the command has the drawn names: it deletes what is derived from them, too.
        """
        (first, *more), drawn = topics, tuple(dict.fromkeys(map(str, topics.values())))
        what = count(len(topics), "topic") if more else f"topic {first}"
        names: Sequence[str] = drawn if more else (first,)
        self._add(what, why, recovery.delete_topics(kafka, names), Subject.TOPIC, list(topics))

    def _add(
        self,
        what: str,
        why: str | ArgorunError,
        command: str,
        kind: Subject,
        names: Sequence[str],
        namespace: str = "",
        resource: str = "",
    ) -> None:
        """Emit what is left behind, and count it: one thing, or several of a kind."""
        self.count += len(names)
        if isinstance(why, ArgorunError):
            self._errors.add(type(why))
        self._emitter.emit(
            events.LeftBehind(
                time=time.time(),
                what=what,
                why=why if isinstance(why, str) else reason(why),
                command=command,
                kind=kind,
                names=tuple(names),
                namespace=namespace,
                resource=resource,
                swept=kind in (Subject.APPLICATION, Subject.TOPIC),  # by the next sweep
            )
        )


def restore_commands(found: Leftover) -> str:
    """The commands that restore an Application; none where another run holds it by now."""
    stands = record_of(found.seen)
    if stands is not None and stands.run != found.record.run:
        return ""
    commands = [
        recovery.end_operation(found.app) if found.runs else "",
        recovery.patch(found.app, patch_to_original(found.seen, found.record)),
        recovery.sync(found.app) if found.record.synced else "",
    ]
    return "; ".join(filter(None, commands))


def reason(error: ArgorunError) -> str:
    """Why something is left, with what to do about it."""
    return f"{error.message}; {error.hint}" if error.hint else error.message
