"""The signature "tiles": any size, the prediction of `kseg.predict_tiles`, one row of tiles in memory, and no need of kseg."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from kseg.serving.tiles_in_graph import predict_tiles_in_graph

LABELS = LabelMap(("ground", "car", "sky"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
TILE = (24, 32)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return kseg.UNet(3, filters=(4, 8))


@pytest.fixture(scope="module")
def export(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tiled"
    serving.export(network, path, labels=LABELS, image_size=TILE, tiles=True)
    return path


@pytest.fixture(scope="module")
def signature(export):
    """Its signature "tiles"."""
    loaded = tf.saved_model.load(export)
    yield loaded.signatures["tiles"]


@pytest.fixture(scope="module", params=[None, 1, 2, 3], ids="columns_at_once={}".format)
def enlarge(request, network):
    """A graph of an image (H, W, 3) and the size of the result to its label map, confidence and probabilities."""
    arguments = {"tile": TILE, "num_classes": 3, "columns_at_once": request.param}
    predict = tf.function(lambda tile: tf.nn.softmax(network(tile)), autograph=False)

    @tf.function(autograph=False)
    def enlarge(image, size):
        label_map, confidence = predict_tiles_in_graph(predict, image, size=size, **arguments)
        whole = {"reduce": lambda probabilities: (probabilities,), "dtypes": (tf.float32,)}
        (values,) = predict_tiles_in_graph(predict, image, size=size, **arguments, **whole)
        return label_map, confidence, tf.reshape(values, (*tf.unstack(size), 3))

    return enlarge


def scene(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("shape", [(24, 32), (60, 90), (59, 91), (25, 200), (131, 33)])
def test_the_signature_equals_predict_tiles(network, signature, shape):
    image = scene(*shape)
    expected = kseg.predict_tiles(
        network, image, tile=TILE, overlap=(6, 8), stride=1, margin=0, output_mode="probabilities"
    )
    outputs = signature(image=tf.constant(image[None]))
    assert outputs["label_map"].shape == outputs["confidence"].shape == (1, *shape)
    np.testing.assert_allclose(outputs["confidence"][0], expected.max(-1), atol=1e-5)
    assert (outputs["label_map"][0].numpy() == expected.argmax(-1)).mean() > 0.999  # near ties may differ
    assert len(np.unique(expected.argmax(-1))) > 1


@pytest.mark.parametrize("size", [(60, 170), (61, 171), (131, 333), (600, 1700)])
def test_an_enlarged_result_equals_the_probabilities_resized_as_a_whole(network, enlarge, size):
    image = scene(60, 170)
    probabilities = kseg.predict_tiles(
        network, image, tile=TILE, overlap=(6, 8), stride=1, margin=0, output_mode="probabilities"
    )
    expected = tf.image.resize(probabilities, size, antialias=True).numpy()
    label_map, confidence, values = enlarge(tf.constant(image), tf.constant(size))
    assert label_map.shape == confidence.shape == size
    np.testing.assert_allclose(confidence, expected.max(-1), atol=2e-5)
    assert (label_map.numpy() == expected.argmax(-1)).mean() > 0.999
    np.testing.assert_allclose(values, expected, atol=2e-5)


def test_no_label_map_is_transposed_about_which_onednn_prints_an_error(network, enlarge):
    graph = enlarge.get_concrete_function(
        tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)
    ).graph.as_graph_def()
    nodes = [node for function in graph.library.function for node in function.node_def]
    transposed = [node.attr["T"].type for node in nodes if node.op == "Transpose"]
    assert tf.float32.as_datatype_enum in transposed and tf.uint8.as_datatype_enum not in transposed


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (5, 7), (23, 31)])
def test_an_image_smaller_than_a_tile_is_predicted_at_its_own_size(signature, shape):
    outputs = signature(image=tf.constant(scene(2, *shape)))
    assert outputs["label_map"].shape == (2, *shape) and outputs["label_map"].dtype == tf.uint8
    confidence = outputs["confidence"].numpy()
    assert ((confidence > 1 / 3 - 1e-6) & (confidence <= 1 + 1e-6)).all()


def test_a_batch_equals_its_images_one_by_one(signature):
    images = scene(2, 40, 50)
    both = signature(image=tf.constant(images))["label_map"].numpy()
    for image, label_map in zip(images, both, strict=True):
        np.testing.assert_array_equal(signature(image=tf.constant(image[None]))["label_map"][0], label_map)


FRESH = """
import sys
import numpy as np
import tensorflow as tf
try:
    import kseg
    raise SystemExit("kseg can be imported here, so this shows nothing")
except ImportError:
    pass
path, image, outputs = sys.argv[1:]
signature = tf.saved_model.load(path).signatures["tiles"]
np.save(outputs, signature(image=tf.constant(np.load(image)))["label_map"].numpy())
"""


@pytest.mark.slow
def test_a_fresh_process_without_kseg_gives_the_same_label_map(export, tmp_path):
    images = scene(1, 70, 101)
    np.save(tmp_path / "image.npy", images)
    (tmp_path / "fresh.py").write_text(FRESH)
    command = [sys.executable, "-I", "fresh.py", str(export), "image.npy", "outputs.npy"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    expected = tf.saved_model.load(export).signatures["tiles"](image=tf.constant(images))["label_map"]
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), expected)


PEAK = """
import pathlib, re, sys
import numpy as np
import tensorflow as tf

signature = tf.saved_model.load(sys.argv[1]).signatures["tiles"]
peaks = []
for side in (64, 4000):
    signature(image=tf.zeros((1, side, side, 3), tf.uint8))
    peaks.append(int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]))
print((peaks[1] - peaks[0]) / 1024)
"""


@pytest.mark.slow
def test_memory_grows_by_the_image_and_its_label_map_not_by_its_probabilities(tmp_path):
    keras.utils.set_random_seed(0)
    labels = LabelMap(tuple(map(str, range(21))), tuple((i, i, i) for i in range(21)), tuple(range(21)))
    serving.export(kseg.UNet(21, filters=(4, 8)), tmp_path / "21", labels=labels, image_size=(256, 256), tiles=True)
    run = [sys.executable, "-c", PEAK, str(tmp_path / "21")]
    grown = float(subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert grown < 700  # MiB; the probabilities alone have 1280
