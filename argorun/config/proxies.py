"""Chooses the proxy of a request as Go does, and so the argocd CLI.

HTTPS_PROXY or HTTP_PROXY by the URL's scheme, then NO_PROXY; upper case first (source: golang.org/x/net,
http/httpproxy/proxy.go). Go ignores ALL_PROXY. Two things differ: an invalid address of a proxy is an error
later on and is not ignored, and NO_PROXY may have an IPv6 address in brackets without a port.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

VARIABLES = {"https": ("HTTPS_PROXY", "https_proxy"), "http": ("HTTP_PROXY", "http_proxy")}
PORTS = {"https": 443, "http": 80}
NOT_USED = ("ALL_PROXY", "all_proxy")
SCHEMES = ("http", "https", "socks5", "socks5h")
_ENTRY = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[^:\[\]]*))?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxy(msgspec.Struct, frozen=True):
    """A proxy: its URL, which may hold a password, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Without user and password: `http://proxy:3128 (HTTPS_PROXY)`."""
        return f"{re.sub(r'//[^/]*@', '//', self.url)} ({self.variable})"


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for requests to this URL; None where they go straight to it."""
    try:
        parts = urlsplit(url)
        host, port = as_ascii(parts.hostname or ""), parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None  # not a URL: connecting to it is an error that says so
    names = VARIABLES.get(parts.scheme, ())
    if parts.scheme == "http" and environment.get("REQUEST_METHOD"):
        names = ()  # in a CGI script HTTP_PROXY is a header, which its client chose
    variable = next((n for n in names if environment.get(n)), None)
    if variable is None or is_loopback(host):
        return None
    excepted = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if any(_excepts(entry.strip().lower(), host, str(port)) for entry in excepted.split(",")):
        return None
    return Proxy(with_scheme(environment[variable]), variable)


def not_used(url: str, environment: Mapping[str, str]) -> str:
    """The name of ALL_PROXY where it names a proxy that other programs would use and Go does not; else ''."""
    variable = next((n for n in NOT_USED if environment.get(n)), "")
    if not variable or proxy_for(url, environment) is not None:
        return ""
    instead = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), environment[variable])
    return variable if proxy_for(url, {**environment, **instead}) is not None else ""


def not_used_warning(variable: str) -> str:
    """The warning that this variable is not used."""
    return f"{variable} is ignored, as argocd ignores it: name the proxy in HTTPS_PROXY or HTTP_PROXY"


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine, by name or address: no proxy is used then."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def with_scheme(value: str) -> str:
    """A proxy's address as a URL: `proxy:3128` speaks HTTP."""
    scheme, sign, rest = value.strip().partition("://")
    return f"{scheme}://{rest}" if sign and scheme and rest else f"http://{value.strip()}"


def as_ascii(name: str) -> str:
    """A host's name in the form that the DNS uses; unchanged where it has none."""
    if name.isascii():
        return name
    import idna

    dot, bare = ("." if name.startswith(".") else ""), name.removeprefix(".")
    with contextlib.suppress(idna.IDNAError):
        return dot + idna.encode(bare, uts46=True).decode()
    return name


def _excepts(entry: str, host: str, port: str) -> bool:
    """Whether one entry of NO_PROXY covers the host: all, a network, an address or a domain, with a port."""
    if entry == "*":
        return True
    address, network = _address(host), _network(entry)
    if network is not None:
        return address is not None and address in network
    split = _ENTRY.fullmatch(entry)  # an IPv6 address without brackets has no port
    name, wanted = (split["literal"] or split["name"], split["port"] or "") if split else (entry, "")
    if not name or wanted not in ("", port):
        return False
    if (literal := _address(name)) is not None:
        return literal == address
    if address is not None:
        return False
    name = as_ascii(name[1:] if name.startswith("*.") else name)
    return host == name or host.endswith(name if name.startswith(".") else f".{name}")


def _address(text: str) -> Address | None:
    """An IP address without its zone; an IPv4-mapped IPv6 address is an IPv4 one."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> Network | None:
    """A network; an IPv4-mapped IPv6 one is an IPv4 one."""
    if not re.fullmatch(r"[^%]+/[0-9]+", text):
        return None
    with contextlib.suppress(ValueError):
        network = ipaddress.ip_network(text, strict=False)
        inside, bits = _address(str(network.network_address)), network.prefixlen - 96
        if isinstance(network, ipaddress.IPv6Network) and isinstance(inside, ipaddress.IPv4Address):
            return ipaddress.ip_network((inside, max(0, bits)))
        return network
    return None
