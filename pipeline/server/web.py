"""What both REST protocols share: who may ask, how bodies are read, how errors are answered. starlette; no TensorFlow.

Nothing from a request reaches the disk, and no other origin may read an answer (no CORS).
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import json
import time
from collections.abc import Iterable, Mapping

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.server.batching import deadline_error
from pipeline.server.data_plane import DataPlane
from pipeline.server.errors import RETRY_SECONDS, Code, RequestError, invalid
from pipeline.server.logs import Observer
from pipeline.server.signatures import Arrays

DRAINED_SECONDS = 2.0
"""For which the rest of a refused body is read, since some clients read no answer before they have sent everything."""


class ByteBudget:
    """Bytes of bodies that may be in memory at the same time; used by the event loop's thread alone.

    Args:
        total: of all requests together.
    """

    def __init__(self, total: int):
        self._left = total

    def take(self, number: int):
        """Takes bytes, or raises a `RequestError` where so many are not left."""
        if number > self._left:
            raise RequestError(
                Code.BUSY,
                f"Bodies must fit into memory together. Received: one too many. Try again after {RETRY_SECONDS} s.",
            )
        self._left -= number

    def give_back(self, number: int):
        """Gives back what was taken."""
        self._left += number


def application(
    plane: DataPlane, observer: Observer, routes: Iterable[Route], *, hosts: Iterable[str], bodies: ByteBudget
):
    """The ASGI application.

    Args:
        plane: that answers.
        observer: that is told about each request.
        routes: of protocols and page; their endpoints raise `RequestError`.
        hosts: names by which clients may call the server, besides its addresses and localhost.
        bodies: memory for bodies.
    """

    async def metrics(request):
        return Response(observer.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def refuse(request: Request, error: Exception):
        return await _error_response(request, error)

    app = Starlette(
        routes=[*routes, Route("/metrics", metrics)],
        exception_handlers=dict.fromkeys((RequestError, HTTPException, ClientDisconnect), refuse),
    )
    app.state.plane, app.state.bodies = plane, bodies
    return _guarded(app, observer, {name.lower() for name in hosts} | {"localhost"})


def _guarded(app, observer: Observer, hosts: set[str]):
    """The application behind checks of each request's head; every request is told to the observer."""

    async def guarded(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        start, status = time.monotonic(), 500
        scope["asked"] = {}

        async def watched(message):
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            check_head(scope, hosts)
            await app(scope, receive, watched)
        except RequestError as error:
            request = Request(scope, receive)
            await (await _error_response(request, error))(scope, receive, watched)
        except Exception as error:
            observer.log("fault", reason=f"{type(error).__name__}: {error}")
            fault = RequestError(
                Code.INTERNAL, "The server failed. Received: a request that shows a fault of it. See its log."
            )
            if status == 500:  # nothing was sent yet
                await (await _error_response(Request(scope, receive), fault))(scope, receive, watched)
        finally:
            call = f"{scope['method']} {scope['path']}"
            observer.request("REST", call, status, time.monotonic() - start, **scope["asked"])

    return guarded


def check_head(scope: Mapping, hosts: set[str]):
    """Refuses a request for its headers alone.

    Args:
        scope: of ASGI.
        hosts: names, in lower case.

    Raises:
        RequestError: it is for another host, from a page of another origin, framed twice, or its body is compressed.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host", "")
    if not is_known_host(host, hosts):
        raise RequestError(
            Code.WRONG_HOST,
            f"The header Host must be an address of this server, or one of {', '.join(sorted(hosts))}. Received: {host[:80]!r}. "
            "The server takes other names with --allow-host.",
        )
    origin = headers.get("origin")
    if origin is not None and scope["method"] not in ("GET", "HEAD") and origin.partition("://")[2] != host:
        raise RequestError(
            Code.FORBIDDEN, f"Requests of web pages must come from this server's own. Received: Origin {origin[:80]!r}."
        )
    if "transfer-encoding" in headers and "content-length" in headers:
        raise invalid("A body must be framed once. Received: both Transfer-Encoding and Content-Length.")
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError(
            Code.ENCODED,
            f"A body must not be compressed. Received: Content-Encoding {headers['content-encoding'][:80]!r}.",
        )


def is_known_host(host: str, names: set[str]) -> bool:
    """Whether a Host header holds an address, which no name server of an attacker can give to a page, or one of the names.

    Example:
        >>> [is_known_host(host, {"localhost"}) for host in ("127.0.0.1:8501", "[::1]:8501", "LOCALHOST", "evil.example")]
        [True, True, True, False]
    """
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return name.lower() in names


async def _error_response(request: Request, error: Exception) -> Response:
    """The answer to a request that is refused; the connection is closed where its body was not read."""
    if isinstance(error, RequestError):
        status, message = error.code.http, error.message
    elif isinstance(error, HTTPException):
        status = error.status_code
        wanted = "use another method" if status == 405 else "see GET /about for the calls"
        message = f"There must be such a call. Received: {request.method} {request.url.path[:200]}: {wanted}."
    else:  # the client has gone
        status, message = 400, "A body must be sent to its end. Received: a part of it."
    headers = {"retry-after": str(RETRY_SECONDS)} if status in (Code.BUSY.http, Code.UNAVAILABLE.http) else {}
    if request.method not in ("GET", "HEAD") and not request.scope.get("body_read"):
        if status != Code.SLOW_BODY.http:
            await _drain(request)
        headers["connection"] = "close"
    return JSONResponse({"error": message}, status, headers)


async def _drain(request: Request):
    """Reads on for a moment, unless the client waits to be asked for its body."""
    if "expect" in request.headers or request.scope["path"] == "*":
        return
    plane = request.scope.get("app") and request.app.state.plane
    left = plane.max_bytes if plane else 0
    try:
        async with asyncio.timeout(DRAINED_SECONDS):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


async def read_body(request: Request, plane: DataPlane, deadline: float) -> bytes:
    """The body of a request, whose bytes count against the application's memory for bodies until `give_back`.

    Args:
        request: of which nothing was read yet.
        plane: with the limit of a request's bytes.
        deadline: of `time.monotonic`.

    Raises:
        RequestError: it is larger than allowed, or not here in time.
    """
    plane.check_room()
    length = request.headers.get("content-length", "0")
    check_size(int(length) if length.isdecimal() else 0, plane.max_bytes)
    request.scope["body_bytes"], pieces = 0, []
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            async for piece in request.stream():
                request.app.state.bodies.take(len(piece))
                request.scope["body_bytes"] += len(piece)
                check_size(request.scope["body_bytes"], plane.max_bytes)
                pieces.append(piece)
    except TimeoutError:
        raise RequestError(
            Code.SLOW_BODY,
            f"A body must arrive within {plane.timeout:g} s. Received: {request.scope['body_bytes']} bytes of it.",
        ) from None
    request.scope["body_read"] = True
    return b"".join(pieces)


def check_size(number: int, max_bytes: int):
    """Refuses a body of so many bytes."""
    if number > max_bytes:
        raise RequestError(
            Code.TOO_LARGE,
            f"A request must have at most {max_bytes:,} bytes. Received: {number:,} or more. Send encoded images (serve_bytes), "
            "or fewer at once. The server's limit is --max-bytes.",
        )


def asking(endpoint):
    """An endpoint `(request, plane, body, deadline) -> Response` as one of starlette, with its body read and given back.

    The header `Server-Timing` of its answers says how many milliseconds the body took to arrive, and the answer to be made.
    """

    @functools.wraps(endpoint)
    async def answered(request: Request) -> Response:
        plane = request.app.state.plane
        start = time.monotonic()
        deadline = start + plane.timeout
        try:
            body = await read_body(request, plane, deadline)
            read = time.monotonic()
            response = await endpoint(request, plane, body, deadline)
            response.headers["server-timing"] = (
                f"body;dur={1000 * (read - start):.1f}, answer;dur={1000 * (time.monotonic() - read):.1f}"
            )
            return response
        finally:
            request.app.state.bodies.give_back(request.scope.get("body_bytes", 0))

    return answered


async def ask(
    request: Request, plane: DataPlane, model, signature, inputs: Mapping[str, np.ndarray], deadline: float
) -> Arrays:
    """The outputs of a signature, in time.

    Raises:
        RequestError: there is none.
    """
    request.scope["asked"] = {"signature": signature.name, "version": model.number}
    future = asyncio.wrap_future(plane.submit(model, signature, inputs, deadline=deadline))
    try:
        return await asyncio.wait_for(future, max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise deadline_error() from None


async def in_thread(function, *arguments):
    """The result of a function that computes for long, such as reading JSON, while other requests go on."""
    return await run_in_threadpool(function, *arguments)


def version_of(request: Request) -> int | None:
    """The version in the path; None where there is none.

    Raises:
        RequestError: it is no number.
    """
    text = request.path_params.get("version")
    return None if text is None else parse_version(text)


def parse_version(text: str) -> int:
    """The number of a version.

    Raises:
        RequestError: it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise invalid(f"A version must be a whole number. Received: {text[:80]!r}.")
    return int(text)


def json_response(text: bytes) -> Response:
    """A response of JSON that is written already."""
    return Response(text, media_type="application/json")


def dumps(value) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value).encode()
