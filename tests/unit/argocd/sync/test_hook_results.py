"""What an operation says of a test Job is held against the Job itself: it may have looked at another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from argorun.argocd.http.errors import ApiError, Denied
from argorun.argocd.sync import hook_results
from argorun.argocd.sync.hook_results import Intruder, Vanished
from argorun.argocd.tree import LiveTree
from argorun.argocd.types import Application, Json, Node, OperationState, ResourceResult, SyncResult, Tree
from argorun.errors import ArgoCDFailed
from tests.unit.argocd.fakes import APP, DOWN, FakeArgoCD
from tests.unit.virtual import run

GONE = ApiError("show Job checks", 400, 3, "checks not found as part of application weather")
DELETED = Denied("show Job checks", 404, 'jobs.batch "checks" not found', "")
FORMER = "former"


def hook(phase: str, name: str = "checks", at: str = "PostSync", status: str = "Synced") -> ResourceResult:
    return ResourceResult(
        group="batch",
        version="v1",
        kind="Job",
        namespace="n",
        name=name,
        status=status,
        message="as the operation says",
        hook_type=at,
        hook_phase=phase,
        sync_phase=at,
    )


def job(*conditions: str, uid: str = "ours") -> Json:
    """A live Job; a condition is `Complete`, or `Suspended=False`."""
    told = [c.partition("=") for c in conditions]
    listed = [{"type": kind, "status": is_so or "True", "message": "its own"} for kind, _, is_so in told]
    return {"metadata": {"uid": uid}, "status": {"conditions": listed} if listed else {}}


def named(uid: str, name: str = "checks") -> Node:
    return Node(group="batch", version="v1", kind="Job", namespace="n", name=name, uid=uid)


class Cluster(FakeArgoCD):
    """What Argo CD answers about a live Job, in this order; the last answer stays."""

    def __init__(self, *answers: Json | Exception) -> None:
        super().__init__()
        self.replies = list(answers)
        self.asked: list[float] = []
        self.nodes: list[Node] = []
        self.refreshed = 0

    async def application(self, app: object, *, refresh: str | None = None) -> Application:
        self.refreshed += 1
        return self.seen()

    async def tree(self, app: object) -> Tree:
        return Tree(nodes=self.nodes)

    async def live(self, app: object, *key: str) -> Json:
        self.asked.append(asyncio.get_running_loop().time())
        assert key == ("batch", "v1", "Job", "n", "checks")
        answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Seen:
    """What our operation was seen to make: `ours`, unless told otherwise; strangers by uid."""

    former = frozenset({FORMER})

    def __init__(
        self,
        made: bool = True,
        in_place: str = "",
        strangers: dict[str, str] | None = None,
        vanishes: bool = True,
        others: str = "",
    ) -> None:
        self._others = others
        self._made, self._in_place, self._strangers = made, in_place, strangers or {}
        self._vanishes = vanishes

    def may_vanish(self, hook: ResourceResult) -> bool:
        return self._vanishes

    def made(self, kind: str, namespace: str, name: str) -> bool:
        assert (kind, namespace) == ("Job", "n")
        return self._made

    def in_place_of(self, hook: ResourceResult) -> str:
        return self._in_place

    async def whose_is(self, hook: ResourceResult, uid: str) -> str:
        return self._strangers.get(uid, "")

    def others(self, hook: ResourceResult, live: Json) -> str:
        return self._others


OURS = Seen()


def verified(
    cluster: Cluster,
    *hooks: ResourceResult,
    tree: tuple[Node, ...] = (),
    made: Seen = OURS,
    is_test: bool = True,
) -> tuple[list[str], list[list[str]], float]:
    """The hooks' phases in the end, what was told before it, and after how many seconds that was known."""
    end, told, seconds = verified_state(cluster, *hooks, tree=tree, made=made, is_test=is_test)
    return [r.hook_phase for r in entries(end)], told, seconds


def entries(state: OperationState) -> list[ResourceResult]:
    assert state.sync_result is not None
    return list(state.sync_result.resources or ())


def verified_state(
    cluster: Cluster,
    *hooks: ResourceResult,
    tree: tuple[Node, ...] = (),
    made: Seen = OURS,
    is_test: bool = True,
) -> tuple[OperationState, list[list[str]], float]:
    told: list[list[str]] = []

    def phases(state: OperationState) -> list[str]:
        return [r.hook_phase for r in entries(state)]

    async def look() -> tuple[OperationState, list[list[str]], float]:
        live = LiveTree(cluster.client, APP)
        cluster.nodes = list(tree)
        await live.read()
        state = OperationState(phase="Succeeded", sync_result=SyncResult(resources=list(hooks)))
        began = asyncio.get_running_loop().time()
        end = await hook_results.verify(
            cluster.client,
            APP,
            live,
            state,
            hooks if is_test else (),
            made,
            lambda s, _: told.append(phases(s)),
        )
        return end, told, asyncio.get_running_loop().time() - began

    return run(look())


@pytest.mark.parametrize(
    ("said", "condition"), [("Succeeded", "Complete"), ("Failed", "Failed"), ("Error", "Failed")]
)
def test_an_end_that_the_job_confirms_takes_one_look_and_no_time(said: str, condition: str) -> None:
    cluster = Cluster(job("SuccessCriteriaMet", condition))
    phases, told, seconds = verified(cluster, hook(said))
    assert (phases, len(cluster.asked), seconds) == ([{"Error": "Failed"}.get(said, said)], 1, 0)
    assert told == ([["Failed"]] if said == "Error" else [])


@pytest.mark.parametrize(
    "at_first", [job(), job("Suspended=False"), job("FailureTarget")], ids=["bare", "resumed", "failing"]
)
@pytest.mark.parametrize("said", ["Succeeded", "Failed"])
@pytest.mark.parametrize(("end", "phase"), [("Complete", "Succeeded"), ("Failed", "Failed")])
def test_a_job_that_still_runs_is_waited_for(at_first: Json, said: str, end: str, phase: str) -> None:
    cluster = Cluster(at_first, at_first, at_first, job(end))
    phases, told, seconds = verified(cluster, hook(said))
    assert phases == [phase]
    assert told == [["Running"], [phase]]
    assert seconds == 3 * hook_results.POLL


def test_a_success_that_the_job_denies_is_a_failure() -> None:
    assert verified(Cluster(job("Failed")), hook("Succeeded"))[:2] == (["Failed"], [["Failed"]])


def test_a_job_of_an_earlier_sync_has_no_end_in_this_one() -> None:
    """Its delete policy left it where it was: Argo CD applies over it, and nothing runs."""
    assert verified(Cluster(job("Complete", uid=FORMER)), hook("Succeeded"))[:2] == ([""], [[""]])


@pytest.mark.parametrize("answer", [GONE, DELETED])
@pytest.mark.parametrize("tree", [(), (named("ours"),), (named(FORMER, "other"),)])
def test_a_job_that_is_gone_is_left_as_the_operation_has_it(
    answer: Exception, tree: tuple[Node, ...]
) -> None:
    cluster = Cluster(answer)
    assert verified(cluster, hook("Succeeded"), tree=tree) == (["Succeeded"], [], 0)
    # Once more after a refresh: another's may stand in its place, and Argo CD's tree lag behind.
    assert (len(cluster.asked), cluster.refreshed) == (2, 1)


def test_anothers_job_that_shows_only_after_a_refresh_is_no_verdict() -> None:
    cluster = Cluster(GONE, job("Complete", uid="theirs"))
    with pytest.raises(Intruder):
        verified(cluster, hook("Succeeded"), made=Seen(strangers={"theirs": "Application other"}))


@pytest.mark.parametrize("said", ["Succeeded", "Failed"])
@pytest.mark.parametrize("answer", [GONE, DELETED])
def test_a_job_that_its_delete_policy_does_not_take_away_and_is_gone_is_no_verdict(
    said: str, answer: Exception
) -> None:
    with pytest.raises(Vanished, match="Job checks in namespace n was deleted while it ran") as e:
        verified(Cluster(answer), hook(said), made=Seen(vanishes=False))
    assert e.value.hint


def test_a_job_that_argo_cd_missed_while_it_ran_is_no_verdict_though_its_delete_policy_takes_it_away() -> (
    None
):
    missed = replace(
        hook("Error"), message="Resource batch/Job/checks is missing, it might have been deleted"
    )
    with pytest.raises(Vanished):
        verified(Cluster(GONE), missed)


REFUSED_OVER = hook("Failed", status="SyncFailed")


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        (job(uid="theirs"), Seen(strangers={"theirs": "Application other"})),
        (job(uid=FORMER), Seen(others="Application other")),
        (GONE, Seen(in_place="Application other")),
        (DELETED, Seen(in_place="Application other")),
    ],
)
@pytest.mark.parametrize("is_test", [True, False], ids=["a test", "another hook"])
def test_a_job_that_could_not_be_applied_over_anothers_is_no_failure_of_its_own(
    answer: Any, made: Seen, is_test: bool
) -> None:
    with pytest.raises(Intruder, match="belongs to Application other"):
        verified(Cluster(answer), REFUSED_OVER, made=made, is_test=is_test)


def test_whose_a_hook_that_is_no_test_was_applied_over_may_stay_unseen() -> None:
    denied = Denied("show", 403, "permission denied", "")
    assert verified(Cluster(denied), REFUSED_OVER, is_test=False) == (["Failed"], [], 0)


@pytest.mark.parametrize("answer", [job(), job(uid=FORMER), GONE, DELETED])
def test_a_job_that_could_not_be_applied_for_another_reason_stays_as_the_operation_has_it(
    answer: Any,
) -> None:
    made = Seen(strangers={FORMER: "not to be asked"})
    assert verified(Cluster(answer), REFUSED_OVER, made=made) == (["Failed"], [], 0)


def test_whose_job_it_could_not_be_applied_over_must_be_seen() -> None:
    with pytest.raises(Denied):
        verified(Cluster(Denied("show", 403, "permission denied", "")), REFUSED_OVER)


@pytest.mark.parametrize("answer", [GONE, DELETED])
@pytest.mark.parametrize("said", ["Succeeded", "Failed"])
def test_a_job_that_was_gone_before_it_was_seen_is_no_verdict(answer: Exception, said: str) -> None:
    """Its name may have been another's, who deleted it: claim only what was seen."""
    state, _, _ = verified_state(Cluster(answer), hook(said), made=Seen(made=False))
    assert [(r.hook_phase, r.message) for r in entries(state)] == [("", hook_results.UNSEEN)]


@pytest.mark.parametrize("said", ["Succeeded", "Failed"])
@pytest.mark.parametrize("answer", [job("Complete", uid="theirs"), job("Failed", uid="theirs")])
def test_the_end_of_anothers_job_under_this_runs_name_is_no_verdict(said: str, answer: Json) -> None:
    made = Seen(strangers={"theirs": "Application other"})
    with pytest.raises(Intruder, match="Job checks in namespace n belongs to Application other") as e:
        verified(Cluster(answer), hook(said), made=made)
    assert e.value.hint


@pytest.mark.parametrize("answer", [GONE, DELETED])
def test_a_job_whose_place_anothers_had_is_no_verdict_though_that_is_gone_by_now(answer: Exception) -> None:
    with pytest.raises(Intruder, match="belongs to Application other"):
        verified(Cluster(answer), hook("Succeeded"), made=Seen(in_place="Application other"))


def test_a_job_that_anothers_takes_the_place_of_while_it_is_waited_for_is_no_verdict() -> None:
    cluster = Cluster(job(), job("Complete", uid="theirs"))
    with pytest.raises(Intruder):
        verified(cluster, hook("Succeeded"), made=Seen(strangers={"theirs": "another operation"}))


def test_one_that_takes_a_former_ones_place_may_appear_late() -> None:
    cluster = Cluster(GONE, DELETED, job("Failed"))
    assert verified(cluster, hook("Succeeded"), tree=(named(FORMER),))[0] == ["Failed"]


@pytest.mark.parametrize(("made", "phase", "told"), [(OURS, "Succeeded", []), (Seen(made=False), "", [[""]])])
def test_and_is_not_waited_for_without_end(made: Seen, phase: str, told: list[list[str]]) -> None:
    phases, said, seconds = verified(Cluster(GONE), hook("Succeeded"), tree=(named(FORMER),), made=made)
    assert (phases, said) == ([phase], told)
    assert hook_results.APPEARS < seconds <= hook_results.APPEARS + hook_results.POLL


def test_of_a_job_in_two_phases_only_the_last_one_is_there_to_be_asked() -> None:
    cluster = Cluster(job("Failed"))
    phases, _, _ = verified(cluster, hook("Succeeded", at="PostSync"), hook("Succeeded", at="PreSync"))
    assert phases == ["Failed", "Succeeded"]
    assert len(cluster.asked) == 1


def test_what_is_not_said_to_have_ended_is_not_asked() -> None:
    cluster = Cluster(job("Complete"))
    assert verified(cluster, hook("Running")) == (["Running"], [], 0)
    assert cluster.asked == []


REFUSED = (
    ApiError("show Job checks", 500, 13, "no such host"),
    Denied("show Job checks", 403, "permission denied", ""),
)


@pytest.mark.parametrize("refused", REFUSED, ids=["500", "403"])
def test_a_job_that_may_not_be_seen_is_no_verdict(refused: Exception) -> None:
    with pytest.raises(type(refused)):
        verified(Cluster(refused), hook("Succeeded"))
    assert verified(Cluster(refused, refused, job("Failed")), hook("Succeeded"))[0] == ["Failed"]


def test_an_argo_cd_that_cannot_be_reached_is_no_verdict() -> None:
    with pytest.raises(ArgoCDFailed):
        verified(Cluster(DOWN), hook("Succeeded"))


def bare(phase: str, uid: str = "ours", **state: object) -> Json:
    """A live bare Pod."""
    containers = [{"name": "main", "state": state}] if state else []
    return {"metadata": {"uid": uid}, "status": {"phase": phase, "containerStatuses": containers}}


@pytest.mark.parametrize(
    ("said", "live", "expected"),
    [
        ("Succeeded", bare("Succeeded"), ("Succeeded", "")),
        ("Succeeded", bare("Running", running={}), ("Running", "")),  # ready, and Argo CD took it for passed
        ("Failed", bare("Pending"), ("Running", "")),
        ("Failed", bare("Failed", terminated={"exitCode": 3}), ("Failed", "container main: exit code 3")),
        ("Succeeded", bare("Failed", terminated={"exitCode": 0}), ("Failed", "")),
        ("Failed", bare("Succeeded"), ("Succeeded", hook_results.OTHERS_FAILURE)),
        ("Succeeded", bare("Succeeded", uid=FORMER), ("", hook_results.NONE_OF_ITS_OWN)),
    ],
)
def test_a_bare_pod_ends_by_its_phase(said: str, live: Json, expected: tuple[str, str]) -> None:
    pod = replace(hook(said), group="", kind="Pod")
    seen = hook_results.as_it_is(pod, live, {FORMER})
    assert (seen.hook_phase, seen.message) == expected


def test_it_says_where_the_operation_took_anothers_end_for_its_own() -> None:
    def message(said: str, live: Json) -> str:
        return hook_results.as_it_is(hook(said), live, {FORMER}).message

    assert message("Failed", job("Complete")) == hook_results.OTHERS_FAILURE
    assert message("Succeeded", job("Complete")) == "its own"
    assert message("Succeeded", job("Failed")) == "its own"
    assert message("Succeeded", job("Complete", uid=FORMER)) == hook_results.NONE_OF_ITS_OWN
