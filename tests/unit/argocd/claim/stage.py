"""An Argo CD, and the claim of run `mine` on its Application."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec

from argorun.argocd.claim import acquire, restore
from argorun.argocd.claim.claim import Claim
from argorun.argocd.clock import Clock
from argorun.argocd.http.errors import ApiError
from argorun.argocd.parameters.helm import Helm, helm_parameters
from argorun.argocd.parameters.record import RECORD, HelmValue, Record, record_of
from argorun.argocd.types import ResourceStatus
from tests.unit.argocd.fakes import APP, FakeArgoCD
from tests.unit.argocd.gopatch import Json
from tests.unit.virtual import run

PAST, NOW, FUTURE = 1_000_000_000, 1_800_000_000, 9_000_000_000  # seconds since the epoch
TOPIC = "weather_1700000000_0a1b2c3d"
SPEC: Json = {
    "source": {"repoURL": "git", "helm": {"parameters": [{"name": "kafka.topic", "value": "weather"}]}},
    "syncPolicy": {"automated": {"prune": True}},
}
OURS = {"name": "kafka.topic", "value": TOPIC}
INVALID = ApiError("change", 400, 3, "application spec for weather is invalid: repository not accessible")
EXTRA = ResourceStatus(kind="ConfigMap", name="x")


class Stage:
    """An Argo CD, and a claim of run `mine` on its Application."""

    def __init__(self, spec: Json | None = SPEC, annotations: Json | None = None) -> None:
        self.argocd = FakeArgoCD(copy.deepcopy(spec), annotations)
        self.argocd.time = lambda: NOW
        self.argocd.clock = Clock(steady=lambda: 0.0, local=lambda: NOW)
        self.waited: list[str] = []
        self.notices: list[str] = []
        self.claim = self.of("mine", TOPIC)

    def of(self, run_id: str, value: str) -> Claim:
        return Claim(
            self.argocd.client,
            APP,
            run_id,
            [Helm("kafka.topic", value)],
            warn=self.notices.append,
            topics=[value],
        )

    def annotate(self, record: Record) -> None:
        annotations = self.argocd.document["metadata"].setdefault("annotations", {})
        annotations[RECORD] = msgspec.json.encode(record).decode()

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


def taken(stage: Stage, *, settling: bool = False) -> bool:
    """Take, and give back; whether our values stood."""

    async def both() -> bool:
        await stage.take()
        stage.argocd.calls.clear()
        stage.argocd.patches.clear()
        return await restore.give_back(stage.claim, settling=settling, until=FUTURE)

    return run(both())


MANUAL: Json = {"source": SPEC["source"]}


def is_settling(stage: Stage) -> bool:
    return stage.record is not None and stage.record.settling


def status(name: str, status: str = "OutOfSync", **more: Any) -> Json:
    return {"group": "apps", "version": "v1", "kind": "Deployment", "name": name, "status": status} | more
