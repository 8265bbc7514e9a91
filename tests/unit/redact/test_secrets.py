"""Which values count as secrets."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argorun.config.load import load
from argorun.config.model import CliSettings, Flags
from argorun.errors import UsageError
from argorun.redact.redactor import Redactor
from argorun.redact.secrets import in_address, is_parameter, of_properties

FLAGS = Flags(application="weather", topic="t", parameter="kafka.topic")
PLACES = {
    "ARGOCD_SERVER": "argocd.example.com",
    "ARGOCD_AUTH_TOKEN": "t0ken",
    "KAFKA_BOOTSTRAP_SERVERS": "k:1",
}


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.config",
        "sasl.jaas.config",
        "some.property.to.come.token",
    ],
)
def test_a_property_of_kafkas_is_secret_by_its_name(name: str) -> None:
    assert of_properties({name: "hunter2", "client.id": "ci"}) == {"hunter2"}


@pytest.mark.parametrize(
    "name",
    ["sasl.username", "ssl.key.location", "ssl.keystore.location", "sasl.oauthbearer.token.endpoint.url"],
)
def test_names_and_files_are_no_secrets(name: str) -> None:
    assert of_properties({name: "ci@EXAMPLE.COM"}) == set()


def test_the_password_in_a_url_is_secret_whatever_the_property() -> None:
    url = "https://ci:hunter%2F2@idp.example.com/token"
    assert of_properties({"sasl.oauthbearer.token.endpoint.url": url}) == {
        "hunter%2F2",
        "hunter/2",
    }


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://me:pass@argocd.example.com/x", {"pass"}),
        ("me:pass@argocd.example.com", {"pass"}),
        ("https://t0ken@argocd.example.com", {"t0ken"}),
        ("a:1,SASL_SSL://me:pass@b:2", {"pass"}),
        ("https://argocd.example.com/a@b", {"a"}),
        ("argocd.example.com", set()),
        ("", set()),
    ],
)
def test_the_password_in_an_address(address: str, found: set[str]) -> None:
    assert set(in_address(address)) == found


@pytest.mark.parametrize(
    "name", ["db.password", "auth.clientSecret", "API_KEY", "github.token", "app.secret"]
)
def test_a_helm_parameter_that_is_secret_by_its_name(name: str) -> None:
    assert is_parameter(name)


@pytest.mark.parametrize("name", ["image.tag", "imagePullSecret", "existingSecret", "tokens", "passwordFile"])
def test_a_helm_parameter_that_is_none(name: str) -> None:
    assert not is_parameter(name)


def test_a_secret_on_the_command_line_is_known_as_one(tmp_path: Path) -> None:
    flags = Flags(
        application="weather", topic="t", parameter="p", sets=("db.password=hunter2", "image.tag=1.2")
    )
    assert load(flags, PLACES, tmp_path).secrets == ("hunter2", "t0ken")


def test_the_password_of_a_proxy_is_known_as_a_secret(tmp_path: Path) -> None:
    environment = PLACES | {"HTTPS_PROXY": "http://me:hunter2@proxy:3128", "all_proxy": "socks5://h:1"}
    assert load(FLAGS, environment, tmp_path).secrets == ("hunter2", "t0ken")


FILE = """\
kafka: {{bootstrap.servers: "k:1", sasl.password: "literal", client.id: "${{ID}}"}}
argocd: {{server: "{server}", headers: {{X-Key: "${{KEY}}"}}}}
topics: [{{prefix: t, parameter: p}}]
"""


@pytest.mark.parametrize("server", ["https://me:hunter2@argocd.example.com", "me:hunter2@argocd.example.com"])
def test_a_secret_is_masked_before_an_error_may_quote_it(tmp_path: Path, server: str) -> None:
    (tmp_path / "argorun.yaml").write_text(FILE.format(server=server))
    masked: set[str] = set()
    environment = {"ARGOCD_AUTH_TOKEN": "t0ken", "ID": "me-myself", "KEY": "k3y"}
    cli = CliSettings(server=server, token="stored")
    with pytest.raises(UsageError, match="is not an Argo CD server"):
        load(FLAGS, environment, tmp_path, cli, lambda *secrets: masked.update(secrets))
    assert masked == {"t0ken", "me-myself", "literal", "hunter2", "k3y"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("*hunter2", "an alias (*NAME) without its anchor (&NAME)"),
        ("!hunter2", "a YAML tag (!NAME), which is not known here"),
        ("!hunt!er2", "found undefined tag handle ***"),
    ],
)
def test_a_password_that_yaml_takes_for_something_else_is_not_quoted(
    tmp_path: Path, value: str, said: str
) -> None:
    (tmp_path / "argorun.yaml").write_text(f"kafka:\n  sasl.password: {value}\n")
    with pytest.raises(UsageError) as caught:
        load(FLAGS, PLACES, tmp_path)
    assert caught.value.message.endswith(said)
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert caught.value.hint.startswith("quote a value that begins with ")


# -- and hidden in librdkafka's messages, which repeat a bad value ---------------------------------------


def shown_with(properties: dict[str, object], text: str) -> str:
    """The text as it is shown while these are the properties."""
    return Redactor(of_properties(properties)).text(text)


secret_names = st.sampled_from(
    ["sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret"]
)
secrets = st.text(string.ascii_letters + string.digits + "!$%/=+-_", min_size=4, max_size=40)
around = st.text(string.punctuation + " ", max_size=10)


@given(secret_names, secrets, around, around)
def test_a_secret_value_shows_in_no_text(name: str, secret: str, before: str, after: str) -> None:
    shown = shown_with(
        {name: secret, "bootstrap.servers": "h"}, f'{before}Invalid value "{secret}" for x{after}'
    )
    assert f'"{secret}"' not in shown
    assert '"***"' in shown


def test_a_short_secret_is_masked_where_librdkafka_quotes_it() -> None:
    assert shown_with({"sasl.password": "on"}, 'Invalid value "on" for connection') == (
        'Invalid value "***" for connection'
    )


def test_a_value_that_is_no_secret_stays() -> None:
    assert shown_with({"security.protocol": "sasl_plain"}, 'Invalid value "sasl_plain"') == (
        'Invalid value "sasl_plain"'
    )


def test_parts_of_a_secret_are_masked_but_not_the_words_of_a_pem() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n"
    properties: dict[str, object] = {
        "ssl.key.pem": pem,
        "sasl.oauthbearer.config": "principal=alice scope=top-secret",
    }
    assert shown_with(properties, "at MIIEvQIBADANBgkqhkiG9w0BAQEF: no PRIVATE KEY; scope top-secret") == (
        "at ***: no PRIVATE KEY; scope ***"
    )
