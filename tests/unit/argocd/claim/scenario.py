"""The claim of run `mine` on an Application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from argorun.argocd.claim import acquire, restore
from argorun.argocd.claim.claim import Claim
from argorun.argocd.http.errors import ApiError
from argorun.argocd.parameters.helm import Helm, helm_parameters
from argorun.argocd.parameters.record import HelmValue, Record, record_of
from argorun.argocd.types import ResourceStatus
from tests.unit.argocd.fakes import APP, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.scenario import AUTOMATED, FUTURE, NOW, TOPIC, Scenario
from tests.unit.virtual import run

OURS = {"name": "kafka.topic", "value": TOPIC}
INVALID = ApiError("change", 400, 3, "application spec for weather is invalid: repository not accessible")
EXTRA = ResourceStatus(kind="ConfigMap", name="x")


class ClaimScenario(Scenario):
    """A claim of run `mine` on the Application; both clocks stand at NOW."""

    def __init__(self, spec: Json | None = AUTOMATED, annotations: Json | None = None) -> None:
        super().__init__(spec, annotations)
        self.set_time(NOW)
        self.waited: list[str] = []
        self.claim = self.of("mine", TOPIC)

    def of(self, run_id: str, value: str) -> Claim:
        settings, warn = [Helm("kafka.topic", value)], self.emitter.warn
        return Claim(self.argocd.client, APP, run_id, settings, warn=warn, topics=[value])

    def held_by(self, run_id: str, value: str = "theirs", **more: Any) -> None:
        """Another run has put its value in."""
        self.argocd.spec["source"]["helm"]["parameters"] = [{"name": "kafka.topic", "value": value}]
        self.argocd.spec["syncPolicy"] = {"automated": {"prune": True, "enabled": False}}
        was = (HelmValue("kafka.topic", value, {"name": "kafka.topic", "value": "weather"}),)
        self.annotate(
            Record(**({"run": run_id, "until": FUTURE, "helm": was, "automated": {"prune": True}} | more))
        )

    @property
    def record(self) -> Record | None:
        return record_of(self.argocd.seen())

    @property
    def parameters(self) -> list[Json]:
        return helm_parameters(self.argocd.spec)

    async def take(self) -> None:
        await acquire.take(self.claim, [], FUTURE)


def shows(status: str) -> Callable[[FakeArgoCD], object]:
    """A comparison that comes to this sync status."""
    return lambda a: a.document["status"]["sync"].update(status=status)


def recorded(**more: Any) -> Record:
    """The record of run `mine`."""
    was = HelmValue("kafka.topic", TOPIC, {"name": "kafka.topic", "value": "weather"})
    ours = Record(run="mine", until=FUTURE, helm=(was,), synced=True, topics=(TOPIC,), since=NOW)
    return msgspec.structs.replace(ours, **more)


def taken(scenario: ClaimScenario, *, settling: bool = False) -> bool:
    """Take, and give back; whether our values stood."""

    async def both() -> bool:
        await scenario.take()
        scenario.argocd.calls.clear()
        scenario.argocd.patches.clear()
        return await restore.give_back(scenario.claim, settling=settling, until=FUTURE)

    return run(both())


def is_settling(scenario: ClaimScenario) -> bool:
    return scenario.record is not None and scenario.record.settling


def status(name: str, status: str = "OutOfSync", **more: Any) -> Json:
    return {"group": "apps", "version": "v1", "kind": "Deployment", "name": name, "status": status} | more
