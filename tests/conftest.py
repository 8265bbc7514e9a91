"""For all tests: unit tests stay on this machine; `--real` aims the contract at a real Argo CD."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT

TESTS = Path(__file__).parent


class NetworkReached(Exception):
    """A test wanted to talk to another machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real", action="store_true", help="run tests/contract against the real Argo CD of the environment"
    )


def pytest_configure(config: pytest.Config) -> None:
    """With --real a missing stack ends it all at once: those tests were asked for."""
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), others)))  # for what tests start
    if config.getoption("--real"):
        from tests.real.cluster import Stack, StackMissing

        try:
            Stack.from_environment(os.environ)
        except StackMissing as e:
            raise pytest.UsageError(str(e)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadgroup`, tests that share servers stay together."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.processes import Scheduler

    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes begin with what takes longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests.processes import rank

        items.sort(key=lambda item: rank(item.nodeid))


def is_local(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(host: object) -> None:
    """Fail unless the host is this machine."""
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if not is_local(name):
        raise NetworkReached(f"this test reaches out to {name}; unit tests stay on this machine")


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tests/unit, no connection and no name look-up beyond loopback (Python's own; not librdkafka's)."""
    if not request.path.is_relative_to(TESTS / "unit"):
        return
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guard(real: Any) -> Any:
        def checked(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse(address[0])
            return real(self, address)

        return checked

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        refuse(host)
        return getaddrinfo(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", guard(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests and the stand-in's never see the settings of whoever runs them."""
    if request.path.is_relative_to(TESTS / "real") or request.config.getoption("--real"):
        return
    for name in list(os.environ):
        if name.startswith(("ARGOCD_", "KAFKA_", "ARGORUN_", "GITHUB_", "REALSTACK_")) or name in (
            "NO_COLOR",
            "FORCE_COLOR",
            "XDG_CONFIG_HOME",
        ):
            monkeypatch.delenv(name)
