"""The Argo CD server itself: settings, version, and errors."""

from __future__ import annotations

import msgspec

from argorun.argocd.types.base import Camel


class ServerSettings(Camel, frozen=True):
    """The settings that Argo CD shows to any logged-in user."""

    controller_namespace: str = ""
    app_label_key: str = ""


class ServerVersion(Camel, frozen=True):
    version: str = msgspec.field(default="", name="Version")


class UserInfo(Camel, frozen=True):
    """Whom Argo CD takes the token's owner for; `logged_in` is False where it does not know the token."""

    logged_in: bool = False
    username: str = ""
    iss: str = ""


class ErrorBody(Camel, frozen=True):
    """The body of an error answer: grpc-gateway's error."""

    error: str = ""
    message: str = ""
    code: int = 0


class StreamError(Camel, frozen=True):
    message: str = ""
    http_code: int = msgspec.field(default=0, name="http_code")
    grpc_code: int = msgspec.field(default=0, name="grpc_code")
