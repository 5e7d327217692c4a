"""The names of thresholds, and the messages of the gate."""

import pytest

from pipeline.evaluation import gate
from pipeline.settings.config import Config, replace_setting
from pipeline.settings.evaluator import Evaluator

CLASSES = ["road", "car/van", "sky"]
SCORES = {"mean_iou": 0.412, "foreground_rand": 0.8, "iou": [0.9, 0.1, None], "expected_calibration_error": 0.034}
SLICES = {
    "brightness=dark": {"images": 5, "mean_iou": 0.3, "iou": [0.8, None, None]},
    "folder=night/rain": {"images": 2, "mean_iou": 0.2, "iou": [0.7, 0.1, None]},
}
WHERE = "'test' (15 images)"
CONSTANT = {"name": "road", "mean_iou": 0.25}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mean_iou", ("mean_iou", None, None)),
        ("iou/car/van", ("iou", "car/van", None)),
        ("mean_iou@size=small", ("mean_iou", None, "size=small")),
        ("recall/car/van@folder=night/rain", ("recall", "car/van", "folder=night/rain")),
        ("recall/mail@home@classes=many", ("recall", "mail@home", "classes=many")),
    ],
)
def test_a_name_is_a_score_then_a_class_then_a_slice(name, meant):
    assert gate.Score.parse(name) == gate.Score(*meant)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mean_io", "Did you mean 'mean_iou'"),
        ("mean_iou/road", "iou/CLASS"),
        ("iou", "iou/CLASS"),
        ("mean_iou@brightness=drak", "Did you mean 'brightness=dark'"),
        ("mean_iou@weather=rain", "brightness=dark"),
        ("", "mean_iou, pixel_accuracy"),
    ],
)
def test_an_unknown_name_is_refused_and_the_message_lists_all(name, near):
    with pytest.raises(ValueError, match=r"^A threshold must name a score") as error:
        gate.check_thresholds({name: 0.5})
    assert f"with {name!r}" in str(error.value) and near in str(error.value)
    assert "folder=FOLDER" in str(error.value)


@pytest.mark.parametrize("number", [1.5, -0.1, "0.5", None, True, float("nan")])
def test_a_threshold_is_a_number_from_0_to_1(number):
    with pytest.raises(
        ValueError, match=r"must be a number in \[0, 1\]. Received: evaluator.thresholds with 'mean_iou'"
    ):
        gate.check_thresholds({"mean_iou": number})


def test_class_names_are_checked_once_the_data_are_known():
    gate.check_thresholds({"iou/cat": 0.5})
    gate.check_thresholds({"iou/car/van": 0.5}, CLASSES)
    with pytest.raises(ValueError, match=r"Did you mean 'car/van'\? Classes: road, car/van, sky\."):
        gate.check_thresholds({"iou/car": 0.5}, CLASSES)


@pytest.mark.parametrize("name", ["foreground_rand", "rand_merge@size=small"])
def test_scores_of_objects_have_thresholds_where_a_class_has_objects(name):
    gate.check_thresholds({name: 0.9}, CLASSES, object_class="road")
    with pytest.raises(ValueError, match=f"^`object_class` must name the class .* Received: .* with '{name}' and"):
        gate.check_thresholds({name: 0.9}, CLASSES)


def test_each_threshold_is_compared_with_the_score_that_it_names():
    thresholds = {
        "mean_iou": 0.4,
        "iou/car/van": 0.2,
        "iou/sky": 0.0,
        "mean_iou@brightness=dark": 0.3,
        "iou/car/van@folder=night/rain": 0.1,
        "mean_iou@size=small": 0.1,
        "expected_calibration_error": 0.03,
        "foreground_rand": 0.75,
    }
    rows = gate.apply_thresholds(thresholds, SCORES, SLICES, CLASSES, 15)
    assert [(row["score"], row["images"], row["passed"]) for row in rows] == [
        (0.412, 15, True),
        (0.1, 15, False),
        (None, 15, False),  # no image shows the sky: nothing was demonstrated, so it does not pass
        (0.3, 5, True),
        (0.1, 2, True),
        (None, 0, False),
        (0.034, 15, False),  # the threshold of an error is a maximum
        (0.8, 15, True),
    ]
    reasons = gate.failures(Evaluator(), 0.412, CONSTANT, rows, None, WHERE)
    assert reasons == [
        "iou/car/van must reach 0.2 on 'test' (15 images). Received: iou/car/van=0.100. "
        "Train longer or on more data, or lower it in evaluator.thresholds.",
        "iou/sky must reach 0 on 'test' (15 images). Received: no such pixel, so iou/sky is undefined. "
        "Train longer or on more data, or lower it in evaluator.thresholds.",
        "mean_iou@size=small must reach 0.1 on 'test' (15 images), 0 of them in the slice. Received: no such pixel, so "
        "mean_iou@size=small is undefined. Train longer or on more data, or lower it in evaluator.thresholds.",
        "expected_calibration_error must be at most 0.03 on 'test' (15 images). Received: expected_calibration_error=0.034. "
        "Train longer or on more data, or raise it in evaluator.thresholds.",
    ]


def test_a_folder_without_images_is_refused_and_the_message_lists_the_others():
    with pytest.raises(ValueError, match=r"with 'mean_iou@folder=nigth'. Folders: folder=night/rain\."):
        gate.apply_thresholds({"mean_iou@folder=nigth": 0.1}, SCORES, SLICES, CLASSES, 15)


def test_thresholds_are_written_as_json_on_the_command_line():
    config = replace_setting(Config(), "evaluator.thresholds", '{"mean_iou": 0.5, "iou/car": 0.2}')
    assert config.evaluator.thresholds == {"mean_iou": 0.5, "iou/car": 0.2}
    for text in ("0.5", "mean_iou=0.5", "[1]"):
        with pytest.raises(
            ValueError, match=r"evaluator.thresholds must be a JSON object.* Received: evaluator.thresholds="
        ):
            replace_setting(Config(), "evaluator.thresholds", text)


@pytest.mark.parametrize(
    ("mean_iou", "config", "reasons"),
    [
        (0.35, Evaluator(min_gain=0.1), []),
        (0.349, Evaluator(min_gain=0.1), ["mean_iou must reach 0.350 on 'test' (15 images)"]),
        (0.35, Evaluator(min_gain=0.1, min_mean_iou=0.35), []),
        (0.5, Evaluator(min_mean_iou=0.55), ["mean_iou must reach 0.55 on 'test' (15 images)"]),
        (0.2, Evaluator(min_mean_iou=0.55), ["mean_iou must reach 0.55 on", "mean_iou must reach 0.350 on"]),
        (0.0, Evaluator(min_gain=-1.0), []),
    ],
)
def test_the_gate_requires_a_score_and_a_gain_over_the_most_common_class(mean_iou, config, reasons):
    found = gate.failures(config, mean_iou, CONSTANT, [], None, WHERE)
    assert len(found) == len(reasons)
    assert all(message.startswith(start) for message, start in zip(found, reasons, strict=True))


def test_a_model_without_a_held_out_score_passes_only_by_its_named_override():
    config = Evaluator(min_mean_iou=0.4)
    (reason,) = gate.failures(config, 0.412, CONSTANT, [], None, WHERE, held_out=False)
    assert reason == (
        "A model must be scored on images that training did not see. Received: scores on 'test' (15 images), from which it "
        "learned. Score it on a test split, or set evaluator.push_without_held_out=true."
    )
    override = Evaluator(min_mean_iou=0.4, push_without_held_out=True)
    assert not gate.failures(override, 0.412, CONSTANT, [], None, WHERE, held_out=False)


BASELINE = {"version": "3", "compared": True, "mean_iou": 0.499, "difference": -0.087, "low": -0.101, "high": -0.071}


def test_the_message_about_a_worse_model_gives_the_difference_and_the_split():
    (reason,) = gate.failures(Evaluator(margin=0.01), 0.412, CONSTANT, [], BASELINE, WHERE)
    assert reason == (
        "The 95 % interval of mean_iou must not extend more than evaluator.margin=0.01 below version 3 on 'test' (15 images). "
        "Received: mean_iou=0.412, 0.087 below version 3 (95 % interval -0.101 to -0.071). "
        "Train longer or on more data, score more images, or raise evaluator.margin."
    )


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ({"difference": 0.02, "low": -0.009, "high": 0.04}, True),
        ({"difference": 0.02, "low": -0.011, "high": 0.05}, False),  # may be better, but too few images show it
        ({"difference": -0.005, "low": -0.01, "high": 0.0}, True),
        ({"compared": False, "why": "Its classes are others."}, True),
    ],
)
def test_the_low_end_of_the_interval_decides(values, passed):
    assert bool(gate.failures(Evaluator(margin=0.01), 0.412, CONSTANT, [], BASELINE | values, WHERE)) != passed


def test_a_positive_difference_reads_above():
    better = BASELINE | {"difference": 0.02, "low": -0.009, "high": 0.04}
    assert gate.describe_difference(better) == "0.020 above version 3 (95 % interval -0.009 to +0.040)"
