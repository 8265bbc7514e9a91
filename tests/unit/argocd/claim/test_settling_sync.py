"""The workloads are taken off the run's values by one sync without hooks."""

from __future__ import annotations

import pytest

from argorun.argocd.claim import settling_sync
from argorun.argocd.sync.operation import body, settling_options
from argorun.argocd.types import ResourceStatus
from argorun.errors import OperationFailed
from tests.unit.argocd.claim.scenario import EXTRA, ClaimScenario, shows, status, taken
from tests.unit.argocd.fakes import FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import AUTOMATED, SPEC
from tests.unit.virtual import run


def test_where_nothing_is_to_settle_one_resource_is_synced_that_a_sync_leaves_as_it_is() -> None:
    """Auto-sync compares with the last operation's source: one with the former parameters must come last."""
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["resources"] = [
        status("hook", "Synced", hook=True),
        status("drifted"),
        status("fine", "Synced"),
        status("other", "Synced"),
    ]
    wanted = ResourceStatus(group="apps", version="v1", kind="Deployment", name="fine", status="Synced")
    assert run(settling_sync.unchanged_resource(scenario.claim)) == [wanted]
    assert scenario.argocd.calls == ["refresh"]


def test_where_a_sync_would_change_every_resource_none_is_synced_for_auto_syncs_sake() -> None:
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["resources"] = [status("drifted"), status("hook", "Synced", hook=True)]
    with pytest.raises(OperationFailed, match="no resource of weather is Synced"):
        run(settling_sync.unchanged_resource(scenario.claim))


def test_an_application_of_hooks_alone_has_nothing_to_sync() -> None:
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["resources"] = [status("hook", "", hook=True)]
    assert run(settling_sync.unchanged_resource(scenario.claim)) == []


@pytest.mark.parametrize("spec", [AUTOMATED, SPEC])
def test_whether_auto_sync_is_to_be_on_again_is_known_from_the_taking(spec: Json) -> None:
    scenario = ClaimScenario(spec)
    assert not scenario.claim.automated
    run(scenario.take())
    assert scenario.claim.automated is (spec == AUTOMATED)


def test_settling_is_a_partial_sync_of_its_own() -> None:
    scenario = ClaimScenario()
    resource = ResourceStatus(group="apps", kind="Deployment", namespace="n", name="d")
    assert run(settling_sync.start(scenario.claim, "abc", [resource])) == "mine/settle"
    assert scenario.argocd.syncs == [
        {
            "infos": [{"name": "argorun-run", "value": "mine/settle"}],
            "retryStrategy": {"limit": 0},
            "revision": "abc",
            "resources": [{"group": "apps", "kind": "Deployment", "namespace": "n", "name": "d"}],
        }
    ]


def test_what_exists_only_with_our_values_is_pruned_by_the_same_sync() -> None:
    scenario = ClaimScenario()
    extra = ResourceStatus(kind="ConfigMap", name="extra")
    run(settling_sync.start(scenario.claim, "abc", [extra], prune=True))
    assert [s.get("prune") for s in scenario.argocd.syncs] == [True]


def test_where_nothing_is_out_of_sync_nothing_is_synced() -> None:
    scenario = ClaimScenario()
    assert (run(settling_sync.start(scenario.claim, None, [])), scenario.argocd.calls) == (None, [])


def test_settling_does_not_wait_for_an_operation_that_came_first() -> None:
    scenario = ClaimScenario()
    scenario.argocd.runs("theirs")
    with pytest.raises(OperationFailed) as e:
        run(settling_sync.start(scenario.claim, None, [ResourceStatus(name="d")]))
    assert e.value.message == (
        "the workloads could not be settled: run theirs, started 2024-01-01T00:00:00Z, Running came first"
    )


def test_settled_is_only_what_succeeded() -> None:
    for phase, message in (("Succeeded", ""), ("Failed", "no such image")):
        scenario = ClaimScenario()
        scenario.argocd.runs("mine/settle", phase=phase, message=message)
        scenario.argocd.send_change()
        if phase == "Succeeded":
            state = run(settling_sync.finish(scenario.claim, "mine/settle"))
            assert state.started_at == "2024-01-01T00:00:00Z"
        else:
            with pytest.raises(OperationFailed, match="the settling sync ended Failed: no such image"):
                run(settling_sync.finish(scenario.claim, "mine/settle"))


@pytest.mark.parametrize(
    ("was_synced", "lags", "looks"),
    [(True, 0, 1), (True, 9, 10), (True, 99, 35), (False, 2, 3), (False, 99, 8)],
)
def test_settled_is_compared_anew_for_argo_cd_lags_behind(was_synced: bool, lags: int, looks: int) -> None:
    """For a while: something else may keep the Application from being Synced forever."""
    scenario = ClaimScenario()
    scenario.argocd.document["status"]["sync"]["status"] = "Synced" if was_synced else "OutOfSync"
    run(scenario.take())
    scenario.argocd.calls.clear()
    scenario.argocd.runs("mine/settle", phase="Succeeded")
    scenario.argocd.send_change()

    scenario.argocd.meets("refresh", *[shows("OutOfSync")] * lags, shows("Synced"))
    run(settling_sync.finish(scenario.claim, "mine/settle", compared=True))
    assert scenario.argocd.calls.count("refresh") == looks


def test_settling_ends_an_operation_of_this_run_that_came_late_and_was_in_its_way() -> None:
    scenario = ClaimScenario(SPEC)
    assert taken(scenario, settling=True)
    scenario.argocd.runs("mine")
    # Who holds it is read before the sync and after its refusal; the third reading sees it ended.
    scenario.argocd.meets("application", None, None, None, lambda a: a.ends("Failed", "Operation terminated"))
    assert (
        run(settling_sync.start(scenario.claim, None, [ResourceStatus(kind="ConfigMap", name="x")]))
        == "mine/settle"
    )
    assert scenario.argocd.calls.count("terminate") == 1
    assert len(scenario.argocd.syncs) == 1


def test_settling_that_an_operation_of_this_run_replaced_before_its_end_was_seen_begins_anew() -> None:
    scenario = ClaimScenario(SPEC)
    assert taken(scenario, settling=True)

    async def settled() -> None:
        started = await settling_sync.start(scenario.claim, "abc", [EXTRA], prune=True)
        assert started == "mine/settle"
        scenario.argocd.runs("mine")  # came late, when the settling had just ended
        terminated = scenario.argocd.ends
        scenario.argocd.meets("application", None, None, None, lambda _: terminated("Failed"))

        def ends(argocd: FakeArgoCD) -> None:
            argocd.picks_up()
            argocd.ends()

        scenario.argocd.meets("application", None, ends)
        await settling_sync.finish(scenario.claim, started)

    run(settled())
    assert scenario.argocd.calls.count("terminate") == 1
    first, again = scenario.argocd.syncs
    assert (first, first["revision"], first["prune"]) == (again, "abc", True)


def test_settling_that_somebody_else_replaced_is_not_tried_again() -> None:
    scenario = ClaimScenario()
    scenario.argocd.runs("theirs")
    with pytest.raises(OperationFailed, match="the run's operation on weather is gone: run theirs"):
        run(settling_sync.finish(scenario.claim, "mine/settle"))
    assert (scenario.argocd.syncs, scenario.argocd.calls.count("terminate")) == ([], 0)


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        (None, None),
        (["CreateNamespace=true"], None),
        (["PrunePropagationPolicy=orphan", "CreateNamespace=true"], ["CreateNamespace=true"]),
        (["ApplyOutOfSyncOnly=true"], []),
        (["PrunePropagationPolicy=background"], None),
    ],
)
def test_no_option_of_the_applications_keeps_anything_from_going_back(
    own: list[str] | None, sent: list[str] | None
) -> None:
    spec = {"syncPolicy": {"syncOptions": own}} if own is not None else {}
    assert settling_options(spec) == sent
    request = body("r/settle", None, [], options=settling_options(spec))
    assert request.get("syncOptions") == (None if sent is None else {"items": sent})
