"""Finds in manifests what a configuration needs: Kafka's address and its protocol. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from argorun.argocd.parameters.topic_like import words
from argorun.argocd.types import Json

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER")
IN_CLUSTER = (".svc", ".cluster.local", ".local", ".internal")
MOST_PLACES = 3  # that are named for one address

_ADDRESS = (
    r"(?:[A-Za-z_]+://)?(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\]):[0-9]{1,5}(?![\w@])"
)
_LIST = re.compile(rf"{_ADDRESS}(?:\s*,\s*{_ADDRESS})*")
# `bootstrap.servers=a:1,b:2`, `bootstrap-servers: "a:1"`, `--bootstrap-server a:1`
_IN_TEXT = re.compile(
    rf"(?:bootstrap[._-]?servers?|broker[._-]?list|kafka[._-]?brokers?)[\"']?[\s=:]+[\"']?({_LIST.pattern})",
    re.IGNORECASE,
)
_SETTING_IN_TEXT = re.compile(
    r"(security[._-]?protocol|sasl[._-]?mechanism)[\"']?\s*[=:]\s*[\"']?([A-Z0-9_-]+)", re.IGNORECASE
)
# The words of which a name must have all: `KAFKA_BROKERS`, `bootstrapServers`, `kafka.url`.
_SERVERS = (
    {"bootstrap"},
    {"brokers"},
    {"broker", "list"},
    *({"kafka", word} for word in ("broker", "servers", "url", "host", "hosts", "address")),
)


class Named(NamedTuple):
    """A value with its name, and where it stands."""

    name: str
    value: str
    where: str


@dataclass(frozen=True)
class Brokers:
    """Kafka's bootstrap servers, as they stand in manifests, and where."""

    servers: str
    where: tuple[str, ...]

    @property
    def seen(self) -> str:
        """The places, for people."""
        rest = len(self.where) - MOST_PLACES
        return ", ".join(self.where[:MOST_PLACES]) + (f" and {rest} more" if rest > 0 else "")

    @property
    def is_in_cluster(self) -> bool:
        """Whether its name looks like one that only the cluster knows."""
        return any(map(_in_cluster, hosts(self.servers)))


def brokers(manifests: Sequence[Json], values: Mapping[str, str]) -> list[Brokers]:
    """Kafka's addresses in the manifests and in a chart's values; this machine's own are left out."""
    places: dict[str, dict[str, None]] = {}
    for named in _all(manifests, values):
        for servers in _servers(named):
            if not any(map(_is_loopback, hosts(servers))):
                places.setdefault(servers, {})[named.where] = None
    return [Brokers(servers, tuple(where)) for servers, where in places.items()]


def security(manifests: Sequence[Json], values: Mapping[str, str]) -> dict[str, Named]:
    """`security.protocol` and `sasl.mechanism` as they stand in the manifests, the first of each."""
    found: dict[str, Named] = {}
    known = {"security.protocol": PROTOCOLS, "sasl.mechanism": MECHANISMS}
    for named in _all(manifests, values):
        pairs = [(named.name, named.value), *_SETTING_IN_TEXT.findall(named.value)]
        for name, value in pairs:
            if (setting := _setting(name)) and value.upper() in known[setting]:
                found.setdefault(setting, Named(setting, value.upper(), named.where))
    return found


def hosts(servers: str) -> list[str]:
    """The hosts of a list of HOST:PORT."""
    return [address.rpartition(":")[0].strip("[] ") for address in servers.split(",")]


def _setting(name: str) -> str:
    found = set(words(name))
    if {"security", "protocol"} <= found:
        return "security.protocol"
    return "sasl.mechanism" if {"sasl", "mechanism"} <= found else ""


def _servers(named: Named) -> Iterator[str]:
    found = set(words(named.name))
    if any(wanted <= found for wanted in _SERVERS) and _LIST.fullmatch(named.value.strip()):
        yield _bare(named.value)
    for servers in _IN_TEXT.findall(named.value):
        yield _bare(servers)


def _bare(servers: str) -> str:
    """The addresses without the schemes that some clients want."""
    return ",".join(
        re.sub(r"^[A-Za-z_]+://", "", part.strip(), flags=re.IGNORECASE) for part in servers.split(",")
    )


def _in_cluster(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(IN_CLUSTER)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _all(manifests: Iterable[Json], values: Mapping[str, str]) -> Iterator[Named]:
    for m in manifests:
        called = f"{m.get('kind')} {(m.get('metadata') or {}).get('name', '')}".strip()
        if m.get("kind") == "Secret":
            continue
        data = m.get("data")
        if m.get("kind") == "ConfigMap" and isinstance(data, dict):
            yield from (Named(str(k), str(v), f"{called}, key {k}") for k, v in data.items())
            continue
        yield from _of_containers(m, called)
    yield from (Named(name, value, f"the chart's value {name}") for name, value in values.items())


def _of_containers(value: Any, called: str) -> Iterator[Named]:
    """The environment and the command lines of whatever looks like a container."""
    if isinstance(value, dict):
        environment = value.get("env")
        for entry in environment if isinstance(environment, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("value"), str):
                name = str(entry.get("name", ""))
                yield Named(name, entry["value"], f"{called}, variable {name}")
        for word in ("command", "args"):
            parts = value.get(word)
            if isinstance(parts, list):
                yield Named("", " ".join(map(str, parts)), f"{called}, {word}")
        for below in value.values():
            yield from _of_containers(below, called)
    elif isinstance(value, list):
        for below in value:
            yield from _of_containers(below, called)
