"""Tiles give the prediction of the whole image, in memory that does not grow with it."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import kseg

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def network():
    """A padded network with two poolings, whose logits reach beyond 1."""
    keras.utils.set_random_seed(0)
    return kseg.UNet(3, filters=(4, 8, 8))


def scene(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "tile", "overlap"), [(200, 260, 96, 48), (148, 100, 128, 64), (60, 300, 64, 60)]
)
def test_tiles_equal_the_whole_image_farther_from_its_border_than_the_margin(network, height, width, tile, overlap):
    image = scene(height, width)
    whole = network.predict_on_batch(image[None])[0]
    predicted = kseg.predict_tiles(network, image, tile=tile, overlap=overlap, stride=4, batch_size=3)
    margin = kseg.receptive_field(network).margin
    inner = slice(margin, -margin)
    assert predicted.shape == whole.shape and predicted.dtype == np.float32 and np.abs(whole).max() > 1
    np.testing.assert_allclose(predicted[inner, inner], whole[inner, inner], atol=1e-5)


def test_tiles_that_share_less_than_two_margins_are_blended_and_not_exact(network):
    image = scene(200, 260)
    whole = network.predict_on_batch(image[None])[0]
    margin = kseg.receptive_field(network).margin
    predicted = kseg.predict_tiles(network, image, tile=64, overlap=16, stride=4)
    difference = np.abs(predicted - whole)[margin:-margin, margin:-margin]
    assert difference.max() > 1e-3 and np.median(difference) < 0.1


def test_tiles_off_the_grid_of_the_poolings_would_be_shifted(network):
    image = scene(200, 260)
    whole = network.predict_on_batch(image[None])[0]
    margin = kseg.receptive_field(network).margin
    predicted = kseg.predict_tiles(network, image, tile=98, overlap=49, stride=1)
    assert np.abs(predicted - whole)[margin:-margin, margin:-margin].max() > 1e-3


def test_beyond_the_border_tiles_show_the_mirror_image():
    blur = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(1, 3, padding="same", use_bias=False)])
    blur.set_weights([np.ones((3, 3, 1, 1))])
    image = np.arange(12.0).reshape(3, 4, 1)
    around = np.pad(image[..., 0], 1, mode="reflect")
    expected = sum(around[i : i + 3, j : j + 4] for i in range(3) for j in range(3))
    predicted = kseg.predict_tiles(blur, image, tile=4, overlap=2, margin=1, stride=1)
    np.testing.assert_allclose(predicted[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 300), (64, 64), (65, 63)])
def test_an_image_smaller_than_a_tile_or_of_odd_size_is_predicted_at_its_own_size(shape):
    image = scene(*shape).astype(np.float32)
    predicted = kseg.predict_tiles(lambda images: 2 * images, image, tile=64, overlap=32, stride=32)
    np.testing.assert_allclose(predicted, 2 * image, rtol=1e-5)


def test_weights_fall_from_the_middle_of_a_tile_to_its_edge():
    seen = []

    def number(images):
        seen.append(len(seen))
        return np.full((*images.shape[:3], 1), seen[-1], np.float32)

    predicted = kseg.predict_tiles(number, np.zeros((32, 60, 1)), tile=(64, 40), overlap=(32, 20), stride=20 // 5)
    row = predicted[16, :, 0]
    assert (np.diff(row) >= -1e-6).all() and len(np.unique(row.round(3))) > len(seen)


def test_every_output_mode_is_made_of_the_same_logits(network):
    image = scene(100, 90)
    settings = {"tile": 96, "overlap": 48, "stride": 4}
    logits, probabilities, label_map = (
        kseg.predict_tiles(network, image, output_mode=output_mode, **settings)
        for output_mode in ("logits", "probabilities", "label_map")
    )
    assert label_map.shape == (100, 90) and label_map.dtype == np.uint8
    np.testing.assert_array_equal(label_map, logits.argmax(-1))
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    assert probabilities.min() >= 0


def test_float16_accumulators_keep_three_digits(network):
    image = scene(100, 90)
    settings = {"tile": 96, "overlap": 48, "stride": 4}
    exact, halved = (kseg.predict_tiles(network, image, accumulator=a, **settings) for a in ("float32", "float16"))
    assert 0 < np.abs(exact - halved).max() < 2e-3 * np.abs(exact).max()


def test_files_are_read_and_written_as_arrays_are(network, tmp_path):
    settings = {"tile": 64, "overlap": 48, "stride": 4, "output_mode": "label_map"}
    image = scene(150, 70)
    image.tofile(tmp_path / "image")
    mapped = np.memmap(tmp_path / "image", np.uint8, "r", shape=image.shape)
    out = np.memmap(tmp_path / "out", np.uint8, "w+", shape=(150, 70))
    assert kseg.predict_tiles(network, mapped, out=out, **settings) is out
    out.flush()
    expected = kseg.predict_tiles(network, image, **settings)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", np.uint8).reshape(150, 70), expected)


def test_a_copy_on_write_map_keeps_what_was_written_to_it(tmp_path):
    scene(40, 40).tofile(tmp_path / "image")
    image = np.memmap(tmp_path / "image", np.uint8, "c", shape=(40, 40, 3))
    image[:] = 7
    predicted = kseg.predict_tiles(lambda images: images, image, tile=32, overlap=0, stride=32)
    assert (predicted == 7).all() and (image == 7).all()


def test_a_tiff_is_predicted_from_file_to_file(tmp_path):
    import tifffile

    image = scene(100, 60)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="rgb")
    out = tifffile.memmap(tmp_path / "out.tif", shape=(100, 60), dtype=np.uint8)
    brightest = lambda images: images.astype(np.float32)  # noqa: E731
    kseg.predict_tiles(
        brightest, tifffile.memmap(tmp_path / "image.tif"), tile=32, overlap=0, output_mode="label_map", out=out
    )
    out.flush()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), image.argmax(-1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"image": np.zeros((4, 4))},
            r"`image` must have the axes \(H, W, C\) and a pixel\. Received: image\.shape=\(4, 4\)",
        ),
        ({"image": np.zeros((0, 4, 3))}, r"and a pixel\. Received: image\.shape=\(0, 4, 3\)"),
        ({"output_mode": "labels"}, r"Received: output_mode='labels'"),
        ({"accumulator": "bfloat16"}, r"Received: .*accumulator='bfloat16'"),
        ({"tile": 100}, r"must be positive multiples of `stride`.* Received: tile=100, overlap=128, stride=32"),
        ({"tile": (64, 64, 3)}, r"`tile` must be one number or \(vertical, horizontal\).*tile=\(64, 64, 3\)"),
        ({"tile": 64.5}, r"`tile` must be a whole number, at least 1\. Received: tile=64\.5"),
        ({"batch_size": 0}, r"`batch_size` must be a whole number, at least 1\. Received: batch_size=0"),
        ({"margin": -1}, r"`margin` must be a whole number, at least 0"),
        (
            {"out": np.zeros((64, 64, 3), np.uint8)},
            r"`out` must hold floating-point numbers for output_mode='logits'.*uint8",
        ),
        ({"overlap": 512}, r"Received: tile=512, overlap=512"),
        ({"margin": 65}, r"Received: overlap=128, margin=65\. Take an overlap of at least 130"),
        ({"out": np.zeros((4, 4))}, r"`out` must have the shape \(64, 64, 3\) .*Received: shape \(4, 4\)"),
        (
            {"model": lambda images: images[:, 1:]},
            r"Received: logits \(\d+, \d+, 3\) of an image",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    right = {"model": lambda images: images, "image": np.zeros((64, 64, 3))}
    with pytest.raises(ValueError, match=message):
        kseg.predict_tiles(**(right | arguments))


def test_a_layer_of_unknown_receptive_field_needs_a_margin():
    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x, name="own")(image))
    with pytest.raises(ValueError, match=r"`margin` must be given .* Received: margin=None .*own.* Set margin=0"):
        kseg.predict_tiles(model, np.zeros((8, 8, 1)))
    assert kseg.predict_tiles(model, np.zeros((8, 8, 1)), margin=0).shape == (8, 8, 1)


PEAK = """
import pathlib, re, sys
import numpy as np
import keras, kseg

side, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
image = np.memmap(folder / "image", np.uint8, "w+", shape=(side, side, 3))
out = np.memmap(folder / "out", np.uint8, "w+", shape=(side, side))
keras.utils.set_random_seed(0)
network = kseg.UNet(12, filters=(4, 8, 8))
kseg.predict_tiles(network, image, tile=512, overlap=64, stride=4, output_mode="label_map", out=out, accumulator="float16")
print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_image_of_20000_by_20000_pixels_is_labelled_within_2_gib(tmp_path):
    run = [sys.executable, "-c", PEAK, "20000", str(tmp_path)]
    stdout = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(stdout.splitlines()[-1]) < 2 * 2**20
