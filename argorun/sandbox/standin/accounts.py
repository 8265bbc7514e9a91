"""Accounts: bearer tokens and a small RBAC."""

from __future__ import annotations

import base64
import dataclasses
import fnmatch
import json
import secrets
import time

from starlette.requests import Request

from argorun.sandbox.standin.faults import DENIED, UNAUTHENTICATED, ApiError

ALL = frozenset({"get", "update", "sync", "create", "delete", "override"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """A local account's token: the actions it may take on the Applications that `objects` matches."""

    name: str
    applications: frozenset[str] = ALL
    logs: frozenset[str] = frozenset({"get"})
    repositories: frozenset[str] = frozenset()  # as with the roles that argorun's docs show
    objects: str = "*"  # PROJECT/NAME, PROJECT/NAMESPACE/NAME outside of Argo CD's own, as a glob
    issued: int = dataclasses.field(default_factory=lambda: int(time.time()))
    expires: int | None = None  # seconds since the epoch

    def may(self, resource: str, action: str, subject: str) -> bool:
        """Whether the account may do this."""
        if resource == "repositories":
            return action in self.repositories
        allowed = {"applications": self.applications, "logs": self.logs}.get(resource, frozenset[str]())
        return action in allowed and fnmatch.fnmatchcase(subject, self.objects)

    def enforce(self, resource: str, action: str, subject: str) -> None:
        """403 unless the account may; the message is Argo CD's."""
        if not self.may(resource, action, subject):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.issued))
            where = f"{resource}, {action}, {subject}, sub: {self.name}, iat: {stamp}"
            raise ApiError(DENIED, f"permission denied: {where}")

    def lasting(self, seconds: int) -> Account:
        """The same account as a new token has it; 0 seconds: one that does not expire."""
        now = int(time.time())
        return dataclasses.replace(self, issued=now, expires=now + seconds if seconds else None)

    def token(self) -> str:
        """A JWT that says so, as far as Argo CD's says it; its signature is none."""
        claims = {
            "iss": "argocd",
            "sub": f"{self.name}:apiKey",
            "iat": self.issued,
            "jti": secrets.token_hex(8),
        }
        claims |= {"exp": self.expires} if self.expires is not None else {}
        parts = [{"alg": "HS256", "typ": "JWT"}, claims]
        encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts]
        return ".".join([*encoded, "stand-in"])


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
    account = accounts[token]
    if account.expires is not None and account.expires <= time.time():
        raise ApiError(UNAUTHENTICATED, "invalid session: token has invalid claims: token is expired")
    return account
