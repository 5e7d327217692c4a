"""What both gRPC protocols share: a call's deadline, its errors as gRPC statuses, and the server with its limits. grpc."""

from __future__ import annotations

import concurrent.futures
import functools
import time
from collections.abc import Callable, Sequence

import grpc

from pipeline.server.batching import deadline_error
from pipeline.server.data_plane import DataPlane
from pipeline.server.errors import RETRY_SECONDS, Code, RequestError
from pipeline.server.logs import Observer
from pipeline.server.signatures import Arrays

MINIMUM = 65_536
"""Bytes of the smallest limit of a message; a request of metadata has some."""


def start(
    plane: DataPlane, observer: Observer, services: Sequence[Callable], address: str, *, waiting: int
) -> tuple[grpc.Server, int]:
    """Starts a server of gRPC.

    Args:
        plane: that answers.
        observer: that is told about each call.
        services: functions that add servicers to a server: `(plane, observer, server)`.
        address: "127.0.0.1:8500"; port 0: any that is free.
        waiting: requests that may wait for the model; each holds a thread.

    Returns:
        The server and its port.

    Raises:
        ValueError: the address is taken.
    """
    calls = waiting + 16
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(calls, "grpc"),
        maximum_concurrent_rpcs=calls,
        options=[
            ("grpc.max_receive_message_length", max(MINIMUM, plane.max_bytes)),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    for add in services:
        add(plane, observer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise ValueError(
            f"`--host` and `--grpc-port` must be free to listen at. Received: {address}. Choose another port, or stop "
            "the program that has it."
        )
    server.start()
    return server, port


def answering(observer: Observer, call: str, answer: Callable):
    """A handler of a call from `answer(request, context, asked)`, which raises `RequestError`.

    Args:
        observer: that is told about each call.
        call: its name.
        answer: gets a dict to write "signature" and "version" into.
    """

    @functools.wraps(answer)
    def handled(request, context: grpc.ServicerContext):
        start, status, asked = time.monotonic(), "OK", {}
        try:
            return answer(request, context, asked)
        except RequestError as error:
            status = error.code.grpc
            _abort(context, error.code, error.message)
        except Exception as error:
            status = Code.INTERNAL.grpc
            observer.log("fault", reason=f"{type(error).__name__}: {error}")
            _abort(
                context, Code.INTERNAL, "The server failed. Received: a request that shows a fault of it. See its log."
            )
        finally:
            observer.request("gRPC", call, status, time.monotonic() - start, **asked)

    return handled


def _abort(context, code: Code, message: str):
    if code in (Code.BUSY, Code.UNAVAILABLE):
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(1000 * RETRY_SECONDS)),))
    context.abort(getattr(grpc.StatusCode, code.grpc), message)


def ask(plane: DataPlane, context: grpc.ServicerContext, asked: dict, model, signature, inputs) -> Arrays:
    """The outputs of a signature within the deadline of the call; a client that leaves takes its request out of the queue.

    Raises:
        RequestError: there is none.
    """
    asked.update(signature=signature.name, version=model.number)
    remaining = context.time_remaining()
    seconds = plane.timeout if remaining is None else min(remaining, plane.timeout)
    future = plane.submit(model, signature, inputs, deadline=time.monotonic() + seconds)
    context.add_callback(future.cancel)
    try:
        return future.result(seconds)
    except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
        future.cancel()
        raise deadline_error() from None
