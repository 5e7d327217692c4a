"""The command line of `pipeline.serve`. Standard library only."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib

from pipeline.engine.arguments import Parser, add_option

MEGABYTE = 2**20

BACKENDS = ("auto", "tensorflow", "onnx", "openvino", "openvino_bfloat16")
"""What may compute the network of a version; "auto" measures those in float32 that its export holds."""


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """How a model is served.

    Attributes:
        model: folder of its versions.
        name: by which clients ask for it.
        host: to listen at.
        port: for HTTP; 0: any that is free.
        grpc_port: for gRPC; 0: any that is free.
        allow_host: further names in the Host header.
        versions: the newest so many are served.
        poll: seconds between two looks for new versions.
        backend: of `BACKENDS`, what computes the network.
        threads: that compute requests.
        batch: images of small requests that are computed together.
        queue: requests that may wait.
        connections: over HTTP at the same time.
        timeout: seconds that a request may take.
        max_bytes: of a request.
        max_pixels: of the images of a request; None: as the model says.
        log: "text" or "json".
    """

    model: str
    name: str
    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int = 8500
    allow_host: tuple[str, ...] = ()
    versions: int = 1
    poll: float = 2.0
    backend: str = "auto"
    threads: int = 2
    batch: int = 8
    queue: int = 64
    connections: int = 1000
    timeout: float = 60.0
    max_bytes: int = 64 * MEGABYTE
    max_pixels: int | None = None
    log: str = "text"


def parse(argv: list[str], prog: str) -> ServerOptions:
    """Reads the command line.

    Raises:
        ValueError: an argument is unknown, missing or wrong.
    """
    arguments, _ = build_parser(prog).parse(argv)
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(ServerOptions)}
    given["name"] = given["name"] or pathlib.Path(arguments.model).resolve().name
    given["allow_host"] = tuple(given["allow_host"])
    return ServerOptions(**given)


def build_parser(prog: str) -> Parser:
    """The parser of `pipeline.serve`."""
    parser = Parser(
        prog,
        "Serves the newest version of a pushed model over TensorFlow Serving's REST and gRPC and the Open Inference Protocol.\n"
        "New versions and rollbacks are picked up while it runs, without losing a request.\n"
        "In a browser, its address is a page on which anyone can try the model.",
        usage="%(prog)s savedmodels/NAME [options]",
    )
    parser.add_argument("model", help="folder of a pushed model, with its versions")
    defaults = ServerOptions("", "")
    option = functools.partial(_add, defaults=defaults)
    group = parser.add_argument_group("model")
    add_option(group, "--name", "name by which clients ask for the model", shown="that of the folder", metavar="NAME")
    option(group, "--versions", "number of the newest versions that are served", type=_whole(1, 16), metavar="N")
    option(group, "--poll", "seconds between two looks for new versions", type=_seconds, metavar="SECONDS")
    option(
        group,
        "--backend",
        "what computes the network; auto: the fastest in float32 of those that the version holds (exporter.formats)",
        choices=BACKENDS,
    )
    group = parser.add_argument_group("network")
    option(group, "--host", "address to listen at; 0.0.0.0 lets other machines in", metavar="ADDRESS")
    option(group, "--port", "port for HTTP; 0: any that is free", type=_whole(0, 65535), metavar="N")
    option(group, "--grpc-port", "port for gRPC; 0: any that is free", type=_whole(0, 65535), metavar="N")
    option(group, "--allow-host", "further host names by which clients may call the server", nargs="+", metavar="NAME")
    option(group, "--connections", "connections over HTTP at the same time", type=_whole(1, 100_000), metavar="N")
    group = parser.add_argument_group("limits")
    option(
        group, "--threads", "requests or batches that are computed at the same time", type=_whole(1, 256), metavar="N"
    )
    option(group, "--batch", "images of small requests that are computed together", type=_whole(1, 1024), metavar="N")
    option(
        group,
        "--queue",
        "requests that may wait; further ones are refused with 429",
        type=_whole(1, 10_000),
        metavar="N",
    )
    option(group, "--timeout", "seconds that a request may take", type=_seconds, metavar="SECONDS")
    option(group, "--max-bytes", "size limit of a request in bytes", type=_whole(1024, 2**31 - 1), metavar="N")
    option(
        group,
        "--max-pixels",
        "pixels of the images of a request together",
        shown="as the model was exported",
        type=_whole(1, 2**40),
        metavar="N",
    )
    group = parser.add_argument_group("messages")
    option(
        group,
        "--log",
        "form of the messages on standard error; json has a line for each request",
        choices=("text", "json"),
    )
    return parser


def _add(group, flag: str, meaning: str, *, defaults: ServerOptions, **options):
    add_option(group, flag, meaning, default=getattr(defaults, flag[2:].replace("-", "_")), **options)


def _whole(lowest: int, highest: int):
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 16 and lowest <= int(text) <= highest):
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {lowest:,} to {highest:,}, not {text[:80]!r}"
            )
        return int(text)

    return whole


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be seconds above 0, at most 3600, not {text[:80]!r}")
    return seconds
