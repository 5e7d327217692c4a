"""Any bytes and tables are read correctly or refused with a named fault; nothing else happens."""

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image, prepare_image, prepare_pair
from kseg.pairs.image_folder import list_pairs
from kseg.pairs.mask_files import read_mask
from pipeline.validation import schema
from tests.kseg.pairs.encoded import COLOUR, GREY, encoded, png, with_palette

AMOUNTS = [pytest.param(200), pytest.param(10_000, marks=pytest.mark.slow)]
"""Examples per property: few in `make test`, all in `make test-slow`."""

LABELS = LabelMap(("a", "b", "c"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)), (0, 1, 7), ignore_value=255)
VALUES = np.array([[0, 1, 7, 7], [255, 7, 0, 0], [0, 0, 0, 1]], np.uint8)
EXIF = Image.Exif()
EXIF[0x0112] = 6
NOISE = np.random.default_rng(0).integers(0, 256, (24, 16, 3), np.uint8)

IMAGES = [
    encoded(NOISE, "JPEG"),
    encoded(NOISE, "JPEG", progressive=True),
    encoded(NOISE, "JPEG", subsampling=0, restart_marker_blocks=1),
    encoded(NOISE, "JPEG", exif=EXIF),
    encoded(GREY, "JPEG"),
    encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    encoded(NOISE),
    encoded(GREY),
    encoded(COLOUR, exif=EXIF),
    encoded(np.dstack([COLOUR, GREY])),
    encoded(with_palette(GREY)),
    png(GREY.astype(int) * 257, 16, 0),
]
MASKS = [
    encoded(VALUES),
    encoded(with_palette(VALUES)),
    png(VALUES.astype(int), 16, 0),
    png(VALUES % 2, 1, 0),
    encoded(LABELS.colour(np.array([[0, 1], [2, 255]]))),
    encoded(np.dstack([VALUES, np.full_like(VALUES, 255)])),
]


def fix_checksums(data: bytes) -> bytes:
    """Corrects the checksums of a PNG as far as its chunks can be followed, so the chunks' content is tested."""
    parts, start = [data[:8]], 8
    while start + 12 <= len(data):
        length = struct.unpack_from(">I", data, start)[0]
        body = data[start + 4 : start + 8 + length]
        if len(body) < 4 + length:
            break
        parts.append(struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body)))
        start += 12 + length
    return b"".join(parts) + data[start:]


@st.composite
def corrupted(draw, files):
    """One of the files with a few bytes changed, inserted, deleted or moved, perhaps cut off."""
    data = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        new = draw(st.binary(max_size=6))
        length = draw(st.sampled_from([len(new), len(new), 0, 1, 8, 10_000]))
        data = data[:start] + new + data[start + length :]
    return fix_checksums(data) if draw(st.booleans()) and data.startswith(b"\x89PNG") else data


def check(amount, *strategies):
    """Calls the decorated function with `amount` examples, the same in every run."""

    def run(function):
        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
        limits = settings(
            max_examples=amount, deadline=None, derandomize=True, database=None, suppress_health_check=quiet
        )
        limits(given(*strategies)(function))()

    return run


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning")
@pytest.mark.parametrize("amount", AMOUNTS)
def test_stored_images_are_equal_in_pillow_and_tensorflow(amount):
    import tensorflow as tf

    @check(amount, corrupted(IMAGES), st.sampled_from([1, 3]))
    def _(data, channels):
        try:
            stored, size, reason = prepare_image(data, channels, "photos/7")
        except PairError as error:
            assert error.where == "photos/7" and error.name and error.cure
            return
        ours = decode_image(stored)
        theirs = tf.io.decode_jpeg(stored, channels=channels, dct_method="INTEGER_ACCURATE").numpy()
        assert ours.shape == (*size, channels) and (reason is None) == (stored is data)
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning")
@pytest.mark.parametrize("amount", AMOUNTS)
def test_masks_that_are_read_hold_classes_and_void_only(amount):
    @check(amount, corrupted(MASKS))
    def _(data):
        try:
            ids = read_mask(data, LABELS, "masks/7")
        except PairError as error:
            assert error.where == "masks/7" and error.name and error.cure
            return
        assert (ids.dtype, ids.ndim) == (np.uint8, 2) and set(np.unique(ids)) <= {0, 1, 2, 255}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning")
@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_two_files_form_a_pair_or_are_refused(amount):
    @check(amount, st.binary(max_size=60) | corrupted(IMAGES), st.binary(max_size=60) | corrupted(MASKS))
    def _(image, mask):
        try:
            image_bytes, label_map_bytes, _ = prepare_pair(image, mask, LABELS, 3, "i", "m")
        except PairError as error:
            assert set(error.where.split(", ")) <= {"i", "m"}
            return
        assert decode_image(image_bytes).shape[:2] == decode_image(label_map_bytes).shape[:2]


CELL = st.sampled_from(
    ["a.png", "b.png", "m/a.png", "../a.png", "/etc/passwd", "train", "val", "night", "", " ", "\0", ".", ".."]
)
TABLE = st.lists(st.lists(CELL | st.text(max_size=4), max_size=5).map(",".join), max_size=6).map("\n".join)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_table_of_pairs_is_listed_or_refused_and_stays_in_its_folder(amount, tmp_path):
    folder = tmp_path / "photos"
    (folder / "m").mkdir(parents=True)
    for name in ("a.png", "b.png", "m/a.png", "../a.png"):
        (folder / name).write_bytes(MASKS[0])

    @check(amount, st.sampled_from(["image,mask", "image,mask,split", "mask,image,x", ""]), TABLE, st.booleans())
    def _(header, rows, encodes):
        (folder / "pairs.csv").write_bytes(f"{header}\n{rows}".encode("utf-8" if encodes else "utf-16"))
        try:
            listing = list_pairs(folder / "pairs.csv")
        except PairError as error:
            assert "pairs.csv" in error.where and error.cure
            return
        assert all(
            side.path.resolve().is_relative_to(folder) for pair in listing.pairs for side in (pair.image, pair.mask)
        )
        assert all("pairs.csv, line" in fault.error.where and fault.error.cure for fault in listing.faults)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_list_of_the_voc_layout_is_listed_or_refused(amount, tmp_path):
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(MASKS[0])

    @check(amount, st.lists(st.text(max_size=6) | st.sampled_from(["a", "../a", "/a", "."])).map("\n".join))
    def _(names):
        (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_bytes(names.encode())
        try:
            listing = list_pairs(tmp_path)
        except PairError as error:
            assert "train.txt" in error.where
            return
        assert {pair.key for pair in listing.pairs} <= {"a"}
        assert all("train.txt, name" in fault.error.where for fault in listing.faults)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_table_of_classes_is_read_or_refused_with_its_path(amount, tmp_path):
    cell = st.sampled_from(["0", "1", "255", "-1", "256", "a", "", "1e9"]) | st.text(max_size=3)
    rows = st.lists(st.lists(cell, max_size=6).map(",".join), max_size=5).map("\n".join)

    @check(amount, rows, st.none() | st.integers(-2, 300))
    def _(rows, ignore_value):
        (tmp_path / "classes.csv").write_bytes(f"value,name,red,green,blue\n{rows}".encode())
        try:
            labels = LabelMap.from_csv(tmp_path / "classes.csv", ignore_value)
        except ValueError as error:
            assert "classes.csv" in str(error)
            return
        assert LabelMap.from_json(labels.to_json()) == labels and labels.palette().shape == (256, 3)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*schema.KEYS, "name", "value", "min"]), inner)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_any_schema_can_be_held_against_data_or_is_refused_with_its_path(amount, tmp_path):
    split = {"channels": 3, "formats": {"PNG": 3}, "pixels": 99, "void_pixels": 4}
    split |= {side: {"min": 4, "median": 5, "max": 9} for side in ("height", "width")}

    @check(amount, st.dictionaries(st.sampled_from(schema.KEYS), JSON, max_size=3) | JSON)
    def _(value):
        (tmp_path / "schema.json").write_text(json.dumps(value))
        try:
            found = schema.read_schema(tmp_path / "schema.json")
        except ValueError as error:
            assert "schema.json" in str(error)
            return
        for where, said, received in schema.find_violations(found, {"splits": {"train": split}}, LABELS):
            assert all(isinstance(text, str) for text in (where, said, received))
