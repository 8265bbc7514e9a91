"""The configuration of a run, as frozen values; `load` makes them."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from argorun.config import jwt
from argorun.config.proxies import Proxy, not_used_warning
from argorun.config.sources import named
from argorun.events import Planned
from argorun.humanize import limit
from argorun.kinds import PlannedKind


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of argorun.yaml: typed, frozen, and without an unknown key."""


class ConfigMapKey(Strict, frozen=True):
    """A ConfigMap's key, for a Kustomize source."""

    configmap: str
    key: str

    def __str__(self) -> str:
        return f"ConfigMap {self.configmap}, key {self.key}"


class Parameter(Strict, frozen=True):
    """Where in the Application a topic's name goes: exactly one field, named after its kind.

    What a run does with a kind is in argorun.argocd.parameters.kinds.
    """

    helm: str | None = None
    kustomize: ConfigMapKey | None = None

    @property
    def given(self) -> dict[str, str | ConfigMapKey]:
        """The places that are written, by kind."""
        return {f: v for f in self.__struct_fields__ if (v := getattr(self, f)) is not None}

    @property
    def kind(self) -> str:
        return next(iter(self.given))

    @property
    def place(self) -> str | ConfigMapKey:
        return self.given[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}"


PARAMETER_FORMS = {"helm": "{helm: NAME}", "kustomize": "{kustomize: {configmap: NAME, key: KEY}}"}
"""How a parameter of each kind is written."""


class Topic(Strict, frozen=True):
    """One topic of the run. -1 leaves partitions and replication factor to the broker."""

    prefix: str
    parameters: tuple[Parameter, ...]
    partitions: int = -1
    replication_factor: int = -1
    config: dict[str, str] = {}
    groups: str | None = None
    unverified: bool = False  # the name may be in a Secret only, which Argo CD hides


class Assignment(Strict, frozen=True):
    """One more Helm parameter of the run; `string` keeps Helm from making a number or a flag of it."""

    name: str
    value: str
    string: bool = False


class ApplicationRef(Strict, frozen=True):
    """An Application: its name, its namespace and its project."""

    name: str
    namespace: str | None = None
    project: str | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


ACCOUNT, ROLE = "argorun", "role:argorun"  # those of config/argocd


class ArgoCD(Strict, frozen=True):
    """How to reach Argo CD. `token` never comes from argorun.yaml."""

    server: str
    token: str
    ca: Path | None = None
    ca_data: str | None = None
    insecure: bool = False
    plaintext: bool = False
    root_path: str = ""
    client_cert: Path | None = None
    client_key: Path | None = None
    client_pem: str | None = None  # certificate and key in one text, where the argocd CLI keeps them so
    headers: dict[str, str] = {}
    timeout: float = 90.0  # seconds for a request that makes Argo CD render
    proxy: Proxy | None = None
    unused_proxy: str = ""  # the variable that names one, but not for argocd

    @property
    def url(self) -> str:
        """The server's address, with scheme and root path, without a slash at the end."""
        root = self.root_path.strip("/")
        scheme = "http" if self.plaintext else "https"
        return f"{scheme}://{self.server}" + (f"/{root}" if root else "")

    @property
    def token_expires(self) -> float | None:
        """When the token expires, in seconds since the epoch; None where it does not say."""
        return jwt.expires(self.token)

    @property
    def grantee(self) -> str:
        """Whom a policy gives what the token may do; ROLE where the token does not say whose it is."""
        account = jwt.account(self.token)
        return ROLE if account in ("", ACCOUNT) else account

    @property
    def warnings(self) -> list[str]:
        """Warnings about the connection to Argo CD."""
        unused = not_used_warning(self.unused_proxy) if self.unused_proxy else ""
        return [text for text in (self.risk, unused) if text]

    @property
    def risk(self) -> str:
        """How the token could be read or stolen on its way, in words; empty where it is safe."""
        if self.plaintext and self.proxy is not None:
            way = f"the proxy {self.proxy}"
            return f"the token goes to {self.server} through {way} without encryption (plaintext)"
        if self.plaintext:
            here = _is_loopback(urlsplit(f"//{self.server}").hostname or "")
            return "" if here else f"the token goes to {self.server} without encryption (plaintext)"
        return f"the certificate of {self.server} is not verified (insecure)" if self.insecure else ""


class Timeouts(Strict, frozen=True):
    """How long a run may take, in seconds."""

    run: float = 900.0
    busy: float = 600.0
    cleanup: float = 90.0
    stuck: float = 60.0  # for which a pod may be unable to start; 0: forever

    def __str__(self) -> str:
        """As argorun.yaml has them: `run 15m, busy 10m, cleanup 90s, stuck 60s`."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return ", ".join(f"{name} {limit(seconds) if seconds else 'off'}" for name, seconds in named)


class Config(Strict, frozen=True):
    """The configuration of a run, checked."""

    application: ApplicationRef
    argocd: ArgoCD
    kafka: dict[str, str]
    topics: tuple[Topic, ...]
    jobs: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    revision: str | None = None
    sets: tuple[Assignment, ...] = ()
    keep_topics: bool = False
    settle: bool = True
    nudge: bool = True
    force_owned: bool = False
    dry_run: bool = False
    logs: str = "tests"
    linked: bool = True  # False: nobody can open the Application's page after the run
    secrets: tuple[str, ...] = ()
    sources: dict[str, str] = {}
    """Where each value was given, by its key in argorun.yaml (`argocd.server`; also `argocd.token`): a flag
    (`--server`), a variable (`ARGOCD_SERVER`), a line (`argorun.yaml:4`) or `the argocd CLI's login`."""

    def given(self, key: str) -> str:
        """Where an address was given, as a hint names it: `ARGOCD_SERVER=a:1`, `argocd.server (a.yaml:4)`."""
        value = self.argocd.server if key == "argocd.server" else self.kafka.get("bootstrap.servers", "")
        return named(key, self.sources.get(key, ""), value)


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `argorun run`, as typed."""

    application: str | None = None
    file: Path | None = None
    topic: str | None = None
    parameter: str | None = None
    jobs: tuple[str, ...] = ()
    server: str | None = None
    ca: str | None = None
    bootstrap_servers: str | None = None
    timeout: str | None = None
    revision: str | None = None
    sets: tuple[str, ...] = ()
    set_strings: tuple[str, ...] = ()
    keep_topics: bool = False
    no_settle: bool = False
    no_nudge: bool = False
    force_owned: bool = False
    dry_run: bool = False
    logs: str = "tests"


class CliSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The argocd CLI's settings for its current context (see argorun.config.argocd_cli)."""

    server: str | None = None
    token: str | None = None
    insecure: bool = False
    plaintext: bool = False
    root_path: str = ""
    ca_data: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    client_pem: str | None = None


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return f".{host}".endswith(".localhost")


def describe(config: Config, now: float) -> Sequence[Planned]:
    """The Config in a few lines for --dry-run, without a secret; `now` is the events' time."""
    way = f" through the proxy {config.argocd.proxy}" if config.argocd.proxy else ""
    app, url, kafka = str(config.application), config.argocd.url, config.kafka["bootstrap.servers"]
    line, limits = functools.partial(Planned, time=now), msgspec.structs.asdict(config.timeouts)
    return [
        line(what=f"application {app} on {url}{way}", kind=PlannedKind.APPLICATION, names=(app,), value=url),
        line(what=f"Kafka at {kafka}", kind=PlannedKind.KAFKA, value=kafka),
        line(what=f"timeouts: {config.timeouts}", kind=PlannedKind.TIMEOUTS, limits=limits),
    ]
