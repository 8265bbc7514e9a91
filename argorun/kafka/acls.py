"""The command that grants an account what argorun needs in Kafka."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ADMIN_PROPERTIES = "admin.properties"  # the settings of an account that may change ACLs
UNKNOWN = "User:NAME"  # only the broker knows what it calls the account
_BY_NAME = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True)
class Acls:
    """Grants to one account on the cluster at `where`; `plaintext`: it is reached without TLS and login."""

    where: str
    principal: str
    plaintext: bool = True

    @classmethod
    def of(cls, properties: Mapping[str, object], where: str) -> Acls:
        """Those for the account of these librdkafka properties."""
        protocol = str(properties.get("security.protocol", "plaintext")).lower()
        return cls(where.replace(" ", ""), principal(properties, protocol), protocol == "plaintext")

    def grant(self, operations: Iterable[str], kind: str, prefix: str) -> str:
        """The command for these operations on every topic or group (`kind`) that begins with a prefix."""
        settings = [] if self.plaintext else ["--command-config", ADMIN_PROPERTIES]
        allowed = [word for operation in operations for word in ("--operation", operation)]
        return shlex.join(
            [
                "kafka-acls",
                *("--bootstrap-server", self.where, *settings),
                *("--add", "--allow-principal", self.principal, *allowed),
                *(f"--{kind.lower()}", prefix, "--resource-pattern-type", "prefixed"),
            ]
        )


def principal(properties: Mapping[str, object], protocol: str) -> str:
    """What Kafka's ACLs call the account, unless the broker maps names (principal.builder.class)."""
    if protocol.startswith("sasl"):
        mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms")
        name = properties.get("sasl.username")
        return f"User:{name}" if name and str(mechanism).upper() in _BY_NAME else UNKNOWN
    certificate = any(f"ssl.{p}" in properties for p in ("certificate.location", "certificate.pem"))
    if protocol == "ssl" and (certificate or "ssl.keystore.location" in properties):
        return UNKNOWN  # the certificate's subject
    return "User:ANONYMOUS"
