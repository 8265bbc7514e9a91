"""Before anything is made: names by Argo CD's time, a token that lives, the right object asked about."""

from __future__ import annotations

from typing import Any, cast

import pytest

from argorun.argocd.client import INSTANCE, Client
from argorun.argocd.http.errors import NEW_TOKEN
from argorun.argocd.manifests.keys import Key
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Node, Tree
from argorun.config.model import ApplicationRef, ArgoCD, Parameter, Topic
from argorun.errors import AccessDenied, ArgorunError, UsageError
from argorun.kafka.spec import TopicExists, TopicSpec
from argorun.run.preflight import Preflight, check_others
from argorun.run.state import RunState
from argorun.sandbox.standin.helm import command
from tests.unit.argocd.fakes import FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.config.test_jwt import token
from tests.unit.scenario import NOW, SPEC, Scenario
from tests.unit.virtual import run

TOPICS = (
    Topic(prefix="weather", parameters=(Parameter(helm="kafka.topic"),)),
    Topic(prefix="alerts", parameters=(Parameter(helm="alerts.topic"),)),
)


class Topics:
    """A Kafka that says of the first names that they exist."""

    def __init__(self, exist: int = 0) -> None:
        self.exist = exist
        self.asked: list[list[str]] = []

    async def preflight(self, wanted: dict[str, TopicSpec]) -> None:
        self.asked.append(list(wanted))
        if len(self.asked) <= self.exist:
            raise TopicExists(next(iter(wanted)))


class OnePreflight(Scenario):
    """An Argo CD whose clock is right, a machine whose clock may not be, and one preflight."""

    def __init__(self, wrong: float = 0.0, exist: int = 0, spec: Json = SPEC, **config: Any) -> None:
        super().__init__(spec)
        self.set_time(NOW, ahead=wrong)
        self.configure(topics=TOPICS, **config)
        self.topics = Topics(exist)
        self.argocd.document["metadata"]["namespace"] = "team-a"
        self.asked: list[str] = []
        self.refused: set[str] = set()
        self.state = RunState(operation="mine", claim=cast(Any, None))

    async def can_i(self, action: str, resource: str, subject: str) -> bool:
        self.asked.append(f"{resource}, {action}, {subject}")
        return subject not in self.refused

    def preflight(self) -> ArgorunError | None:
        """What keeps the run from beginning."""
        self.argocd.can_i = self.can_i  # type: ignore[method-assign]
        checks = Preflight(
            self.config,
            self.argocd.client,
            cast(Any, self.topics),
            self.emitter,
            lambda *_: None,
        )
        try:
            run(checks.run(self.state))
        except ArgorunError as e:
            return e
        return None

    @property
    def names(self) -> list[str]:
        return self.state.topic_names


# -- the time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "notices"),
    [
        (0, []),
        (29, []),
        (-29, []),
        (1200, ["the clock of this machine is 20m00s ahead of Argo CD's: Argo CD's time is used"]),
        (-25200, ["the clock of this machine is 7h00m behind Argo CD's: Argo CD's time is used"]),
    ],
)
def test_topics_are_named_by_argo_cds_time_and_a_clock_that_is_off_is_reported_once(
    wrong: float, notices: list[str]
) -> None:
    scenario = OnePreflight(wrong)
    assert scenario.preflight() is None
    assert scenario.topics.asked == [scenario.names]
    assert [name[:-9] for name in scenario.names] == [f"weather_{NOW}", f"alerts_{NOW}"]
    assert scenario.notices == notices


def test_a_name_that_exists_is_drawn_anew_and_the_others_stay() -> None:
    scenario = OnePreflight(exist=1)
    assert scenario.preflight() is None
    (first, second), (again, same) = scenario.topics.asked
    assert (first != again, second) == (True, same)
    assert scenario.names == [again, same]


# -- the token -------------------------------------------------------------------------------------------


def with_token(seconds: float, **more: Any) -> OnePreflight:
    """One that expires in so many seconds, by Argo CD's time."""
    return OnePreflight(argocd=ArgoCD(server="argocd", token=token({"exp": NOW + seconds})), **more)


def test_a_token_that_expires_before_the_run_may_end_is_reported_before_anything_is_made() -> None:
    scenario = with_token(12)
    assert scenario.preflight() is None
    assert scenario.notices == [
        "the token expires at 2027-01-15T08:00:12Z (in 12.0s), before the run may end (15m + 90s for the "
        f"clean-up): after that nothing can be restored; {NEW_TOKEN}"
    ]


@pytest.mark.parametrize("seconds", [990, 86400])
def test_one_that_outlives_the_run_is_not(seconds: float) -> None:
    scenario = with_token(seconds)
    assert (scenario.preflight(), scenario.notices) == (None, [])


@pytest.mark.parametrize("wrong", [0, 7200, -7200])
def test_its_end_is_by_argo_cds_clock(wrong: float) -> None:
    scenario = with_token(3600, wrong=wrong)
    assert scenario.preflight() is None
    assert not any("token" in text for text in scenario.notices)


def test_one_that_has_expired_is_6_and_argo_cd_is_asked_nothing_more() -> None:
    """Argo CD takes whoever is nobody as a guest where that is switched on."""
    scenario = with_token(-3600)
    error = scenario.preflight()
    assert isinstance(error, AccessDenied)
    assert (error.message, error.hint) == ("the token for Argo CD expired at 2027-01-15T07:00:00Z", NEW_TOKEN)
    assert scenario.argocd.calls == ["application"]
    assert scenario.topics.asked == [scenario.names], (
        "Kafka is asked, for all that is wrong to be told at once"
    )


# -- auto-sync -------------------------------------------------------------------------------------------


def test_an_argo_cd_that_cannot_switch_auto_sync_off_is_2_before_anything_is_made() -> None:
    scenario = OnePreflight(spec=SPEC | {"syncPolicy": {"automated": {}}})
    scenario.argocd.version_answer = "v2.14.21"
    assert isinstance(scenario.preflight(), UsageError)
    assert scenario.argocd.patches == []


# -- permissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("namespace", "own", "subject"),
    [
        (None, "argocd", "default/weather"),
        ("argocd", "argocd", "default/weather"),
        ("team-a", "argocd", "default/team-a/weather"),
        ("team-a", "team-a", "default/weather"),
        ("team-a", "", "default/team-a/weather"),
    ],
)
def test_the_policy_is_asked_about_exactly_the_object_that_it_knows(
    namespace: str | None, own: str, subject: str
) -> None:
    scenario = OnePreflight(application=ApplicationRef(name="weather", namespace=namespace))
    scenario.argocd.namespace_answer = own
    assert scenario.preflight() is None
    assert scenario.asked == [
        f"applications, update, {subject}",
        f"applications, sync, {subject}",
        f"logs, get, {subject}",
    ]


def test_the_policy_line_that_is_missing_opens_no_other_application() -> None:
    scenario = OnePreflight(application=ApplicationRef(name="weather", namespace="team-a"))
    scenario.refused = {"default/team-a/weather"}
    error = scenario.preflight()
    assert isinstance(error, AccessDenied)
    assert (error.message, error.hint) == (
        "the token's account misses permissions on default/team-a/weather: applications update, applications "
        "sync, logs get",
        "add to Argo CD's policy.csv:\n"
        "p, role:argorun, applications, update, default/team-a/weather, allow\n"
        "p, role:argorun, applications, sync, default/team-a/weather, allow\n"
        "p, role:argorun, logs, get, default/team-a/weather, allow",
    )


# -- files in Git ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [True, False])
def test_a_dry_run_sees_a_file_in_git_that_wins_over_the_runs_values(pinned: bool) -> None:
    scenario = OnePreflight(dry_run=True)

    def asked(argocd: FakeArgoCD) -> None:
        listed = [{"name": "kafka.topic", "value": "theirs"}]
        if not pinned:
            names = ("kafka.topic", "alerts.topic")
            listed = [{"name": n, "value": v} for n, v in zip(names, scenario.names, strict=True)]
        argocd.helm_answer = f"`{command('x', 'n', listed)}` failed exit status 1: Error"

    scenario.argocd.meets("helm_command", asked)
    error = scenario.preflight()
    if not pinned:
        assert error is None
        return
    assert isinstance(error, UsageError)
    assert error.message == "Helm does not get the Application's kafka.topic: it gets 'theirs'"


# -- others' objects, right before the sync --------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_anothers_job_that_appears_just_before_the_sync_is_seen_by_comparing_anew(force: bool) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    key = Key("batch", "Job", "n", "checks")

    def tracked(owner: str) -> Json:
        annotations = {"argocd.argoproj.io/tracking-id": f"{owner}:batch/Job:n/checks"}
        return job | {"metadata": {"name": "checks", "namespace": "n", "annotations": annotations}}

    class Cluster:
        """The other's Job is in the tree only once the Application has been compared anew."""

        nodes: tuple[Node, ...] = ()
        instance_label = INSTANCE

        async def application(self, app: object, *, refresh: str) -> None:
            named = {"version": "v1", "uid": "theirs", **key._asdict()}
            self.nodes = (Node(**named),)

        async def tree(self, app: object) -> Tree:
            return Tree(nodes=list(self.nodes))

        async def live(self, app: object, *named: str) -> Json:
            return tracked("other")

    async def look() -> None:
        cluster, app = cast(Client, Cluster()), ApplicationRef(name="weather")
        hooks = {key: tracked("weather")}
        await check_others(cluster, app, LiveTree(cluster, app), Scenario().emitter, hooks, {}, force=force)

    if force:
        run(look())
    else:
        with pytest.raises(UsageError) as e:
            run(look())
        assert "belongs to Application other" in str(e.value.reason)
