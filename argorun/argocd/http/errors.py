"""Turns Argo CD's answers into typed values, and every error into argorun's.

ArgoCDFailed (8)                        AccessDenied (6)
├── Unreachable   no answer             ├── Denied            403, 404
│   └── Slow      none yet, to a        └── Unauthenticated   401: says nothing about the request
│                 request that renders
├── InvalidResponse   no answer of Argo CD's
└── ApiError          any other error that it answered

See docs/argocd-facts.md#errors-and-status-codes.
"""

from __future__ import annotations

import re
import ssl
from typing import Any, TypeVar, cast

import httpx
import msgspec

from argorun.argocd.types import ErrorBody
from argorun.argocd.types.messages import plain
from argorun.config.proxies import Proxy, not_used_warning
from argorun.errors import AccessDenied, ArgoCDFailed

T = TypeVar("T")


NEW_TOKEN = (
    "create a new one for ARGOCD_AUTH_TOKEN: `argocd account generate-token`, or with SSO `argocd login` and "
    "`argocd account session-token` (3.4+)"
)
ALIKE = (
    "either there is no such Application or the token's account may not do this: Argo CD answers both alike"
)
NOT_ARGOCD = "is this Argo CD's address? there may be a proxy in between, or argocd.root_path may be wrong"
DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
TRANSIENT = frozenset({429, 502, 503, 504})
_POLICY = re.compile(r"permission denied: (?P<resource>[\w-]+), (?P<action>[^,\s]+), (?P<subject>[^,\s]+)")
LONGEST_RETRY_AFTER = 30.0  # seconds; a client also stops after its `retry_for`
DEADLINE_EXCEEDED = 4  # gRPC's code, beside HTTP 504: Argo CD itself gave up the rendering


class Unreachable(ArgoCDFailed):
    """No answer: refused, reset, timed out, a name that does not resolve, a TLS failure."""

    final = False  # True where trying again cannot help
    cause = ""  # "Connection refused"


class Slow(Unreachable):
    """A request that makes Argo CD render was not answered within its limit, and was given up.

    It may still take effect, whatever it tested: Argo CD tests a patch first and renders then (source:
    server/application/application.go, Patch; docs/argocd-facts.md#patch-validates).
    """

    final = True  # it had its time


class InvalidResponse(ArgoCDFailed):
    """An answer that is not Argo CD's: a web page, half a JSON, a redirect."""

    final = False  # True where trying again cannot help


class ApiError(ArgoCDFailed):
    """Argo CD answered with an error. `code` is gRPC's, `status` HTTP's."""

    def __init__(
        self,
        doing: str,
        status: int,
        code: int,
        text: str,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(f"Argo CD could not {doing}: {text} (HTTP {status})", hint)
        self.status, self.code, self.text, self.retry_after = status, code, text, retry_after


class Denied(AccessDenied):
    """Argo CD answered 403 or 404 (docs/argocd-facts.md#missing-and-forbidden-look-alike)."""

    def __init__(self, doing: str, status: int, text: str, hint: str) -> None:
        super().__init__(f"Argo CD would not {doing}: {text} (HTTP {status})", hint)
        self.status, self.text = status, text


class Unauthenticated(AccessDenied):
    """Argo CD answered 401: the token is wrong or has expired. It does not say whether the object exists."""

    status = 401


def worth_retrying(error: Exception) -> bool | float:
    """Whether an idempotent request may be sent again; or the server's Retry-After in seconds."""
    if isinstance(error, ApiError) and error.status in TRANSIENT:
        return error.retry_after if error.retry_after is not None else True
    return isinstance(error, InvalidResponse | Unreachable) and not error.final


def brief(error: Exception) -> str:
    """Why a request failed, in few words: `Connection refused`, `HTTP 503: no healthy upstream`."""
    if isinstance(error, ApiError):
        return f"HTTP {error.status}{error.text and f': {error.text}'}"
    return (error.cause if isinstance(error, Unreachable) else "") or str(error)


def decode(data: bytes, kind: type[T], doing: str) -> T:
    """JSON as a typed value; raises InvalidResponse."""
    decoder = DECODERS.get(kind) or DECODERS.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        return cast(T, decoder.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InvalidResponse(
            f"what the server answered to '{doing}' is not Argo CD's JSON: {e}",
            NOT_ARGOCD,
        ) from None


def typed(value: object, kind: type[T], doing: str) -> T:
    """The same from decoded JSON."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        raise InvalidResponse(
            f"what the server answered to '{doing}' is not as expected: {e}", NOT_ARGOCD
        ) from None


def check(
    answer: httpx.Response, doing: str, grantee: str, proxy: Proxy | None = None, expired: str = ""
) -> None:
    """Raise what an answer means that is no success; `proxy` is one that may have given it.

    `expired` is a phrase that the token has expired, if it has.
    """
    status = answer.status_code
    if status < 300:
        return
    if status < 400:
        elsewhere = InvalidResponse(
            f"{answer.request.url.host} redirects to {answer.headers.get('location', '?')}",
            "use that address, or drop `plaintext: true` if it is https",
        )
        elsewhere.final = True
        raise elsewhere
    hint = ""
    try:
        body = msgspec.json.decode(answer.content, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        hint = f"the answer may come from the proxy {proxy}" if proxy else ""
        body = ErrorBody(message=answer.reason_phrase or "no reason given")
        if status == 404:
            raise InvalidResponse(
                f"there is no Argo CD API at {answer.request.url.copy_with(query=None)} (HTTP 404)",
                NOT_ARGOCD,
            ) from None
    text = plain(body.message or body.error)
    if status == 401:
        raise Unauthenticated(expired or f"Argo CD does not know this token ({text})", NEW_TOKEN)
    if status in (403, 404):
        raise Denied(doing, status, text, _permission(text, grantee))
    raise ApiError(doing, status, body.code, text, retry_after(answer), hint)


def policy_line(grantee: str, resource: str, action: str, subject: str) -> str:
    """The line of Argo CD's policy.csv that allows this; `grantee` is the client's."""
    return f"p, {grantee}, {resource}, {action}, {subject}, allow"


def _permission(text: str, grantee: str) -> str:
    """The policy line that is missing where Argo CD says so; else what its answer may mean."""
    said = _POLICY.search(text)
    return f"add to Argo CD's policy.csv:\n{policy_line(grantee, *said.groups())}" if said else ALIKE


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, at most LONGEST_RETRY_AFTER; None if there is none or it is a date."""
    value = answer.headers.get("retry-after", "")
    return min(float(value), LONGEST_RETRY_AFTER) if value.isascii() and value.isdigit() else None


def slow(doing: str, seconds: float, limit: str, url: str, proxy: Proxy | None) -> Slow:
    """The error for a request that was given up after so many seconds, because of `limit`."""
    hint = "rendering may take longer there: raise argocd.timeout; or the request was lost on its way"
    way = f" through the proxy {proxy}" if proxy else ""
    return Slow(f"Argo CD at {url}{way} did not {doing} within {seconds:.0f} s ({limit})", hint)


def unreachable(
    error: httpx.HTTPError,
    url: str,
    proxy: Proxy | None = None,
    unused: str = "",
    given: str = "argocd.server",
) -> Unreachable:
    """httpx's error as argorun's, with a hint; `unused` names a proxy that was not used.

    `given` is where the address was given.
    """
    cause = root(error) or str(error) or f"the connection broke off ({type(error).__name__})"
    hint = f"check {given} and the network; HTTPS_PROXY and NO_PROXY are honored"
    if proxy:
        hint = f"check that proxy, which {proxy.variable} names; NO_PROXY=HOST bypasses it"
    elif unused:
        hint = not_used_warning(unused)
    final = False
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        hint, final = "give the CA that signed it: --ca FILE, or argocd: {ca: FILE}", True
    elif "WRONG_VERSION_NUMBER" in cause or "record layer failure" in cause:
        hint, final = "the server does not speak TLS there: argocd: {plaintext: true}?", True
    elif isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        final = True
    if isinstance(error, httpx.TimeoutException):
        cause = f"no answer in time ({type(error).__name__})"
    what = f"cannot be reached through the proxy {proxy}" if proxy else "cannot be reached"
    raised = Unreachable(f"Argo CD at {url} {what}: {cause}", hint)
    raised.final, raised.cause = final, cause
    return raised


def root(error: BaseException) -> str:
    """The operating system's message at the root of an error, like "Connection refused"; may be empty."""
    below: BaseException | None = error
    said = ""
    while below is not None:
        if isinstance(below, BaseExceptionGroup):
            below = below.exceptions[0]
        if isinstance(below, OSError) and not isinstance(below, ssl.SSLError) and below.strerror:
            said = below.strerror
        below = below.__cause__ or below.__context__
    return re.sub(r"^Connect call failed .*", "Connection refused", said)
