"""A picture in the terminal, in the protocols of kitty, iTerm2 and sixel, where it says that it knows one. numpy and Pillow.

Terminals are asked by their environment alone: a question on the line would disturb one that does not answer. Inside tmux and
screen, which do not pass pictures on, nothing is shown.
"""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Mapping

import numpy as np
from PIL import Image

KITTY_PROGRAMS, ITERM_PROGRAMS = ("ghostty", "WezTerm"), ("iTerm.app", "mintty")
SIXEL_TERMS = ("foot", "mlterm", "contour", "yaft")
CHUNK = 4096  # bytes of base64 that kitty accepts at once
COLOURS = 255
COLUMN_PIXELS = 9  # of a usual font, to fit a sixel picture into the terminal


def find_protocol(environment: Mapping[str, str], is_terminal: bool) -> str | None:
    """The protocol that the terminal knows, "kitty", "iterm2" or "sixel"; or None.

    Args:
        environment: of the process.
        is_terminal: whether the output is one.

    Example:
        >>> find_protocol({"TERM": "xterm-kitty"}, True), find_protocol({"TERM": "xterm-256color"}, True)
        ('kitty', None)
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if not is_terminal or "TMUX" in environment or term.startswith(("screen", "tmux", "dumb")):
        return None
    if term == "xterm-kitty" or term == "xterm-ghostty" or program in KITTY_PROGRAMS:
        return "kitty"
    if program in ITERM_PROGRAMS:
        return "iterm2"
    return "sixel" if term.startswith(SIXEL_TERMS) or term.endswith("-sixel") else None


def encode_picture(picture: Image.Image, protocol: str, columns: int) -> str:
    """The text that shows a picture, as wide as the terminal at most.

    Args:
        picture: RGB.
        protocol: "kitty", "iterm2" or "sixel".
        columns: width of the terminal.
    """
    columns = min(columns, max(1, picture.width // COLUMN_PIXELS))
    if protocol == "sixel":
        return _sixel(picture, columns * COLUMN_PIXELS)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    if protocol == "iterm2":
        size = len(stream.getvalue())
        return f"\x1b]1337;File=inline=1;size={size};width={columns};preserveAspectRatio=1:{data}\x07\n"
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        control = f"a=T,f=100,c={columns},q=2," if number == 0 else ""
        parts.append(f"\x1b_G{control}m={int(number < len(chunks) - 1)};{chunk}\x1b\\")
    return "".join(parts) + "\n"


def _sixel(picture: Image.Image, width: int) -> str:
    """Bands of six rows, in each the runs of every colour that occurs."""
    if picture.width > width:
        picture = picture.resize((width, max(1, round(picture.height * width / picture.width))), Image.Resampling.BOX)
    indexed = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    palette, pixels = indexed.getpalette(), np.asarray(indexed)
    used = np.unique(pixels).tolist()
    parts = [f'\x1bPq"1;1;{picture.width};{picture.height}']
    parts += ["#{};2;{};{};{}".format(n, *(round(c * 100 / 255) for c in palette[3 * n : 3 * n + 3])) for n in used]
    for top in range(0, picture.height, 6):
        band = pixels[top : top + 6]
        bits = 1 << np.arange(len(band))[:, None]
        lines = [
            f"#{colour}" + _runs(((band == colour) * bits).sum(axis=0).tolist()) for colour in np.unique(band).tolist()
        ]
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\\n"


def _runs(values: list[int]) -> str:
    """Sixels with repeats written as `!number`."""
    text = []
    for value, run in itertools.groupby(values):
        length, letter = len(list(run)), chr(63 + value)
        text.append(f"!{length}{letter}" if length > 3 else letter * length)
    return "".join(text)
