"""An owner that puts its own parameters back at once ends a run with its name, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from argorun.argocd.client import Client
from argorun.argocd.http.errors import ApiError
from argorun.argocd.parameters.record import RECORD, record_of
from argorun.argocd.types import Json
from argorun.errors import OperationFailed
from tests.contract.manifests import TOPIC, configmap
from tests.contract.targets import App, Target
from tests.contract.test_racing_runs import CHECKS, Racer

NAMED = "ApplicationSet all restores its own values"
UNKNOWN = "it is not known by whom"


async def keep(app: App, client: Client, spec: Json) -> None:
    """What an ApplicationSet does with everything in an Application that it did not put there."""
    while True:
        seen = await client.application(app.ref)
        record = record_of(seen)
        if record is not None and seen.running is None:
            patch = [
                {"op": "replace", "path": "/spec/source", "value": spec["source"]},
                {"op": "remove", "path": "/metadata/annotations/argorun.dev~1run"},
            ]
            with contextlib.suppress(ApiError):  # the run was faster
                await client.patch(app.ref, patch)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("owner", "times", "told"), [("ApplicationSet all", 3, NAMED), ("", 6, UNKNOWN)])
async def test_whoever_undoes_the_parameters_time_and_again_ends_the_run(
    argocd: Target, owner: str, times: int, told: str
) -> None:
    with argocd.application("undone", configmap("settings", topic=TOPIC), CHECKS) as app:
        before = app.get()["spec"]
        async with app.client() as client, app.client() as other:
            keeping = asyncio.create_task(keep(app, other, before))
            racer = Racer(app, client)
            racer.run.state.owner = owner
            with pytest.raises(OperationFailed) as e:
                await racer.race()
            keeping.cancel()
            await asyncio.wait({keeping})
            await racer.run.clean_up()
            after = await client.application(app.ref)
        assert e.value.message == (
            f"the parameters of {app.name} were undone at once, {times} times in a row: {told}"
        )
        assert racer.left == []
        assert after.spec == before
        assert RECORD not in (after.metadata.annotations or {})
        assert after.running is None
