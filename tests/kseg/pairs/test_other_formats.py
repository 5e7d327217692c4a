"""Formats that are converted on reading: exact pixels, or a refusal by name."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg.pairs.decoding import PNG
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import recognise_pairs
from kseg.pairs.listing import IMAGE_SUFFIXES
from kseg.pairs.other_formats import check_lossless, side_of
from pipeline.examples.sources.files import open_files
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_other_layouts import SIZE, mask, picture, text

COLOUR = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
DEEP = np.random.default_rng(0).integers(0, 65_536, SIZE, np.uint16)


def refused(function, *arguments):
    with pytest.raises(PairError) as caught:
        function(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("name", "pixels", "options"),
    [
        ("a.ppm", COLOUR, {}),
        ("a.pgm", COLOUR[..., 0], {}),
        ("a.JP2", COLOUR, {"irreversible": False}),
        ("a.jp2", COLOUR[..., 0], {"irreversible": False}),
        ("a.j2k", COLOUR, {"irreversible": False}),
        ("a.jp2", DEEP, {"irreversible": False}),
    ],
)
def test_a_format_without_loss_has_every_value_as_image_and_as_mask(name, pixels, options, tmp_path):
    Image.fromarray(pixels).save(tmp_path / name, **options)
    side = side_of(tmp_path / name)
    data = side.read()
    assert data.startswith(PNG)
    np.testing.assert_array_equal(decode_image(data), pixels.reshape(*SIZE, -1))
    check_lossless(side)


@pytest.mark.parametrize(("channels", "bits"), [(3, 16), (4, 8), (4, 16), (2, 16)])
def test_a_jpeg_2000_of_more_bits_or_bands_keeps_them(channels, bits, tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    pixels = np.random.default_rng(0).integers(0, 2**bits, (*SIZE, channels)).astype(f"uint{bits}")
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))
    np.testing.assert_array_equal(decode_image(side_of(tmp_path / "a.jp2").read()), pixels)


def test_a_jpeg_2000_that_loses_values_is_an_image_and_no_mask(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.jp2", irreversible=True, quality_mode="rates", quality_layers=[20])
    side = side_of(tmp_path / "a.jp2")
    assert decode_image(side.read()).shape == COLOUR.shape
    error = refused(check_lossless, side)
    assert error.name == "lossy_mask" and "JPEG 2000" in error.what


@pytest.mark.parametrize("largest", [7, 100, 4095])
def test_a_pgm_whose_samples_pillow_would_stretch_is_refused_by_name(largest, tmp_path):
    depth = 2 if largest > 255 else 1
    (tmp_path / "a.pgm").write_bytes(b"P5\n# a comment\n2 1\n%d\n" % largest + bytes(2 * depth))
    error = refused(side_of(tmp_path / "a.pgm").read)
    assert error.name == "unsupported_format" and f"samples up to {largest}" in error.what


def test_a_pgm_of_16_bits_keeps_them(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5\n8 6\n65535\n" + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(decode_image(side_of(tmp_path / "a.pgm").read())[..., 0], DEEP)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe"])
def test_other_suffixes_of_jpeg_are_read(suffix, tmp_path):
    assert suffix in IMAGE_SUFFIXES
    stream = io.BytesIO()
    Image.fromarray(COLOUR).save(stream, "JPEG")
    (tmp_path / f"a{suffix}").write_bytes(stream.getvalue())
    assert side_of(tmp_path / f"a{suffix}").read() == stream.getvalue()


def write_masks(root, values, no_data, count=4):
    """Masks whose last column holds the value of missing data."""
    for number in range(count):
        picture(root / "images" / f"{number}.png")
        (root / "masks").mkdir(exist_ok=True)
        pixels = np.zeros(SIZE, values.dtype)
        pixels[:, :4], pixels[:, -1] = values[1], values[-1]
        tifffile.imwrite(root / "masks" / f"{number}.tif", pixels, extratags=[(42113, "s", 0, no_data, True)])


def ids_of(opened, root):
    (pair,) = [pair for pair in recognise_pairs(root).listing.pairs if pair.key == "0"]
    label_map = opened.reader._read(pair)[3]
    return decode_image(label_map)[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("dtype", "no_data"),
    [
        ("uint8", 255),
        ("uint8", 200),
        ("uint16", 65_535),
        ("int16", -9999),
        ("float32", -3.4028234663852886e38),
        ("float32", "nan"),
    ],
)
def test_missing_data_of_masks_is_void_and_said(dtype, no_data, tmp_path):
    write_masks(tmp_path, np.array([0, 1, float(no_data)]).astype(dtype), str(no_data))
    text(tmp_path / "classes.csv", "value,name\n0,ground\n1,field\n")
    opened = open_files(tmp_path, ExampleGen(), None)
    assert ids_of(opened, tmp_path) == [1, 1, 1, 1, 0, 0, 0, 255]
    assert "Pixels without data are void" in " ".join(opened.notes)


def test_a_table_that_calls_missing_data_a_class_counts_and_the_log_says_so(tmp_path):
    write_masks(tmp_path, np.array([0, 1, 0], np.uint8), "0")
    text(tmp_path / "classes.csv", "value,name\n0,ground\n1,field\n")
    opened = open_files(tmp_path, ExampleGen(), None)
    assert ids_of(opened, tmp_path) == [1, 1, 1, 1, 0, 0, 0, 0]
    assert "calls it ground, which counts; --ignore-value 0 makes it void" in " ".join(opened.notes)


def test_a_proposed_table_has_missing_data_as_void(tmp_path):
    write_masks(tmp_path, np.array([0, 1, -9999], np.int16), "-9999")
    with pytest.raises(ValueError, match="255,void") as raised:
        open_files(tmp_path, ExampleGen(), None)
    assert "--ignore-value 255" in str(raised.value)


@pytest.mark.parametrize("bands", [3, 4])
def test_missing_data_of_images_is_said_or_refused(bands, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (*SIZE, bands)).astype(np.uint16)
    for number in range(4):
        mask(tmp_path / "masks" / f"{number}.png", 0, 1)
        (tmp_path / "images").mkdir(exist_ok=True)
        options = {"photometric": "minisblack", "planarconfig": "contig", "extratags": [(42113, "s", 0, "0", True)]}
        tifffile.imwrite(tmp_path / "images" / f"{number}.tif", pixels, **options)
    text(tmp_path / "classes.csv", "value,name\n0,ground\n1,field\n")
    assert "4 of 4 images say which value means missing data" in " ".join(
        open_files(tmp_path, ExampleGen(), None).notes
    )
    tifffile.imwrite(tmp_path / "a.tif", np.full(SIZE, -1, np.int16), extratags=[(42113, "s", 0, "nan", True)])
    side_of(tmp_path / "a.tif").read()  # a whole number is never NaN


@pytest.mark.parametrize("tag", [273, 278, 279])
def test_a_tiff_whose_strips_are_beyond_any_file_is_a_named_fault(tag, tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes()
    place = data.index(tag.to_bytes(2, "little") + b"\4\0") + 8
    (tmp_path / "a.tif").write_bytes(data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :])
    try:
        assert decode_image(side_of(tmp_path / "a.tif").read()).shape == COLOUR.shape
    except PairError as error:
        assert error.name == "damaged_file"


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("form", ["float32", "float64", "one channel", "one-hot uint8", "one-hot float32", "bool"])
def test_masks_as_networks_take_them_are_their_classes(form, suffix, tmp_path):
    ids = np.arange(np.prod(SIZE)).reshape(SIZE) % (2 if form == "bool" else 4)
    if "one-hot" in form:
        array = np.eye(4, dtype=form.split()[1])[ids]
    else:
        array = ids[..., None].astype(np.float32) if form == "one channel" else ids.astype(form)
    if suffix == ".tif" and form == "bool":
        array = array.astype(np.uint8)
    (tmp_path / "masks").mkdir()
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png")
        if suffix == ".npy":
            np.save(tmp_path / "masks" / f"{name}.npy", array)
        else:
            options = {"photometric": "minisblack"} | ({"planarconfig": "contig"} if array.shape[2:] > (1,) else {})
            tifffile.imwrite(tmp_path / "masks" / f"{name}.tif", array, **options)
    pair = recognise_pairs(tmp_path).listing.pairs[0]
    np.testing.assert_array_equal(decode_image(pair.mask.read())[..., 0], ids)


def test_arrays_of_keras_are_read_as_they_are(tmp_path):
    ids = np.arange(6 * np.prod(SIZE)).reshape(6, *SIZE) % 3
    np.save(tmp_path / "X_train.npy", np.random.default_rng(0).random((6, *SIZE, 3), np.float32))
    np.save(tmp_path / "y_train.npy", np.eye(3, dtype=np.float32)[ids])
    pairs = recognise_pairs(tmp_path).listing.pairs
    assert len(pairs) == 6
    for pair in pairs:
        np.testing.assert_array_equal(decode_image(pair.mask.read())[..., 0], ids[pair.mask.index])


def test_masks_of_jpeg_stop_with_the_command_that_reads_them(tmp_path):
    for name in "abcd":
        picture(tmp_path / "images" / f"{name}.jpg")
        mask(tmp_path / "masks" / f"{name}.jpg", 0, 255)
    with pytest.raises(PairError) as raised:
        open_files(tmp_path, ExampleGen(), None)
    ranges = "background=0-127,object=128-255"
    assert f"--data {tmp_path} --classes {ranges}" in raised.value.cure
    opened = open_files(tmp_path, ExampleGen(classes=ranges), None)
    assert ids_of_key(opened, tmp_path, "a") == [0, 0, 0, 0, 0, 1, 1, 1]


def ids_of_key(opened, root, key):
    (pair,) = [pair for pair in recognise_pairs(root).listing.pairs if pair.key == key]
    return decode_image(opened.reader._read(pair)[3])[0, :, 0].tolist()
