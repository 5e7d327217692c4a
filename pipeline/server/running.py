"""Starts and stops the server: versions, queue, REST and gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import pathlib
import socket
import threading
import warnings

import uvicorn
from PIL import Image

from pipeline.server import grpc_calls, grpc_tensorflow, grpc_v2, rest_tensorflow, rest_v2, web_page
from pipeline.server.batching import Batcher
from pipeline.server.connections import Connection
from pipeline.server.data_plane import DataPlane
from pipeline.server.logs import Log, Metrics, Observer
from pipeline.server.saved_model import load
from pipeline.server.versions import Versions
from pipeline.server.web import ByteBudget, application
from pipeline.settings.serving import ServerOptions

BODIES = 8
"""Bodies of the largest size that may be in memory at the same time."""


class Server:
    """A running server.

    Args:
        options: of the command.
        log: where it says what happens.

    Attributes:
        rest: "127.0.0.1:8501", where it listens for HTTP.
        grpc: "127.0.0.1:8500", where it listens for gRPC.

    Raises:
        ValueError: no version can be served, or an address is taken.
    """

    def __init__(self, options: ServerOptions, log: Log | None = None):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        self._log = log or Log(options.log)
        self._options = options
        folder = pathlib.Path(options.model)
        with contextlib.ExitStack() as undo:
            listener = undo.enter_context(_listen(options.host, options.port))
            start = functools.partial(load, backend=options.backend, log=self._log)
            self.versions = Versions(folder, start, number=options.versions, poll=options.poll, log=self._log)
            self.versions.start()
            undo.callback(self.versions.stop)
            metrics = Metrics(lambda: len(self._batcher), self.versions.states)
            self._batcher = Batcher(
                threads=options.threads, waiting=options.queue, images=options.batch, observe=metrics.batches.observe
            )
            undo.callback(self._batcher.stop)
            limits = {"timeout": options.timeout, "max_bytes": options.max_bytes, "max_pixels": options.max_pixels}
            self.plane = DataPlane(options.name, self.versions, self._batcher, **limits)
            observer = Observer(self._log, metrics)
            self.rest = _address(listener)
            host = self.rest.rpartition(":")[0]
            services = (grpc_tensorflow.add, grpc_v2.add)
            self._grpc, port = grpc_calls.start(
                self.plane, observer, services, f"{host}:{options.grpc_port}", waiting=options.queue
            )
            self.grpc = f"{host}:{port}"
            undo.callback(self._grpc.stop, None)
            self._web = self._start_web(listener, observer)
            undo.pop_all()
        self._log("listening", name=options.name, rest=self.rest, grpc=self.grpc)

    def _start_web(self, listener: socket.socket, observer: Observer):
        options = self._options
        calls = [*rest_tensorflow.routes(), *rest_v2.routes()]
        app = application(
            self.plane,
            observer,
            [*calls, *web_page.routes(calls)],
            hosts=(options.host, socket.gethostname(), *options.allow_host),
            bodies=ByteBudget(BODIES * options.max_bytes),
        )
        config = uvicorn.Config(
            app,
            http=functools.partial(Connection, head_seconds=options.timeout),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=options.connections,
            timeout_graceful_shutdown=round(options.timeout) + 1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), name="web", daemon=True)
        thread.start()
        while thread.is_alive() and not server.started:
            thread.join(0.01)
        return server, thread

    def stop(self):
        """Accepts nothing more, finishes what was accepted, and returns then."""
        self._log("stopping")
        self.plane.ready = False
        server, thread = self._web
        server.should_exit = True
        stopped = self._grpc.stop(self._options.timeout)
        thread.join()
        stopped.wait()
        self._batcher.stop()
        self.versions.stop()
        self._log("stopped")


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ValueError: it cannot.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise ValueError(
            f"`--host` and `--port` must be free to listen at. Received: --host {host} --port {port} [{error.strerror}]. "
            "Choose another port, or stop the program that has it."
        ) from None
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
