"""Builders of Applications."""

from __future__ import annotations

import msgspec

from argorun.argocd.types import Application, Json


def application(document: Json) -> Application:
    return msgspec.convert(document, Application)


def of(spec: Json, annotations: Json | None = None) -> Json:
    metadata: Json = {"name": "weather"} | ({"annotations": annotations} if annotations else {})
    return {"metadata": metadata, "spec": spec}
