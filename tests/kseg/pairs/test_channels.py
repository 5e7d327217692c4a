"""Images of any channels, of 8 and 16 bits and of floating-point numbers: exact values through every format, and refusals."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.channels import PixelKind, encode_pixels, kind_of
from kseg.pairs.conventions import find_conventions, find_pixel_kind
from kseg.pairs.decoding import open_image
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image, encoding_of, prepare_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.other_formats import as_stored, encode_array, side_of
from kseg.pairs.resizing import resize_image
from kseg.pictures import picture_of

LABELS = LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
SIZE = (5, 8)


def pixels_of(channels, dtype, seed=0, size=SIZE):
    """(H, W, C): every channel of another range; fractions where the type has them."""
    values = np.random.default_rng(seed).random((*size, channels)) * np.linspace(100, 250, channels)
    return (values if dtype == "uint8" else values * 200 - (500 if dtype == "float32" else 0)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_an_encoded_image_has_every_value(channels, dtype):
    pixels = pixels_of(channels, dtype)
    data = encode_pixels(pixels)
    assert data == encode_pixels(pixels.copy(order="F")) and kind_of(data) == PixelKind(channels, dtype)
    decoded = decode_image(data)
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)
    assert encoding_of(data) == ("PNG" if PixelKind(channels, dtype).is_png else "tensor")
    if encoding_of(data) == "PNG":
        open_image(data, "x")  # whole, with right checksums


def save_tiff(path, pixels, **options):
    if options.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    elif pixels.shape[-1] > 1:
        options |= {"planarconfig": "contig"}
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)


TIFFS = {
    "contiguous": {},
    "a plane a band": {"planarconfig": "separate"},
    "tiled": {"tile": (16, 16)},
    "LZW": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib"},
    "zstd": {"compression": "zstd"},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [2, 4, 7])
@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_of_any_bands_has_every_value(tmp_path, kind, channels, dtype):
    pixels = pixels_of(channels, dtype)
    save_tiff(tmp_path / "a.tif", pixels, **TIFFS[kind])
    decoded = decode_image(side_of(tmp_path / "a.tif").read())
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize(
    ("stored", "kept"),
    [("int16", "float32"), ("int32", "float32"), ("uint32", "float32"), ("float16", "float32"), ("float64", "float32")],
)
def test_a_tiff_of_one_band_of_another_type_keeps_its_values(tmp_path, stored, kept):
    values = np.array([[0, 1, 300], [70, 2, 900]]).astype(stored)
    tifffile.imwrite(tmp_path / "a.tif", values)
    decoded = decode_image(side_of(tmp_path / "a.tif").read())
    assert decoded.dtype == kept
    np.testing.assert_array_equal(decoded[..., 0], values)


def test_colours_of_16_bits_keep_their_lower_bits(tmp_path):
    pixels = pixels_of(3, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    np.testing.assert_array_equal(decode_image(side_of(tmp_path / "a.tif").read()), pixels)


def test_smaller_copies_in_a_cloud_optimised_tiff_are_no_pages(tmp_path):
    pixels = pixels_of(4, "uint16", size=(32, 32))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
        file.write(pixels, tile=(16, 16), **options)
        file.write(pixels[::2, ::2], subfiletype=1, **options)
    np.testing.assert_array_equal(decode_image(side_of(tmp_path / "a.tif").read()), pixels)


def test_a_tiff_is_turned_upright_by_its_orientation(tmp_path):
    pixels = pixels_of(4, "uint16")
    save_tiff(tmp_path / "a.tif", pixels, extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_array_equal(decode_image(side_of(tmp_path / "a.tif").read()), np.rot90(pixels, -1))


@pytest.mark.parametrize("channels", [2, 4, 7])
@pytest.mark.parametrize("first", [False, True])
def test_channels_of_an_array_may_come_first_or_last(channels, first):
    pixels = pixels_of(channels, "float32", size=(9, 11))
    array = np.moveaxis(pixels, -1, 0) if first else pixels
    np.testing.assert_array_equal(decode_image(encode_array(array, "a.npy")), pixels)


def refused(function, *arguments):
    with pytest.raises(PairError) as caught:
        function(*arguments)
    return caught.value


def test_numbers_that_no_image_holds_are_refused_by_name(tmp_path):
    assert refused(as_stored, np.zeros((2, 2, 1), complex), "x").name == "unsupported_array"
    assert refused(as_stored, np.full((2, 2, 1), 2**24 + 1), "x").name == "values_too_large"
    assert refused(encode_array, np.zeros((600, 700, 650), np.float32), "x").name == "unsupported_array"
    for value in (np.nan, np.inf, -np.inf):
        pixels = pixels_of(4, "float32")
        pixels[1, 2, 3] = value
        error = refused(prepare_image, encode_pixels(pixels), 4, "x", 10**6, None, "float32")
        assert error.name == "not_finite" and "at 1 of 160 values" in error.what
    pixels = pixels_of(1, "float32")
    pixels[:2, 0] = -9999
    save_tiff(tmp_path / "a.tif", pixels[..., 0], extratags=[(42113, "s", 0, "-9999", True)])
    error = refused(side_of(tmp_path / "a.tif").read)
    assert error.name == "no_data" and "-9999, at 2 of 40" in error.what
    save_tiff(tmp_path / "b.tif", np.zeros((4, 4, 4), np.uint8), extratags=[(42113, "s", 0, "0", True)])
    side_of(tmp_path / "b.tif").read()  # 0 is an ordinary value of 8 bits
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 4, 4), np.uint8), photometric="separated")
    assert refused(side_of(tmp_path / "c.tif").read).name == "unsupported_format"


def test_a_tiff_that_is_cut_off_is_damaged(tmp_path):
    for name, options in TIFFS.items():
        save_tiff(tmp_path / "a.tif", pixels_of(4, "uint16", size=(64, 64)), **options)
        data = (tmp_path / "a.tif").read_bytes()
        (tmp_path / "a.tif").write_bytes(data[: len(data) // 2])
        assert refused(side_of(tmp_path / "a.tif").read).name == "damaged_file", name


def test_a_large_tiff_is_refused_before_it_is_decoded(tmp_path):
    save_tiff(tmp_path / "a.tif", np.zeros((300, 300, 5), np.uint8), compression="zlib")
    assert refused(side_of(tmp_path / "a.tif").read, 80_000).name == "too_many_pixels"


def test_an_image_of_other_channels_or_bits_is_refused_in_a_data_set_of_one_kind():
    good = pixels_of(4, "uint16")
    data, size, reason = prepare_image(encode_pixels(good), 4, "x", 10**6, None, "uint16")
    assert (data, size, reason) == (encode_pixels(good), SIZE, None)
    for other in (pixels_of(3, "uint16"), pixels_of(4, "uint8"), pixels_of(5, "uint16"), pixels_of(4, "float32")):
        error = refused(prepare_image, encode_pixels(other), 4, "x", 10**6, None, "uint16")
        assert error.name == "other_channels" and "4 channels of uint16. Received: " in error.what
    assert refused(prepare_image, encode_pixels(pixels_of(7, "uint8")), 3, "x").name == "other_channels"
    stream = io.BytesIO()
    Image.fromarray(pixels_of(3, "uint8")).save(stream, "JPEG")
    assert refused(prepare_image, stream.getvalue(), 4, "x", 10**6, None, "uint16").name == "other_channels"


def test_whole_numbers_become_floating_point_numbers_where_most_images_have_them():
    pixels = pixels_of(3, "uint16")
    data, _, reason = prepare_image(encode_pixels(pixels), 3, "x", 10**6, None, "float32")
    assert decode_image(data).dtype == np.float32 and reason == "stored with 3 channels of float32"
    np.testing.assert_array_equal(decode_image(data), pixels)


def write_folder(root, images):
    """A folder of images by file name, each an array, with masks of both classes."""
    for name, pixels in images.items():
        for folder in ("images", "masks"):
            (root / folder).mkdir(exist_ok=True, parents=True)
        path = root / "images" / name
        if path.suffix == ".npy":
            np.save(path, pixels)
        elif path.suffix == ".tif":
            save_tiff(path, pixels)
        else:
            path.write_bytes(encode_pixels(pixels))
        mask = np.indices(pixels.shape[:2]).sum(axis=0, dtype=np.uint8) % 2
        Image.fromarray(mask).save(root / "masks" / f"{path.stem}.png")
    return recognise_pairs(root).listing.pairs


@pytest.mark.parametrize(
    ("suffix", "channels", "dtype"),
    [
        (".tif", 4, "uint8"), (".tif", 4, "uint16"), (".tif", 1, "float32"), (".npy", 7, "float32"), (".npy", 2, "uint8"),
        (".png", 4, "uint8"), (".png", 4, "uint16"),
    ],
)  # fmt: skip
def test_a_folder_of_one_kind_is_read_without_loss(tmp_path, suffix, channels, dtype):
    images = {f"{n}{suffix}": pixels_of(channels, dtype, seed=n, size=(20, 24)) for n in range(4)}
    pairs = write_folder(tmp_path, images)
    kind = find_pixel_kind(pairs)
    assert kind == PixelKind(channels, dtype)
    conventions = find_conventions(pairs, LABELS, kind=kind)
    assert (conventions.dtype, conventions.image_range) == (dtype, None)
    for pair in pairs:
        image_bytes, _, _ = read_pair(pair, LABELS, channels, conventions=conventions)
        np.testing.assert_array_equal(decode_image(image_bytes), images[f"{pair.key}{suffix}"])


def test_alpha_that_is_transparency_makes_no_fourth_channel(tmp_path):
    images = {f"{n}.png": pixels_of(4, "uint8", seed=n, size=(20, 24)) for n in range(4)}
    for pixels in images.values():
        pixels[..., 3] = np.where(np.arange(24) < 12, 0, 255)
    assert find_pixel_kind(write_folder(tmp_path, images)) == PixelKind(3)


def test_the_kind_is_that_of_most_images(tmp_path):
    images = {f"{n}.png": pixels_of(3, "uint8", seed=n, size=(20, 24)) for n in range(4)}
    images["x.npy"] = pixels_of(7, "float32", size=(20, 24))
    pairs = write_folder(tmp_path, images)
    assert find_pixel_kind(pairs) == PixelKind(3)
    odd = next(pair for pair in pairs if pair.key == "x")
    assert refused(read_pair, odd, LABELS, 3).name == "other_channels"


def test_a_mask_of_floating_point_numbers_is_refused(tmp_path):
    pairs = write_folder(tmp_path, {"0.tif": pixels_of(4, "uint16")})
    (tmp_path / "masks" / "0.png").unlink()
    for values, name in ((np.full(SIZE, 0.5), "unsupported_array"), (np.full(SIZE, 300), "values_above_255")):
        np.save(tmp_path / "masks" / "0.npy", values)
        (pair,) = recognise_pairs(tmp_path).listing.pairs
        conventions = find_conventions([pair], LABELS, kind=find_pixel_kind(pairs))
        assert refused(lambda: read_pair(pair, LABELS, 4, conventions=conventions)).name == name  # noqa: B023


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 4, 7])
def test_resizing_keeps_the_type_and_the_mean_of_each_channel(channels, dtype):
    image = pixels_of(channels, dtype, size=(40, 60))
    resized = resize_image(image, (20, 30))
    assert resized.shape == (20, 30, channels) and resized.dtype == dtype
    deviation = image.std(axis=(0, 1))
    assert (np.abs(resized.mean(axis=(0, 1)) - image.mean(axis=(0, 1))) < 0.1 * deviation).all()
    np.testing.assert_array_equal(resize_image(image, (40, 60)), image)


def test_a_picture_shows_three_channels_or_one_stretched():
    grey = np.arange(100, dtype=np.float32).reshape(10, 10, 1) * 1e6 - 5
    assert (
        picture_of(grey).shape == (10, 10, 1) and picture_of(grey)[0, 0, 0] == 0 and picture_of(grey)[-1, -1, 0] == 255
    )
    assert picture_of(pixels_of(2, "uint8")).shape == (*SIZE, 1)
    assert picture_of(pixels_of(7, "uint16")).shape == (*SIZE, 3)
    colours = pixels_of(3, "uint8")
    assert picture_of(colours) is colours
    holes = np.full((2, 2, 4), np.nan, np.float32)
    assert not picture_of(holes).any()


@pytest.mark.parametrize("tag", [256, 257])
def test_a_tiff_without_pixels_is_a_named_fault_and_nothing_is_printed(tag, tmp_path, capfd):
    save_tiff(tmp_path / "a.tif", pixels_of(4, "uint16"))
    data = (tmp_path / "a.tif").read_bytes()
    place = data.index(tag.to_bytes(2, "little")) + 8
    (tmp_path / "a.tif").write_bytes(data[:place] + b"\0\0\0\0" + data[place + 4 :])
    assert refused(side_of(tmp_path / "a.tif").read).name == "damaged_file"
    (tmp_path / "b.tif").write_bytes(data[: len(data) // 2])
    assert refused(side_of(tmp_path / "b.tif").read).name == "damaged_file"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("largest", [15, 255, 3000, 4095, 60_000])
@pytest.mark.parametrize("channels", [2, 4])
def test_a_band_of_few_bits_in_16_is_no_transparency(channels, largest, tmp_path):
    for number in range(4):
        pixels = np.random.default_rng(number).integers(1, largest + 1, (24, 32, channels)).astype(np.uint16)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        save_tiff(tmp_path / "images" / f"{number}.tif", pixels)
        Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    pairs = recognise_pairs(tmp_path).listing.pairs
    if largest > 15:  # no picture has so few
        assert find_pixel_kind(pairs) == PixelKind(channels, "uint16")
