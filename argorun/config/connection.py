"""How to reach Argo CD: from flags, environment, file and the argocd CLI's settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from argorun.config import checks, missing, proxies
from argorun.config.inputs import Inputs
from argorun.config.model import ArgoCD, CliSettings
from argorun.config.problems import Wrong
from argorun.config.sources import CLI_LOGIN
from argorun.redact.secrets import in_address, of_properties

CLI_CERTIFICATE = ("client-certificate", "client-certificate-key")
TIMEOUT = 90.0  # seconds


def argocd(inputs: Inputs, server: str | None, ca: str | None) -> ArgoCD | None:
    """Argo CD's address and credentials; None where some lack or are wrong. `server` and `ca` are flags."""
    file = inputs.written.file.argocd
    inputs.note_lines("argocd")
    headers = request_headers(inputs)
    files: dict[str, Any] = {"ca": ca_file(inputs, ca)}
    given = inputs.first(
        "argocd.server",
        ("--server", server),
        ("ARGOCD_SERVER", inputs.environment.get("ARGOCD_SERVER")),
        (inputs.line("argocd", "server"), file.server),
        (CLI_LOGIN, inputs.cli.server),
    )
    written_wrongly = file.server is None and inputs.written.at("argocd", "server") != (0, 0)
    if written_wrongly and inputs.problems and inputs.sources.get("argocd.server") == CLI_LOGIN:
        return None  # the CLI's login is not what was meant
    if not given:
        inputs.lacks.append(missing.SERVER)
        if not inputs.environment.get("ARGOCD_AUTH_TOKEN"):
            inputs.lacks.append(missing.TOKEN)
        client_certificate(inputs, CliSettings())
        return None
    inputs.mask(*in_address(given))
    host, root = address(inputs, given)
    bare = checks.without_scheme(given)
    # The CLI's settings hold for the server they were stored for, and for no other.
    cli = inputs.cli
    stored = cli if cli.server and checks.without_scheme(cli.server) == bare else CliSettings()
    token = find_token(inputs, stored, bare)
    inputs.mask(*of_properties({"client.pem": stored.client_pem or ""}))
    files |= client_certificate(inputs, stored)
    plaintext = file.plaintext if file.plaintext is not None else stored.plaintext
    if not token or inputs.problems:
        return None
    settings = ArgoCD(
        server=host,
        token=token,
        ca_data=stored.ca_data,
        insecure=file.insecure if file.insecure is not None else stored.insecure,
        plaintext=plaintext or bool(re.match(r"\s*http://", given, re.IGNORECASE)),
        root_path=file.root_path or root or stored.root_path,
        headers=headers,
        timeout=TIMEOUT if file.timeout is None else checks.duration(file.timeout),
        **files,
    )
    return msgspec.structs.replace(
        settings,
        proxy=proxies.proxy_for(settings.url, inputs.environment),
        unused_proxy=proxies.not_used(settings.url, inputs.environment),
    )


def find_token(inputs: Inputs, stored: CliSettings, bare: str) -> str | None:
    """The token for this server, masked."""
    token = inputs.first(
        "argocd.token",
        ("ARGOCD_AUTH_TOKEN", (inputs.environment.get("ARGOCD_AUTH_TOKEN") or "").strip()),
        (CLI_LOGIN, (stored.token or "").strip()),
    )
    inputs.mask(token or "")
    if not token:
        inputs.lacks.append(missing.token(bare))
    elif not re.fullmatch(r"[!-~]+", token):
        inputs.problems.variable(
            f"the token for Argo CD at {bare} contains a character that no token can contain",
            f"it comes from {inputs.sources['argocd.token']}",
        )
    return token


def address(inputs: Inputs, server: str) -> tuple[str, str]:
    """Host and root path; those of --server and of the file have been checked before."""
    try:
        return checks.server(server)
    except Wrong as e:
        if inputs.sources["argocd.server"] in ("ARGOCD_SERVER", CLI_LOGIN):
            inputs.problems.variable(f"{inputs.sources['argocd.server']}: {e.text}", e.hint)
        return "", ""


def request_headers(inputs: Inputs) -> dict[str, str]:
    """`argocd.headers`, expanded and masked."""
    found = {}
    for name, value in inputs.written.file.argocd.headers.items():
        key = ("argocd", "headers", name)
        expanded = inputs.expand(key, value)
        if expanded is None:
            continue
        found[name] = expanded.strip()
        inputs.mask(found[name])
        try:
            checks.header(name, found[name])
        except Wrong as e:
            inputs.wrong(key, f": {e.text}", e.hint)
    return found


def ca_file(inputs: Inputs, flag: str | None) -> Path | None:
    """The CA's file, of --ca or of the file."""
    inputs.first("argocd.ca", ("--ca", flag), (inputs.line("argocd", "ca"), inputs.written.file.argocd.ca))
    if flag is not None:
        try:
            return checks.existing_file(inputs.folder, flag)
        except Wrong:
            return None  # reported with the other flags
    return of_key(inputs, "ca")


def of_key(inputs: Inputs, key: str) -> Path | None:
    """The existing file that a key of `argocd:` names, relative to the configuration's folder."""
    name = getattr(inputs.written.file.argocd, key)
    if name is None:
        return None
    try:
        return checks.existing_file(inputs.written.folder, name)
    except Wrong as e:
        inputs.wrong(("argocd", key), f": {e.text}", e.hint)
        return None


def client_certificate(inputs: Inputs, stored: CliSettings) -> dict[str, Any]:
    """The client certificate: the file's, else the argocd CLI's."""
    file = inputs.written.file.argocd
    if file.client_cert or file.client_key:
        if not (file.client_cert and file.client_key):
            one = "client_cert" if file.client_cert else "client_key"
            text = "argocd.client_cert and argocd.client_key go together"
            at = inputs.written.at("argocd", one)
            inputs.problems.written(inputs.written.name, at, text, "give both or neither")
        return {key: of_key(inputs, key) for key in ("client_cert", "client_key") if getattr(file, key)}
    cert, key = stored.client_cert, stored.client_key
    if bool(cert) != bool(key):
        text = f"{' and '.join(CLI_CERTIFICATE)} go together (in the argocd CLI's settings)"
        inputs.problems.variable(text, "give both or neither")
    if not cert or not key:
        return {"client_pem": stored.client_pem}
    found: dict[str, Any] = {}
    for field, name, label in (
        ("client_cert", cert, CLI_CERTIFICATE[0]),
        ("client_key", key, CLI_CERTIFICATE[1]),
    ):
        try:
            found[field] = checks.existing_file(inputs.written.folder, name)
        except Wrong as e:
            inputs.problems.variable(f"{label} (in the argocd CLI's settings): {e.text}", e.hint)
    return found
