"""The exporter writes the trained network as its settings and the plan say."""

import json

import numpy as np
import pytest

from kseg import inference
from kseg.serving.manifest import WARM_UP_REQUESTS, read_manifest
from pipeline.components.exporter import exporter
from pipeline.settings.exporter import Exporter


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "exporter"
    folder.mkdir()
    return folder


def test_the_export_is_the_trained_network_with_the_settings_and_the_plan_in_its_manifest(finished, out):
    settings = Exporter(flips=("horizontal",), tiles=True, max_pixels=250_000, score_memory=0.5, strict=True)
    exporter(out, settings, model=finished.trainer, transform=finished.transform)
    manifest = read_manifest(out / "saved_model")
    expected = {"flips": ["horizontal"], "rotations": [0], "tiles": True, "crf": None, "max_pixels": 250_000}
    expected |= {"score_memory": 0.5, "strict": True, "image_size": list(finished.image_size), "image_scale": None}
    assert {name: manifest[name] for name in expected} == expected and "pretrained" not in manifest
    image, label_map = finished.pairs["test"][0]
    found = inference.SavedModel(out / "saved_model").label_map(image)
    assert np.mean(found[1:] == label_map[1:]) > 0.95  # the first row is void
    assert (out / "saved_model" / WARM_UP_REQUESTS).is_file()


def test_images_that_keep_their_own_sizes_are_exported_at_their_factor(own_sizes, out):
    exporter(out, Exporter(), model=own_sizes.trainer, transform=own_sizes.transform)
    manifest = read_manifest(out / "saved_model")
    assert (manifest["image_size"], manifest["image_scale"]) == (None, 0.5)


def test_what_a_training_began_with_and_learned_from_goes_into_the_export(finished, out, tmp_path):
    pretrained = {"encoder": "resnet50", "weights": "file", "licence": None}
    model = tmp_path / "trainer"
    model.mkdir()
    (model / "model.keras").write_bytes((finished.trainer / "model.keras").read_bytes())
    (model / "training.json").write_text(json.dumps({"pretrained": pretrained, "trained_on": ["train", "validation"]}))
    exporter(out, Exporter(), model=model, transform=finished.transform)
    manifest = read_manifest(out / "saved_model")
    assert (manifest["pretrained"], manifest["trained_on"]) == (pretrained, ["train", "validation"])
