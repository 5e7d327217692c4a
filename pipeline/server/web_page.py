"""The page at `/`, on which anyone can try the model, and `/about`, which tells it what is served. starlette; no TensorFlow.

The files in `page/` are served as they lie there: no build step, nothing from elsewhere. Their headers allow a browser to load
only them, and to show pictures that the page itself holds.
"""

from __future__ import annotations

import mimetypes
import pathlib
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipeline.server.additions import SOURCE
from pipeline.server.data_plane import DEFAULT_SIGNATURE

FILES = pathlib.Path(__file__).parent / "page"
START = "index.html"

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
"""Of each file: scripts, styles and requests of this server alone, pictures from memory, no frame of another page around it."""


def routes(calls: Iterable[Route]) -> list[Route]:
    """A route for each file, and for `/about`.

    Args:
        calls: routes of the protocols, which `/about` lists.
    """
    calls = list(calls)

    async def about(request: Request) -> Response:
        return JSONResponse(describe(request.app.state.plane, calls), headers={"cache-control": "no-store"})

    files = [Route(f"/{path.name}" if path.name != START else "/", _sender(path)) for path in sorted(FILES.iterdir())]
    return [*files, Route("/about", about)]


def _sender(path: pathlib.Path):
    kind = mimetypes.guess_type(path.name)[0]

    async def send(request: Request) -> Response:
        return FileResponse(path, media_type=kind, headers=HEADERS)

    return send


def describe(plane, calls: Iterable[Route]) -> dict:
    """What is served: the model, its versions and their classes, newest first, what pictures it takes, limits, and calls.

    Args:
        plane: that serves it.
        calls: routes of the protocols.
    """
    served = plane.versions.served()
    return {
        "model": plane.name,
        "versions": [_describe_version(served[number]) for number in sorted(served, reverse=True)],
        "max_bytes": plane.max_bytes,
        "calls": {route.path.replace("{name}", plane.name): sorted(route.methods - {"HEAD"}) for route in calls},
    }


def _describe_version(model) -> dict:
    """A version: its classes, in the order of their ids, and of how many channels and which numbers its images are."""
    labels, image = model.labels, None
    if DEFAULT_SIGNATURE in model.signatures:
        image = model.signatures[DEFAULT_SIGNATURE].inputs.get("image")
    shape = image.shape if image is not None else None
    return {
        "version": model.number,
        "classes": [
            {"name": name, "colour": list(map(int, colour))}
            for name, colour in (zip(labels.names, labels.colours, strict=True) if labels else ())
        ],
        "channels": shape[-1] if shape else None,
        "dtype": image.dtype.name if image is not None else None,
        "takes_pictures": SOURCE in model.signatures and "localize" in model.signatures,
        "signatures": list(model.signatures),
        "backend": {"name": model.backend.name, **model.backend.figures()},
    }
