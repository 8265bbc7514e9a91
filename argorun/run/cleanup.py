"""Step 9, clean up: registers each undo; the order here is the clean-up's."""

from __future__ import annotations

import functools
import time

from argorun import events
from argorun.argocd.client import Client
from argorun.argocd.tree import LiveTree
from argorun.config.model import Config, Topic
from argorun.emit import Emitter
from argorun.humanize import count
from argorun.kafka.topics import Topics
from argorun.kinds import Subject
from argorun.run.state import RunState
from argorun.run.undo.application import LEAVES, ApplicationUndos
from argorun.run.undo.pods import PodWait
from argorun.run.undo.stack import Undo, UndoStack, no_command
from argorun.run.undo.topics import TopicUndos

SETTLED = "workloads settled"
GROUPS = 20.0  # seconds for the consumer groups of a topic
DELETE = 45.0  # seconds for a topic, and for those that are derived from it


class RunCleanup:
    """Registers the undos of a run on its undo stack. Each is done after those that are registered later."""

    def __init__(
        self,
        config: Config,
        client: Client,
        topics: Topics,
        live: LiveTree,
        undo: UndoStack,
        state: RunState,
        emitter: Emitter,
    ) -> None:
        self._config, self._undo, self._state = config, undo, state
        self._emitter = emitter
        self._application = ApplicationUndos(config, client, undo, state, emitter)
        self._pods = PodWait(config.application, client, live, undo, state, emitter, self._application)
        self._topics = TopicUndos(config.kafka, topics, undo, emitter, self._pods.check_unused)
        self.is_gone = self._application.is_gone
        self._kept: list[str] = []  # topics that stay, by --keep-topics
        self._registered: dict[str, Undo] = {}  # the Application's, by what the person reads once it is done

    def register_topic(self, name: str, topic: Topic) -> list[Undo]:
        """Register the undos of a topic that is about to be created, and return them.

        Derived topics and consumer groups have undos of their own: their errors do not keep the topic.
        """
        if self._config.keep_topics:
            self._kept.append(name)
            return []
        register, topics, undos = self._undo.register, self._topics, list[Undo]()
        if topic.groups:
            # Patient: a group has members while the pods run.
            groups = functools.partial(topics.delete_groups, topic.groups, name)
            what = f"consumer groups of {name}"
            kind, prefix = Subject.CONSUMER_GROUP, topic.groups
            undos.append(register(what, groups, no_command, kind, prefix, limit=GROUPS, patient=True))
        command = functools.partial(topics.delete_command, name)
        what, derived = f"topics derived from {name}", functools.partial(topics.delete_derived, name)
        kind = Subject.DERIVED_TOPIC
        undos.append(register(what, derived, command, kind, name, limit=DELETE, swept=True))
        what, delete = f"topic {name}", functools.partial(topics.delete, name)
        undos.append(register(what, delete, command, Subject.TOPIC, name, limit=DELETE, swept=True))
        return undos

    def forget(self, name: str, undos: list[Undo]) -> None:
        """Remove the undos of a topic that belongs to somebody else."""
        self.forget_kept(name)
        for undo in undos:
            self._undo.forget(undo)

    def forget_kept(self, name: str) -> None:
        """Emit nothing about this topic at the end: the run has not made it, so it does not stay."""
        self._kept = [kept for kept in self._kept if kept != name]

    def emit_kept_topics(self) -> None:
        """Emit each topic that stays, and the command that deletes it."""
        for name in self._kept:
            command = self._topics.delete_command(name)
            self._emitter.emit(events.TopicKept(time=time.time(), topic=name, command=command))

    def ahead(self) -> list[str]:
        """What there is to undo: of "sync", "parameters" and "topics"."""
        made = {
            "sync": self._state.posted,
            "parameters": self._state.claim.record is not None,
            "topics": bool(self._state.topics) and not self._config.keep_topics,
        }
        return [what for what in made if made[what]]

    def done(self) -> list[str]:
        """What was undone, in few words: `parameters restored`, `topic and 1 group deleted`."""
        done = [brief for brief, undo in self._registered.items() if undo.did]
        if self._application.settling_continues:
            done = ["workloads are settling" if brief == SETTLED else brief for brief in done]
        deleted = [
            count(number, noun)
            for number, noun in (
                (len(self._topics.gone), "topic"),
                (len(self._topics.derived_gone), "derived topic"),
                (len(self._topics.groups_gone), "group"),
            )
            if number
        ]
        if deleted:
            *others, last = ["topic" if deleted[0] == "1 topic" else deleted[0], *deleted[1:]]
            done.append(f"{', '.join(others)} and {last} deleted" if others else f"{last} deleted")
        return done

    def register_application(self) -> None:
        """Register the undos of the parameters and the operation, before either is touched.

        The last one registered is done first; those with `last` are done after all others, also the topics'.
        """
        register, app, unless_gone = self._undo.register, self._application, self._application.unless_gone
        name, run_id = str(self._config.application), self._state.claim.run_id
        whole = self._config.timeouts.cleanup
        if not self._config.keep_topics:
            topics = self._topics
            what = "topics that a terminating pod brings back"
            command = topics.delete_again_command
            again, names = self._delete_topics_again, self._state.topic_names
            register(what, again, command, Subject.TOPIC, *names, patient=True, last=True, swept=True)
        what, check = "what the run's operation changed", unless_gone(app.check_settled)
        # It waits for objects that are being deleted.
        command, limit = app.check_settled_command, LEAVES + 10
        register(what, check, command, Subject.WORKLOADS, name, limit=limit, patient=True, last=True)
        what, restored = "parameters that came back", unless_gone(app.restore_again)
        register(what, restored, no_command, Subject.PARAMETERS, name, patient=True, last=True)
        what, late = "requests without an answer", unless_gone(app.undo_late)
        register(what, late, app.undo_late_command, Subject.LATE_CHANGE, name, limit=60.0, patient=True)
        # A busy Argo CD may need the whole budget, minus what the other undos reserve.
        what, wait = "pods of this run", unless_gone(self._pods.wait, also_while_deleting=True)
        leave, limit = self._pods.leave, whole
        register(what, wait, self._pods.command, Subject.POD, limit=limit, patient=True, leave=leave)
        what, settle = "the workloads' settings", unless_gone(app.settle)
        settling = register(
            what, settle, app.settle_command, Subject.WORKLOADS, name, limit=whole, patient=True
        )
        # A slow rendering gets a third of the budget; then the parameters are restored without rendering.
        limit, restore = max(40.0, whole * 2 / 3), unless_gone(app.restore)
        what, command = "the parameters", app.restore_command
        restoring = register(what, restore, command, Subject.PARAMETERS, name, limit=limit, swept=True)
        end = unless_gone(app.end_operation, also_while_deleting=True)
        what, command = "the run's operation", app.end_command
        ending = register(what, end, command, Subject.OPERATION, run_id, limit=40.0)
        briefs = {"sync stopped": ending, "parameters restored": restoring, SETTLED: settling}
        self._registered = briefs

    async def _delete_topics_again(self) -> str | None:
        """Delete the topics again, unless no sync was prepared: then no pod can have brought one back."""
        return await self._topics.delete_again() if self._state.logs is not None else None
