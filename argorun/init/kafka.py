"""Kafka's part of `argorun init`: where the brokers are, and how they are spoken to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from argorun.config.problems import Problems, Wrong
from argorun.init.answers import KafkaAnswer
from argorun.init.questions import Questions
from argorun.init.rendered import MECHANISMS, PROTOCOLS, Brokers, Named
from argorun.init.wishes import BOOTSTRAP, servers

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
WAYS = f"Kafka: --bootstrap-servers, or {VARIABLE}"
ELSEWHERE = "the cluster's address may not be reachable from CI"
CREDENTIALS = {"sasl.username": "${KAFKA_USERNAME}", "sasl.password": "${KAFKA_PASSWORD}"}


def given(flag: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The address that was given, and where; two empty texts if it was not."""
    if flag:
        return flag, "--bootstrap-servers"
    value = (environment.get(VARIABLE) or "").strip()
    return (value, VARIABLE) if value else ("", "")


def check_variable(flag: str | None, environment: Mapping[str, str], problems: Problems) -> None:
    """Check the variable where no flag wins over it: its address is shown, and written to the file."""
    value, source = given(flag, environment)
    if source == VARIABLE:
        try:
            servers(value)
        except Wrong as e:
            problems.variable(f"{VARIABLE}: {e.text}", e.hint)


def about(seen: Sequence[Brokers], reached: set[str]) -> list[str]:
    """What to know for the choice of an address."""
    return ["Kafka's address, as this machine and CI reach it.", *(f"  {s}" for s in states(seen, reached))]


def states(seen: Sequence[Brokers], reached: set[str]) -> list[str]:
    """A line for each address in the manifests."""
    return [
        f"the manifests have {b.servers} ({b.seen}): "
        + ("answers from here" if b.servers in reached else "not reached from here")
        + (f"; {ELSEWHERE}" if b.is_in_cluster else "")
        for b in seen
    ]


def suggestion(seen: Sequence[Brokers], reached: set[str]) -> str:
    """The address to suggest: one that answers, if possible one that is not the cluster's own."""
    answering = sorted((b for b in seen if b.servers in reached), key=lambda b: b.is_in_cluster)
    return answering[0].servers if answering else ""


def only(seen: Sequence[Brokers], reached: set[str]) -> str:
    """The one address that answers from here; empty if there are none or several."""
    answering = [b.servers for b in seen if b.servers in reached]
    return answering[0] if len(answering) == 1 else ""


def ask_security(ask: Questions, hints: Mapping[str, Named]) -> dict[str, str]:
    """The protocol and the mechanism, where the manifests have some; credentials become variables."""
    hint = hints.get("security.protocol")
    if hint is None or hint.value == "PLAINTEXT":
        return {}

    def one_of(known: Sequence[str]) -> Callable[[str], object]:
        def check(value: str) -> None:
            if value.upper() not in known:
                raise Wrong(f"is one of {', '.join(known)}")

        return check

    protocol = ask.ask(
        f"Security protocol ({hint.value} in {hint.where})", hint.value, one_of(PROTOCOLS)
    ).upper()
    if protocol == "PLAINTEXT":
        return {}
    properties = {"security.protocol": protocol}
    if protocol.startswith("SASL"):
        known = hints.get("sasl.mechanism")
        default = known.value if known else "SCRAM-SHA-512"
        properties["sasl.mechanism"] = ask.ask("SASL mechanism", default, one_of(MECHANISMS)).upper()
        properties |= CREDENTIALS
    return properties


def answer(
    address: str, properties: Mapping[str, str], seen: Sequence[Brokers], hints: Mapping[str, Named]
) -> KafkaAnswer:
    """The answer, with what the manifests say as comments."""
    notes = [
        f"The manifests have {b.servers} ({b.seen})" + (f": {ELSEWHERE}." if b.is_in_cluster else ".")
        for b in seen
        if b.servers != address or b.is_in_cluster
    ]
    for name, hint in hints.items():
        if name not in properties and hint.value != "PLAINTEXT":
            notes.append(f"The manifests have {name} {hint.value} ({hint.where}).")
    return KafkaAnswer(
        {BOOTSTRAP: address, **properties}, {name: hint.value for name, hint in hints.items()}, tuple(notes)
    )
