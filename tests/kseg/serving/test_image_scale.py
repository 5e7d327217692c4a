"""An export for images of unlike sizes: each at its own size times a factor, alone as in a batch, large ones by tiles."""

import io
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kseg
from kseg.pairs.resizing import resize_image, working_size
from kseg.serving import exporting as serving
from kseg.serving import graph, manifest, statuses
from tests.kseg.serving.test_exporting import LABELS, encoded, network, scene

SHAPES = [(1, 1), (1, 50), (50, 1), (7, 90), (31, 33), (32, 64), (61, 37), (96, 128)]
LARGE, TILE = 90 * 100, (32, 40)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module", params=[1.0, 0.6])
def scaled(request, model, tmp_path_factory):
    """The factor, and the signatures of an export that cuts images of more than 9000 pixels into tiles of 32 x 40."""
    folder = tmp_path_factory.mktemp("scaled") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "LARGE_PIXELS", LARGE)
        patch.setattr(statuses, "TILE", TILE)
        serving.export(model, folder, labels=LABELS, image_scale=request.param, tiles=True)
    assert manifest.working_scale(manifest.read_manifest(folder)) == request.param
    return request.param, tf.saved_model.load(folder)


def expected_probabilities(model, image, factor):
    """What the network says of an image at its working size, on a multiple of 32 pixels, at the image's own size."""
    height, width = working_size(*image.shape[:2], factor)
    shown = resize_image(image, (height, width)) if factor < 1 else image
    padded = np.pad(shown, [(0, -height % 32), (0, -width % 32), (0, 0)]).astype(np.float32)
    probabilities = tf.nn.softmax(model(padded[None]))[:, :height, :width]
    return tf.image.resize(probabilities, image.shape[:2], antialias=True)[0].numpy()


def serve(loaded, files):
    outputs = loaded.signatures["serve_bytes"](image_bytes=tf.constant(files))
    return {name: value.numpy() for name, value in outputs.items()}


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("shape", SHAPES[:-1])
def test_an_image_is_shown_at_the_factor_of_its_own_size(model, scaled, shape):
    factor, loaded = scaled
    image = scene(*shape)
    expected = expected_probabilities(model, image, factor)
    found = loaded.signatures["probabilities"](image=tf.constant(image[None]))["probabilities"][0].numpy()
    np.testing.assert_allclose(
        found, expected, atol=1e-5 if factor == 1 else 0.02
    )  # Pillow's image differs by a grey level
    outputs = loaded.signatures["serving_default"](image=tf.constant(image[None]))
    np.testing.assert_array_equal(outputs["label_map"][0], found.argmax(-1))
    np.testing.assert_allclose(outputs["confidence"][0], found.max(-1), atol=1e-5)
    png = serve(loaded, [encoded(image, "PNG")])["label_map_bytes"][0]
    np.testing.assert_array_equal(decoded(png), found.argmax(-1))


@pytest.mark.parametrize("shape", [(130, 170), (20, 900), (400, 41)])
def test_a_large_image_is_labelled_by_the_blended_tiles_of_its_working_size(model, scaled, shape):
    factor, loaded = scaled
    image = scene(*shape)
    size = working_size(*shape, factor)
    shown = resize_image(image, size) if factor < 1 else image
    tiled = {"tile": TILE, "overlap": (8, 10), "stride": 1, "margin": 0, "output_mode": "probabilities"}
    blended = kseg.predict_tiles(model, shown, **tiled)
    expected = tf.image.resize(blended, shape, antialias=True).numpy()
    found = {name: loaded.signatures[name](image=tf.constant(image[None])) for name in ("serving_default", "tiles")}
    if size[0] * size[1] <= LARGE:
        del found["serving_default"]
    else:
        probabilities = loaded.signatures["probabilities"](image=tf.constant(image[None]))["probabilities"][0]
        np.testing.assert_allclose(probabilities, expected, atol=1e-4 if factor == 1 else 0.02)
        png = serve(loaded, [encoded(image, "PNG")])["label_map_bytes"][0]
        np.testing.assert_array_equal(decoded(png), found["serving_default"]["label_map"][0])
    for outputs in found.values():
        assert (outputs["label_map"][0].numpy() == expected.argmax(-1)).mean() > (0.999 if factor == 1 else 0.97)
        np.testing.assert_allclose(outputs["confidence"][0], expected.max(-1), atol=1e-4 if factor == 1 else 0.02)


def test_a_batch_of_unlike_images_is_labelled_as_each_alone_and_a_bad_one_gets_its_status(scaled):
    _, loaded = scaled
    images = [encoded(scene(*shape, seed=n), "PNG") for n, shape in enumerate([*SHAPES, (150, 140)])]
    outputs = serve(loaded, [*images[:4], images[4][:-30], b"junk", *images[4:]])
    found = list(zip(outputs["label_map_bytes"], outputs["status"], strict=True))
    assert found[4:6] == [(b"", statuses.DAMAGED), (b"", statuses.UNSUPPORTED_FORMAT)]
    for file, (png, status) in zip(images, found[:4] + found[6:], strict=True):
        assert status == 0 and png == serve(loaded, [file])["label_map_bytes"][0]
    assert serve(loaded, tf.zeros(0, tf.string))["label_map_bytes"].shape == (0,)


def test_the_export_equals_what_is_computed_without_exporting(model, scaled):
    factor, loaded = scaled
    images = np.stack([scene(37, 61, seed=seed) for seed in range(2)])
    label_map, confidence = serving.predict_label_maps(model, factor, images)
    outputs = loaded.signatures["serving_default"](image=tf.constant(images))
    np.testing.assert_array_equal(outputs["label_map"], label_map)
    np.testing.assert_allclose(outputs["confidence"], confidence, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"image_size": (24, 32), "image_scale": 0.5},
            r"exclude each other. Received: image_size=\(24, 32\), image_scale=0.5",
        ),
        ({"image_scale": 0.0}, r"`image_scale` must be a number from 0.01 to 1. Received: image_scale=0.0"),
        ({"image_scale": 1.5}, r"`image_scale` must be a number from 0.01 to 1. Received: image_scale=1.5"),
        ({"image_scale": True}, r"Received: image_scale=True"),
        ({}, r"`image_size` must be \(height, width\).* Received: image_size=None"),
    ],
)
def test_one_of_box_and_factor_is_needed(model, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        serving.export(model, tmp_path / "model", labels=LABELS, **arguments)


def test_a_model_for_one_size_takes_no_factor(tmp_path):
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    with pytest.raises(ValueError, match=r"`image_scale` must be of a model for images of any size"):
        serving.export(model, tmp_path / "model", labels=LABELS, image_scale=1.0)


PEAK = """
import pathlib, re, sys
import numpy as np
import tensorflow as tf

signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
peaks = []
for side in (1100, 7000):
    signature(image=tf.zeros((1, side, side, 3), tf.uint8))
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]))
print((peaks[1] - peaks[0]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_memory_of_a_large_image_is_bounded(tmp_path, factor):
    keras.utils.set_random_seed(0)
    labels = kseg.LabelMap(tuple(map(str, range(11))), tuple((i, i, i) for i in range(11)), tuple(range(11)))
    network = kseg.UNet(11, filters=(4, 8))
    serving.export(network, tmp_path / "11", labels=labels, image_scale=factor, score_memory=0.25)
    run = [sys.executable, "-c", PEAK, str(tmp_path / "11")]
    grown = float(subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert grown < 1300  # MiB; 49 megapixels of 11 scores have 2060, the image and its outputs 390
