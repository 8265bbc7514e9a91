"""The settings of a sweep: argorun.yaml's prefixes or the given ones, and an age that no live run has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from argorun.config.model import CliSettings
from argorun.config.sweep import SweepConfig, SweepFlags, load
from argorun.errors import UsageError

TOKEN = {"ARGOCD_AUTH_TOKEN": "t0ken"}
WHOLE = """
application: weather
argocd: {server: argocd.example.com, headers: {X-Key: "${KEY}"}}
kafka: {bootstrap.servers: "localhost:9092", sasl.password: "${PASSWORD}"}
topics:
  - {prefix: weather_updates, parameter: kafka.topic, groups: weather-tests-}
  - {prefix: other, parameter: other.topic}
"""
BARE = """
kafka: {bootstrap.servers: "localhost:9092"}
topics: [{prefix: weather_updates, parameter: kafka.topic}]
"""


def loaded(
    folder: Path,
    text: str | None,
    environment: dict[str, str] = TOKEN,
    cli: CliSettings | None = None,
    **flags: Any,
) -> SweepConfig:
    if text is not None:
        (folder / "argorun.yaml").write_text(text, encoding="utf-8")
    return load(SweepFlags(**flags), environment, folder, cli)


def refused(
    folder: Path, text: str | None, environment: dict[str, str] = TOKEN, **flags: Any
) -> tuple[str, str]:
    with pytest.raises(UsageError) as e:
        loaded(folder, text, environment, **flags)
    return e.value.message.replace(f"{folder}/", ""), e.value.hint


def test_everything_comes_from_the_file_and_the_secrets_from_the_environment(tmp_path: Path) -> None:
    config = loaded(tmp_path, WHOLE, TOKEN | {"KEY": "k3y", "PASSWORD": "p4ss"})
    assert config.prefixes == {"weather_updates": "weather-tests-", "other": None}
    assert config.kafka == {"bootstrap.servers": "localhost:9092", "sasl.password": "p4ss"}
    assert config.argocd is not None
    assert (config.argocd.server, config.argocd.token) == ("argocd.example.com", "t0ken")
    assert config.secrets == ("k3y", "p4ss", "t0ken")
    assert (config.dry_run, config.without_argocd, config.cleanup) == (False, "", 90.0)


def test_given_prefixes_replace_those_of_the_file_and_keep_their_groups(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, BARE.replace("topic}", "topic, groups: g-}"), topics=("mine", "weather_updates")
    )
    assert config.prefixes == {"mine": None, "weather_updates": "g-"}


def test_no_file_is_needed(tmp_path: Path) -> None:
    config = loaded(tmp_path, None, {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}, topics=("mine",))
    assert (config.prefixes, config.argocd) == ({"mine": None}, None)
    assert config.kafka == {"bootstrap.servers": "broker:9092"}


@pytest.mark.parametrize(
    ("timeouts", "given", "seconds"),
    [
        ("", None, 6 * 3600),
        ("timeouts: {run: 8h, busy: 1h, cleanup: 5m}", None, 9 * 3600 + 300),
        ("timeouts: {run: 8h}", "1h", 3600),  # the explicit word decides
        ("", "0", 0),
        ("", "0s", 0),
        ("", "0h0m", 0),
        ("", "1h30m", 5400),
    ],
)
def test_the_age_is_the_given_one_or_what_no_run_of_this_file_can_reach(
    tmp_path: Path, timeouts: str, given: str | None, seconds: float
) -> None:
    config = loaded(tmp_path, BARE + timeouts, older_than=given)
    assert (config.older_than, config.explicit) == (seconds, given is not None)


def test_flags_say_where_argo_cd_and_kafka_are(tmp_path: Path) -> None:
    config = loaded(tmp_path, BARE, server="argocd:1", bootstrap_servers="k:1")
    assert config.argocd is not None
    assert (config.argocd.server, config.kafka["bootstrap.servers"]) == ("argocd:1", "k:1")
    assert config.sources == {
        "argocd.server": "--server",
        "argocd.token": "ARGOCD_AUTH_TOKEN",
        "kafka.bootstrap.servers": "--bootstrap-servers",
        "topics": "argorun.yaml:3",
    }


@pytest.mark.parametrize("yes", [True, False])
def test_yes_is_only_what_was_said(tmp_path: Path, yes: bool) -> None:
    assert loaded(tmp_path, BARE, yes=yes).yes is yes


@pytest.mark.parametrize("given", ["-1", "6 h", "soon", "1d", "h", "s"])
def test_what_is_no_duration_is_refused(tmp_path: Path, given: str) -> None:
    assert refused(tmp_path, BARE, older_than=given) == (
        f"--older-than: '{given}' is not a duration",
        "write it like 90, 90s, 15m or 1h30m",
    )


@pytest.mark.parametrize(
    ("text", "environment", "why"),
    [
        (BARE, TOKEN, "no Argo CD server is configured"),
        (BARE + "argocd: {server: argocd}", {}, "no token for Argo CD at argocd"),
    ],
)
def test_where_argo_cd_is_not_known_it_does_without_and_says_why(
    tmp_path: Path, text: str, environment: dict[str, str], why: str
) -> None:
    config = loaded(tmp_path, text, environment)
    assert (config.argocd, config.without_argocd) == (None, why)


def test_the_argocd_clis_login_will_do(tmp_path: Path) -> None:
    config = loaded(tmp_path, BARE, {}, cli=CliSettings(server="argocd", token="stored"))
    assert config.argocd is not None
    assert (config.argocd.server, config.argocd.token) == ("argocd", "stored")


def test_settings_for_argo_cd_that_cannot_stand_are_an_error_anyway(tmp_path: Path) -> None:
    message, _ = refused(tmp_path, BARE + "argocd: {server: argocd, ca: nowhere.pem}")
    assert message == "argorun.yaml:4: argocd.ca: there is no file nowhere.pem"


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        (None, {"topics": ("x",), "older_than": ""}, "--older-than: is empty"),
        (None, {"topics": ("x",)}, "no Kafka broker is configured"),
        ("kafka: {bootstrap.servers: 'a:1'}", {}, "no topic is configured"),
        (
            BARE,
            {"topics": ("a b",)},
            "--topic: 'a b' contains ' ': Kafka allows only ASCII letters, digits, '.', '_' and '-'",
        ),
        (BARE, {"topics": ("",)}, "--topic: is empty"),
        (BARE + "tpics: []", {}, "argorun.yaml:4: unknown key 'tpics'"),
        (
            BARE.replace("weather_updates", "a b"),
            {},
            "argorun.yaml:3: topics: first entry: prefix: 'a b' contains ' ': Kafka allows "
            "only ASCII letters, digits, '.', '_' and '-'",
        ),
    ],
)
def test_bad_settings_are_one_clear_error(
    tmp_path: Path, text: str | None, flags: dict[str, Any], message: str
) -> None:
    assert refused(tmp_path, text, **flags)[0] == message
