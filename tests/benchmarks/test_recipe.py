"""The recipes' trials: what is packed, what a minute of two cores stands for, and the table of the page."""

import dataclasses
import importlib
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import json_lines
from benchmarks.recipe import pack, report
from benchmarks.recipe.settings import ARMS, TRIED, Arm, Phase, step_seconds

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def test_an_arm_survives_json():
    for arm in ARMS:
        assert Arm.from_json(json.loads(json.dumps(dataclasses.asdict(arm)))) == arm


def test_arms_have_names_of_their_own():
    assert len({arm.name for arm in ARMS}) == len(ARMS)


def test_a_step_costs_by_pixels_and_multiply_adds():
    assert step_seconds(10, 10, Phase()) == pytest.approx(0.37)
    assert step_seconds(20, 10, Phase(crop=(360, 480), batch=4)) == pytest.approx(4 * 0.37)


def test_pairs_are_packed_and_unpacked(tmp_path):
    random = np.random.default_rng(0)
    for split in pack.SPLITS:
        for kind, values in (("images", np.full((20, 30, 3), 90)), ("masks", random.integers(0, 3, (20, 30)))):
            (tmp_path / kind / split).mkdir(parents=True)
            for name in "ab":
                Image.fromarray((values + (name == "b")).astype(np.uint8)).save(tmp_path / kind / split / f"{name}.png")
    pack.pack_pairs(tmp_path, tmp_path, void=2)
    images, label_maps = pack.unpack_pairs(tmp_path, "train")
    assert images.shape == (2, 20, 30, 3) and np.abs(images.astype(int) - [[[[90]]], [[[91]]]]).max() <= 2
    masks = np.stack([np.array(Image.open(tmp_path / "masks/train" / f"{name}.png")) for name in "ab"])
    np.testing.assert_array_equal(label_maps, np.where(masks == 2, 255, masks))


def test_the_page_shows_the_table_of_its_rows():
    lines = json_lines.read(DOCS / "accuracy_recipe.jsonl")
    assert report.table(lines) in (DOCS / "accuracy.md").read_text()
    assert {line["arm"] for line in lines} == {arm.name for arm in TRIED}
    seeds = {arm.name: set(arm.seeds) for arm in TRIED}
    assert all(line["seed"] in seeds[line["arm"]] for line in lines)


class TestInputs:
    """On JAX, where it is installed."""

    @pytest.fixture(autouse=True)
    def _need_jax(self):
        pytest.importorskip("jax")
        self.inputs = importlib.import_module("benchmarks.recipe.inputs")

    def pair(self):
        label_map = np.repeat(np.arange(12, dtype=np.uint8)[:, None], 16, axis=1)
        return np.repeat(label_map[..., None] * 10, 3, axis=2), label_map

    def augment(self, draws, scale=(1.0, 1.0), size=(4, 5), focus=(0, 0, 0)):
        image, label_map = self.pair()
        found = self.inputs.augment(
            image, label_map, np.float32(draws), np.float32(scale), size, 0.0, np.float32(focus)
        )
        return tuple(np.asarray(part) for part in found)

    def test_a_crop_at_native_scale_is_a_window_of_the_pair(self):
        draws = [0, 0.5, 0.99, 0.9, 0, 0, 0, 0, 0, 0]  # row floor(0.5 * 9), last column, not flipped
        image, label_map = self.augment(draws)
        assert label_map[:, 0].tolist() == [4, 5, 6, 7]
        np.testing.assert_allclose(image[:, 0, 0], [40, 50, 60, 70], atol=1e-3)

    def test_outside_the_picture_the_image_is_0_and_the_label_void(self):
        image, label_map = self.augment([0, 0, 0, 0.9, 0, 0, 0, 0, 0, 0], scale=(0.5, 0.5), size=(8, 8))
        assert (label_map[6:] == 255).all() and (image[6:] == 0).all() and (label_map[:6] < 12).all()

    def test_a_crop_around_a_pixel_shows_it(self):
        for place in (0.0, 0.5, 0.99):
            _, label_map = self.augment([0, 0, 0, 0.9, 0, 0, 0, 0, place, place], focus=(7, 3, 1))
            assert 7 in label_map

    def test_positions_show_their_class(self):
        label_maps = np.zeros((2, 4, 4), np.uint8)
        label_maps[1, 2, 3] = 1
        positions = self.inputs.positions_of_classes(label_maps, 2)
        assert (positions[1] == [1, 2, 3]).all()
        assert set(positions[0][:, 0]) == {0, 1}


class TestTraining:
    """On JAX with Keras on it: KERAS_BACKEND=jax python -m pytest tests/benchmarks/test_recipe.py."""

    @pytest.fixture(autouse=True)
    def _need_keras_on_jax(self):
        pytest.importorskip("jax")
        self.keras = pytest.importorskip("keras")
        if self.keras.backend.backend() != "jax":
            pytest.skip("Keras runs on another backend")
        self.training = importlib.import_module("benchmarks.recipe.training")

    def test_adam_is_that_of_keras(self):
        start = np.linspace(-1, 1, 5).astype("float32")
        variable, weights, moments = self.keras.Variable(start), start, np.zeros((2, 5), "float32")
        optimizer = self.keras.optimizers.Adam(2e-3, weight_decay=1e-4)
        optimizer.build([variable])
        for step in range(1, 4):
            gradients = np.sin(np.arange(5, dtype="float32") * step)
            optimizer.apply([gradients], [variable])
            weights, moments = self.training.adam(weights, moments, gradients, step, 2e-3, 1e-4)
        np.testing.assert_allclose(weights, np.asarray(variable), atol=1e-6)

    def test_the_schedule_is_that_of_the_trainer(self):
        theirs = self.keras.optimizers.schedules.CosineDecay(0.0, 95, warmup_target=2e-3, warmup_steps=5)
        for step in (0, 3, 5, 50, 99):
            assert 2e-3 * float(self.training.schedule(step / 100)) == pytest.approx(float(theirs(step)), abs=1e-8)

    @pytest.mark.parametrize("change", [{}, {"hardest": 0.25}, {"dice": 0.5}])
    def test_the_loss_is_that_of_kseg(self, change):
        from kseg import losses

        random = np.random.default_rng(0)
        logits = random.normal(size=(2, 12, 16, 11)).astype("float32")
        label_maps = random.integers(0, 12, (2, 12, 16)).astype("int32")
        label_maps[label_maps == 11] = 255
        arm = Arm("any", label_smoothing=0.1, **change)
        weights = random.uniform(0.3, 3, 11).astype("float32")
        hyper = {name: np.float32(getattr(arm, name)) for name in ("label_smoothing", "hardest", "boundary", "dice")}
        theirs = losses.CrossEntropy(class_weights=weights, label_smoothing=0.1, top_k=arm.hardest)
        theirs = theirs + arm.dice * losses.Dice() if arm.dice else theirs
        found = self.training.pixel_loss(logits, label_maps, hyper | {"class_weights": weights}, arm)
        assert float(found) == pytest.approx(float(theirs(label_maps, logits)), rel=1e-5)
