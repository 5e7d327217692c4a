"""The two sides of a pair: each is a small picklable reader of one image or one mask. numpy and Pillow only.

Most sides are files. A page of a stack, a polygon file, a row of a table or one mask per label are others. Whatever a side is, it
reads into the bytes of a PNG or JPEG, so that the checks of pairs, the table of classes and the reports know one kind of input. A
side reads no more than its own picture, apart from the index of the file that holds it.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import stat
import typing

from kseg.pairs.decoding import MAX_PIXELS, has_colour
from kseg.pairs.errors import PairError, printable

BYTES_PER_PIXEL = 8  # of an incompressible PNG with four channels of 16 bits
METADATA_BYTES = 2**26


class Side(typing.Protocol):
    """One side of a pair.

    Attributes:
        name: printable place, for messages.
        files: every file that is read for it.
        own_file: the file that holds this side and nothing else, which may be copied for people to look at; or None.
        kind: format that is converted to PNG on reading, such as "TIFF"; None if the bytes are those of a file.
    """

    name: str
    files: tuple[pathlib.Path, ...]
    own_file: pathlib.Path | None
    kind: str | None

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        """The bytes of a PNG or JPEG.

        Args:
            max_pixels: height times width above which the picture is refused before it is decoded.

        Raises:
            PairError: it cannot be read.
        """

    def has_colour(self) -> bool:
        """Whether it holds colours, by as little reading as possible; False if it cannot be read."""


@dataclasses.dataclass(frozen=True)
class PlainFile:
    """A side that is a file of PNG or JPEG; see `Side`."""

    path: pathlib.Path

    kind = None

    @property
    def name(self) -> str:
        return printable(self.path)

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return (self.path,)

    @property
    def own_file(self) -> pathlib.Path:
        return self.path

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        return read_file(self.path, max_pixels)

    def has_colour(self) -> bool:
        return has_colour(self.path)


def read_file(path: pathlib.Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of an image or mask file.

    Raises:
        PairError: it cannot be read, is no regular file, or is larger than any image of `max_pixels`.
    """
    try:
        status, limit = os.stat(path), BYTES_PER_PIXEL * max_pixels + METADATA_BYTES
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for its writer
            raise PairError(
                "not_a_file",
                "An image must be a regular file. Received: a folder, pipe, socket or device",
                printable(path),
                "Remove it, or replace it by a file.",
            )
        size = status.st_size
        if size > limit:
            raise PairError(
                "too_many_bytes",
                f"A file must have at most {limit:,} bytes, which is enough for example_gen.max_pixels={max_pixels:,}. "
                f"Received: {size:,}",
                printable(path),
                "Check what it is; raise example_gen.max_pixels if it is an image.",
            )
        return path.read_bytes()
    except OSError as error:
        raise PairError(
            "unreadable_file",
            f"The files of a pair must be readable. Received: {error.strerror}",
            printable(path),
            "Check that it still exists and that its permissions allow reading.",
        ) from error
