"""The network in other runtimes gives the label maps of the Keras model, also where neither kseg nor TensorFlow is installed."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kseg
from kseg.data.resizing_in_graph import fit_image_in_graph, resize_in_graph
from kseg.labels import LabelMap
from kseg.pairs.resizing import working_size
from kseg.serving import exporting as serving
from kseg.serving import formats, label
from kseg.serving.bands import most_probable

LABELS = LabelMap(
    ("sky", "road", "tree", "car"), ((50, 90, 220), (90, 90, 90), (20, 140, 40), (220, 60, 50)), (0, 1, 2, 3)
)
SIZE = (64, 96)
FLOAT = ("onnx", "openvino", "litert")

ALONE = """
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("kseg", "pipeline", "tensorflow", "keras", "scipy", "onnx", "tf2onnx", "h5py"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def photo(data, number, size=None) -> np.ndarray:
    """A picture of CamVid, (H, W, 3), uint8."""
    path = sorted((data / "camvid").rglob("*.png"))[number]
    picture = Image.open(path).convert("RGB")
    return np.asarray(picture.resize(size) if size else picture)


@pytest.fixture(scope="module")
def images(data):
    return [photo(data, 0), photo(data, 40, (200, 301)), photo(data, 80, (40, 30))]


def unet():
    keras.utils.set_random_seed(1)
    return kseg.UNet(4, filters=(4, 8))


@pytest.fixture(scope="module")
def exported(images, tmp_path_factory):
    """The folder of an export in all formats, and what was reported."""
    folder = tmp_path_factory.mktemp("formats") / "model"
    report = serving.export(
        unet(),
        folder,
        labels=LABELS,
        image_size=SIZE,
        formats=tuple(formats.FORMATS),
        calibration=images,
        validation=images,
    )
    return folder, report


@pytest.fixture(scope="module")
def served(exported):
    """The SavedModel itself, as a function from an image to its label map."""
    loaded = tf.saved_model.load(exported[0])
    return lambda image: loaded.signatures["serving_default"](image=tf.constant(image[None]))["label_map"][0].numpy()


@pytest.mark.parametrize("name", FLOAT)
def test_label_maps_of_another_runtime_are_those_of_the_saved_model(exported, served, images, name):
    folder, report = exported
    expected = [served(image) for image in images]
    labeller = label.Labeller(folder / name)
    found = [labeller(image) for image in images]
    equal = np.concatenate([(a == b).ravel() for a, b in zip(found, expected, strict=True)])
    assert equal.mean() >= 0.999 and len(np.unique(expected[0])) > 1
    assert report[name]["agreement"] == equal.mean() and report[name]["images"] == 3


def test_what_was_measured_is_recorded_beside_the_saved_model(exported):
    folder, report = exported
    assert json.loads((folder / "formats.json").read_text()) == report and set(report) == set(formats.FORMATS)
    assert 0.5 < report["litert_int8"]["agreement"] < 1
    assert report["litert_int8"]["bytes"] < report["litert"]["bytes"]
    assert report["onnx"]["packages"].keys() == {"tf2onnx", "onnx", "onnxruntime"}
    names = {path.name for path in (folder / "openvino").iterdir()}
    assert names == {"label.py", "model.json", "model.xml", "model.bin"}


@pytest.mark.parametrize("name", FLOAT)
def test_the_module_beside_a_model_labels_a_photograph_where_only_numpy_pillow_and_the_runtime_are(
    exported, served, images, tmp_path, name
):
    folder = exported[0] / name
    exif = Image.Exif()
    exif[0x0112] = 6  # taken sideways
    Image.fromarray(images[0]).save(tmp_path / "photo.png", exif=exif)
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "label.py"), "photo.png", "labels.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    picture = Image.open(tmp_path / "labels.png")
    upright = np.rot90(images[0], -1)
    assert picture.size == (upright.shape[1], upright.shape[0])
    assert (np.asarray(picture) == served(upright)).mean() >= 0.999
    assert picture.getpalette()[:12] == [50, 90, 220, 90, 90, 90, 20, 140, 40, 220, 60, 50]


def test_the_module_says_what_is_wrong_with_a_picture(exported, tmp_path):
    settings = json.loads((exported[0] / "onnx" / "model.json").read_text())
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (70, 30)).save(tmp_path / "grey.png")
    assert label.read_image(tmp_path / "grey.png", settings).shape == (30, 70, 3)
    with pytest.raises(OSError, match="cannot identify image file"):
        label.read_image(tmp_path / "text.png", settings)
    with pytest.raises(ValueError, match=r"An image must have at most 2,000 pixels\. Received: 30x70"):
        label.read_image(tmp_path / "grey.png", settings | {"max_pixels": 2000})
    with pytest.raises(ValueError, match=r"`image` must be uint8 \(H, W, 3\)\. Received: float32 \(8, 8, 3\)"):
        label.check_image(np.zeros((8, 8, 3), np.float32), settings)
    scaled = settings | {"image_size": None, "image_scale": 0.5, "network_pixels": 1000}
    with pytest.raises(ValueError, match=r"at most 1,000 pixels at its working size\. Received: 40x40"):
        label.check_image(np.zeros((80, 80, 3), np.uint8), scaled)


SIZES = [
    ((37, 61), (24, 32)),
    ((24, 32), (37, 61)),
    ((1, 9), (5, 3)),
    ((50, 4), (7, 90)),
    ((24, 32), (24, 70)),
    ((300, 2), (7, 2)),
    ((101, 203), (100, 1)),
    ((720, 961), (97, 128)),
]


@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_resizing_in_numpy_is_that_of_the_graph(size, wanted):
    values = np.random.default_rng(0).uniform(0, 1, (*size, 4)).astype(np.float32)
    np.testing.assert_array_equal(label.resize(values, wanted), resize_in_graph(values, wanted))
    expected, _ = most_probable(tf.constant(values), tf.constant(wanted), with_confidence=False)
    np.testing.assert_array_equal(label.most_probable(values, wanted), expected)


def test_label_maps_are_the_same_in_bands_of_any_height(monkeypatch):
    values = np.random.default_rng(0).uniform(0, 1, (12, 9, 4)).astype(np.float32)
    whole = label.most_probable(values, (55, 31))
    for pixels in (1, 100, 700):
        monkeypatch.setattr(label, "BAND_PIXELS", pixels)
        np.testing.assert_array_equal(label.most_probable(values, (55, 31)), whole)


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (1, 1), (1, 700), (64, 96), (13, 17)])
def test_an_image_is_prepared_as_in_the_graph(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    settings = {"image_size": SIZE, "normalization": None}
    seen, fitted = label.prepare(image, settings)
    expected = fit_image_in_graph(tf.constant(image), SIZE).numpy()
    assert fitted == working_size(*size, SIZE) == expected.shape[:2] and seen.shape == (*SIZE, 3)
    np.testing.assert_array_equal(seen[: fitted[0], : fitted[1]], expected)
    assert not seen[fitted[0] :].any() and not seen[:, fitted[1] :].any()


def test_16_bits_are_scaled_as_in_the_graph(tmp_path):
    samples = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    Image.fromarray(samples).save(tmp_path / "deep.png")
    settings = {"channels": 1, "dtype": "uint8", "image_range": 40_000, "max_pixels": 1000}
    found = label.read_image(tmp_path / "deep.png", settings)
    expected = np.minimum(np.floor(samples / 40_000 * 255 + 0.5), 255)
    np.testing.assert_array_equal(found[..., 0], expected)


@pytest.mark.slow
def test_a_network_for_images_of_unlike_sizes_and_other_numbers_goes_through_every_format(tmp_path):
    draw = np.random.default_rng(0)
    images = [np.cumsum(draw.normal(size=(h, w, 2)), axis=0).astype(np.float32) for h, w in ((50, 70), (33, 90))]
    model = kseg.UNet(4, filters=(4, 8), input_shape=(None, None, 2))
    report = serving.export(
        model,
        tmp_path,
        labels=LABELS,
        image_scale=0.8,
        dtype="float32",
        normalization={"mean": [0.5, -1.0], "deviation": [4.0, 6.0]},
        flips=["horizontal"],
        rotations=[0, 90],
        formats=FLOAT,
        validation=images,
    )
    assert {name: entry["agreement"] >= 0.999 for name, entry in report.items()} == dict.fromkeys(FLOAT, True)
    np.save(tmp_path / "image.npy", images[0])
    labeller = label.Labeller(tmp_path / "onnx")
    found = labeller(label.read_image(tmp_path / "image.npy", labeller.settings))
    outputs = tf.saved_model.load(tmp_path).signatures["serving_default"](image=tf.constant(images[0][None]))
    assert (found == outputs["label_map"][0].numpy()).mean() >= 0.999


def test_a_network_that_cannot_be_converted_is_refused_by_name_and_nothing_is_written(images, tmp_path):
    image = keras.Input((None, None, 3))
    best = keras.ops.argmax(keras.layers.Conv2D(4, 1)(image), axis=-1)  # Keras's, which works on the bits of numbers
    network = keras.Model(image, keras.ops.one_hot(best, 4), name="bits")
    with pytest.raises(ValueError, match=r"Received: onnx: .* \[model bits\]\. Leave onnx out"):
        serving.export(network, tmp_path / "x", labels=LABELS, image_size=SIZE, formats=["onnx"], validation=images[:1])
    assert not (tmp_path / "x").exists()


def test_a_format_whose_label_maps_differ_is_refused(images, tmp_path, monkeypatch):
    resize = label.resize
    monkeypatch.setattr(label, "resize", lambda values, size: 255 - resize(values, size))  # another picture
    with pytest.raises(ValueError, match=r"The label maps of openvino must agree .* 99\.5% .* agreement=0\."):
        serving.export(
            unet(), tmp_path / "x", labels=LABELS, image_size=SIZE, formats="openvino", validation=images[:1]
        )
    assert not (tmp_path / "x").exists()


def test_an_earlier_export_leaves_no_format_behind(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"of another network")
    (tmp_path / "formats.json").write_text("{}")
    assert serving.export(unet(), tmp_path, labels=LABELS, image_size=SIZE) is None
    assert not (tmp_path / "onnx").exists() and not (tmp_path / "formats.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ["onx"]}, r"`formats` must be of onnx, openvino, .* Received: 'onx'\. Did you mean 'onnx'"),
        ({"formats": ["onnx"]}, "`validation` must hold images"),
        ({"formats": ["litert_int8"], "validation": [0]}, "`calibration` must hold images for litert_int8"),
        ({"formats": ["onnx"], "validation": [0], "crf": True}, "without DenseCRF"),
        ({"formats": ["onnx"], "validation": [np.zeros((9, 9, 1), np.uint8)]}, r"`image` must be uint8 \(H, W, 3\)"),
    ],
)
def test_wrong_formats_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        serving.export(unet(), tmp_path / "x", labels=LABELS, image_size=SIZE, **arguments)
    assert not (tmp_path / "x").exists()
