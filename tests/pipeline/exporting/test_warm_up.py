"""Warm-up requests: one a signature, of a real image, and each is answered by the SavedModel beside it."""

import shutil
import stat

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from kseg.pairs.channels import encode_pixels
from kseg.pairs.image_files import decode_image, encode_png
from kseg.serving import exporting as serving
from kseg.serving.manifest import WARM_UP_REQUESTS
from pipeline.examples import prepared
from pipeline.exporting import warm_up
from tests.pipeline.conftest import IMAGE_SIZE, LABELS, nearest_colour
from tests.prepared_pairs import write_prepared


def requests(saved_model):
    """The request of each signature, read as TensorFlow Serving reads them."""
    records = list(tf.data.TFRecordDataset(str(saved_model / WARM_UP_REQUESTS)).as_numpy_iterator())
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert all(log.WhichOneof("log_type") == "predict_log" for log in logs)
    found = [log.predict_log.request for log in logs]
    names = [request.model_spec.signature_name for request in found]
    assert sorted(set(names)) == names
    return dict(zip(names, found, strict=True))


def answer(saved_model):
    """What each signature answers to its warm-up request; every signature has one."""
    loaded, found = tf.saved_model.load(str(saved_model)), {}
    for name, request in requests(saved_model).items():
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        found[name] = {key: value.numpy() for key, value in loaded.signatures[name](**inputs).items()}
    assert set(found) == set(loaded.signatures)
    return found


@pytest.fixture
def exported(tmp_path, finished):
    """A copy of an export with requests of the first validation pair; of other pairs where they are given."""

    def write(exporter=finished.exporter, pairs=finished.transform):
        saved_model = shutil.copytree(exporter / "saved_model", tmp_path / "saved_model")
        warm_up.write_requests(saved_model, pairs)
        return saved_model

    return write


def test_the_image_is_found_where_the_first_shard_is_empty(tmp_path):
    for shard, records in enumerate([[], [prepared.to_record("a", b"image", b"mask")]]):
        prepared.write_records(tmp_path / prepared.shard_name("validation", shard, 2), records)
    assert warm_up._first_image(tmp_path) == b"image"


def test_every_signature_is_asked_about_the_same_stored_image_and_answers(exported, finished):
    saved_model, (image, _) = exported(), finished.small_pairs["validation"][0]
    asked = requests(saved_model)
    (encoded,) = tf.make_ndarray(asked["serve_bytes"].inputs["image_bytes"])
    np.testing.assert_array_equal(decode_image(encoded), image)
    np.testing.assert_array_equal(tf.make_ndarray(asked["serving_default"].inputs["image"])[0], image)
    answers = answer(saved_model)
    assert answers["serve_bytes"]["status"].tolist() == [0]
    label_map = tf.io.decode_png(answers["serve_bytes"]["label_map_bytes"][0])[..., 0]
    np.testing.assert_array_equal(label_map, answers["serving_default"]["label_map"][0])
    assert all("status" not in outputs or outputs["status"].tolist() == [0] for outputs in answers.values())


def test_an_export_with_more_signatures_has_a_request_for_each(exported, refining):
    assert "tiles" in answer(exported(refining))


@pytest.mark.parametrize(
    ("limits", "side"),
    [
        pytest.param(
            {"score_memory": 0.001}, 31, marks=pytest.mark.slow
        ),  # 31 columns of tiles 512 high with 3 classes
        ({"max_pixels": 20_000}, 128),  # 141 squared, in multiples of 32
    ],
)
def test_a_large_image_of_its_own_size_is_cut_to_what_every_signature_answers(tmp_path, limits, side):
    image = np.random.default_rng(0).integers(0, 256, (700, 190, 3), np.uint8)
    pairs = write_prepared(tmp_path / "pairs", {"train": [(image, np.zeros((700, 190), np.uint8))]}, LABELS)
    serving.export(nearest_colour(), tmp_path / "export", labels=LABELS, image_scale=1.0, tiles=True, **limits)
    warm_up.write_requests(tmp_path / "export", pairs)
    assert answer(tmp_path / "export")["serving_default"]["label_map"].shape == (1, side, side)


def test_images_of_other_kinds_are_sent_as_png_where_the_export_takes_encoded_ones(tmp_path):
    import keras

    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    image = np.random.default_rng(0).integers(0, 4000, (*IMAGE_SIZE, 2), np.uint16)
    record = prepared.to_record("0", encode_pixels(image), encode_png(np.zeros(IMAGE_SIZE, np.uint8)))
    prepared.write_records(tmp_path / prepared.shard_name("train", 0, 1), [record])
    kind = {"dtype": "uint16", "normalization": {"mean": [2000.0] * 2, "deviation": [900.0] * 2}}
    serving.export(model, tmp_path / "export", labels=LABELS, image_size=IMAGE_SIZE, **kind)
    warm_up.write_requests(tmp_path / "export", tmp_path)
    answers = answer(tmp_path / "export")
    assert answers["serve_bytes"]["status"].tolist() == [0]


def test_other_users_may_read_them(exported):
    place = exported() / WARM_UP_REQUESTS
    assert stat.S_IMODE(place.stat().st_mode) == 0o644 and stat.S_IMODE(place.parent.stat().st_mode) == 0o755
