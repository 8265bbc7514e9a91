"""Checks librdkafka's properties from argorun.yaml, and adds argorun's own."""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping

from argorun.errors import UsageError

Property = str | int | float | bool

# A host's name, an IPv4 address or an IPv6 address in brackets; a number alone is a port without its host.
_HOST = re.compile(r"(?![0-9]+$)[^\W]([\w.-]*\w)?\.?|\[[0-9a-fA-F:.%\w]+\]")
_AUTO_CREATE = "allow.auto.create.topics"
_RESERVED = {
    "error_cb", "log_cb", "logger", "stats_cb", "throttle_cb", "oauth_cb", "background_event_cb", "opaque",
    "enabled_events", "log.queue",
}  # fmt: skip
_REFUSED = {
    "plugin.library.paths": "argorun loads no plugins into its Kafka client",
    "metadata.broker.list": "write bootstrap.servers",
}

# For "perhaps you meant": Python cannot list librdkafka's names. These are the ones that a connection needs
# (librdkafka 2.x, CONFIGURATION.md); a name that is missing here still passes through
# (docs/kafka-facts.md#oidc-in-librdkafka).
KNOWN = (
    "api.version.request", "api.version.request.timeout.ms", "bootstrap.servers", "broker.address.family",
    "broker.address.ttl", "client.dns.lookup", "client.id", "client.rack", "connections.max.idle.ms",
    "debug", "enable.ssl.certificate.verification", "https.ca.location", "https.ca.pem",
    "log.connection.close", "log_level", "max.in.flight", "message.max.bytes", "metadata.max.age.ms",
    "metadata.recovery.strategy", "receive.message.max.bytes", "reconnect.backoff.max.ms",
    "reconnect.backoff.ms", "retry.backoff.max.ms", "retry.backoff.ms", "sasl.kerberos.keytab",
    "sasl.kerberos.kinit.cmd", "sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.mechanism",
    "sasl.mechanisms", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config", "sasl.oauthbearer.extensions", "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url", "sasl.password", "sasl.username",
    "security.protocol", "socket.connection.setup.timeout.ms", "socket.keepalive.enable",
    "socket.max.fails", "socket.nagle.disable", "socket.receive.buffer.bytes", "socket.send.buffer.bytes",
    "socket.timeout.ms", "ssl.ca.certificate.stores", "ssl.ca.location", "ssl.ca.pem",
    "ssl.certificate.location", "ssl.certificate.pem", "ssl.cipher.suites", "ssl.crl.location",
    "ssl.curves.list", "ssl.endpoint.identification.algorithm", "ssl.engine.id", "ssl.engine.location",
    "ssl.key.location", "ssl.key.password", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password",
    "ssl.providers", "ssl.sigalgs.list", "topic.metadata.refresh.interval.ms",
)  # fmt: skip


CHOICES = {
    "security.protocol": "kafka.security.protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    "sasl.mechanism": "kafka.sasl.mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
}
"""What can be written where librdkafka takes one of a few words, as a hint."""


def checked(properties: Mapping[str, object]) -> dict[str, Property]:
    """The properties for an admin client, with argorun's own added. UsageError names one that is not allowed.

    `allow.auto.create.topics` is always false: with true, a request for a deleted topic creates it again on a
    broker with `auto.create.topics.enable` (librdkafka, CONFIGURATION.md; seen;
    docs/kafka-facts.md#topics-on-demand).
    """
    for _, text, hint in wrong(properties):
        raise UsageError(text, hint)
    if not addresses(properties):
        raise UsageError(
            "kafka.bootstrap.servers is missing",
            "give --bootstrap-servers, KAFKA_BOOTSTRAP_SERVERS, or kafka: {bootstrap.servers: LIST}",
        )
    result: dict[str, Property] = {"client.id": "argorun"}
    if "reconnect.backoff.ms" not in properties:
        result["reconnect.backoff.max.ms"] = 1000  # librdkafka's 10 s are a third of what a step may take
    for name, value in properties.items():
        if isinstance(value, (str, int, float)):
            result[name] = str(value).lower() if isinstance(value, bool) else value
    return result | {_AUTO_CREATE: "false"}


def wrong(properties: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """What argorun does not allow: the property's name, a text and a hint, for each."""
    for name, value in properties.items():
        if name in _RESERVED:
            yield name, f"kafka.{name} cannot be set: argorun sets it itself", ""
        elif name in _REFUSED:
            yield name, f"kafka.{name} cannot be set: {_REFUSED[name]}", ""
        elif not isinstance(value, (str, int, float)):
            kind = type(value).__name__
            yield name, f"kafka.{name} must be a string, a number, true or false, not {kind}", ""
        elif name == _AUTO_CREATE and str(value).lower() not in ("false", "f", "0"):
            why = "with true, any request for a deleted topic would create it again"
            yield name, f"kafka.{name} must stay false", why
    if "bootstrap.servers" in properties and not addresses(properties):
        yield "bootstrap.servers", "kafka.bootstrap.servers: is empty", "write HOST:PORT"
    for text, hint in _wrong_addresses(properties):
        yield "bootstrap.servers", text, hint


def addresses(properties: Mapping[str, object]) -> str:
    """`bootstrap.servers` as people read it."""
    return ", ".join(a.strip() for a in str(properties.get("bootstrap.servers", "")).split(",") if a.strip())


def _wrong_addresses(properties: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """A text and a hint for each of `bootstrap.servers` that is not `host[:port]`.

    librdkafka takes port 99999 modulo 65536, reads `abc` as port 0, and silently drops an address whose
    scheme is not its security.protocol (seen with 2.16; docs/kafka-facts.md#addresses), so that the run would
    only time out.
    """
    protocol = str(properties.get("security.protocol", "plaintext"))
    for address in filter(None, addresses(properties).split(", ")):
        scheme, _, rest = address.rpartition("://")
        address = re.sub(r"[^/]*@", "***@", address)  # what stands there may be a password
        if scheme and scheme.lower() != protocol.lower():
            yield (
                f"kafka.bootstrap.servers: {address} is {scheme}, but kafka.security.protocol is {protocol}",
                "leave the scheme out and set kafka.security.protocol",
            )
            continue
        host, colon, port = rest.rpartition(":")
        if _is_ipv6(rest):
            continue
        if re.search(r"[\s;]", rest):
            yield f"kafka.bootstrap.servers: {address!r} is not HOST:PORT", "separate addresses by commas"
        elif not _HOST.fullmatch(host if colon else rest) or (colon and not _is_port(port)):
            yield f"kafka.bootstrap.servers: {address} is not HOST:PORT", ""


def _is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address without a port, in brackets or not."""
    with contextlib.suppress(ValueError):
        return bool(ipaddress.IPv6Address(text[1:-1] if text[:1] + text[-1:] == "[]" else text))
    return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536


def nearest(name: str) -> str:
    """A hint with the known property that is most similar to `name`, or an empty string."""
    close = difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.75)
    return f"perhaps you meant {close[0]}" if close else ""
