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
    small = picture.width < PIXELATED_BELOW
    stream = io.BytesIO()
    picture.save(stream, "PNG" if small else "JPEG", **({} if small else {"quality": 88}))
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f"data:image/{'png' if small else 'jpeg'};base64,{encoded}"
