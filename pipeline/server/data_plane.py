"""What every protocol asks: the versions and signatures of the model, and answers to tensors.

Transports turn their messages into arrays and back; what a request means, which limits it has and when it is refused is decided
here. numpy and Pillow only.
"""

from __future__ import annotations

import concurrent.futures
import io
import math
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from pipeline.server.batching import Batcher, Work
from pipeline.server.errors import Code, RequestError
from pipeline.server.signatures import STRING, Signature
from pipeline.server.versions import Versions

DEFAULT_SIGNATURE = "serving_default"


class DataPlane:
    """A model of several versions that answers requests.

    Args:
        name: of the model.
        versions: started.
        batcher: that computes.
        timeout: seconds that a request may take.
        max_bytes: of a request.
        max_pixels: of the images of a request; None: as the model says.
    """

    def __init__(
        self, name: str, versions: Versions, batcher: Batcher, *, timeout: float, max_bytes: int, max_pixels: int | None
    ):
        self.name, self.versions, self._batcher = name, versions, batcher
        self.timeout, self.max_bytes, self.max_pixels = timeout, max_bytes, max_pixels
        self.ready = True

    def check_name(self, name: str):
        """Refuses the name of another model."""
        if name != self.name:
            raise RequestError(
                Code.NOT_FOUND, f"The model must be {self.name!r}, which is served here. Received: {name[:80]!r}."
            )

    def check_room(self):
        """Refuses a request that could not be queued, before its body is read."""
        self._batcher.check_room()

    def model(self, name: str, version: int | None = None):
        """The loaded version of a model, by default the newest.

        Raises:
            RequestError: there is no such model or version.
        """
        self.check_name(name)
        return self.versions.get(version)

    def submit(
        self, model, signature: Signature, inputs: Mapping[str, np.ndarray], *, deadline: float
    ) -> concurrent.futures.Future:
        """Queues a request; the future gets the outputs or a `RequestError`.

        Args:
            model: a loaded version, see `model`.
            signature: of that version.
            inputs: arrays by name, which are checked.
            deadline: of `time.monotonic`.

        Raises:
            RequestError: an input is wrong, or the queue is full.
        """
        inputs = signature.check(inputs)
        if self.max_pixels is not None:
            check_pixels(inputs.values(), self.max_pixels)
        return self._batcher.submit(Work(model, signature, inputs, deadline))


def check_pixels(arrays: Iterable[np.ndarray], max_pixels: int):
    """Refuses images of more pixels together, by their shape, or by the header of encoded ones.

    Args:
        arrays: inputs; those of four axes are images (B, H, W, C), strings are encoded ones.
        max_pixels: of all images together.

    Raises:
        RequestError: they have more.
    """
    for array in arrays:
        if array.dtype == STRING:
            pixels = sum(_encoded_pixels(data) for data in array.ravel())
        else:
            pixels = math.prod(array.shape[:3]) if array.ndim == 4 else 0
        if pixels > max_pixels:
            raise RequestError(
                Code.TOO_LARGE,
                f"The images of a request must have at most {max_pixels:,} pixels together. Received: {pixels:,}. "
                "Scale them down, or send several requests.",
            )


def _encoded_pixels(data: bytes) -> int:
    """Pixels that the header of an image says; 0 where there is none, which the model refuses itself."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return 2 * (Image.MAX_IMAGE_PIXELS or 0) + 1
    except (OSError, SyntaxError, ValueError):
        return 0
