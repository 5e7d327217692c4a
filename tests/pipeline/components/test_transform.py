"""transform: the training size, the weights of the classes, and pairs fitted into that size."""

import json

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs import resizing
from kseg.pairs.image_files import decode_image
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import class_weights, transform
from pipeline.examples import prepared
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.transform import Transform
from pipeline.validation.anomalies import summarize_anomalies


@pytest.fixture
def prepare(tmp_path):
    """Runs the line up to transform; returns the folders of examples and of transform, and the plan."""

    def run(source, ignore_value, **settings):
        examples, statistics, out = (tmp_path / name for name in ("examples", "statistics", "transform"))
        for folder in (examples, statistics, out):
            folder.mkdir()
        example_gen(examples, ExampleGen(ignore_value=ignore_value), source=source)
        statistics_gen(statistics, StatisticsGen(), examples=examples)
        transform(out, Transform(**settings), examples=examples, statistics=statistics)
        return examples, out, json.loads((out / "plan.json").read_text())

    return run


def stored(directory) -> dict[str, tuple[bytes, bytes]]:
    """Encoded image and label map by key."""
    import tensorflow as tf

    paths = [str(path) for paths in prepared.shard_paths(directory).values() for path in paths]
    records = (prepared.from_record(record.numpy()) for record in tf.data.TFRecordDataset(paths))
    return {key: (image_bytes, label_map_bytes) for key, image_bytes, label_map_bytes in records}


def test_the_range_of_16_bit_images_is_planned_for_the_export(prepare, photos):
    for path in (photos / "images").rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        grey[0, 0] = 255
        Image.fromarray(grey * 16).save(path)
    examples, _, plan = prepare(photos, 9)
    assert (plan["image_range"], plan["channels"]) == (4080, 1)
    image_bytes, _ = stored(examples)["07"]
    np.testing.assert_array_equal(
        decode_image(image_bytes)[..., 0], np.asarray(Image.open(photos / "images/val/07.png")) // 16
    )


def test_levels_are_normalised_as_in_another_artifact_on_request(prepare, photos, tmp_path):
    for path in (photos / "images").rglob("*.png"):
        image = np.asarray(Image.open(path).convert("RGB")).astype(np.uint16)
        np.save(path.with_suffix(".npy"), image * 100)
        path.unlink()
    examples, _, own = prepare(photos, 9)
    (tmp_path / "whole").mkdir()
    whole = {"mean": [1.0, 2.0, 3.0], "deviation": [4.0, 5.0, 6.0]}
    (tmp_path / "whole" / "plan.json").write_text(json.dumps({"normalization": whole}))
    (tmp_path / "fold").mkdir()
    given = {"statistics": tmp_path / "statistics", "normalized_as": tmp_path / "whole"}
    transform(tmp_path / "fold", Transform(), examples=examples, **given)
    plan = json.loads((tmp_path / "fold" / "plan.json").read_text())
    assert plan == own | {"normalization": whole} and own["normalization"] != whole


def test_pairs_are_fitted_with_their_aspect_ratio_kept_and_the_plan_counts_them(prepare, photos):
    examples, out, plan = prepare(photos, 9, image_size=(12, 16))
    assert (plan["image_size"], plan["channels"], plan["num_classes"]) == ([12, 16], 3, 3)
    assert plan["examples"] == prepared.split_sizes(out) == {"test": 2, "train": 6, "validation": 2}
    assert LabelMap.load(out) == LabelMap.load(examples)
    before, after = stored(examples), stored(out)
    assert before.keys() == after.keys()
    for key, (image_bytes, label_map_bytes) in after.items():
        image, label_map = (decode_image(data) for data in before[key])
        size = resizing.fitted_size(*label_map.shape[:2], (12, 16))
        np.testing.assert_array_equal(decode_image(image_bytes), resizing.resize_image(image, size))
        np.testing.assert_array_equal(
            decode_image(label_map_bytes)[..., 0], resizing.resize_label_map(label_map[..., 0], size)
        )


def test_a_pair_that_already_fits_keeps_its_bytes(prepare, photos):
    examples, out, _ = prepare(photos, 9, image_size=(20, 30))
    before, after = stored(examples), stored(out)
    same = sorted(key for key in before if before[key] == after[key])
    assert same == ["00", "03", "06", "09"]  # those 20 pixels high; the others are 24 or 28


def test_the_default_size_is_the_median_of_the_training_split(prepare, photos):
    _, _, plan = prepare(photos, 9)
    assert plan["image_size"] == [24, 28]  # heights 20 20 24 24 28 28, widths 24 26 28 28 30 30


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(360, 480, [180, 240]), (500, 334, [240, 160]), (240, 10, [240, 10])]
)
def test_the_longer_side_of_the_default_size_is_at_most_240(tmp_path, photos, height, width, expected):
    examples = tmp_path / "examples"
    examples.mkdir()
    example_gen(examples, ExampleGen(ignore_value=9), source=photos)
    counts = {
        "height": {"median": height},
        "width": {"median": width},
        "channels": 3,
        "class_pixels": [1, 1, 1],
        "sizes": {f"{width}x{height}": 6},
        "class_image_pixels": [9, 9, 9],
    }
    (tmp_path / "statistics.json").write_text(json.dumps({"splits": {"train": counts}}))
    (tmp_path / "transform").mkdir()
    transform(tmp_path / "transform", Transform(), examples=examples, statistics=tmp_path)
    assert json.loads((tmp_path / "transform" / "plan.json").read_text())["image_size"] == expected


COUNTS = {"class_pixels": [900, 0, 100], "class_image_pixels": [2000, 0, 500], "void_pixels": 5}


def test_inverse_square_root_weights_have_a_mean_of_one_over_the_labelled_pixels():
    common, absent, rare = class_weights("inverse_square_root", COUNTS)
    assert rare / common == pytest.approx(3)  # nine times as rare
    assert 0.9 * common + 0.1 * rare == pytest.approx(1)
    assert absent == rare


def test_median_frequency_weights_are_those_of_the_paper():
    # shares within the images that have the class: 900/2000 and 100/500, median 0.325
    np.testing.assert_allclose(class_weights("median_frequency", COUNTS), [0.325 / 0.45, 0.325 / 0.2, 0.325 / 0.2])


def test_the_rule_none_weighs_every_class_1():
    assert class_weights("none", COUNTS) == [1, 1, 1]


def test_a_training_split_without_labels_is_refused():
    with pytest.raises(ValueError, match=r"need labelled pixels\. Received: none in train, 5 void"):
        class_weights("none", COUNTS | {"class_pixels": [0, 0, 0]})


def test_images_that_become_narrow_are_a_warning_on_the_console(prepare, photos):
    _, out, _ = prepare(photos, 9, image_size=(12, 16))
    assert "1 warning" in (text := summarize_anomalies(out))
    assert "narrow_at_training_size (10): An image should keep a shorter side of at least 32 pixels" in text


def test_with_a_factor_pairs_keep_their_aspect_and_the_plan_says_so(prepare, photos):
    examples, out, plan = prepare(photos, 9, image_scale=0.5)
    assert (plan["image_size"], plan["image_scale"], plan["crop_size"]) == (None, 0.5, [12, 14])
    before, after = stored(examples), stored(out)
    for key, (image_bytes, label_map_bytes) in after.items():
        image, label_map = (decode_image(data) for data in before[key])
        size = tuple(round(side / 2) for side in image.shape[:2])  # all are even
        np.testing.assert_array_equal(decode_image(image_bytes), resizing.resize_image(image, size))
        np.testing.assert_array_equal(
            decode_image(label_map_bytes)[..., 0], resizing.resize_label_map(label_map[..., 0], size)
        )
    assert "narrow_at_training_size (10)" in summarize_anomalies(out)


def test_at_their_own_size_pairs_keep_their_bytes(prepare, photos):
    examples, out, plan = prepare(photos, 9, image_scale=1.0)
    assert stored(examples) == stored(out) and plan["crop_size"] == [24, 28]


def test_a_size_and_a_factor_exclude_each_other():
    with pytest.raises(ValueError, match=r"exclude each other.* transform.image_size=16x12, transform.image_scale=0.5"):
        Transform(image_size=(12, 16), image_scale=0.5)
