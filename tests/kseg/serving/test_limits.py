"""An export answers every request: large ones with a refusal, bad images of a batch with a status, empty batches with nothing."""

import io
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kseg
from kseg.inference import SavedModel, TooManyPixels
from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from kseg.serving import statuses
from tests.kseg.pairs.encoded import encoded
from tests.kseg.serving.test_exporting import LABELS, SIZE, network, scene

MAX_PIXELS = 10_000
GOOD = encoded(scene(40, 60), "JPEG"), encoded(scene(61, 37), "PNG")
BAD = {
    b"": statuses.EMPTY,
    b"GIF89a" + bytes(50): statuses.UNSUPPORTED_FORMAT,
    encoded(scene(20, 30), "GIF"): statuses.UNSUPPORTED_FORMAT,
    GOOD[0][:100]: statuses.DAMAGED,
    GOOD[0][:-100]: statuses.DAMAGED,
    GOOD[1][:-30]: statuses.DAMAGED,
    GOOD[1][:60] + bytes(20) + GOOD[1][80:]: statuses.DAMAGED,
    encoded(scene(101, 100), "PNG"): statuses.TOO_MANY_PIXELS,
    encoded(scene(101, 100), "JPEG"): statuses.TOO_MANY_PIXELS,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exports of a small network: plain, with little memory for scores; strict; refined by DenseCRF."""
    folder, model = tmp_path_factory.mktemp("limited"), network()
    limits = {"labels": LABELS, "image_size": SIZE, "max_pixels": MAX_PIXELS}
    serving.export(model, folder / "plain", tiles=True, score_memory=1e-4, **limits)
    serving.export(model, folder / "strict", strict=True, **limits)
    serving.export(model, folder / "refined", crf={"iterations": 2}, score_memory=3.377e-3, **limits)  # 5036 pixels
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return {path.name: tf.saved_model.load(path) for path in folder.iterdir()}


def serve(loaded, files, name="plain"):
    outputs = loaded[name].signatures["serve_bytes"](image_bytes=tf.constant(list(files), tf.string))
    return {name: value.numpy() for name, value in outputs.items()}


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_image_gets_a_status_and_the_others_of_its_batch_their_label_maps(loaded, bad):
    alone = [serve(loaded, [file])["label_map_bytes"][0] for file in GOOD]
    outputs = serve(loaded, [GOOD[0], bad, GOOD[1]])
    assert outputs["status"].tolist() == [0, BAD[bad], 0]
    assert outputs["label_map_bytes"].tolist() == [alone[0], b"", alone[1]]
    assert outputs["message"][0] == outputs["message"][2] == b""
    assert re.match(r"An image must .* [A-Z].*\.$", outputs["message"][1].decode())
    assert decoded(alone[0]).shape == (40, 60)


def test_a_batch_of_bad_images_alone_is_answered(loaded):
    outputs = serve(loaded, BAD)
    assert outputs["status"].tolist() == list(BAD.values())
    assert set(outputs["label_map_bytes"]) == {b""}


def test_a_session_of_tensorflow_1_answers_a_batch_with_a_bad_image(folder, loaded):
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "plain"))
        signature = meta.signature_def["serve_bytes"]
        outputs = {name: spec.name for name, spec in signature.outputs.items()}
        found = session.run(outputs, {signature.inputs["image_bytes"].name: [GOOD[0], b"junk", GOOD[1][:-30]]})
    assert found["status"].tolist() == [0, statuses.UNSUPPORTED_FORMAT, statuses.DAMAGED]
    assert found["label_map_bytes"][0] == serve(loaded, GOOD[:1])["label_map_bytes"][0]


def test_a_strict_export_fails_the_request_by_the_message_of_the_first_bad_image(loaded):
    assert list(serve(loaded, GOOD, "strict")) == ["label_map_bytes"]
    expected = serve(loaded, GOOD)["label_map_bytes"].tolist()
    assert serve(loaded, GOOD, "strict")["label_map_bytes"].tolist() == expected
    for bad, status in BAD.items():
        message = statuses.messages(MAX_PIXELS, "")[status].partition(" (")[0]
        with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)) as error:
            serve(loaded, [GOOD[0], bad], "strict")
        assert re.search(r"\[image\] \[1\]", error.value.message)
    assert serve(loaded, [], "strict")["label_map_bytes"].shape == (0,)


def test_a_bomb_is_refused_by_its_header_without_its_pixels(loaded):
    bombs = [encoded(Image.new("L", (12_000, 12_000)), kind) for kind in ("JPEG", "PNG")]
    assert max(map(len, bombs)) < 2e6
    cut = [bomb[:1000] for bomb in bombs]  # nothing but the header to read
    assert serve(loaded, [*bombs, *cut])["status"].tolist() == 4 * [statuses.TOO_MANY_PIXELS]


def test_the_message_about_pixels_states_the_limit_and_what_sets_it(loaded):
    (message,) = serve(loaded, [encoded(scene(101, 100))])["message"]
    assert message.decode() == (
        "An image must have at most 10,000 pixels (`max_pixels` of the export: 10,000), and no side above 65,535. Scale it down."
    )
    (message,) = serve(loaded, [encoded(scene(71, 71))], "refined")["message"]
    assert (
        "at most 5,036 pixels (DenseCRF of 3 classes; `score_memory` of the export: 0.003377 GiB)" in message.decode()
    )
    assert serve(loaded, [encoded(scene(70, 71))], "refined")["status"].tolist() == [0]


def test_the_pixels_of_a_batch_are_bounded_too_and_its_largest_images_are_refused(loaded):
    large, middle, small = (encoded(scene(side, 100)) for side in (60, 40, 20))
    outputs = serve(loaded, [large, middle, small, b"", middle])
    assert outputs["status"].tolist() == [statuses.BATCH_TOO_LARGE, 0, 0, statuses.EMPTY, 0]
    assert b"in another batch" in outputs["message"][0]
    assert [len(png) > 0 for png in outputs["label_map_bytes"]] == [False, True, True, False, True]
    assert serve(loaded, [large])["status"].tolist() == [0]


def test_each_image_of_a_batch_counts_as_many_pixels_as_the_network_sees(loaded):
    dot, number = encoded(scene(1, 1)), MAX_PIXELS // (SIZE[0] * SIZE[1])
    assert serve(loaded, (number + 2) * [dot])["status"].tolist() == number * [0] + 2 * [statuses.BATCH_TOO_LARGE]
    pixels = loaded["plain"].signatures["serving_default"]
    assert pixels(image=tf.zeros((number, 1, 1, 3), tf.uint8))["label_map"].shape == (number, 1, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"A batch must have at most 10,000 pixels"):
        pixels(image=tf.zeros((number + 1, 1, 1, 3), tf.uint8))


@pytest.mark.parametrize(
    ("name", "signature", "shape", "message"),
    [
        ("plain", "serving_default", (1, 101, 100, 3), "An image must have at most 10,000 pixels"),
        ("plain", "serving_default", (2, 51, 100, 3), "A batch must have at most 10,000 pixels"),
        ("plain", "tiles", (1, 101, 100, 3), "An image must have at most 10,000 pixels"),
        ("plain", "probabilities", (1, 101, 100, 3), "An image must have at most 10,000 pixels"),
        ("plain", "serving_default", (1, 0, 100, 3), "`image` must have a pixel"),
        ("refined", "serving_default", (1, 71, 71, 3), "at most 5,036 pixels (DenseCRF of 3 classes"),
        (
            "plain",
            "probabilities",
            (1, 64, 63, 3),
            "`probabilities` must be asked for at most 3,976 pixels (of 3 classes",
        ),
        ("plain", "tiles", (1, 20, 100, 3), "`tiles` must be asked for a width of at most 67 (of 3 classes"),
    ],
)
def test_pixels_above_a_limit_are_refused_by_name(loaded, name, signature, shape, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)):
        loaded[name].signatures[signature](image=tf.zeros(shape, tf.uint8))


def test_images_at_the_limit_are_answered(loaded):
    assert loaded["plain"].signatures["serving_default"](image=tf.zeros((1, 100, 100, 3), tf.uint8))["label_map"].shape
    assert loaded["plain"].signatures["probabilities"](image=tf.zeros((1, 54, 55, 3), tf.uint8))["probabilities"].shape
    assert serve(loaded, [encoded(scene(100, 100))])["status"].tolist() == [0]


@pytest.mark.parametrize("signature", ["serving_default", "probabilities", "tiles"])
@pytest.mark.parametrize("size", [(60, 40), (0, 0)])
def test_batches_of_no_image_get_no_answer(loaded, signature, size):
    outputs = loaded["plain"].signatures[signature](image=tf.zeros((0, *size, 3), tf.uint8))
    assert {value.shape[:3] for value in outputs.values()} == {(0, *size)}


def test_batches_of_no_file_get_no_answer(loaded):
    for name in loaded:
        assert {value.shape for value in serve(loaded, [], name).values()} == {(0,)}
    label_map, confidence = serving.predict_label_maps(network(), SIZE, np.zeros((0, 40, 60, 3), np.uint8))
    assert label_map.shape == confidence.shape == (0, 40, 60)


def test_a_batch_of_more_than_one_group_equals_its_images_one_by_one(tmp_path):
    """The network sees a single image of 400 x 700 pixels at a time."""
    serving.export(network(), tmp_path / "large", labels=LABELS, image_size=(400, 700))
    loaded = {"large": tf.saved_model.load(tmp_path / "large")}
    images = np.stack([scene(40, 60, seed=seed) for seed in range(3)])
    together = loaded["large"].signatures["serving_default"](image=tf.constant(images))["label_map"].numpy()
    files = [encoded(image) for image in images]
    for label_map, png, image in zip(together, serve(loaded, files, "large")["label_map_bytes"], images, strict=True):
        alone = loaded["large"].signatures["serving_default"](image=tf.constant(image[None]))["label_map"][0]
        np.testing.assert_array_equal(label_map, alone)
        np.testing.assert_array_equal(decoded(png), alone)


def test_a_saved_model_in_python_refuses_too_many_pixels_by_the_message_of_the_export(folder):
    model = SavedModel(folder / "plain")
    with pytest.raises(TooManyPixels, match=r"at most 10,000 pixels.* Received: image of shape \(1, 101, 100, 3\)"):
        model.label_map(scene(101, 100))
    with pytest.raises(TooManyPixels, match=r"`probabilities` must be asked for at most 3,976 pixels.*serving_default"):
        model(scene(70, 70)[None])
    assert model.label_map(scene(70, 70)).shape == (70, 70)


PEAK = """
import json, pathlib, re, sys
import numpy as np
import tensorflow.compat.v1 as tf

path, signature, request = sys.argv[1:]
with tf.Session(graph=tf.Graph()) as session:
    spec = tf.saved_model.load(session, ["serve"], path).signature_def[signature]
    (fed,) = (value.name for value in spec.inputs.values())
    fetched = {name: value.name for name, value in spec.outputs.items()}
    if signature == "serve_bytes":
        feed = [open(file, "rb").read() for file in json.loads(request)]
    else:
        feed = np.full(json.loads(request), 77, np.uint8)
    outputs = session.run(fetched, {fed: feed})
    assert not outputs.get("status", np.zeros(1)).any(), outputs["status"]
# Of this process alone: ru_maxrss would be that of the process that started it, where that is larger.
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1e9)
"""


def peak(path, signature, request) -> float:
    """Peak memory in GB of a fresh process that answers a request."""
    command = [sys.executable, "-c", PEAK, str(path), signature, json.dumps(request)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Exports of 21 classes with the default limits."""
    folder = tmp_path_factory.mktemp("large")
    keras.utils.set_random_seed(0)
    labels = LabelMap(tuple(map(str, range(21))), tuple((i, i, i) for i in range(21)), tuple(range(21)))
    model = kseg.UNet(21, filters=(8, 16, 32))
    options = {"labels": labels, "image_size": (256, 256)}
    kseg.export(model, folder / "views", flips=("horizontal", "vertical"), rotations=(0, 90), tiles=True, **options)
    kseg.export(model, folder / "refined", crf=True, **options)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("size", [(7071, 7071), (763, 65_500), (65_500, 763)])
def test_no_allowed_image_of_21_classes_takes_2_gb(large, tmp_path, size):
    Image.new("RGB", size[::-1]).save(tmp_path / "largest.jpg", progressive=True, subsampling=0)
    assert peak(large / "views", "serve_bytes", [str(tmp_path / "largest.jpg")]) < 2
    assert peak(large / "views", "serving_default", [1, *size, 3]) < 2


@pytest.mark.slow
def test_no_allowed_batch_of_21_classes_takes_2_gb(large, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    number = 50_000_000 // 256**2
    assert peak(large / "views", "serve_bytes", number * [str(tmp_path / "dot.png")]) < 2
    assert peak(large / "views", "serving_default", [number, 1, 1, 3]) < 2
    assert peak(large / "views", "serving_default", [number, 256, 256, 3]) < 2


@pytest.mark.slow
def test_what_needs_many_scores_at_once_stays_below_2_gb_by_limits_of_its_own(large, tmp_path):
    pixels = {name: statuses.score_pixels(name, 21, statuses.SCORE_MEMORY) for name in statuses.SCORE_BYTES}
    side = int(pixels["probabilities"] ** 0.5)
    assert peak(large / "views", "probabilities", [1, side, side, 3]) < 2
    assert peak(large / "views", "tiles", [1, 256, min(pixels["tiles"] // 256, statuses.MAX_SIDE), 3]) < 2
    side = int(pixels["DenseCRF"] ** 0.5)
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (side, side, 3), np.uint8)).save(tmp_path / "noise.png")
    assert peak(large / "refined", "serve_bytes", [str(tmp_path / "noise.png")]) < 2
