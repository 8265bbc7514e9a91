"""Eight runs that reach for one Application in the same moment: none tests another's topic."""

from __future__ import annotations

import asyncio
import time
from typing import cast

from argorun import events
from argorun.argocd.client import Client
from argorun.argocd.parameters.record import RECORD
from argorun.config.model import Config, Parameter, Timeouts, Topic
from argorun.events import Event
from argorun.kafka.topics import Topics
from argorun.run import plan
from argorun.run.steps import Run
from tests.contract.manifests import TOPIC, configmap, container, job
from tests.contract.targets import App, Target

RUNS = 8
CHECKS = job("checks", container(f"echo {TOPIC}"), hook="PostSync")


class Racer:
    """The middle of a run, from the claim to the clean-up; topics are names only, nobody makes them."""

    def __init__(self, app: App, client: Client) -> None:
        config = Config(
            application=app.ref,
            argocd=app.target.settings,
            kafka={},
            topics=(Topic(prefix="weather", parameters=(Parameter(helm="kafka.topic"),)),),
            timeouts=Timeouts(busy=110.0),
        )
        self.events: list[Event] = []
        self.run = Run(config, self.events.append, client, cast(Topics, None))
        self.run.state.topics = plan.draw(config.topics, time.time())
        (self.topic,) = self.run.state.topic_names

    async def race(self) -> str:
        """The phase of the operation that was followed."""
        async with self.run.live.kept():
            await self.run.take_and_sync()
            state = await self.run.follow()
            await self.run.read_logs(15.0, 60.0)
        await self.run.clean_up()
        return state.phase

    @property
    def log(self) -> list[str]:
        return [t for e in self.events if isinstance(e, events.LogLines) for t in e.texts]

    @property
    def left(self) -> list[str]:
        return [f"{e.what}: {e.why}" for e in self.events if isinstance(e, events.LeftBehind)]


async def test_eight_simultaneous_patches_and_no_run_tests_anothers_topic(argocd: Target) -> None:
    with argocd.application("race", configmap("settings", topic=TOPIC), CHECKS) as app:
        before = app.get()["spec"]
        async with app.client() as client:
            racers = [Racer(app, client) for _ in range(RUNS)]
            phases = await asyncio.gather(*(racer.race() for racer in racers))
            after = await client.application(app.ref)
        assert phases == ["Succeeded"] * RUNS
        assert [racer.log for racer in racers] == [[racer.topic] for racer in racers]
        assert [racer.left for racer in racers] == [[]] * RUNS
        assert after.spec == before
        assert RECORD not in (after.metadata.annotations or {})
