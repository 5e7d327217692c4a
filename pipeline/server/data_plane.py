"""What every protocol asks: the versions and signatures of the model, and answers to tensors.

Transports turn their messages into arrays and back; what a request means, which limits it has and when it is refused is decided
here. numpy and Pillow only.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import math
import time
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from kseg.serving import statuses
from pipeline.server.batching import Batcher, Work
from pipeline.server.errors import Code, RequestError, invalid
from pipeline.server.signatures import STRING, Arrays, Signature
from pipeline.server.versions import Versions

DEFAULT_SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class Answer:
    """Outputs of a signature, and the version that computed them."""

    version: int
    signature: Signature
    outputs: Arrays


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
        self, model, signature: Signature, inputs: Mapping[str, np.ndarray], *, deadline: float | None = None
    ) -> concurrent.futures.Future:
        """Queues a request; the future gets an `Answer` or a `RequestError`.

        Args:
            model: a loaded version, see `model`.
            signature: of that version.
            inputs: arrays by name, which are checked.
            deadline: of `time.monotonic`; None: `timeout` from now.

        Raises:
            RequestError: an input is wrong, or the queue is full.
        """
        inputs = signature.check(inputs)
        if self.max_pixels is not None:
            check_pixels(inputs.values(), self.max_pixels)
        latest = time.monotonic() + self.timeout
        work = Work(model, signature, inputs, min(deadline or latest, latest))
        return _then(self._batcher.submit(work), lambda outputs: Answer(model.number, signature, _accepted(outputs)))


def _then(future: concurrent.futures.Future, change) -> concurrent.futures.Future:
    """A future of the changed result; cancelling it cancels the first."""
    changed: concurrent.futures.Future = concurrent.futures.Future()

    def pass_on(done):
        if not changed.set_running_or_notify_cancel():
            return
        try:
            changed.set_result(change(done.result()))
        except (Exception, concurrent.futures.CancelledError) as error:
            changed.set_exception(error)

    future.add_done_callback(pass_on)
    changed.add_done_callback(lambda done: done.cancelled() and future.cancel())
    return changed


def _accepted(outputs: Arrays) -> Arrays:
    """The outputs, unless every image of the request was refused: then the request is, with the message of the first one."""
    status = outputs.get("status")
    if status is not None and status.size and (status != statuses.GOOD).all() and "message" in outputs:
        first = outputs["message"].ravel()[0].decode(errors="replace")
        raise invalid(first)
    return outputs


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
