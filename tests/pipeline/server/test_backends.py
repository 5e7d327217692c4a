"""The network computed by another runtime: the same interface, answers and refusals, and which one is taken."""

import base64
import concurrent.futures
import io
import json
import shutil
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.resizing import fitted_size, resize_image, resize_label_map
from kseg.serving import exporting
from kseg.serving.manifest import WARM_UP_REQUESTS, read_manifest
from pipeline.exporting import warm_up
from pipeline.server import runtimes, saved_model
from pipeline.server.errors import RequestError
from pipeline.server.logs import Log
from tests.pipeline.conftest import IMAGE_SIZE, LABELS, MAX_PIXELS, nearest_colour, pair
from tests.pipeline.server.clients import Rest, b64
from tests.prepared_pairs import write_prepared

for package in ("openvino", "onnxruntime", "tf2onnx"):
    pytest.importorskip(package, reason="the extra `runtimes` is not installed")

OTHERS = ("openvino", "onnx")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """An export of the model "blocks" for other runtimes, with warm-up requests."""
    folder = tmp_path_factory.mktemp("converted")
    options = {"labels": LABELS, "image_size": IMAGE_SIZE, "max_pixels": MAX_PIXELS}
    exporting.export(nearest_colour(), folder / "model", **options, formats=OTHERS, validation=[pair(1)[0]])
    image, label_map = pair(2)
    size = fitted_size(*label_map.shape, IMAGE_SIZE)
    pairs = {"train": [(resize_image(image, size), resize_label_map(label_map, size))]}
    warm_up.write_requests(folder / "model", write_prepared(folder / "pairs", pairs, LABELS))
    return folder / "model"


@pytest.fixture(scope="module")
def by_tensorflow(converted):
    return saved_model.load(converted, 1, backend="tensorflow")


@pytest.fixture(scope="module", params=OTHERS)
def other(request, converted):
    """The version, computed by another runtime."""
    return saved_model.load(converted, 1, backend=request.param)


def example(png):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
    return tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()


def requests(png, image) -> dict:
    """A request for each signature, whose bad images are refused for every reason that there is."""
    turned, large = io.BytesIO(), io.BytesIO()
    photo = Image.fromarray(image)
    exif = photo.getexif()
    exif[274] = 6
    photo.save(turned, "JPEG", exif=exif)
    photo.resize((600, 500)).save(large, "PNG")
    files = [png, turned.getvalue(), b"", b"no image", png[:-40], large.getvalue()]
    encoded = {"image_bytes": np.array(files, object)}
    names = ("serve_bytes", "overlay", "palette", "localize", "confidence")
    images = {"image": np.stack([image, image[::-1]])}
    return dict.fromkeys(names, encoded) | {
        "from_examples": {"examples": np.array([*map(example, files), b"none"], object)},
        "serving_default": images,
        "probabilities": images,
        "network": {"image": np.float32([image[:24, :32], image[8:32, 8:40]])},
    }


def ask(model, name, inputs):
    signature = model.signature(name)
    return signature.finish(signature.compute(signature.check(inputs)))


def test_every_signature_answers_and_refuses_as_tensorflow_does(other, by_tensorflow, png, image):
    asked = requests(png, image)
    assert set(asked) == set(by_tensorflow.signatures) == set(other.signatures)
    for name, inputs in asked.items():
        expected, found = ask(by_tensorflow, name, inputs), ask(other, name, inputs)
        assert found.keys() == expected.keys()
        for key, values in expected.items():
            assert found[key].dtype == values.dtype, key
            if values.dtype == np.float32:
                np.testing.assert_allclose(found[key], values, atol=1e-5)
            else:
                assert np.array_equal(found[key], values), (name, key)
    assert ask(other, "serve_bytes", asked["serve_bytes"])["status"].tolist() == [0, 0, 1, 2, 3, 4]


def test_the_other_runtime_is_what_computes_it(other, by_tensorflow):
    for name in set(by_tensorflow.signatures) - {"palette", "localize", "confidence"}:
        _, network = other.signatures[name].compute.owner
        assert network.name == other.backend.name
    assert other.backend.agreement == {other.backend.name: 1.0}


def test_requests_above_the_limits_have_the_same_message(other, by_tensorflow):
    image = {"image": np.zeros((1, 600, 500, 3), np.uint8)}
    messages = []
    for model in (other, by_tensorflow):
        with pytest.raises(RequestError) as refused:
            ask(model, "serving_default", image)
        messages.append((refused.value.code, refused.value.message))
    assert messages[0] == messages[1]


def test_threads_that_ask_together_get_their_own_answers(other, by_tensorflow):
    images = [np.full((1, *IMAGE_SIZE, 3), LABELS.colours[n % 3], np.uint8) for n in range(24)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda image: ask(other, "serving_default", {"image": image}), images))
    assert [set(answer["label_map"].ravel().tolist()) for answer in answers] == [{n % 3} for n in range(24)]


def choose(place, wanted, model):
    tensorflow = {name: model.signatures[name] for name in model.definitions}
    return runtimes.choose(place, wanted, tensorflow, LabelMap.load(place / "assets"), read_manifest(place))[1]


@pytest.fixture
def other_answers(converted, tmp_path):
    """The version with a network for OpenVINO that gives every pixel the last class."""
    import openvino

    @tf.function(input_signature=[tf.TensorSpec((None, *IMAGE_SIZE, 3), tf.float32, name="image")])
    def last_class(image):
        return {"probabilities": tf.one_hot(tf.fill(tf.shape(image)[:3], 2), 3)}

    place = shutil.copytree(converted, tmp_path / "other")
    openvino.save_model(openvino.convert_model(last_class), str(place / "openvino" / "model.xml"))
    return place


def test_a_runtime_of_other_label_maps_is_not_taken_and_refused_by_name(other_answers, by_tensorflow):
    chosen = choose(other_answers, "auto", by_tensorflow)
    assert chosen.name != "openvino" and "openvino" not in chosen.milliseconds
    assert chosen.reasons["openvino"].startswith("its label map agrees with TensorFlow's on ")
    assert chosen.agreement["openvino"] < 0.5 and chosen.agreement["onnx"] == 1
    with pytest.raises(ValueError, match=r"--backend openvino must answer as TensorFlow does. Received: its label map"):
        choose(other_answers, "openvino", by_tensorflow)


def test_a_runtime_that_does_not_start_is_passed_over_by_auto_alone(converted, tmp_path, by_tensorflow):
    place = shutil.copytree(converted, tmp_path / "damaged")
    (place / "onnx" / "model.onnx").write_bytes(b"no model")
    assert "onnx" in choose(place, "auto", by_tensorflow).reasons
    with pytest.raises(ValueError, match="--backend onnx must answer"):
        choose(place, "onnx", by_tensorflow)


def test_bfloat16_is_taken_by_name_alone_and_on_a_real_image(converted, tmp_path, by_tensorflow):
    assert set(choose(converted, "auto", by_tensorflow).agreement) == set(OTHERS)
    place = shutil.copytree(converted, tmp_path / "model")
    (place / WARM_UP_REQUESTS).unlink()
    with pytest.raises(ValueError, match="there is no warm-up request"):
        choose(place, "openvino_bfloat16", by_tensorflow)


def test_auto_takes_the_fastest_of_those_that_agree(converted, by_tensorflow):
    chosen = choose(converted, "auto", by_tensorflow)
    assert set(chosen.milliseconds) == {"tensorflow", *OTHERS}
    assert chosen.name == min(chosen.milliseconds, key=chosen.milliseconds.get)
    assert chosen.agreement == dict.fromkeys(OTHERS, 1.0) and not chosen.reasons


def decode_answer(answer) -> np.ndarray:
    """The label maps (B, H, W) of an answer to a request of encoded images of one size."""
    pngs = [base64.b64decode(row["label_map_bytes"]["b64"]) for row in answer["predictions"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(encoded))) for encoded in pngs])


def test_a_version_says_what_computes_it_and_leaves_memory_without_losing_a_request(
    converted, exported, tmp_path, start, png
):
    place, stream = tmp_path / "blocks", io.StringIO()
    shutil.copytree(converted, place / "1")
    server = start(place, Log("json", stream), backend="openvino")
    rest, end, answers = Rest(server.rest), time.monotonic() + 120, []
    backend = rest.json("GET", "/about")[1]["versions"][0]["backend"]
    assert backend == {"name": "openvino", "milliseconds": {}, "agreement": {"openvino": 1.0}, "reasons": {}}
    shutil.copytree(exported, place / ".2")  # of the same network, without formats
    (place / ".2").rename(place / "2")
    request = {"signature_name": "serve_bytes", "instances": [{"image_bytes": b64(png)}] * 3}
    while server.versions.states() != {2: "AVAILABLE"}:
        assert time.monotonic() < end
        status, answer = rest.predict(request)
        assert status == 200
        answers.append(answer)
        time.sleep(0.02)
    first, last = answers[0], rest.predict(request)[1]
    assert all(answer in (first, last) for answer in answers)  # of one version each
    maps = [decode_answer(answer) for answer in (first, last)]
    assert (maps[0] == maps[1]).mean() >= 0.999  # rounding differs between runtimes
    said = [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == "backend"]
    assert [(line["version"], line["backend"]) for line in said] == [(1, "openvino"), (2, "tensorflow")]
