"""Finds secrets in the configuration: by a value's source, by its name, and in addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote

# librdkafka's properties, also future ones: sasl.password, ssl.key.pem, …
_PROPERTY = re.compile(
    r"password|passphrase|secret|credential|token$|\.pem$|jaas|oauthbearer\.(config|assertion)", re.IGNORECASE
)
# A chart's parameters, by how they end: `imagePullSecret` and `existingSecret` only name a Secret.
_PARAMETER = re.compile(
    r"(password|passwd|passphrase|token|(api|private|access|secret)[_-]?key|client[_-]?secret|(^|\.)secret)$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"([^/\s?#,]*)@")
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


def of_properties(properties: Mapping[str, object]) -> set[str]:
    """The secret values among librdkafka's properties, and their parts that a message could quote alone."""
    values = {str(value) for name, value in properties.items() if _PROPERTY.search(name)}
    urls = [str(value) for value in properties.values() if "://" in str(value)]
    in_addresses = {password for url in urls for password in in_address(url)}
    return (values | {part for value in values for part in _parts(value)} | in_addresses) - {""}


def is_secret_property(name: str) -> bool:
    """Whether the value of a property of librdkafka's is a secret: `sasl.password`, `ssl.key.pem`."""
    return _PROPERTY.search(name) is not None


def is_parameter(name: str) -> bool:
    """Whether a Helm parameter's value is a secret: `db.password`, `auth.clientSecret`."""
    return _PARAMETER.search(name) is not None


def in_address(address: str) -> Iterator[str]:
    """The password in `https://user:password@host` or `user:password@host`; a lone user may be a token."""
    for match in _USERINFO.finditer(address):
        user, _, password = match[1].partition(":")
        yield from {password or user, unquote(password or user)} - {""}


def _parts(value: str) -> list[str]:
    """The lines of a PEM or the values of a list."""
    if "-----" in value:
        return [line for line in value.split() if len(line) > 16 and "-----" not in line]
    return [part for part in re.split(r"[\s=,;\"']+", value) if len(part) > 5]


def collecting(
    environment: Mapping[str, str], mask: Callable[..., None]
) -> tuple[set[str], Callable[..., None]]:
    """A set, and a `mask` that also adds each secret to it; it starts with the proxies' passwords."""
    secrets: set[str] = set()

    def collect(*values: str) -> None:
        secrets.update(values)
        mask(*values)

    for name in PROXIES:
        collect(*in_address(environment.get(name, "")))
    return secrets, collect
