"""Pictures inside the page. Pillow."""

from __future__ import annotations

import base64
import io

from PIL import Image

MAX_WIDTH = 640  # pixels; wider pictures are reduced
PIXELATED_BELOW = 256  # pixels of width: smaller pictures are enlarged without smoothing


def data_uri(picture: Image.Image) -> str:
    """A picture for `src`: PNG, or JPEG if it is large; reduced by an integer factor if it is too wide."""
    picture = picture.reduce(max(1, round(picture.width / MAX_WIDTH)))
    return encode_uri(picture, "PNG") if picture.width < PIXELATED_BELOW else encode_uri(picture, "JPEG", quality=88)


def encode_uri(picture: Image.Image, kind: str, **options) -> str:
    """A picture for `src` as it is.

    Args:
        picture: to encode.
        kind: "PNG" or "JPEG".
        **options: of Pillow's `save`.
    """
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
