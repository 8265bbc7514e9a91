"""A whole run of an Application outside of Argo CD's own namespace, with a policy for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from argorun.argocd.rest_client import RestClient
from argorun.config.model import ApplicationRef, ArgoCD, Config, Parameter, Topic
from argorun.errors import AccessDenied, ArgorunError
from argorun.events import Event, LeftBehind, LogLines, Notice
from argorun.kafka.spec import CreatedTopic, TopicSpec
from argorun.kafka.topics import Related
from argorun.run.steps import Run
from argorun.sandbox.standin import Account, StandIn
from tests.unit.sandbox.world import Json, configmap, job, run, world

SOURCE = {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "shared"}]}}


class Topics:
    """A Kafka that accepts every request."""

    def __init__(self) -> None:
        self.there: set[str] = set()

    async def preflight(self, wanted: dict[str, TopicSpec]) -> None: ...

    async def create(self, name: str, spec: TopicSpec) -> None:
        self.there.add(name)

    async def wait_usable(self, name: str) -> CreatedTopic:
        return CreatedTopic(name=name, partitions=1, replication_factor=1)

    async def delete(self, name: str) -> None:
        self.there.discard(name)

    async def wait_gone(self, name: str) -> None: ...

    async def related(self, name: str) -> Related:
        return Related((), ())


async def argorun(standin: StandIn, account: Account) -> tuple[ArgorunError | None, list[Event]]:
    """A run with this account; its error and its events."""
    standin.accounts["team"] = account
    config = Config(
        application=ApplicationRef(name="feed", namespace="team-a"),
        argocd=ArgoCD(server=standin.server, token="team", plaintext=True),
        kafka={"bootstrap.servers": "broker:9092"},
        topics=(Topic(prefix="feed", parameters=(Parameter(helm="kafka.topic"),)),),
        jobs=("checks",),
    )
    emitted: list[Event] = []
    topics = Topics()
    async with RestClient(config.argocd) as client:
        made = Run(config, emitted.append, client, cast(Any, topics))
        try:
            error = await made.steps()
        except ArgorunError as e:
            error = e
        await made.clean_up()
    assert topics.there == set()
    return error, emitted


def test_the_narrow_policy_is_enough_and_all_is_as_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        manifests = configmap("settings", topic="TOPIC"), job("checks", "echo TOPIC", hook="PostSync")
        async with world(tmp_path, *manifests) as it:
            app = it.standin.add("feed", it.render, SOURCE, project="team-a", own_namespace="team-a")
            before: Json = app.snapshot()["spec"]
            error, emitted = await argorun(it.standin, Account(name="team", objects="team-a/team-a/*"))
            assert error is None
            (line,) = [t for e in emitted if isinstance(e, LogLines) for t in e.texts]
            assert line.startswith("feed_")
            assert [e for e in emitted if isinstance(e, LeftBehind | Notice)] == []
            after = app.snapshot()
            assert (after["spec"], "argorun.dev/run" in after["metadata"]["annotations"]) == (before, False)

    run(test())


def test_the_policy_line_that_is_missing_is_of_this_application_and_no_other(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, job("checks", "echo TOPIC", hook="PostSync")) as it:
            it.standin.add("feed", it.render, SOURCE, project="team-a", own_namespace="team-a")
            looks = Account(name="team", objects="team-a/team-a/*", applications=frozenset({"get"}))
            error, _ = await argorun(it.standin, looks)
            assert isinstance(error, AccessDenied)
            lines = [
                f"p, role:argorun, applications, {action}, team-a/team-a/feed, allow"
                for action in ("update", "sync")
            ]
            assert error.hint.splitlines() == ["add to Argo CD's policy.csv:", *lines]
            error, _ = await argorun(it.standin, Account(name="team", objects="team-a/feed"))
            assert isinstance(error, AccessDenied)

    run(test())
