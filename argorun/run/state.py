"""The state that a run's steps share."""

from __future__ import annotations

from dataclasses import dataclass, field

from argorun.argocd.claim.claim import Claim
from argorun.argocd.hooks.live_providers import LiveProviders
from argorun.argocd.logs.jobs import JobLogs
from argorun.argocd.manifests.hooks import RUNNING
from argorun.argocd.settle.settlement import Settlement
from argorun.argocd.types import Json, Node
from argorun.config.model import Topic


@dataclass(frozen=True)
class RunTopic:
    """A topic of the run: its name in Kafka, and what argorun.yaml says about it."""

    name: str
    topic: Topic


@dataclass
class RunState:
    """What a run has made in Argo CD and Kafka so far, and what it knows about it."""

    operation: str  # the id that the run's operation carries
    claim: Claim
    topics: list[RunTopic] = field(default_factory=list)
    former: list[Json] = field(default_factory=list)  # the rendering without the run's values, where there is
    owner: str = ""  # who else writes the Application's spec; empty where nobody does
    providers: LiveProviders = field(default_factory=lambda: LiveProviders({}, {}))
    logs: JobLogs | None = None  # it knows the Jobs that the operation has made
    settlement: Settlement | None = None  # it knows what the operation may have changed
    started: float = 0.0  # when the operation was started, in seconds since the epoch
    revision: str = ""  # the commit that it syncs
    posted: bool = False  # the operation may have been started: it was asked for
    deleting: bool = False  # the Application is being deleted, with all that it has made

    @property
    def topic_names(self) -> list[str]:
        """The topics' names in Kafka."""
        return [t.name for t in self.topics]

    def is_ours(self, node: Node) -> bool:
        """Whether a live object may be the operation's; a Job or bare pod must be one that it made.

        One that existed before counts, too: it may hold up the operation.
        """
        if self.logs is None or node.kind not in RUNNING:
            return True
        return node.uid in self.logs.uids or node.uid in self.logs.former
