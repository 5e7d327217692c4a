"""--folds as a user sees it: what it refuses, and the whole of a small cross-validation."""

import json
import re
import shutil

import numpy as np
import pytest

from kseg.pairs.image_files import decode_image
from pipeline import folds, run
from tests import streets_with_infrared
from tests.pipeline.whole_line import finish


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--export-mean"], r"--export-mean goes with --folds\. Received: --export-mean without it"),
        (["--folds", "1"], r"from 2 to 100.*Received: folds=1"),
        (["--folds", "3", "--until", "trainer"], r"--folds runs every component\. Received: --folds 3 with --from"),
        (["--folds", "3", "--only", "evaluator"], r"--folds runs every component"),
        (
            ["--folds", "3", "--set", "trainer.train_on_validation=true"],
            r"A cross-validation trains on the pairs of all splits",
        ),
        (
            ["--folds", "3", "--set", "evaluator.split=validation"],
            r"on the test split\. Received: --folds 3 with evaluator.split=validation, from which",
        ),
        (
            ["--folds", "3", "--set", "evaluator.refinements=superpixels"],
            r"Received: --folds 3 with evaluator.refinements=superpixels without --export-mean",
        ),
        (["--folds", "3", "--strategy", "multiworker"], r"--folds trains on one machine"),
    ],
)
def test_what_does_not_go_with_folds_is_refused_before_any_work(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}})
    )
    assert run.main([*arguments, "--root", str(tmp_path / "runs")]) == 2
    assert re.search(message, capsys.readouterr().err) and not (tmp_path / "runs").exists()


def test_more_folds_than_pairs_are_refused_before_anything_is_planned(photos, tmp_path, capsys):
    command = ["--data", str(photos), "--ignore-value", "9", "--folds", "9", "--root", str(tmp_path / "runs")]
    assert run.main(command) == 2
    assert "Each fold must have a pair to score. Received: 8 pairs for --folds 9." in capsys.readouterr().err
    assert not (tmp_path / "runs" / "statistics_gen").exists()


def test_refinements_without_a_test_split_are_refused_before_anything_is_planned(photos, tmp_path, capsys):
    for kind in ("images", "masks"):
        shutil.rmtree(photos / kind / "test")
    command = ["--data", str(photos), "--ignore-value", "9", "--folds", "2", "--root", str(tmp_path / "runs")]
    assert run.main([*command, "--export-mean", "--set", "evaluator.refinements=superpixels"]) == 2
    assert "with evaluator.refinements=superpixels and data without a test split." in capsys.readouterr().err
    assert not (tmp_path / "runs" / "statistics_gen").exists()


@pytest.mark.parametrize(
    ("given", "splits", "expected"),
    [
        ([], {"train": 30, "validation": 4}, 4),
        ([], {"train": 30}, None),
        (["--set=trainer.validation_pairs=none"], {"train": 30, "validation": 4}, None),
        (["--set=trainer.validation_pairs=9"], {"train": 30, "validation": 4}, 9),
    ],
)
def test_no_more_pairs_score_an_epoch_than_were_planned_with(given, splits, expected, tmp_path):
    rows = [{"name": name, "shardLengths": [str(number)]} for name, number in splits.items()]
    (tmp_path / "dataset_info.json").write_text(json.dumps({"splits": rows}))
    config = run.parse(["--data", "photos", "--folds", "5", *given]).config
    assert folds.bound_validation(config, tmp_path).trainer.validation_pairs == expected


SMALL = (
    "--set=example_gen.streets_train=7",
    "--set=example_gen.streets_validation=3",
    "--set=trainer.epochs=1",
    "--set=trainer.adversarial_weight=0",
    "--folds=2",
)


@pytest.mark.slow
def test_each_pair_is_scored_once_the_mean_is_pushed_and_a_second_run_finds_everything(tmp_path):
    with_test = (*SMALL, "--set=example_gen.streets_test=2", "--export-mean")
    output = finish(tmp_path, *with_test)
    assert "10 pairs, each scored by the one of 2 networks that did not see it" in output
    assert "the mean of the networks on 'test', 2 images: mean_iou=" in output and "models/small/1" in output
    (found,) = (tmp_path / "runs" / "cross_validation").glob("*/scores.json")
    scores = json.loads(found.read_text())
    assert [row["images"] for row in scores["folds"]] == [5, 5] and scores["split"] == "out of fold"
    assert (tmp_path / "runs" / "report-small-folds.html").is_file()
    second = finish(tmp_path, *with_test)
    states = re.findall(r"^(\w+) +(cached|done|will run)", second, re.MULTILINE)
    assert {state for _, state in states} == {"cached"} and [name for name, _ in states].count("trainer") == 2
    explained = finish(tmp_path, *with_test, "--explain")
    assert "will run" not in explained


@pytest.mark.slow
def test_networks_of_all_folds_and_their_mean_see_16_bits_alike(tmp_path):
    data = tmp_path / "data"
    streets_with_infrared.write(data, {"train": 5}, (32, 48), "png")
    for number, path in enumerate(sorted((data / "images").rglob("*.png"))):
        np.save(path.with_suffix(".npy"), (decode_image(path.read_bytes()) // (1 + number)).astype(np.uint16))
        path.unlink()
    finish(tmp_path, *SMALL[2:], "--export-mean", f"--data={data}", "--ignore-value=255", "--model=unet")
    plans = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "transform").glob("*/plan.json")]
    assert len(plans) == 3 and plans[0]["normalization"]
    assert all(plan["normalization"] == plans[0]["normalization"] for plan in plans)


@pytest.mark.slow
def test_without_a_test_split_the_scores_out_of_fold_decide_on_the_mean(tmp_path):
    without = (*SMALL, "--set=example_gen.streets_test=0", "--export-mean", "--set=evaluator.min_gain=0.9")
    output = finish(tmp_path, *without, status=run.NOT_BLESSED)
    assert "no held-out score of it exists" in output
    assert "mean_iou must reach" in output and "on the 10 pairs of 2 folds" in output
    assert not (tmp_path / "models" / "small" / "1").exists()
