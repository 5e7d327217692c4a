"""The gate on a real line: a model that is worse on purpose is not pushed; after a rollback the earlier one is loaded."""

import pathlib
import re

import numpy as np
import pytest

from pipeline import run
from pipeline.publishing import versions

SMALL = ("streets_train=32", "streets_validation=8", "streets_test=16", "streets_size=32,48")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """`line(*arguments)` runs the pipeline on few small streets; returns its exit status."""
    folder = tmp_path_factory.mktemp("line")

    def ran(*arguments):
        places = ["--root", str(folder / "runs"), "--push-to", str(folder / "models")]
        size = [f"--set=example_gen.{setting}" for setting in SMALL]
        network = ["--set", "trainer.filters=8,16", "--adversarial-weight", "0", "--batch-size", "4"]
        gate = ["--set", "evaluator.min_gain=-1"]
        return run.main([*places, *size, *network, *gate, *arguments])

    ran.versions = folder / "models" / "streets"
    return ran


def answers(folder: pathlib.Path) -> np.ndarray:
    """What a loader of the newest version, such as TensorFlow Serving, answers to one image."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / str(max(versions.list_versions(folder)))))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), np.uint8)
    return model.signatures["probabilities"](image=tf.constant(image))["probabilities"].numpy()


@pytest.mark.slow
def test_a_worse_model_is_not_pushed_and_after_a_rollback_the_earlier_one_is_served(line, capsys):
    worse = ("--epochs", "1", "--seed", "1")
    assert line("--epochs", "12") == 0
    first = answers(line.versions)
    capsys.readouterr()

    assert line(*worse) == run.NOT_BLESSED
    output = capsys.readouterr().out
    assert re.search(
        r"not blessed   The 95 % interval of mean_iou must not extend more than evaluator\.margin=0\.03 below version 1 on "
        r"'test' \(16 images\)\. Received: mean_iou=0\.\d{3}, "
        r"0\.\d{3} below version 1 \(95 % interval -0\.\d{3} to -0\.\d{3}\)\.",
        output,
    )
    assert "Nothing was pushed." in output
    assert versions.list_versions(line.versions) == [1]

    assert line(*worse, "--set", "evaluator.margin=none") == 0  # in spite of it
    assert versions.list_versions(line.versions) == [1, 2]
    assert not np.array_equal(answers(line.versions), first)

    assert line("--rollback") == 0
    np.testing.assert_array_equal(answers(line.versions), first)
    assert line(*worse, "--set", "evaluator.margin=none") == run.NOT_BLESSED
    assert "A model that was rolled back must not be pushed again." in capsys.readouterr().out
    assert versions.list_versions(line.versions) == [1]


def test_a_threshold_for_a_class_that_the_data_do_not_have_is_refused_before_training(line, capsys, tmp_path):
    assert line("--set", f"root={tmp_path}", "--set", 'evaluator.thresholds={"iou/cart": 0.2}') == 2
    assert "Received: evaluator.thresholds with 'iou/cart'. Did you mean 'car'?" in capsys.readouterr().err
    assert not (tmp_path / "trainer").exists()
