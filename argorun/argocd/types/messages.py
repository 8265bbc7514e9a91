"""Shortens Argo CD's messages to what a person needs of them. Pure."""

from __future__ import annotations

import re

_RPC = re.compile(r"rpc error: code = \w+ desc = ")
# What stands before the cause where Argo CD cannot render (source: controller/state.go, GetRepoObjs and
# CompareAppState; util/argo/argo.go, verifyGenerateManifests).
_AROUND = re.compile(
    r"^(?:Failed to load target state: |failed to generate manifest for source \d+ of \d+: "
    r"|application spec for \S+ is invalid: |InvalidSpecError: |Unable to generate manifests in \S*: "
    r"|error getting manifests: |Manifest generation error \(cached\): )"
)


def plain(message: str) -> str:
    """A message without the layers of gRPC that it went through."""
    return _RPC.sub("", message)


def cause(message: str) -> str:
    """Why Argo CD cannot render: `config/helm: app path does not exist`."""
    message = plain(message).strip()
    while around := _AROUND.match(message):
        message = message[around.end() :]
    return message
