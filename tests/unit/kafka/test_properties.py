"""librdkafka's properties: which ones pass and which are refused."""

from __future__ import annotations

import pytest

from argorun.errors import UsageError
from argorun.kafka.properties import addresses, checked, nearest, wrong

ADDED = {"client.id": "argorun", "reconnect.backoff.max.ms": 1000, "allow.auto.create.topics": "false"}


def refusal(properties: dict[str, object]) -> str:
    with pytest.raises(UsageError) as caught:
        checked({"bootstrap.servers": "localhost:9092"} | properties)
    return caught.value.message


def test_properties_pass_through_with_argoruns_own_added() -> None:
    given_ = {"bootstrap.servers": "a:1,b:2", "sasl.password": "x", "socket.timeout.ms": 9000}
    assert checked(given_) == given_ | ADDED


def test_a_users_property_wins_except_for_auto_create() -> None:
    given_ = {
        "bootstrap.servers": "a:1",
        "client.id": "me",
        "reconnect.backoff.ms": 5000,
        "allow.auto.create.topics": False,
        "enable.ssl.certificate.verification": True,
    }
    assert checked(given_) == {
        "bootstrap.servers": "a:1",
        "client.id": "me",
        "reconnect.backoff.ms": 5000,
        "allow.auto.create.topics": "false",
        "enable.ssl.certificate.verification": "true",
    }


@pytest.mark.parametrize("value", [True, "true", "True", "t", "1", 1, "yes"])
def test_auto_create_stays_off(value: object) -> None:
    assert refusal({"allow.auto.create.topics": value}) == "kafka.allow.auto.create.topics must stay false"


@pytest.mark.parametrize("name", ["error_cb", "logger", "log_cb", "stats_cb", "oauth_cb", "opaque"])
def test_callbacks_cannot_be_set(name: str) -> None:
    assert refusal({name: "x"}) == f"kafka.{name} cannot be set: argorun sets it itself"


def test_no_plugin_is_loaded() -> None:
    assert refusal({"plugin.library.paths": "evil"}) == (
        "kafka.plugin.library.paths cannot be set: argorun loads no plugins into its Kafka client"
    )


@pytest.mark.parametrize("value", [None, ["a"], {"a": 1}])
def test_a_value_is_a_scalar(value: object) -> None:
    assert refusal({"client.id": value}) == (
        f"kafka.client.id must be a string, a number, true or false, not {type(value).__name__}"
    )


def test_bootstrap_servers_are_required() -> None:
    with pytest.raises(UsageError, match=r"^kafka\.bootstrap\.servers is missing$"):
        checked({})


@pytest.mark.parametrize("value", ["", " , ", ","])
def test_a_list_without_an_address_is_said_to_be_empty_once(value: str) -> None:
    found = list(wrong({"bootstrap.servers": value}))
    assert found == [("bootstrap.servers", "kafka.bootstrap.servers: is empty", "write HOST:PORT")]


@pytest.mark.parametrize("address", ["a:9092;b:9092", "a:9092 b:9092", "a:9092\nb:9092"])
def test_addresses_are_separated_by_commas(address: str) -> None:
    text = f"kafka.bootstrap.servers: {address!r} is not HOST:PORT"
    found = list(wrong({"bootstrap.servers": address}))
    assert found == [("bootstrap.servers", text, "separate addresses by commas")]


@pytest.mark.parametrize(
    "address",
    [
        "localhost:99999",
        "localhost:abc",
        "localhost:0",
        "localhost:-1",
        ":9092",
        "h:",
        "h:٣",
        "9092",
        "[::1",
        "a/b:1",
    ],
)
def test_an_address_that_librdkafka_would_misread_is_refused(address: str) -> None:
    assert refusal({"bootstrap.servers": f"ok:9092,{address}"}) == (
        f"kafka.bootstrap.servers: {address} is not HOST:PORT"
    )


def test_an_address_with_another_scheme_is_refused() -> None:
    assert refusal({"bootstrap.servers": "ssl://h:9092"}) == (
        "kafka.bootstrap.servers: ssl://h:9092 is ssl, but kafka.security.protocol is plaintext"
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"bootstrap.servers": "localhost"},
        {"bootstrap.servers": "a:1, b:65535"},
        {"bootstrap.servers": "[::1]:9092,::1,[::1]"},
        {"bootstrap.servers": "PLAINTEXT://h:1"},
        {"bootstrap.servers": "SASL_SSL://h:1", "security.protocol": "sasl_ssl"},
    ],
)
def test_an_address_that_librdkafka_takes_passes(properties: dict[str, str]) -> None:
    assert checked(properties)["bootstrap.servers"] == properties["bootstrap.servers"]


def test_addresses_are_readable() -> None:
    assert addresses({"bootstrap.servers": " a:1,b:2 ,"}) == "a:1, b:2"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sasl.pasword", "perhaps you meant sasl.password"),
        ("bootstrap.server", "perhaps you meant bootstrap.servers"),
        ("security_protocol", "perhaps you meant security.protocol"),
        ("flavor", ""),
    ],
)
def test_a_typo_is_met_with_the_nearest_name(name: str, hint: str) -> None:
    assert nearest(name) == hint
