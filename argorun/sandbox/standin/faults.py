"""Errors of Argo CD's gateway: a gRPC code, its HTTP status and a message."""

from __future__ import annotations

from argorun.sandbox.standin.objects import Json

HTTP_STATUS = {
    1: 408,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
UNKNOWN, INVALID, NOT_FOUND, DENIED, PRECONDITION, INTERNAL, UNAUTHENTICATED = 2, 3, 5, 7, 9, 13, 16


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def status(self) -> int:
        """The HTTP status."""
        return HTTP_STATUS[self.code]

    def body(self) -> Json:
        """The JSON answer of a request that is not a stream."""
        return {"error": self.message, "code": self.code, "message": self.message}
