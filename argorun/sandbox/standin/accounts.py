"""Who may do what: bearer tokens and a small RBAC."""

from __future__ import annotations

import dataclasses
import time

from starlette.requests import Request

from argorun.sandbox.standin.faults import DENIED, UNAUTHENTICATED, ApiError

ALL = frozenset({"get", "update", "sync", "create", "delete", "override"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """A local account: its name and the actions it may take on every Application."""

    name: str
    applications: frozenset[str] = ALL
    logs: frozenset[str] = frozenset({"get"})
    issued: int = dataclasses.field(default_factory=lambda: int(time.time()))

    def may(self, resource: str, action: str) -> bool:
        """Whether the account may do this."""
        allowed = {"applications": self.applications, "logs": self.logs}.get(resource, frozenset[str]())
        return action in allowed

    def enforce(self, resource: str, action: str, subject: str) -> None:
        """403 unless the account may; the message is Argo CD's."""
        if not self.may(resource, action):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.issued))
            where = f"{resource}, {action}, {subject}, sub: {self.name}, iat: {stamp}"
            raise ApiError(DENIED, f"permission denied: {where}")


def token_of(request: Request) -> str:
    """The bearer token, or the cookie that the web page uses."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else request.cookies.get("argocd.token", "")


def authenticate(request: Request, accounts: dict[str, Account]) -> Account:
    """The account of a request's token; 401 without or with a wrong one."""
    token = token_of(request)
    if not token:
        raise ApiError(UNAUTHENTICATED, "no session information")
    if token not in accounts:
        if token.count(".") == 2:  # it looks like one of Argo CD's
            raise ApiError(
                UNAUTHENTICATED, "invalid session: token signature is invalid: signature is invalid"
            )
        raise ApiError(UNAUTHENTICATED, "no session information")
    return accounts[token]
