"""Finds the Maven repositories: Maven Central, or the mirror in the user's settings."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from argorun.sandbox.pip_settings import pip_settings

PROXIES = ("https_proxy", "all_proxy")  # the variables that httpx reads, in either case
CAS = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repository:
    """A Maven repository: its base URL, and how to reach it."""

    url: str
    auth: tuple[str, str] | None = None
    proxy: str | None = None  # None: what the environment says (HTTPS_PROXY and the like)
    ca: Path | None = None  # trusted as well as the system's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The part of Maven's settings.xml that downloads need."""

    repositories: tuple[Repository, ...]  # to be tried in this order
    local: Path  # jars that Maven has already


def load_settings(environ: Mapping[str, str], central: str, others: tuple[str, ...] = ()) -> Settings:
    """Read ~/.m2/settings.xml: a mirror of `central`, its password, a proxy; `others` are tried after it.

    A file that cannot be read is passed over: Maven would complain, we only want the jars. Where neither that
    file nor the environment names a proxy or a CA, it is pip's: pip has just come through with it.
    """
    home = Path(environ.get("HOME") or Path.home())
    root = _parse(home / ".m2" / "settings.xml", environ)
    local = Path(environ.get("M2_REPO") or _text(root, "localRepository") or home / ".m2" / "repository")
    pip = pip_settings(environ)
    named = any(environ.get(name) or environ.get(name.upper()) for name in PROXIES)
    proxy = (_proxy(root) if root is not None else None) or (None if named else pip.proxy)
    bundles = (Path(environ[name]) for name in CAS if environ.get(name))
    ca = next((path for path in bundles if path.is_file()), pip.ca)
    first = (_mirror(root) if root is not None else None) or Repository(url=central)
    found = (first, *(Repository(url=url) for url in others))
    return Settings(
        repositories=tuple(dataclasses.replace(r, proxy=proxy, ca=ca) for r in found), local=local
    )


def _parse(path: Path, environ: Mapping[str, str]) -> ET.Element | None:
    """The settings without namespaces, `${env.NAME}` filled in."""
    try:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\$\{env\.(\w+)\}", lambda m: environ.get(m[1], ""), text)
        text = text.replace("${user.home}", environ.get("HOME", ""))
        root = ET.fromstring(text)  # the user's own file
    except (OSError, UnicodeDecodeError, ET.ParseError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ET.Element | None, name: str) -> str:
    return (element.findtext(name) or "").strip() if element is not None else ""


def _mirror(root: ET.Element) -> Repository | None:
    """The first mirror that stands for Maven Central."""
    for mirror in root.iterfind("mirrors/mirror"):
        wanted = [word.strip() for word in _text(mirror, "mirrorOf").split(",")]
        if "!central" not in wanted and {"central", "*", "external:*"} & set(wanted):
            auth = _credentials(root, _text(mirror, "id"))
            return Repository(url=_text(mirror, "url").rstrip("/"), auth=auth)
    return None


def _credentials(root: ET.Element, server: str) -> tuple[str, str] | None:
    for element in root.iterfind("servers/server"):
        if _text(element, "id") == server and _text(element, "username"):
            return _text(element, "username"), _text(element, "password")
    return None


def _proxy(root: ET.Element) -> str | None:
    for proxy in root.iterfind("proxies/proxy"):
        if _text(proxy, "active") == "false":
            continue
        user, password = quote(_text(proxy, "username"), safe=""), quote(_text(proxy, "password"), safe="")
        who = f"{user}:{password}@" if user else ""
        return f"http://{who}{_text(proxy, 'host')}:{_text(proxy, 'port') or '8080'}"
    return None
