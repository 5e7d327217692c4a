"""TFDS data sets as a source, on a small one that is prepared here."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image
from pipeline import inspect, run
from pipeline.components.example_gen import example_gen
from pipeline.engine.file_digests import FileDigests
from pipeline.examples.sources.fingerprints import source_artifact
from pipeline.examples.sources.tfds_builder import prepare_command
from pipeline.examples.sources.tfds_data_set import open_tfds
from pipeline.settings.example_gen import ExampleGen
from tests.kseg.pairs.layouts.test_replicas import REPLICAS, generator

SPLITS = {
    "named": {"train": 5, "test": 2},
    "void": {"train": 40},
    "nameless": {"train": 40},
    "renamed": {"training": 4, "dev": 2, "unlabelled": 3},
    "deep": {"train": 3, "test": 1},
    "twice": {"train2014": 2, "train2017": 2},
    "unknown": {"night": 2, "day": 2},
}
"""Examples by split, by configuration."""


def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) and mask (H, W, 1), uint8, with the values 1 to 3."""
    image = np.random.default_rng(number).integers(0, 256, (12 + number, 16, 3), np.uint8)
    return image, (np.arange(image[..., :1].size).reshape(*image.shape[:2], 1) % 3 + 1).astype(np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Where TFDS has prepared `tiny_pets`: with named classes, a class named void, or none (the other configurations)."""
    import tensorflow_datasets as tfds

    class TinyPets(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = tuple(tfds.core.BuilderConfig(name=name) for name in SPLITS)
        name = "tiny_pets"
        url_infos = {}  # noqa: RUF012

        def _info(self):
            mask = {"shape": (None, None, 1), "encoding_format": "png"}
            last = {"named": "border", "void": "void"}.get(self.builder_config.name)
            if last:
                mask = tfds.features.LabeledImage(labels=["nothing", "pet", "ground", last], **mask)
            else:
                mask = tfds.features.Image(**mask)
            deep = {"shape": (None, None, 3), "dtype": np.uint16, "encoding_format": "png"}
            features = {
                "image": tfds.features.Image(**deep if self._is_deep() else {"encoding_format": "jpeg"}),
                "segmentation_mask": mask,
                "label": tfds.features.ClassLabel(num_classes=2),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _is_deep(self):
            return self.builder_config.name == "deep"

        def _split_generators(self, dl_manager):
            splits = SPLITS[self.builder_config.name]
            return {split: self._generate_examples(count) for split, count in splits.items()}

        def _generate_examples(self, count):
            for number in range(count):
                image, mask = drawn(number)
                image = image * np.uint16(39) if self._is_deep() else image
                yield number, {"image": image, "segmentation_mask": mask, "label": 0}

    folder = tmp_path_factory.mktemp("tfds")
    for config in SPLITS:
        TinyPets(data_dir=folder, config=config).download_and_prepare()
    return folder


@pytest.fixture
def ingest(tmp_path, monkeypatch, data_dir):
    """Runs example_gen on a TFDS source; returns the folder that it wrote and ingestion.json."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    out = tmp_path / "examples"
    out.mkdir()

    def run(source, classes=None, **settings):
        example_gen(out, ExampleGen(**settings), source=source, classes=classes)
        return out, json.loads((out / "ingestion.json").read_text())

    return run


@pytest.mark.skipif(not REPLICAS.is_dir(), reason="the replicas of public layouts are not there")
def test_the_replica_of_oxford_pets_keeps_its_splits_and_other_names_are_understood_or_listed(tmp_path, monkeypatch):
    generator("case21_tfds_pets").build(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    classes = ExampleGen(classes="pet=1,background=2,border=3")
    source = open_tfds("oxford_iiit_pet", classes, None)
    assert (source.counts, source.labels.names) == ({"train": 8, "test": 3}, ("pet", "background", "border"))
    assert source.labels.values == (1, 2, 3)
    renamed = open_tfds("my_pets", classes, None)
    assert sum(renamed.counts.values()) == 8 and "evaluation" in " ".join([*renamed.unused_splits, *renamed.notes])


def test_a_tfds_data_set_is_identified_by_its_content_not_by_its_name_or_place(monkeypatch, data_dir, tmp_path, capsys):
    def explained(place):
        monkeypatch.setenv("TFDS_DATA_DIR", str(place))
        status = run.main(["--data", "tfds:tiny_pets:named", "--root", str(tmp_path / "runs"), *asked])
        assert status == 0
        return capsys.readouterr().out.split("\n")[0]

    asked = ("--until", "example_gen")
    explained(data_dir)
    asked = ("--until", "example_gen", "--explain")
    shutil.copytree(data_dir, tmp_path / "elsewhere")
    assert explained(tmp_path / "elsewhere").split()[:2] == ["example_gen", "cached"]
    shard = next((tmp_path / "elsewhere" / "tiny_pets" / "named").rglob("*train.tfrecord*"))
    shard.write_bytes(shard.read_bytes() + b" ")
    assert explained(tmp_path / "elsewhere") == "example_gen         will run: input source changed"


def test_every_file_of_a_prepared_data_set_counts_also_while_it_is_read(monkeypatch, data_dir, tmp_path):
    shutil.copytree(data_dir, tmp_path / "place")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "place"))
    artifact = source_artifact("tfds:tiny_pets:named", ExampleGen(), FileDigests(tmp_path / "runs"))
    files = [path for path in (tmp_path / "place" / "tiny_pets" / "named").rglob("*") if path.is_file()]
    assert len(files) >= 4
    for file in files:
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert artifact.rehash() != artifact.fingerprint, file
        file.write_bytes(content)
        assert artifact.rehash() == artifact.fingerprint


def test_a_tfds_data_set_keeps_its_bytes_splits_and_names(ingest, data_dir):
    import tensorflow_datasets as tfds

    out, ingestion = ingest("tfds:tiny_pets:named")
    assert (ingestion["pairs"], ingestion["reencoded"], ingestion["quarantined"]) == ({"test": 2, "train": 5}, {}, [])
    labels = LabelMap.load(out)
    assert labels.names == ("nothing", "pet", "ground", "border")
    assert labels.colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))  # as PASCAL VOC paints 0 to 3
    decoders = {"image": tfds.decode.SkipDecoding()}
    theirs = tfds.builder("tiny_pets/named", data_dir=data_dir).as_dataset(split="test", decoders=decoders)
    ours = tfds.builder_from_directory(out).as_dataset(split="test", decoders=decoders)
    theirs = {bytes(e["image"]): e["segmentation_mask"] for e in theirs.as_numpy_iterator()}
    ours = {bytes(e["image"]): e["label_map"] for e in ours.as_numpy_iterator()}
    assert ours.keys() == theirs.keys()
    for image_bytes, mask in theirs.items():
        np.testing.assert_array_equal(ours[image_bytes], mask)
        assert decode_image(image_bytes).shape[:2] == mask.shape[:2]


def test_a_data_set_of_one_split_is_split_by_a_hash_and_takes_a_table(ingest, tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text("value,name,red,green,blue\n1,pet,9,9,9\n2,ground,8,8,8\n")
    out, ingestion = ingest("tfds:tiny_pets:nameless", table, ignore_value=3, validation_share=0.3, test_share=0.2)
    assert sum(ingestion["pairs"].values()) == 40
    assert ingestion["pairs"].keys() == {"train", "validation", "test"}
    assert LabelMap.load(out).values == (1, 2)


def test_splits_of_other_usual_names_are_kept_and_others_are_named(ingest, tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text("value,name,red,green,blue\n1,pet,9,9,9\n2,ground,8,8,8\n3,border,7,7,7\n")
    _, ingestion = ingest("tfds:tiny_pets:renamed", table)
    assert ingestion["pairs"] == {"train": 4, "validation": 2}
    assert ingestion["unused_splits"] == ["tfds:tiny_pets:renamed unlabelled"]


def test_images_of_16_bits_are_scaled_by_their_range(ingest, tmp_path):
    import tensorflow_datasets as tfds

    table = tmp_path / "classes.csv"
    table.write_text("value,name,red,green,blue\n1,pet,9,9,9\n2,ground,8,8,8\n3,border,7,7,7\n")
    out, ingestion = ingest("tfds:tiny_pets:deep", table)
    assert ingestion["conventions"]["image_range"] == 255 * 39
    stored = tfds.builder_from_directory(out).as_dataset(split="test").as_numpy_iterator()
    np.testing.assert_array_equal(next(stored)["image"], drawn(0)[0])


def test_pairs_of_a_tfds_data_set_are_quarantined_by_their_id(ingest, tmp_path):
    table = tmp_path / "classes.csv"
    table.write_text("value,name,red,green,blue\n1,pet,9,9,9\n")
    with pytest.raises(
        ValueError, match=r"7 pairs that are not:\n.*Mask values.*tfds:tiny_pets:named tiny_pets-\w+\.tfrecord-"
    ):
        ingest("tfds:tiny_pets:named", table)


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("tfds:large_pets", {}, r"TFDS must know the data set\. Received: tfds:large_pets .*TFDS_DATA_DIR"),
        ("tfds:oxford_iit_pet", {}, r"Received: tfds:oxford_iit_pet .* Did you mean 'oxford_iiit_pet'"),
        (
            "tfds:oxford_iiit_pet",
            {},
            r"(?s)must be prepared, since a run downloads nothing.*Run\npython -c .*oxford_iiit_pet.*\nor set TFDS_DATA_DIR",
        ),
        (
            "tfds:tiny_pets:nameless",
            {},
            r"(?s)whose segmentation_mask names no classes, and no --classes.*\n1,class_0,0,0,0,33",
        ),
        ("tfds:tiny_pets:void", {}, r"(?s)Received: 3,void \[tfds:tiny_pets:void\]\. Choose:.*--ignore-value 3\n"),
        (
            "tfds:tiny_pets:twice",
            {},
            r"Received: train2014 and train2017, both train \[tfds:tiny_pets:twice\]\. Prepare",
        ),
        (
            "tfds:tiny_pets:unknown",
            {},
            r"splits of known names: train .*Received: night, day \[tfds:tiny_pets:unknown\]",
        ),
        (
            "tfds:tiny_pets:named",
            {"mask_feature": "label"},
            r"`mask_feature` must name a feature with images.*=label .*There are: image, segmentation_mask",
        ),
    ],
)
def test_unusable_tfds_data_sets_are_refused(ingest, source, settings, message):
    with pytest.raises(ValueError, match=message):
        ingest(source, **settings)


@pytest.mark.slow
def test_the_command_that_prepares_a_data_set_gets_as_far_as_its_download(tmp_path):
    command = shlex.split(prepare_command("oxford_iiit_pet"))
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "TFDS_DATA_DIR": str(tmp_path)}
    assert command[0] == "python"
    process = subprocess.Popen(
        [sys.executable, *command[1:]],
        env=os.environ | nowhere,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    lines = []
    try:
        for line in process.stderr:  # it tries again for minutes
            lines.append(line)
            if "images.tar.gz" in line or "Error" in line.split(":")[0]:
                break
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert "NewConnectionError" in lines[-1] and "images.tar.gz" in lines[-1], "".join(lines)


@pytest.mark.parametrize(
    ("config", "stop", "pairs"),
    [
        ("named", "duplicates_across_splits", {"train": 5, "test": 2}),  # both begin with `drawn(0)`
        ("nameless", "no_class_table", {"train": 32, "validation": 4, "test": 4}),
    ],
)
def test_a_tfds_data_set_can_be_inspected(config, stop, pairs, monkeypatch, data_dir, tmp_path, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    assert inspect.main([f"tfds:tiny_pets:{config}", "--json", "--limit", "4"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {split: row["pairs"] for split, row in found["splits"].items()} == pairs
    assert found["pairs"] == {"total": sum(pairs.values()), "read": sum(pairs.values()), "quarantined": 0}
    assert [row["name"] for row in found["anomalies"] if row["severity"] == "stop"] == [stop]
    assert len(found["shown"]) == 4 and (tmp_path / found["contact_sheet"]).is_file()
