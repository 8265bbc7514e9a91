"""The Kafka admin client over the real librdkafka, without a broker."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import socket
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from argorun.errors import UsageError
from argorun.kafka import admin
from argorun.kafka.admin import KafkaAdmin, wait_for
from argorun.kafka.errors import BrokerError
from argorun.redact.redactor import Redactor

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "client.id": "test"}


def refusal(**properties: object) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        KafkaAdmin(NOWHERE | {name.replace("_", "."): value for name, value in properties.items()})
    return caught.value.message, caught.value.hint


def test_an_unknown_property_is_named_with_the_nearest() -> None:
    assert refusal(sasl_pasword="hunter2") == (
        "kafka.sasl.pasword is not a property of librdkafka",
        "perhaps you meant sasl.password",
    )


def test_a_bad_value_is_shown() -> None:
    assert refusal(security_protocol="sasl_plain") == (
        'the Kafka client cannot be set up: Invalid value "sasl_plain" for configuration property'
        ' "security.protocol"',
        "kafka.security.protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )


def test_all_wrong_properties_are_found_at_once_and_nothing_is_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        found = admin.wrong_properties(
            {
                "bootstrap.servers": f"127.0.0.1:{broker.getsockname()[1]}",
                "sasl.pasword": "hunter2",
                "opaque": "x",
                "security.protocol": "hunter3",
                "ssl.key.password": "hunter3",
                "socket.timeout.ms": "soon",
                "client.id": "me",
            }
        )
        assert [*found] == [
            ("opaque", "kafka.opaque cannot be set: argorun sets it itself", ""),
            (
                "sasl.pasword",
                "kafka.sasl.pasword is not a property of librdkafka",
                "perhaps you meant sasl.password",
            ),
            (
                "security.protocol",
                'the Kafka client cannot be set up: Invalid value "***" for configuration property '
                '"security.protocol"',
                "kafka.security.protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            ),
            (
                "socket.timeout.ms",
                "the Kafka client cannot be set up: Invalid value for configuration property "
                '"socket.timeout.ms"',
                "",
            ),
        ]
        broker.settimeout(0)
        with pytest.raises(BlockingIOError):
            broker.accept()


def test_right_properties_are_none_that_are_wrong() -> None:
    assert [*admin.wrong_properties({"bootstrap.servers": "k:1", "client.id": "me"})] == []
    assert [*admin.wrong_properties({"bootstrap.servers": "k:1"})] == []


@pytest.mark.parametrize("secret", ["hunter2", "on"])
def test_a_secret_in_the_wrong_place_is_not_shown(secret: str) -> None:
    with pytest.raises(UsageError) as caught:
        KafkaAdmin(NOWHERE | {"security.protocol": secret}, redact=Redactor([secret, ""]).text)
    assert secret not in str(caught.value).split()
    assert f'"{secret}"' not in str(caught.value)
    assert 'Invalid value "***"' in str(caught.value)


def test_secrets_among_the_properties_are_masked_by_default() -> None:
    message, _ = refusal(security_protocol="on", sasl_password="on")
    assert 'Invalid value "***"' in message


@pytest.mark.parametrize(
    "properties",
    [
        {"sasl_mechanism": "PLAIN", "security_protocol": "SASL_PLAINTEXT", "sasl_password": "hunter2"},
        {"security_protocol": "SSL", "ssl_key_pem": "hunter2-hunter2"},
        {"security_protocol": "SSL", "ssl_ca_pem": "hunter2"},
        {"security_protocol": "SSL", "ssl_keystore_location": "/nix", "ssl_keystore_password": "hunter2"},
        {"security_protocol": "SSL", "ssl_ca_location": "/nix"},
        {"socket_timeout_ms": "soon"},
        {"socket_timeout_ms": 1},
        {"debug": "everything"},
        {"topic_metadata": "x"},
        {"default_topic_config": "x"},
    ],
)
def test_a_property_that_librdkafka_refuses_is_bad_usage_and_shows_no_secret(
    properties: dict[str, object],
) -> None:
    message, _ = refusal(**properties)
    assert "hunter2" not in message
    assert "KafkaError{" not in message


def test_librdkafka_says_nothing_on_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        admin = KafkaAdmin(NOWHERE | {"debug": "all"})
        admin.open()
        with pytest.raises(BrokerError):
            await admin.describe("x", timeout=0.3)
        assert admin.trouble(0) is not None
        assert admin.all_down(0) is not None
        await admin.close()

    asyncio.run(main())
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_connection_error_is_shortened() -> None:
    async def main() -> str:
        admin = KafkaAdmin(NOWHERE)
        admin.open()
        with pytest.raises(BrokerError, match=r"(Failed while|Timed out) waiting for") as caught:
            await admin.describe("x", timeout=0.3)
        assert caught.value.code == -185
        trouble = admin.trouble(0)
        await admin.close()
        assert trouble is not None
        return trouble.text

    assert asyncio.run(main()) == "127.0.0.1:1: Connect to ipv4#127.0.0.1:1 failed: Connection refused"


def test_a_topic_that_the_client_cannot_request_is_a_broker_error() -> None:
    from argorun.kafka.spec import TopicSpec

    async def main() -> None:
        admin = KafkaAdmin(NOWHERE)
        admin.open()
        with pytest.raises(BrokerError, match="num_partitions out of expected range") as caught:
            await admin.create("x", TopicSpec(prefix="x", partitions=-7), timeout=1)
        assert caught.value.code == -186
        await admin.close()
        with pytest.raises(BrokerError, match="the Kafka client is closed"):
            await admin.delete("x", timeout=1)

    asyncio.run(main())


def test_a_list_of_groups_that_lacks_one_brokers_part_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Listing:
        def __init__(self, *_: object, **__: object) -> None: ...

        def list_consumer_groups(self, **_: object) -> concurrent.futures.Future[object]:
            down = KafkaException(KafkaError(KafkaError._TRANSPORT, "broker 2 is down"))
            listed: concurrent.futures.Future[object] = concurrent.futures.Future()
            listed.set_result(SimpleNamespace(valid=[SimpleNamespace(group_id="g")], errors=[down]))
            return listed

    monkeypatch.setattr(admin, "AdminClient", Listing)

    async def main() -> None:
        await KafkaAdmin(NOWHERE).groups(timeout=1)

    with pytest.raises(BrokerError, match="broker 2 is down") as caught:
        asyncio.run(main())
    assert caught.value.transient, "it is asked once more"


def test_a_canceled_wait_leaves_librdkafkas_future_alone() -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()

    async def main() -> None:
        task = asyncio.create_task(wait_for(future))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert not future.cancelled()
        future.set_result(1)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_an_answer_after_the_loop_is_closed_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()

    async def main() -> None:
        task = asyncio.create_task(wait_for(future))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    future.set_result(1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["pass", "await client.close()", "raise SystemExit(3)"])
def test_a_client_never_holds_up_the_interpreters_end(how: str) -> None:
    program = f"""
        import asyncio
        from argorun.kafka.admin import KafkaAdmin
        from argorun.kafka.errors import BrokerError
        async def main():
            client = KafkaAdmin({{"bootstrap.servers": "127.0.0.1:1"}})
            client.open()
            try:
                await client.describe("x", timeout=0.2)
            except BrokerError:
                pass
            {how}
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (3 if "3" in how else 0, "", "")
