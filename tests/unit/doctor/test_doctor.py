"""`argorun doctor` over broken settings: what can be checked is, and the first red check is its code."""

from __future__ import annotations

import asyncio
import collections
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argorun.config.load import load_parts
from argorun.config.model import Flags
from argorun.doctor import examination
from argorun.doctor.examination import execute
from argorun.errors import ISSUES, TRACEBACK
from argorun.kafka.topics import Topics
from argorun.reporters.checklist import Checklist, Row, Status
from tests.contract.manifests import job
from tests.contract.targets import App, StandInTarget
from tests.unit.kafka.standin import Answer, Broker

CONFIG = """
application: {name}
argocd: {{server: {server}, plaintext: true}}
kafka: {{bootstrap.servers: broker:9092}}
topics: [{{prefix: weather, parameter: kafka.topic, groups: tests-}}]
tests: {{jobs: [checks]}}
"""
OF_THE_APPLICATION = (
    "permissions", "source", "auto-sync", "rendering", "tests", "names", "parameter", "owner", "sync windows",
    "files in Git", "in use",
)  # fmt: skip


class Shown(Checklist):
    """The rows as they came."""

    def __init__(self) -> None:
        self.redact = lambda text: text
        self.rows: list[Row] = []
        self.waited: list[str] = []
        self.ended = 0

    def begin(self, name: str) -> None: ...

    def wait(self, text: str) -> None:
        self.waited.append(text)

    def show(self, row: Row) -> None:
        self.rows.append(row)

    def end(self, exit_code: int, why: str = "") -> None:
        self.ended = exit_code

    def of(self, status: Status) -> list[str]:
        return [r.name for r in self.rows if r.status is status]

    def row(self, name: str) -> Row:
        (found,) = [r for r in self.rows if r.name == name]
        return found


@pytest.fixture(scope="module")
def argocd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInTarget]:
    with StandInTarget.start(tmp_path_factory.mktemp("standin")) as target:
        yield target


@pytest.fixture(scope="module")
def app(argocd: StandInTarget) -> Iterator[App]:
    with argocd.application("doctor", job("checks", "true", hook="PostSync")) as made:
        yield made


class Doctor:
    """One examination, in a folder of its own; Kafka is a broker in memory."""

    def __init__(self, app: App, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.folder, self.broker = app, folder, Broker()
        self.text = CONFIG.format(name=app.name, server=app.target.settings.server)
        self.environment = {"ARGOCD_AUTH_TOKEN": app.target.settings.token}

        def topics(properties: Any, **more: Any) -> Topics:
            return Topics(properties, admin=self.broker, **more)

        monkeypatch.setattr(examination, "Topics", topics)

    def change(self, old: str, new: str) -> None:
        assert old in self.text
        self.text = self.text.replace(old, new)

    def examine(self, **flags: Any) -> Shown:
        if self.text:
            (self.folder / "argorun.yaml").write_text(self.text, encoding="utf-8")
        given, shown = Flags(**flags), Shown()
        parts = load_parts(given, self.environment, self.folder)
        assert asyncio.run(execute(parts, given, shown, lambda *_: None)) == shown.ended
        return shown


@pytest.fixture
def doctor(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(app, tmp_path, monkeypatch)


def test_a_run_that_could_begin_is_0_and_nothing_was_changed(doctor: Doctor, app: App) -> None:
    before = app.get()["metadata"]["resourceVersion"], app.get()["spec"]
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED), shown.of(Status.SKIPPED)) == (0, [], [])
    assert shown.row("application").text == f"{app.name} in project default: Helm, Synced, Healthy"
    assert shown.row("tests").text == "checks (PostSync)"
    assert shown.row("topics").text == "weather_* may be created and deleted"
    assert shown.row("groups").text == "tests-* may be deleted"
    assert shown.row("files in Git").text == "none overrides the parameters"
    assert (app.get()["metadata"]["resourceVersion"], app.get()["spec"]) == before
    assert doctor.broker.held == {}


def test_with_nothing_at_all_it_says_what_is_missing(doctor: Doctor) -> None:
    doctor.text, doctor.environment = "", {}
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED), shown.of(Status.OK)) == (2, ["configuration"], ["timeouts"])
    missing = shown.row("configuration").hint
    assert all(name in missing for name in ("Kafka (", "Argo CD (", "a token (", "application (", "topic ("))


def test_without_an_application_argo_cd_and_kafka_are_checked(doctor: Doctor, app: App) -> None:
    doctor.text = "kafka: {bootstrap.servers: broker:9092}"
    doctor.environment |= {"ARGOCD_SERVER": f"http://{app.target.settings.server}"}
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (2, ["configuration"])
    assert shown.of(Status.OK) == ["Argo CD", "clock", "token", "Kafka", "timeouts"]
    assert {shown.row(n).text for n in OF_THE_APPLICATION} == {"no Application to run"}
    assert shown.row("topics").text == "no topic is configured"


def test_without_a_topic_the_application_is_checked_and_a_chart_may_make_its_hooks_with_one(
    doctor: Doctor,
) -> None:
    doctor.change("topics: [{prefix: weather, parameter: kafka.topic, groups: tests-}]\n", "")
    doctor.change("[checks]", "[others]")
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (2, ["configuration"])
    assert shown.of(Status.SKIPPED) == ["parameter", "files in Git", "topics", "groups"]
    assert shown.of(Status.UNDECIDED) == ["tests"], "only a run can tell whether the Job is there"


def test_without_kafka_argo_cd_is_checked(doctor: Doctor) -> None:
    doctor.change("kafka: {bootstrap.servers: broker:9092}", "")
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.SKIPPED)) == (2, ["Kafka", "topics", "groups"])


def test_a_bad_token_is_red_once_and_kafka_is_checked(doctor: Doctor) -> None:
    doctor.environment["ARGOCD_AUTH_TOKEN"] = "n0body"
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (6, ["token"])
    assert shown.row("token").text == "Argo CD does not know this token (no session information)"
    assert shown.of(Status.SKIPPED) == ["application", *OF_THE_APPLICATION]


def test_a_host_that_refuses_is_red_once_and_named_with_its_source(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    doctor.environment |= {"ARGOCD_SERVER": f"http://127.0.0.1:{port}"}
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (8, ["Argo CD"])
    assert shown.row("Argo CD").text == (
        f"Argo CD at http://127.0.0.1:{port} cannot be reached: Connection refused"
    )
    assert f"check ARGOCD_SERVER=127.0.0.1:{port} and the network" in shown.row("Argo CD").hint
    assert shown.of(Status.OK) == ["configuration", "Kafka", "topics", "groups", "timeouts"]


def test_an_application_that_is_not_there_is_told_with_those_that_are(doctor: Doctor, app: App) -> None:
    shown = doctor.examine(application=f"{app.name}x")
    assert (shown.ended, shown.of(Status.FAILED)) == (6, ["application"])
    assert shown.row("application").hint.splitlines() == [
        f"did you mean {app.name}? the token sees: {app.name}",
        "or add to Argo CD's policy.csv, with its project in place of default:",
        f"p, role:argorun, applications, get, default/{app.name}x, allow",
    ]


def test_all_that_is_red_is_told_at_once_and_the_first_is_the_code(doctor: Doctor, app: App) -> None:
    doctor.environment["ARGOCD_AUTH_TOKEN"] = app.target.read_only.token
    doctor.broker.faults = {
        "validate": collections.deque([Answer(29)]),
        "delete group": collections.deque([Answer(30)]),
    }
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (6, ["permissions", "topics", "groups"])
    assert shown.row("permissions").hint.splitlines() == [
        "add to Argo CD's policy.csv:",
        f"p, role:argorun, applications, update, default/{app.name}, allow",
        f"p, role:argorun, applications, sync, default/{app.name}, allow",
    ]
    assert "kafka-acls --bootstrap-server broker:9092 --add" in shown.row("topics").hint


def test_a_source_that_does_not_render_is_told_with_argo_cds_own_words(
    doctor: Doctor, argocd: StandInTarget
) -> None:
    with argocd.application("lost", job("checks", "true", hook="PostSync")) as lost:
        spec = lost.get()["spec"]
        spec["source"]["path"] = "config/helm"
        assert lost.request("PUT", "/spec", spec, validate="false").status_code == 200
        lost.until(lambda a: a["status"].get("conditions"), refresh=True)
        shown = doctor.examine(application=lost.name)
    assert (shown.ended, shown.of(Status.FAILED)) == (2, ["source"])
    why = "ComparisonError: config/helm: app path does not exist"
    assert shown.row("source").text == f"Argo CD cannot render Application {lost.name}: {why}"
    assert "path: config/helm" in shown.row("source").hint


def test_a_certificate_that_cannot_be_loaded_is_a_row(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    doctor.change("plaintext: true", "ca: ca.pem")
    shown = doctor.examine()
    assert (shown.ended, shown.of(Status.FAILED)) == (2, ["Argo CD"])
    assert "cannot be loaded" in shown.row("Argo CD").text
    assert "Kafka" in shown.of(Status.OK)


def test_a_bug_in_a_check_is_70_and_no_traceback(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object) -> str:
        raise ValueError("boom")

    monkeypatch.setattr("argorun.argocd.rest_client.RestClient.version", broken)
    monkeypatch.delenv(TRACEBACK, raising=False)
    shown = doctor.examine()
    assert shown.ended == 70
    assert shown.rows[-1] == Row(
        "Argo CD",
        Status.FAILED,
        "an error inside argorun: ValueError: boom",
        "Does it answer?",
        hint="please report it, with this text and `argorun --version`:\n"
        f"{ISSUES}\nARGORUN_TRACEBACK=1 shows where it happened",
        exit_code=70,
    )


def test_a_server_that_does_not_answer_is_asked_again_and_the_list_says_so(doctor: Doctor) -> None:
    doctor.change(doctor.app.target.settings.server, "localhost:1")
    shown = doctor.examine()
    assert shown.waited[:1] == ["trying again: connection refused (Argo CD at localhost:1, argorun.yaml:3)"]
    assert shown.row("Argo CD").hint.startswith("check argocd.server (argorun.yaml:3)")
    assert shown.ended == 8
