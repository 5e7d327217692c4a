import json
import shutil
import subprocess
import sys

import pytest

from kseg.serving import manifest
from pipeline.components.infra_validator import exceeded_limits, expected_signatures, infra_validator
from pipeline.publishing import fresh_process
from pipeline.settings.infra_validator import InfraValidator


@pytest.fixture
def validate(tmp_path, finished):
    """Runs the component on the finished line, with any of its artifacts replaced; returns infra.json."""

    def run(samples=2, max_latency=None, max_memory=None, **artifacts):
        folders = vars(finished) | artifacts
        infra_validator(
            tmp_path,
            InfraValidator(samples=samples, max_latency=max_latency, max_memory=max_memory),
            model=folders["trainer"],
            export=folders["exporter"],
            examples=folders["examples"],
            transform=folders["transform"],
        )
        return json.loads((tmp_path / "infra.json").read_text())

    return run


@pytest.fixture
def trainer(tmp_path, finished):
    """A copy of the trainer's artifact that a test may spoil."""
    return shutil.copytree(finished.trainer, tmp_path / "trainer")


@pytest.fixture
def exporter(tmp_path, finished):
    """A copy of the exporter's artifact that a test may spoil."""
    return shutil.copytree(finished.exporter, tmp_path / "exporter")


def test_an_export_that_predicts_what_keras_predicts_is_blessed(validate):
    verdict = validate()
    assert verdict["reasons"] == []
    assert verdict["blessed"]
    assert verdict["agreement"] == 1.0
    assert verdict["signatures"] == expected_signatures(channels=3, num_classes=3)
    assert verdict["seconds_per_image"] > 0
    assert 2**27 < verdict["peak_bytes"] < 2**32  # TensorFlow, and not the process of this test
    assert verdict["largest_pixels"] == 500 * 500


def test_an_export_that_refines_and_tiles_agrees_with_keras_refined_by_the_same_parameters(validate, refining):
    verdict = validate(exporter=refining)
    assert (verdict["blessed"], verdict["reasons"]) == (True, [])
    assert verdict["agreement"] >= 0.999
    assert verdict["signatures"] == expected_signatures(channels=3, num_classes=3, tiles=True)


@pytest.mark.slow
def test_an_export_that_refines_but_does_not_declare_it_is_not_blessed(validate, refining, tmp_path):
    exporter = shutil.copytree(refining, tmp_path / "exporter")
    made_with = exporter / "saved_model" / "assets" / manifest.FILE_NAME
    made_with.write_text(json.dumps(json.loads(made_with.read_text()) | {"crf": None}))
    verdict = validate(exporter=exporter)
    assert not verdict["blessed"] and verdict["agreement"] < 0.999
    assert verdict["reasons"][0].startswith("The SavedModel's label maps must agree with the Keras model's on 99.9%")


def test_other_weights_than_the_keras_models_exceeded_limits_and_a_missing_warm_up_request_are_told(
    validate, trainer, exporter
):
    import keras

    rewrite_warm_up(exporter, lambda records: records[1:])  # in the order of their names
    model = keras.saving.load_model(trainer / "model.keras")
    kernel, bias = model.get_layer("score").get_weights()
    model.get_layer("score").set_weights([kernel[..., ::-1], bias[::-1]])
    model.save(trainer / "model.keras")
    verdict = validate(trainer=trainer, exporter=exporter, max_latency=0.001, max_memory=0.1)
    assert not verdict["blessed"]
    assert verdict["agreement"] < 0.9
    latency, memory, weights, warm_up = verdict["reasons"]
    assert latency.startswith("An image must be answered within 0.001 s. Received: 0.")
    assert memory.startswith("Serving must stay within 0.1 GiB. Received: a peak of 0.")
    assert weights.startswith("The SavedModel's label maps must agree with the Keras model's on 99.9%")
    assert warm_up == "Each signature must have a warm-up request. Received: none for from_examples. Export again."


def test_a_damaged_export_is_not_blessed_and_the_reason_quotes_the_process(validate, exporter):
    (exporter / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    verdict = validate(exporter=exporter)
    assert not verdict["blessed"]
    assert verdict["signatures"] == {}
    assert [verdict[name] for name in ("agreement", "seconds_per_image", "peak_bytes")] == [None, None, None]
    assert "must load and answer in a fresh process without kseg. Received: exit status 1" in verdict["reasons"][0]
    assert "saved_model.pb" in verdict["reasons"][0]


def rewrite_warm_up(exporter, change):
    """Replaces the records of warm-up requests, a list of bytes, by what `change` makes of them."""
    import tensorflow as tf

    place = str(exporter / "saved_model" / manifest.WARM_UP_REQUESTS)
    records = list(tf.data.TFRecordDataset(place).as_numpy_iterator())
    with tf.io.TFRecordWriter(place) as file:
        for record in change(records):
            file.write(record)


def test_a_warm_up_request_that_the_model_refuses_is_told(validate, exporter):
    from tensorflow_serving.apis import prediction_log_pb2

    def empty(record):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        for tensor in log.predict_log.request.inputs.values():
            tensor.string_val[:] = [b""] * len(tensor.string_val)
        return log.SerializeToString()

    rewrite_warm_up(exporter, lambda records: [empty(record) for record in records])
    verdict = validate(samples=1, exporter=exporter)
    assert not verdict["blessed"]
    assert (
        "must load and answer in a fresh process" in verdict["reasons"][0]
        and "another content" in verdict["reasons"][0]
    )


def test_a_damaged_file_of_warm_up_requests_is_told(validate, exporter):
    place = exporter / "saved_model" / manifest.WARM_UP_REQUESTS
    place.write_bytes(place.read_bytes()[:-9])
    (reason,) = validate(samples=1, exporter=exporter)["reasons"]
    assert reason.startswith("Warm-up requests must be records of PredictionLog. Received: ")


@pytest.fixture
def narrow(exporter):
    """`narrow(height, width, class_id)` replaces the export by one that has only `serve_bytes` and predicts one class."""
    import tensorflow as tf

    def export(height, width, class_id):
        class Narrow(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
            def serve(self, image_bytes):
                label_map = tf.io.encode_png(tf.fill((height, width, 1), tf.constant(class_id, tf.uint8)))
                return {"label_map_bytes": tf.fill(tf.shape(image_bytes), label_map)}

        model = Narrow()
        shutil.rmtree(exporter / "saved_model")
        tf.saved_model.save(model, str(exporter / "saved_model"), signatures={"serve_bytes": model.serve})
        return exporter

    return export


MISSING = 5
"""Signatures that the narrow model lacks."""


def test_each_wrong_signature_size_and_id_of_a_label_map_is_reported(validate, narrow):
    reasons = validate(exporter=narrow(20, 28, 7))["reasons"]
    named = [reason.split(" must be ")[0].removeprefix("Signature ") for reason in reasons[:MISSING]]
    assert named == ["'from_examples'", "'overlay'", "'serving_default'", "'probabilities'", "'network'"]
    assert reasons[MISSING] == (
        "A label map must have its image's height and width. Received: (20, 28) for (40, 56) [image 2 of 2]."
    )
    assert reasons[MISSING + 1] == (
        "Ids of a label map must lie in 0..2. Received: ids [7] at 560 pixels [image 1 of 2]."
    )
    assert "agreement=0.0000" in reasons[MISSING + 2]  # label maps of another size agree nowhere
    assert reasons[MISSING + 3 :] == [
        "Each signature must have a warm-up request. Received: none for serve_bytes. Export again."
    ]


def test_a_limit_may_be_reached_and_none_is_unlimited():
    limited = InfraValidator(max_latency=0.5, max_memory=1.0)
    sent = "3 images", "an image of 80x60, the largest tried"
    assert exceeded_limits(limited, 0.5, 2**30, *sent) == []
    assert exceeded_limits(limited, 0.51, 2**30 + 2**24, *sent) == [
        "An image must be answered within 0.5 s. Received: 0.51 s on average (3 images). "
        "Choose a smaller network or transform.image_size, or raise infra_validator.max_latency.",
        "Serving must stay within 1 GiB. Received: a peak of 1.02 GiB (an image of 80x60, the largest tried). "
        "Lower exporter.max_pixels, choose a smaller network or transform.image_size, or raise infra_validator.max_memory.",
    ]
    assert exceeded_limits(InfraValidator(max_latency=None, max_memory=None), 1e9, 2**60, *sent) == []


def test_kseg_and_pipeline_cannot_be_imported_in_the_fresh_process_even_where_they_are_installed(tmp_path):
    for package in fresh_process.FIRST_PARTY:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    program = f"""
import importlib.util, sys
sys.path.insert(0, {str(tmp_path)!r})
spec = importlib.util.spec_from_file_location("fresh_process", {fresh_process.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import kseg
print(*module.imported())
del sys.modules["kseg"]
sys.meta_path.insert(0, module.Refuse())
for name in ("kseg", "pipeline", "kseg.layers"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    process = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    refused = "is refused in the process that stands for a server."
    assert process.stdout.splitlines() == ["kseg", f"kseg {refused}", f"pipeline {refused}", f"kseg {refused}"]


@pytest.mark.slow
def test_an_export_for_images_of_unlike_sizes_agrees_with_keras_at_their_working_sizes(validate, own_sizes):
    verdict = validate(exporter=own_sizes.exporter, transform=own_sizes.transform)
    assert (verdict["blessed"], verdict["reasons"], verdict["agreement"]) == (True, [], 1.0)
    assert verdict["signatures"] == expected_signatures(channels=3, num_classes=3)
