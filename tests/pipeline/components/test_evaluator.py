import dataclasses
import json
import shutil

import numpy as np
import pytest

from kseg import metrics
from pipeline.components.cross_validation import cross_validation
from pipeline.components.evaluator import evaluator
from pipeline.engine.console import user_message
from pipeline.evaluation.gate import OBJECT_SCORES, SCORES
from pipeline.evaluation.pair_counts import PredictPairs
from pipeline.settings.evaluator import Evaluator
from tests.pipeline.conftest import IMAGE_SIZE, LABELS, nearest_colour


@pytest.fixture
def evaluate(tmp_path, finished):
    """Runs the component on the finished line; returns scores.json."""

    def run(examples=finished.examples, export=finished.exporter, baseline=None, **settings):
        evaluator(
            tmp_path,
            Evaluator(**settings),
            export=export,
            examples=examples,
            transform=finished.transform,
            statistics=finished.statistics,
            baseline=baseline,
        )
        return json.loads((tmp_path / "scores.json").read_text())

    return run


def test_every_labelled_pixel_is_counted_once_at_its_original_size_and_at_the_training_size(evaluate, finished):
    scores = evaluate()
    assert (scores["split"], scores["images"], scores["classes"]) == ("test", 5, ["ground", "left", "right"])
    for size, pairs in (("original_size", finished.pairs["test"]), ("training_size", finished.small_pairs["test"])):
        labelled = np.concatenate([label_map[label_map != 255] for _, label_map in pairs])
        assert np.sum(scores[size]["matrix"], axis=1).tolist() == np.bincount(labelled).tolist()
    assert scores["original_size"]["mean_iou"] > 0.9  # colours identify the classes; only borders are lost in resizing
    assert all(scores["training_size"][name] for name in ("mean_iou", "mean_accuracy", "frequency_weighted_iou", "iou"))
    assert (scores["blessed"], scores["reasons"]) == (True, [])
    interval = scores["intervals"]["mean_iou"]
    assert interval["low"] <= scores["original_size"]["mean_iou"] <= interval["high"] <= 1
    assert [set(ends) for ends in scores["intervals"]["iou"]] == [{"low", "high"}] * 3


def test_the_matrix_is_that_of_the_keras_models_label_maps(evaluate, finished):
    import keras

    from kseg.serving import exporting as serving

    model = keras.saving.load_model(finished.trainer / "model.keras")
    expected = sum(
        metrics.confusion_matrix(
            label_map, serving.predict_label_maps(model, finished.image_size, image[None])[0][0], 3
        )
        for image, label_map in finished.pairs["test"]
    )
    np.testing.assert_array_equal(evaluate()["original_size"]["matrix"], expected)


def test_outlines_and_confidences_are_scored_as_kseg_scores_the_keras_models_label_maps(evaluate, finished):
    import keras

    from kseg.serving import exporting as serving

    model = keras.saving.load_model(finished.trainer / "model.keras")
    counts = {"original_size": 0, "training_size": 0, "calibration": 0}
    for size, pairs in (("original_size", finished.pairs["test"]), ("training_size", finished.small_pairs["test"])):
        for image, truth in pairs:
            label_map, confidence = (a[0] for a in serving.predict_label_maps(model, finished.image_size, image[None]))
            counts[size] += metrics.boundary_counts(truth, label_map, 3, tolerance=1)
            if size == "training_size":
                counts["calibration"] += metrics.calibration_counts(truth, label_map, confidence, 3)
    scores = evaluate(boundary_tolerance=1.0)
    for size in ("original_size", "training_size"):
        for name, expected in metrics.boundary_scores(counts[size]).items():
            assert scores[size][name] == pytest.approx(expected)
    expected = metrics.expected_calibration_error(counts["calibration"])
    assert scores["training_size"]["expected_calibration_error"] == pytest.approx(expected, abs=1e-6)


def test_objects_are_scored_where_asked_for_as_kseg_scores_the_keras_models_label_maps(evaluate, finished):
    import keras

    from kseg.serving import exporting as serving

    model, counts = keras.saving.load_model(finished.trainer / "model.keras"), 0
    for image, truth in finished.pairs["test"]:
        label_map = serving.predict_label_maps(model, finished.image_size, image[None])[0][0]
        counts += metrics.rand_counts(truth, label_map, num_classes=3, object_class=1)
    found = evaluate(object_class="left")
    for name, expected in metrics.rand_scores(counts).items():
        assert found["original_size"][name] == pytest.approx(expected) and 0 < expected <= 1
    assert "foreground_rand" in found["slices"]["size=small"]
    with pytest.raises(ValueError, match=r"object_class='lift'\. Did you mean 'left'\?"):
        evaluate(object_class="lift")


def test_every_slice_is_scored_on_its_images_and_thresholds_apply_to_it(evaluate, finished):
    sizes = sorted(label_map.size for _, label_map in finished.pairs["test"])
    scores = evaluate(thresholds={"iou/left@size=small": 0.5, "mean_iou@size=large": 1.0})
    slices = scores["slices"]
    assert slices["size=small"]["images"] == sum(size < np.quantile(sizes, 1 / 3) for size in sizes)
    assert sum(part["images"] for name, part in slices.items() if name.startswith("brightness")) == 5
    assert slices["classes=medium"]["images"] == 5  # every image shows all three
    assert slices["classes=medium"]["iou"] == scores["original_size"]["iou"]
    assert slices["classes=medium"]["expected_calibration_error"] == pytest.approx(
        scores["training_size"]["expected_calibration_error"]
    )
    assert [row["passed"] for row in scores["thresholds"]] == [True, False]
    assert len(scores["reasons"]) == 1
    large = slices["size=large"]
    assert scores["reasons"][0].startswith(
        f"mean_iou@size=large must reach 1 on 'test' (5 images), {large['images']} of them in the slice. "
        f"Received: mean_iou@size=large={large['mean_iou']:.3f}."
    )


def test_the_counts_of_each_image_are_saved_and_add_up_to_the_matrix(evaluate, tmp_path):
    matrix = evaluate()["original_size"]["matrix"]
    with np.load(tmp_path / "images.npz") as images:
        assert images["key"].tolist() == [f"{number:03}" for number in range(5)]
        np.testing.assert_array_equal(images["classes_counts"].sum(axis=0), metrics.class_counts(matrix))


def test_a_cross_validation_has_every_score_that_a_threshold_may_name(evaluate, tmp_path):
    scores, thresholds = evaluate(object_class="left"), dict.fromkeys((*SCORES, *OBJECT_SCORES), 1.0)
    (tmp_path / "folds").mkdir()
    cross_validation(tmp_path / "folds", Evaluator(thresholds=thresholds, object_class="left"), evaluation_00=tmp_path)
    rows = json.loads((tmp_path / "folds" / "scores.json").read_text())["thresholds"]
    both = scores["training_size"] | scores["original_size"]
    assert {row["name"]: row["score"] for row in rows} == {name: pytest.approx(both[name]) for name in thresholds}


def test_an_export_is_loaded_once_for_all_passes_and_anew_when_its_files_change(
    evaluate, finished, tmp_path, monkeypatch
):
    import tensorflow as tf

    load, loaded = tf.saved_model.load, []
    monkeypatch.setattr(tf.saved_model, "load", lambda path: loaded.append(path) or load(path))
    export = shutil.copytree(finished.exporter, tmp_path / "exporter")
    evaluate(export=export)
    assert loaded == [str(export / "saved_model")]
    PredictPairs(export / "saved_model").setup()
    assert len(loaded) == 1
    (export / "saved_model" / "variables" / "variables.index").touch()
    PredictPairs(export / "saved_model").setup()
    assert len(loaded) == 2


def test_ranked_images_are_stored_with_the_predictions_that_were_scored(evaluate, finished, tmp_path):
    from PIL import Image

    ranked = evaluate()["ranked_images"]
    assert [image["rank"] for image in ranked] == ["worst", "worst", "median", "best", "best"]
    assert [image["mean_iou"] for image in ranked[:2] + ranked[:2:-1]] == sorted(
        image["mean_iou"] for image in ranked if image["rank"] != "median"
    )
    for image in ranked:
        folder = tmp_path / "ranked_images" / image["name"]
        pixels, truth, prediction = (np.array(Image.open(folder / f)) for f in ("image", "truth.png", "prediction.png"))
        expected = finished.pairs["test"][int(image["key"])]
        np.testing.assert_array_equal(pixels, expected[0])
        np.testing.assert_array_equal(truth, expected[1])
        matrix = metrics.confusion_matrix(truth, prediction, 3)
        assert image["mean_iou"] == pytest.approx(metrics.scores(matrix)["mean_iou"])


def test_a_threshold_of_an_unknown_class_is_refused_before_anything_is_predicted(evaluate, tmp_path):
    with pytest.raises(ValueError, match=r"Received: evaluator.thresholds with 'iou/lefty'. Did you mean 'left'\?"):
        evaluate(thresholds={"iou/lefty": 0.5})
    assert not list(tmp_path.iterdir())


def test_the_constant_prediction_is_the_most_common_class_of_the_training_split(evaluate):
    scores = evaluate()
    rows = np.sum(scores["original_size"]["matrix"], axis=1)
    assert scores["commonest_class"]["name"] == "ground"
    assert scores["commonest_class"]["mean_iou"] == pytest.approx(rows[0] / rows.sum() / 3)


def test_the_split_to_score_is_a_setting(evaluate):
    scores = evaluate(split="validation")
    assert (scores["split"], scores["images"]) == ("validation", 1)


def test_a_missing_split_is_refused(evaluate):
    with pytest.raises(ValueError, match=r"`split` must be one of .*validation.* Received: evaluator.split=night"):
        evaluate(split="night")


def test_a_split_without_a_labelled_pixel_is_refused(evaluate, void_examples):
    with pytest.raises(ValueError, match=r"must have labelled pixels\. Received: only void on 'test'"):
        evaluate(examples=void_examples)


def test_a_model_below_the_gate_is_scored_and_not_blessed(evaluate):
    scores = evaluate(min_mean_iou=1.0)
    assert not scores["blessed"]
    assert scores["reasons"][0].startswith("mean_iou must reach 1 on 'test' (5 images). Received: mean_iou=0.9")


@pytest.fixture(scope="module")
def confused(tmp_path_factory):
    """An export of the nearest colour that confuses left and right, as version 3."""
    from kseg.serving import exporting as serving

    model, folder = nearest_colour(), tmp_path_factory.mktemp("models") / "3"
    score = model.get_layer("score")
    score.set_weights([values[..., [0, 2, 1]] for values in score.get_weights()])
    serving.export(model, folder, labels=LABELS, image_size=IMAGE_SIZE)
    return folder


def test_the_pushed_model_is_scored_on_the_same_images_and_a_better_one_is_blessed(evaluate, confused):
    scores = evaluate(baseline=confused)
    baseline = scores["baseline"]
    assert (baseline["version"], baseline["compared"], scores["blessed"]) == ("3", True, True)
    assert baseline["difference"] == pytest.approx(scores["original_size"]["mean_iou"] - baseline["mean_iou"])
    assert baseline["low"] <= baseline["difference"] <= baseline["high"]
    assert baseline["low"] > 0.3
    assert baseline["iou"][1:] == [0.0, 0.0]


def test_equal_predictions_have_no_difference_and_pass_a_margin_of_0(evaluate, finished):
    scores = evaluate(baseline=finished.exporter / "saved_model", margin=0.0)
    assert [scores["baseline"][name] for name in ("difference", "low", "high")] == [0, 0, 0]
    assert scores["blessed"]


def test_a_model_that_is_worse_than_the_pushed_one_is_not_blessed(evaluate, confused, finished, tmp_path):
    better = shutil.copytree(finished.exporter / "saved_model", tmp_path / "models" / "12")
    shutil.copytree(confused, tmp_path / "exporter" / "saved_model")
    scores = evaluate(export=tmp_path / "exporter", baseline=better, min_gain=-1.0)
    assert len(scores["reasons"]) == 1
    assert "below version 12 (95 % interval -0." in scores["reasons"][0]
    assert "on 'test' (5 images)" in scores["reasons"][0]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (
            lambda folder: (folder / "assets" / "labels.json").write_text(
                dataclasses.replace(LABELS, names=("ground", "right", "left")).to_json()
            ),
            "Its classes are ground, right, left; the data have ground, left, right.",
        ),
        (lambda folder: (folder / "assets" / "labels.json").unlink(), "Its classes are unknown: "),
        (lambda folder: (folder / "assets" / "labels.json").write_text('{"names": ["gr'), "Its classes are unknown: "),
    ],
)
def test_a_version_with_other_classes_is_not_compared_and_the_scores_give_the_reason(
    evaluate, finished, tmp_path, spoil, why
):
    baseline = shutil.copytree(finished.exporter / "saved_model", tmp_path / "models" / "3")
    spoil(baseline)
    scores = evaluate(baseline=baseline)
    assert (scores["baseline"]["compared"], scores["blessed"]) == (False, True)
    assert scores["baseline"]["why"].startswith(why)


def learned(saved_model, *splits):
    """The export after a training on these splits."""
    file = saved_model / "assets" / "export.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"trained_on": splits}))
    return saved_model


@pytest.mark.parametrize("split, held_out", [("validation", False), ("test", True)])
def test_a_model_that_learned_from_validation_is_blessed_and_compared_on_other_images_alone(
    evaluate, finished, tmp_path, split, held_out
):
    export = tmp_path / "exporter"
    learned(shutil.copytree(finished.exporter / "saved_model", export / "saved_model"), "train", "validation")
    baseline = shutil.copytree(finished.exporter / "saved_model", tmp_path / "models" / "3")
    scores = evaluate(export=export, split=split, baseline=baseline)
    assert scores["held_out"] == scores["blessed"] == scores["baseline"]["compared"] == held_out
    if not held_out:
        assert scores["reasons"] == [text for text in scores["reasons"] if "push_without_held_out" in text]
        assert scores["baseline"]["why"].startswith("The new model learned from the images of the split 'validation'")


def test_a_version_that_learned_from_the_scored_images_is_not_compared(evaluate, finished, tmp_path):
    baseline = learned(shutil.copytree(finished.exporter / "saved_model", tmp_path / "models" / "3"), "train", "test")
    scores = evaluate(baseline=baseline)
    assert (scores["held_out"], scores["blessed"]) == (True, True)
    assert scores["baseline"]["why"].startswith("It learned from the images of the split 'test'")


def test_refinements_are_scored_on_the_same_images(evaluate, finished):
    from kseg import inference
    from kseg.postprocess.superpixels import majority_vote, slic

    scores = evaluate(refinements=("flips", "superpixels", "tiles"))
    assert list(scores["refinements"]) == ["flips", "superpixels", "tiles"]
    model = inference.SavedModel(finished.exporter / "saved_model")
    matrix = sum(
        metrics.confusion_matrix(truth, majority_vote(model.label_map(image), slic(image, num_superpixels=1000)), 3)
        for image, truth in finished.pairs["test"]
    )
    voted = scores["refinements"]["superpixels"]
    assert voted["mean_iou"] == pytest.approx(metrics.scores(matrix)["mean_iou"])
    assert voted["mean_iou"] < scores["unlabelled"]["superpixels"]["mean_iou"] <= 1
    assert scores["unlabelled"]["merged_by_colour"]["regions"] < scores["unlabelled"]["superpixels"]["regions"]
    for row in scores["refinements"].values():
        assert row["difference"] == pytest.approx(row["mean_iou"] - scores["original_size"]["mean_iou"])
        assert row["low"] <= row["difference"] <= row["high"]
    # Colours identify the classes, so the model makes fewer mistakes at the scale of the mask than after resizing.
    assert scores["refinements"]["tiles"]["difference"] > 0


def test_dense_crf_is_scored_with_its_parameters(evaluate, finished):
    from kseg import inference

    crf = {"iterations": 3, "appearance_colour_sigma": 30.0, "appearance_weight": 3.0}
    scores = evaluate(refinements=("crf",), crf=crf)
    row = scores["refinements"]["crf"]
    assert row["settings"] == crf
    refined = inference.refine_with_crf(inference.SavedModel(finished.exporter / "saved_model"), **crf)
    predicted = [refined(image[None])[0].argmax(-1) for image, _ in finished.pairs["test"]]
    truths = [truth for _, truth in finished.pairs["test"]]
    matrix = sum(metrics.confusion_matrix(*maps, 3) for maps in zip(truths, predicted, strict=True))
    boundaries = sum(metrics.boundary_counts(*maps, 3, 2.0) for maps in zip(truths, predicted, strict=True))
    assert row["mean_iou"] == pytest.approx(metrics.scores(matrix)["mean_iou"], abs=2e-3)  # borders of simplices
    assert row["boundary_f1"] == pytest.approx(metrics.boundary_scores(boundaries)["boundary_f1"], abs=1e-2)
    assert row["difference"] == pytest.approx(row["mean_iou"] - scores["original_size"]["mean_iou"])
    assert row["low"] <= row["difference"] <= row["high"] and row["difference"] != 0


def test_a_model_that_refines_its_predictions_is_scored_as_such_and_not_refined_twice(evaluate, finished, refining):
    from kseg import inference

    refined = inference.SavedModel(refining / "saved_model")
    matrix = sum(
        metrics.confusion_matrix(truth, refined.label_map(image), 3) for image, truth in finished.pairs["test"]
    )
    scores = evaluate(export=refining)
    assert scores["original_size"]["mean_iou"] == pytest.approx(metrics.scores(matrix)["mean_iou"], abs=2e-3)
    with pytest.raises(ValueError, match=r"must not be refined twice\. Received: .*crf=\{.*Remove crf from"):
        evaluate(export=refining, refinements=("crf",))


def test_oracles_are_scored_only_with_superpixels(evaluate):
    assert evaluate(refinements=("flips",))["unlabelled"] == {}


def test_an_unknown_refinement_is_refused_before_anything_is_predicted(evaluate, tmp_path):
    with pytest.raises(
        ValueError, match=r"`refinements` must be among flips.*evaluator\.refinements=flip\. Did you mean 'flips'\?"
    ):
        evaluate(refinements=("flip",))
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        *[("saved_model.pb", content) for content in (b"", b"junk", None)],
        ("variables/variables.index", b"junk"),
        *[("variables/variables.data-00000-of-00001", content) for content in (b"", None)],
    ],
)
def test_a_baseline_that_does_not_load_is_refused_rather_than_passed_over(
    evaluate, finished, tmp_path, damaged, content
):
    baseline = shutil.copytree(finished.exporter / "saved_model", tmp_path / "models" / "3")
    (baseline / damaged).unlink() if content is None else (baseline / damaged).write_bytes(content)
    with pytest.raises(
        ValueError, match=r"must load, to be compared with\. Received: .* \[.*models/3\]\. Remove it"
    ) as raised:
        evaluate(baseline=baseline)
    assert user_message(raised.value) == str(raised.value)
    assert not (tmp_path / "scores.json").exists()


def test_images_that_keep_their_own_sizes_are_scored_whole_and_at_their_working_size(tmp_path, finished, own_sizes):
    import keras

    from kseg.pairs.resizing import resize_label_map
    from kseg.serving import exporting as serving

    inputs = {"examples": finished.examples, "transform": own_sizes.transform, "statistics": finished.statistics}
    evaluator(tmp_path, Evaluator(refinements=("tiles",)), export=own_sizes.exporter, **inputs)
    scores = json.loads((tmp_path / "scores.json").read_text())
    model = keras.saving.load_model(own_sizes.trainer / "model.keras")
    expected = {"original_size": 0, "training_size": 0}
    for (image, truth), (_, small_truth) in zip(finished.pairs["test"], own_sizes.small_pairs["test"], strict=True):
        label_map = serving.predict_label_maps(model, 0.5, image[None])[0][0]
        expected["original_size"] += metrics.confusion_matrix(truth, label_map, 3)
        small = resize_label_map(label_map, small_truth.shape)
        expected["training_size"] += metrics.confusion_matrix(small_truth, small, 3)
    for size, matrix in expected.items():
        np.testing.assert_array_equal(scores[size]["matrix"], matrix)
    assert (
        scores["original_size"]["mean_iou"] > 0.9 and scores["training_size"]["expected_calibration_error"] is not None
    )
    assert scores["refinements"]["tiles"]["mean_iou"] > 0.9
