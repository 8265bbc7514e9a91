"""The command that grants what is missing can be pasted: with the account, as far as it is known."""

from __future__ import annotations

import pytest

from argorun.kafka.acls import Acls

WHERE = "a:9092, b:9092"
SCRAM = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "argo run"}


def test_the_command_names_each_operation_and_quotes_what_a_shell_would_split() -> None:
    assert Acls.of(SCRAM, WHERE).grant(["Create", "Delete"], "Topic", "weather") == (
        "kafka-acls --bootstrap-server a:9092,b:9092 --command-config admin.properties --add "
        "--allow-principal 'User:argo run' --operation Create --operation Delete --topic weather "
        "--resource-pattern-type prefixed"
    )


@pytest.mark.parametrize(
    ("properties", "principal"),
    [
        ({}, "User:ANONYMOUS"),
        (SCRAM, "User:argo run"),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanisms": "PLAIN", "sasl.username": "x"}, "User:x"),
        (
            {"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER", "sasl.username": "x"},
            "User:NAME",
        ),
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "GSSAPI"}, "User:NAME"),
        ({"security.protocol": "ssl"}, "User:ANONYMOUS"),
        ({"security.protocol": "ssl", "ssl.certificate.location": "me.pem"}, "User:NAME"),
    ],
)
def test_the_account_is_what_the_broker_calls_it_where_that_is_known(
    properties: dict[str, str], principal: str
) -> None:
    assert Acls.of(properties, WHERE).principal == principal


def test_without_tls_and_login_no_settings_are_needed() -> None:
    assert "--command-config" not in Acls.of({}, WHERE).grant(["Create"], "Group", "g")
