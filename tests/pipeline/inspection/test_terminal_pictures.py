"""Pictures in the terminal: only where it says so, and what is sent decodes to the picture."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.inspection.terminal_pictures import encode_picture, find_protocol


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux,1,0"}, None),
        ({}, None),
    ],
)
def test_a_picture_is_sent_only_to_a_terminal_that_knows_a_protocol(environment, protocol):
    assert find_protocol(environment, is_terminal=True) == protocol
    assert find_protocol(environment, is_terminal=False) is None


@pytest.fixture
def picture():
    pixels = np.zeros((50, 90, 3), np.uint8)
    pixels[:20] = (250, 0, 0)
    pixels[:, 40:] = (0, 100, 200)
    pixels[33, 7] = (255, 255, 255)
    return Image.fromarray(pixels)


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_kitty_gets_the_png_in_chunks_of_which_the_last_ends(picture):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    text = encode_picture(noise, "kitty", 80)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert len(chunks) > 2 and chunks[0][0].startswith("a=T,f=100,c=6,")
    assert [control[-3:] for control, _ in chunks] == ["m=1"] * (len(chunks) - 1) + ["m=0"]
    assert max(len(data) for _, data in chunks) <= 4096
    np.testing.assert_array_equal(decoded("".join(data for _, data in chunks)), np.asarray(noise))


def test_iterm2_gets_the_png_and_its_size(picture):
    size, columns, data = re.fullmatch(
        r"\x1b\]1337;File=inline=1;size=(\d+);width=(\d+);preserveAspectRatio=1:([^\x07]*)\x07\n",
        encode_picture(picture, "iterm2", 4),
    ).groups()
    assert (int(size), columns) == (len(base64.b64decode(data)), "4")
    np.testing.assert_array_equal(decoded(data), np.asarray(picture))


def test_sixel_holds_every_pixel(picture):
    text = encode_picture(picture, "sixel", 80)
    width, height = map(int, re.match(r'\x1bPq"1;1;(\d+);(\d+)', text).groups())
    palette = {
        int(n): [round(int(c) * 2.55) for c in rgb] for n, *rgb in re.findall(r"#(\d+);2;(\d+);(\d+);(\d+)", text)
    }
    pixels, top = np.full((height, width, 3), -1), 0
    body = re.sub(r"#\d+;2;\d+;\d+;\d+", "", text[text.index(f"{height}") + len(f"{height}") : -3])
    for band in body.split("-")[:-1]:
        for line in band.split("$"):
            number, runs = re.fullmatch(r"#(\d+)(.*)", line).groups()
            left = 0
            for count, letter in re.findall(r"(?:!(\d+))?([?-~])", runs):
                for _ in range(int(count or 1)):
                    for bit in range(6):
                        if (ord(letter) - 63) >> bit & 1:
                            pixels[top + bit, left] = palette[int(number)]
                    left += 1
        top += 6
    assert (width, height) == picture.size
    assert np.abs(pixels - np.asarray(picture, int)).max() <= 3  # sixel counts colours in percent


def test_a_wide_picture_is_reduced_to_the_terminal(picture):
    assert re.match(r'\x1bPq"1;1;36;20', encode_picture(picture, "sixel", 4))
