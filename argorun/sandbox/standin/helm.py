"""The helm command that Argo CD runs, and quotes if it fails."""

from __future__ import annotations

import re

from argorun.sandbox.standin.objects import Json

RELEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
RULE = f"invalid release name, must match regex ^{RELEASE.pattern}$ and the length must not be longer than 53"


def refusal(app: str, namespace: str, source: Json) -> str:
    """What Argo CD says where Helm refuses a source's release name; empty where it does not."""
    helm = source.get("helm") or {}
    name = str(helm.get("releaseName") or app)
    if RELEASE.fullmatch(name) and len(name) <= 53:
        return ""
    why = f'Error: release name "{name}": {RULE}'
    called = command(name, namespace, helm.get("parameters") or [])
    failed = f"failed running helm: `{called}` failed exit status 1: {why}"
    return f"Manifest generation error: failed to execute helm template command: {failed}"


def command(release: str, namespace: str, parameters: list[Json]) -> str:
    """The command that renders a chart (util/helm/cmd.go, template), joined by blanks as when it fails."""
    plain = {p["name"]: p.get("value", "") for p in parameters if not p.get("forceString")}
    strings = {p["name"]: p.get("value", "") for p in parameters if p.get("forceString")}
    words = [
        "helm template .",
        f"--name-template {release}",
        f"--namespace {namespace}",
        "--kube-version 1.37.2",
    ]
    words += [f"--set {name}={escaped(value)}" for name, value in plain.items()]
    words += [f"--set-string {name}={escaped(value)}" for name, value in strings.items()]
    return " ".join([*words, "<api versions removed> --include-crds"])


def escaped(value: str) -> str:
    """A value with a backslash before each comma that has none, unless it is a list (cleanSetParameters)."""
    if value.startswith("{") and value.endswith("}"):
        return value
    return re.sub(r"(?<!\\),", r"\\,", value)
