"""Reads the argocd CLI's settings for its current context: server, token, connection.

Directory: ARGOCD_CONFIG_DIR, else an existing ~/.argocd, else $XDG_CONFIG_HOME/argocd, else ~/.config/argocd;
file `config` (source: Argo CD's util/localconfig/localconfig.go; docs/argocd-facts.md#cli-settings).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from argorun.config.model import CliSettings


def stored(environment: Mapping[str, str]) -> CliSettings | None:
    """The current context's settings; None where there are none that can be read."""
    try:
        path = folder(environment) / "config"
        if not path.is_file():
            return None
        import yaml

        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = named(config["contexts"], "name", config["current-context"])
        server = named(config.get("servers") or [], "server", context["server"])
        user = named(config.get("users") or [], "name", context["user"])
        ca = server.get("certificate-authority-data")
        settings = {
            "server": context["server"],
            "token": user.get("auth-token"),
            "insecure": bool(server.get("insecure")),
            "plaintext": bool(server.get("plain-text")),
            "root_path": server.get("grpc-web-root-path") or "",
            "ca_data": pem(ca) if ca else None,
            **client_certificate(server),
        }
        return msgspec.convert(settings, CliSettings)
    except Exception:
        return None  # another program's file: its mistakes are not argorun's to report


def client_certificate(server: Mapping[str, Any]) -> dict[str, str | None]:
    """The client certificate; files win over stored text (source: ClientCertPEM in localconfig.go)."""
    files = server.get("client-certificate") or None, server.get("client-certificate-key") or None
    if any(files):
        return {"client_cert": files[0], "client_key": files[1]}
    cert, key = server.get("client-certificate-data"), server.get("client-certificate-key-data")
    return {"client_pem": f"{pem(cert)}\n{pem(key)}"} if cert and key else {}


def folder(environment: Mapping[str, str]) -> Path:
    if environment.get("ARGOCD_CONFIG_DIR"):
        return Path(environment["ARGOCD_CONFIG_DIR"])
    home = Path(environment.get("HOME") or "/")
    if (home / ".argocd").is_dir():
        return home / ".argocd"
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "argocd"


def named(entries: list[dict[str, Any]], key: str, name: str) -> dict[str, Any]:
    return next((e for e in entries if e.get(key) == name), {})


def pem(data: str) -> str:
    """The stored certificate as PEM: it is kept in base64, or as it is."""
    return data if data.startswith("-----BEGIN") else base64.b64decode(data).decode()
