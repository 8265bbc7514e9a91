"""The gateway's streams: newline-delimited JSON, or server-sent events with keep-alives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse

from argorun.sandbox.standin.faults import ApiError
from argorun.sandbox.standin.objects import Json


def error_frame(error: ApiError) -> Json:
    """The last message of a stream that broke off."""
    reasons = {
        400: "Bad Request",
        401: "Unauthorized",
        403: "Forbidden",
        404: "Not Found",
        500: "Internal Server Error",
    }
    return {
        "error": {
            "grpc_code": error.code,
            "http_code": error.status,
            "message": error.message,
            "http_status": reasons.get(error.status, ""),
        }
    }


def stream(request: Request, results: AsyncIterator[list[Json]], keep_alive: float) -> StreamingResponse:
    """Answer with batches of results as they come, in the form that the Accept header asks for."""
    if request.headers.get("accept") == "text/event-stream":
        return StreamingResponse(_events(results, keep_alive), headers={"content-type": "text/event-stream"})
    return StreamingResponse(_lines(results), headers={"content-type": "application/json"})


def trimmed(result: Json, fields: str) -> Json:
    """A result with only those fields (`result.type,result.application.spec,…`); all where none is named."""
    whole: Json = {"result": result}
    kept: Json = {}
    for path in fields.split(",") if fields else ():
        value: object = whole
        for name in (names := path.split(".")):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            place = kept
            for name in names[:-1]:
                place = place.setdefault(name, {})
            place[names[-1]] = value
    return kept.get("result", {}) if fields else result


def _encode(result: Json) -> bytes:
    return json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode()


async def _lines(results: AsyncIterator[list[Json]]) -> AsyncIterator[bytes]:
    try:
        async for batch in results:
            yield b"".join(_encode({"result": result}) + b"\n" for result in batch)
    except ApiError as error:
        yield _encode(error_frame(error)) + b"\n"


async def _events(results: AsyncIterator[list[Json]], keep_alive: float) -> AsyncIterator[bytes]:
    """`data:` frames, and a comment whenever nothing was said for `keep_alive` seconds."""
    upcoming: asyncio.Future[list[Json]] | None = None
    iterator = aiter(results)
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(iterator))
            done, _ = await asyncio.wait((upcoming,), timeout=keep_alive)
            if not done:
                yield b":\n"
                continue
            try:
                frames = (_encode({"result": result}) for result in upcoming.result())
                yield b"".join(b"data: " + frame + b" \n\n\n" for frame in frames)
            except StopAsyncIteration:
                return
            except ApiError as error:
                yield b"data: " + _encode(error_frame(error)) + b" \n\n\n"
                return
            upcoming = None
    finally:
        if upcoming is not None:
            upcoming.cancel()
