"""Each number that the components recorded is found in the model card, under its heading; what is unknown is not claimed."""

import json
import re

import pytest

from pipeline.report.model_card import model_card

LABELS = {
    "names": ["road", "no|way", "sky"],
    "colours": [[128, 64, 128], [0, 0, 255], [70, 130, 180]],
    "values": [0, 1, 2],
}
MANIFEST = {
    "image_size": [96, 128],
    "max_pixels": 1_234_567,
    "score_memory": 0.75,
    "strict": False,
    "flips": ["horizontal"],
}
PRETRAINED = {
    "encoder": "resnet50",
    "licence": "Apache-2.0",
    "source": "somebody",
    "package": "weights 1.2",
    "sha256": "feed",
}
TRAINING = {
    "started": "2026-11-27T01:00:00+00:00",
    "finished": "2026-11-27T02:03:04+00:00",
    "seconds": 3723.0,
    "network": {
        "name": "light_fpn",
        "width": "narrow",
        "encoder": "resnet50",
        "parameters": 1_944_049,
        "multiply_adds": 3.96e9,
        "image_size": [96, 128],
    },
    "discriminator": None,
    "hardware": {"processor": "Fast 9000", "cores": 7, "memory_bytes": 24 * 2**30, "accelerators": ["Big GPU"]},
    "versions": {"kseg": "0.9", "tensorflow": "2.21.0"},
}
STATISTICS = {
    "splits": {
        "train": {
            "width": {"min": 480, "max": 500},
            "height": {"min": 300, "max": 375},
            "pixels": 1000,
            "void_pixels": 25,
            "class_pixels": [900, 75, 0],
        }
    },
    "duplicates": [["a", "b"], ["c", "d"]],
}
SCORES = {
    "split": "test",
    "images": 17,
    "classes": LABELS["names"],
    "blessed": True,
    "reasons": [],
    "original_size": {
        "mean_iou": 0.6121,
        "pixel_accuracy": 0.9134,
        "boundary_f1": None,
        "iou": [0.8, 0.4242, None],
        "precision": [0.81, 0.82, None],
        "recall": [0.83, 0.84, None],
        "matrix": [[60, 15, 0], [20, 5, 0], [0, 0, 0]],
    },
    "training_size": {"expected_calibration_error": 0.0456},
    "intervals": {
        "mean_iou": {"low": 0.5511, "high": 0.6611},
        "iou": [{"low": 0.71, "high": 0.89}, {"low": 0.31, "high": 0.52}, {"low": None, "high": None}],
    },
    "commonest_class": {"name": "road", "mean_iou": 0.2671},
    "baseline": {"version": 4, "compared": True, "difference": 0.0312, "low": -0.004, "high": 0.066},
    "slices": {
        "size=small": {"meaning": "less than 150,000 pixels", "images": 6, "mean_iou": 0.5021, "pixel_accuracy": 0.71}
    },
}
INFRA = {
    "blessed": True,
    "reasons": [],
    "agreement": 0.99987,
    "seconds_per_image": 0.0421,
    "peak_bytes": 3 * 2**29,
    "largest_pixels": 1_234_321,
    "hardware": {"processor": "Slow 1", "cores": 2, "memory_bytes": 8 * 2**30},
    "signatures": {"serving_default": {"inputs": {"image": ["uint8", [None, None, None, 3]]}}, "serve_bytes": {}},
}
FORMATS = {
    "onnx": {
        "agreement": 0.99991,
        "images": 31,
        "bytes": 4_200_000,
        "packages": {"onnxruntime": "1.24"},
        "mean_iou": 0.61,
    },
    "litert_int8": {"agreement": 0.973, "images": 31, "bytes": 1_100_000, "packages": {}, "mean_iou": 0.602},
}
FORMATS["onnx"]["split"], FORMATS["onnx"]["mean_iou_loss"], FORMATS["litert_int8"]["mean_iou_loss"] = (
    "validation",
    0.0,
    0.0081,
)
INGESTION = {"pairs": {"train": 41, "test": 17}, "quarantined": [{"split": "train", "key": key} for key in "xyz"]}
ANOMALIES = {"anomalies": [{"name": "few_images", "what": "A split should have more images. Received: 17."}]}


@pytest.fixture
def store(tmp_path):
    """Artifacts of a store, as the components leave them; a function that changes the content of one of their files."""

    def write(component, files, inputs=(), config=None):
        folder = tmp_path / component / (format(len(made), "x") * 16)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(content))
        recipe = {
            "component": component,
            "config": config or {},
            "code": {},
            "packages": {"keras": "3.15.1"},
            "python": "3.11",
        }
        recipe["inputs"] = {name: made[name].name for name in inputs} | ({} if inputs else {"source": "5eed"})
        (folder / "recipe.json").write_text(json.dumps(recipe))
        made[component] = folder

    made = {}
    write("example_gen", {"ingestion.json": INGESTION, "contents.json": {}})
    write("statistics_gen", {"statistics.json": STATISTICS}, ["example_gen"])
    write("example_validator", {"anomalies.json": ANOMALIES}, ["statistics_gen"])
    write("transform", {"plan.json": {}}, ["statistics_gen"])
    write("trainer", {"training.json": TRAINING}, ["transform"], {"epochs": 33, "learning_rate": 0.0021})
    assets = {
        f"saved_model/assets/{name}.json": content for name, content in (("labels", LABELS), ("export", MANIFEST))
    }
    write("exporter", assets, ["trainer"])
    write("evaluator", {"scores.json": SCORES}, ["exporter"])
    write("infra_validator", {"infra.json": INFRA}, ["exporter"])
    return made


def change(folder, name, **values):
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def card(store):
    artifacts = {"export": store["exporter"], "evaluation": store["evaluator"], "validation": store["infra_validator"]}
    artifacts["anomalies"] = store["example_validator"]
    return model_card("streets", **artifacts)


def sections(text):
    """The text below each heading."""
    parts = re.split(r"^#+ (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def cells(section):
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line[:1] == "|"
    ]


def test_every_table_is_whole(store):
    for name, section in sections(card(store)).items():
        assert len({len(row) for row in cells(section)}) <= 1, name


def test_data_are_described_by_counts_sizes_and_digests(store):
    found = sections(card(store))["Data"]
    assert ["train", "41", "480 to 500", "300 to 375", "2.5 %"] in cells(found) and ["test", "17", "", "", ""] in cells(
        found
    )
    assert "Pairs set aside because they could not be used: 3. Groups of identical images: 2." in found
    assert "Source: `5eed`." in found and re.search(r"digests: `[0-9a-f]{64}`", found)
    assert "- few_images: A split should have more images. Received: 17." in found


def test_training_names_network_cost_time_machine_and_versions(store):
    rows = dict(cells(sections(card(store))["Training"]))
    assert rows["network"] == "light_fpn, narrow, encoder resnet50" and rows["parameters"] == "1,944,049"
    assert rows["multiply-adds"] == "3.96 G per image of 128x96"
    assert rows["trained"] == "2026-11-27 02:03 UTC, 1 h 02 min"
    assert rows["on"] == "Fast 9000, 7 cores, 24 GiB, Big GPU" and rows["with"] == "kseg 0.9, tensorflow 2.21.0"
    assert rows["settings"] == "epochs 33, learning_rate 0.0021"


def test_scores_stand_with_their_intervals_against_the_simplest_prediction_and_the_last_version(store):
    found = sections(card(store))["Scores"]
    assert "On the 17 images of the split test, of which training knew nothing" in found
    assert ["mean IoU", "0.612", "0.551 to 0.661"] in cells(found) and ["pixel accuracy", "0.913", ""] in cells(found)
    assert any(row[1] == "0.046" for row in cells(found)) and "boundary" not in found
    assert "Predicting road everywhere has a mean IoU of 0.267" in found
    assert "Against version 4, on the same images: mean IoU +0.031 (95 % interval -0.004 to +0.066)." in found


def test_each_class_has_a_row_whatever_its_name(store):
    rows = cells(sections(card(store))["Classes"])
    assert ["0", "road", "`#804080`", "75.00 %", "0.800", "0.710 to 0.890", "0.810", "0.830"] in rows
    assert ["1", r"no\|way", "`#0000ff`", "25.00 %", "0.424", "0.310 to 0.520", "0.820", "0.840"] in rows
    assert ["2", "sky", "`#4682b4`", "0.00 %", "none", "", "none", "none"] in rows


def test_slices_and_limits(store):
    found = sections(card(store))
    assert ["size=small", "less than 150,000 pixels", "6", "0.502", "0.710"] in cells(found["Slices"])
    for number in ("1,234,567 pixels", "65,535", "0.75 GiB", "1,234,321 pixels"):
        assert number in found["Limits"]
    assert "Never scored, since no image of the scored split shows or is given them: sky." in found["Limits"]
    assert "Never seen in training: sky." in found["Limits"]
    assert "A bad image gets a status" in found["Limits"]


def test_cost_of_serving_stands_with_the_machine_that_measured_it(store):
    rows = dict(cells(sections(card(store))["Serving"]))
    assert list(rows.values())[2:] == ["42 ms", "1.50 GiB", "99.987 %", "Slow 1, 2 cores, 8 GiB"]


def test_other_runtimes_stand_with_their_agreement_and_loss_where_they_were_exported(store):
    assert "Other runtimes" not in sections(card(store))
    (store["exporter"] / "saved_model" / "formats.json").write_text(json.dumps(FORMATS))
    found = sections(card(store))["Other runtimes"]
    assert "compared on 31 images of the split validation;" in found
    assert ["`onnx/`", "99.991 %", "0.610", "+0.00", "4.2 MB", "onnxruntime 1.24"] in cells(found)
    assert ["`litert_int8/`", "97.300 %", "0.602", "-0.81", "1.1 MB", ""] in cells(found)


def test_it_says_how_to_call_what_led_to_it_and_which_licences_hold(store):
    change(store["exporter"], "saved_model/assets/export.json", pretrained=PRETRAINED)
    text = card(store)
    found = sections(text)
    assert 'tf.saved_model.load("savedmodels/streets/VERSION")' in text and 'signatures["serve_bytes"]' in text
    compile(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], "card", "exec")
    assert [store["trainer"].name in row[1] for row in cells(found["Lineage"]) if row[0] == "trainer"] == [True]
    assert "Packages: keras 3.15.1." in found["Lineage"]
    licences = found["Licences"]
    assert "weights of others for the encoder resnet50; their licence: Apache-2.0." in licences
    assert {"somebody", "weights 1.2", "feed"} <= {row[1] for row in cells(licences)}
    assert "The licences of the data and of the trained weights are not recorded." in licences
    assert "Training began with random weights." not in licences


def test_what_the_head_says_of_the_model_is_what_its_manifest_says(store):
    text = card(store)
    assert text.startswith("# Model card: streets\n")
    assert r"one of 3 classes: road, no\|way, sky. Images are fitted into 128x96 pixels" in text
    assert "Averages 2 views" in text and "DenseCRF:" not in text
    change(
        store["exporter"],
        "saved_model/assets/export.json",
        image_size=None,
        image_scale=0.5,
        flips=[],
        crf={"iterations": 3},
    )
    text = card(store)
    assert "Images are shown at 0.5 of their own size" in text and 'DenseCRF: `{"iterations": 3}`' in text
    assert "Averages" not in text


def test_scores_of_a_cross_validation_are_not_claimed_for_the_mean_of_its_networks(store):
    change(
        store["evaluator"],
        "scores.json",
        folds=[{"mean_iou": 0.5}, {"mean_iou": 0.6}],
        split="out of fold",
        intervals={},
    )
    found = sections(card(store))["Scores"]
    assert (
        "Of the 2 networks, each on the images that it did not see (17 in all); their mean has seen every image"
        in found
    )
    assert "Intervals" not in found


def test_it_names_no_place_on_this_machine_and_says_nothing_without_records(store, tmp_path):
    assert str(tmp_path) not in card(store)
    (tmp_path / "alone" / "saved_model").mkdir(parents=True)
    for name in ("scores.json", "infra.json"):
        (tmp_path / "alone" / name).write_text('{"blessed": true, "reasons": []}')
    alone = dict.fromkeys(("export", "evaluation", "validation"), tmp_path / "alone")
    assert set(sections(model_card("streets", **alone))) == {
        "Model card: streets",
        "Limits",
        "How to call it",
        "Licences",
    }


def test_that_no_held_out_score_exists_is_said(store):
    assert "held-out" not in card(store)
    change(store["evaluator"], "scores.json", held_out=False, split="validation")
    found = sections(card(store))["Scores"]
    assert "No held-out score exists: the network learned from the images of the split validation" in found
    assert "of the split validation, with which the network was trained, at their original size" in found


def test_it_says_where_the_network_learned_from_validation_too_although_test_is_scored(store):
    assert "learned from" not in card(store)
    change(store["exporter"], "saved_model/assets/export.json", trained_on=["train", "validation"])
    assert "| learned from | the splits train and validation |" in sections(card(store))["Training"]


def test_images_without_masks_are_counted_and_what_was_not_scored_is_said(store):
    assert "without masks" not in card(store) and "target" not in card(store)
    others = {"domain": "target", "images": 9, "reencoded": {}, "unread_masks": [], "foreign_files": []}
    unusable = [*INGESTION["quarantined"], {"split": "unlabelled", "key": "u"}]
    change(store["example_gen"], "ingestion.json", unlabelled=others, quarantined=unusable)
    change(store["transform"], "plan.json", examples={"train": 41, "test": 17, "unlabelled": 7})
    change(store["evaluator"], "scores.json", target=7, gate={"chosen_with_target_labels": True})
    learned = {"adaptation": "maps", "domain_weight": 0.02, "pseudo_label_weight": 0.5, "pseudo_label_threshold": 0.8}
    change(store["trainer"], "recipe.json", config={"epochs": 33} | learned)
    opponent = {"name": "patch_gan", "parameters": 9, "game": "between domains by maps", "weight": 0.02}
    change(store["trainer"], "training.json", discriminator=opponent)
    found = sections(card(store))
    assert (
        "Training saw 7 images without masks of another domain, the target, as well; no label of theirs was read."
        in found["Data"]
    )
    assert (
        "Left out because they are images of validation or test: 2. Set aside because they could not be used: 1."
        in found["Data"]
    )
    assert "Pairs set aside because they could not be used: 3." in found["Data"]
    assert "Its settings were chosen with labels of that domain." in found["Scores"]
    assert "of the labelled source" in found["Scores"] and "with 7 images that have no labels" in found["Scores"]
    rows = dict(cells(found["Training"]))
    assert rows["discriminator"] == "patch_gan, in training alone; game between domains by maps, weight 0.02"
    assert rows["images without masks"] == (
        "adaptation by maps, weight 0.02; pseudo-labels of an averaged teacher from probability 0.8, weight 0.5"
    )
    assert "No score is of the target" in found["Limits"]
    change(store["example_gen"], "ingestion.json", unlabelled=others | {"domain": "same"})
    assert "7 images without masks of the same domain as well" in sections(card(store))["Data"]
