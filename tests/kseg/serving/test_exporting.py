"""The exported SavedModel: its signatures agree with Keras and with each other, and it needs neither kseg nor Keras."""

import functools
import inspect
import io
import os
import shutil
import stat
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kseg
from kseg import inference
from kseg.labels import LabelMap
from kseg.pairs.channels import PixelKind, encode_as_png, encode_pixels, kind_of
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.serving import exporting as serving
from kseg.serving import manifest, statuses
from kseg.serving.decoding_in_graph import decode_strictly
from tests.kseg.pairs.encoded import png

LABELS = LabelMap(("ground", "car", "sky"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
SIZE = (24, 32)
SHAPES = [(24, 32), (48, 64), (37, 61), (61, 37), (5, 90), (1, 1)]


def network(channels=3, stride=1, num_classes=3, padding="same"):
    """A small segmentor with a normalisation inside, batch statistics, and some context."""
    keras.utils.set_random_seed(1)
    x = image = keras.Input((None, None, channels), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = keras.layers.Conv2D(8, 5, strides=stride, padding=padding, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(num_classes, 3, padding=padding, kernel_initializer="he_normal")(x)
    return keras.Model(image, keras.layers.Activation("linear", dtype="float32")(x), name="small")


def scene(height, width, channels=3, seed=0):
    """Smooth blobs: an image (H, W, C), uint8, whose label map has regions."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    return np.asarray(coarse)[..., :channels]


def encoded(image, file_format):
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, file_format)
    return file.getvalue()


def decoded(data, mode):
    image = np.asarray(Image.open(io.BytesIO(data)).convert(mode))
    return image if mode == "RGB" else image[..., None]


@pytest.fixture(scope="module")
def models():
    return {channels: network(channels) for channels in (1, 3)}


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    """The directories of the two exports, made under a umask that hides everything from others."""
    folder = tmp_path_factory.mktemp("exports")
    before = os.umask(0o077)
    try:
        for channels, model in models.items():
            serving.export(model, folder / str(channels), labels=LABELS, image_size=SIZE)
    finally:
        os.umask(before)
    return {channels: folder / str(channels) for channels in models}


@pytest.fixture(scope="module")
def load():
    """Loads an export, once."""
    return functools.cache(tf.saved_model.load)


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = {channels: tf.saved_model.load(path) for channels, path in exported.items()}
    return {channels: model.signatures for channels, model in loaded.items()} | {"keep": loaded}


def test_the_signatures_are_named_and_typed_as_documented(signatures):
    inputs = {name: function.structured_input_signature[1] for name, function in signatures[1].items()}
    assert inputs == {
        "serving_default": {"image": tf.TensorSpec((None, None, None, 1), tf.uint8, name="image")},
        "probabilities": {"image": tf.TensorSpec((None, None, None, 1), tf.uint8, name="image")},
        "serve_bytes": {"image_bytes": tf.TensorSpec((None,), tf.string, name="image_bytes")},
        "overlay": {"image_bytes": tf.TensorSpec((None,), tf.string, name="image_bytes")},
        "from_examples": {"examples": tf.TensorSpec((None,), tf.string, name="examples")},
        "network": {"image": tf.TensorSpec((None, None, None, 1), tf.float32, name="image")},
    }
    outputs = {name: function.structured_outputs for name, function in signatures[1].items()}
    dtypes = {name: {key: spec.dtype for key, spec in specs.items()} for name, specs in outputs.items()}
    assert dtypes == {
        "serving_default": {"label_map": tf.uint8, "confidence": tf.float32},
        "probabilities": {"probabilities": tf.float32},
        "serve_bytes": {"label_map_bytes": tf.string, "status": tf.int32, "message": tf.string},
        "overlay": {"overlay_bytes": tf.string, "status": tf.int32, "message": tf.string},
        "from_examples": {"label_map_bytes": tf.string, "status": tf.int32, "message": tf.string},
        "network": {"probabilities": tf.float32},
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_export_equals_the_keras_model_at_the_images_own_size(models, signatures, channels, shape):
    images = np.stack([scene(*shape, channels, seed) for seed in range(2)])
    expected, confidence = serving.predict_label_maps(models[channels], SIZE, images)
    outputs = signatures[channels]["serving_default"](image=tf.constant(images))
    assert expected.shape == (2, *shape)
    np.testing.assert_array_equal(outputs["label_map"], expected)
    np.testing.assert_allclose(outputs["confidence"], confidence, atol=1e-6)


def test_images_of_the_networks_own_size_are_not_resized(models, signatures):
    image = scene(*SIZE)[None]
    expected = keras.ops.softmax(models[3](image.astype("float32")))
    seen = signatures[3]["probabilities"](image=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    assert len(np.unique(np.argmax(expected, -1))) > 1  # else the other tests would compare one class


@pytest.mark.parametrize("shape", SHAPES)
def test_label_map_and_confidence_are_the_largest_of_the_probabilities(signatures, shape):
    images = tf.constant(scene(*shape)[None])
    probabilities = signatures[3]["probabilities"](image=images)["probabilities"].numpy()
    outputs = signatures[3]["serving_default"](image=images)
    assert probabilities.shape == (1, *shape, 3)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(outputs["label_map"], probabilities.argmax(-1))
    np.testing.assert_array_equal(outputs["confidence"], probabilities.max(-1))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_encoded_images_of_any_size_and_format_give_the_label_map_of_their_pixels(signatures, channels, mode):
    files = [
        encoded(scene(37, 61, channels), "JPEG"),
        encoded(scene(61, 37, channels), "PNG"),
        encoded(scene(24, 32, 1), "PNG"),  # grey, also to the network for RGB
        encoded(scene(120, 90, 1), "JPEG"),
    ]
    pngs = signatures[channels]["serve_bytes"](image_bytes=tf.constant(files))["label_map_bytes"].numpy()
    for file, label_map_bytes in zip(files, pngs, strict=True):
        image = decoded(file, mode)
        expected = signatures[channels]["serving_default"](image=tf.constant(image[None]))["label_map"][0]
        png = Image.open(io.BytesIO(label_map_bytes))
        assert (png.format, png.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(png), expected)


def test_a_photograph_taken_sideways_is_rotated_before_it_is_labelled(signatures):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(scene(40, 60)).save(stream, "JPEG", exif=exif)
    outputs = signatures[3]["serve_bytes"](image_bytes=tf.constant([stream.getvalue()]))["label_map_bytes"].numpy()[0]
    upright = np.rot90(np.asarray(Image.open(stream)), -1)
    expected = signatures[3]["serving_default"](image=tf.constant(upright[None]))["label_map"][0]
    assert expected.shape == (60, 40)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(outputs))), expected)


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (1, 4), (3, 0), (3, 2), (3, 6)])
def test_16_bits_are_scaled_in_the_graph_as_in_ingestion_and_8_bits_are_left_alone(channels, kind):
    samples = scene(30, 44, 3 if kind in (2, 6) else 1).astype(int) * 39
    samples = np.dstack([samples, np.full((30, 44), 65535)]) if kind in (4, 6) else samples
    files = [png(samples, 16, kind), encoded(scene(30, 44), "JPEG"), encoded(scene(30, 44, 1), "PNG")]
    for file in files[: 3 if channels == 3 else 1]:
        stored, _, _ = prepare_image(file, channels, "here", image_range=9945)
        decoded = tf.function(lambda data: decode_strictly(data, channels, 9945))(tf.constant(file))
        np.testing.assert_array_equal(decoded, decode_image(stored))
    assert decode_image(prepare_image(files[0], channels, "here", image_range=9945)[0]).max() > 200


def test_the_range_of_16_bits_is_exported(models, tmp_path):
    serving.export(models[1], tmp_path / "1", labels=LABELS, image_size=SIZE, image_range=9945)
    assert manifest.read_manifest(tmp_path / "1")["image_range"] == 9945
    loaded, image = tf.saved_model.load(tmp_path / "1").signatures, scene(30, 44, 1)
    outputs = loaded["serve_bytes"](image_bytes=tf.constant([png(image.astype(int) * 39, 16, 0)]))["label_map_bytes"]
    expected = loaded["serving_default"](image=tf.constant(image[None]))["label_map"][0]
    np.testing.assert_array_equal(tf.io.decode_png(outputs[0])[..., 0], expected)
    for wrong in (0, 65536, 9.5, True):
        with pytest.raises(
            ValueError, match=r"`image_range` must be a whole number in 1\.\.65535, or None\. Received: "
        ):
            serving.export(models[1], tmp_path / "2", labels=LABELS, image_size=SIZE, image_range=wrong)


def test_colour_files_reach_a_network_for_grey_images_as_grey(signatures):
    file = encoded(np.repeat(scene(30, 44, 1), 3, axis=-1), "PNG")
    outputs = signatures[1]["serve_bytes"](image_bytes=tf.constant([file]))["label_map_bytes"].numpy()[0]
    grey = tf.constant(scene(30, 44, 1)[None])
    expected = signatures[1]["serving_default"](image=grey)["label_map"][0].numpy()
    assert (np.asarray(Image.open(io.BytesIO(outputs))) == expected).mean() > 0.98  # libpng rounds grey by one level


def test_names_and_colours_are_in_the_assets(exported, signatures):
    assert LabelMap.load(exported[3] / "assets") == LABELS
    assert signatures["keep"][3].labels.asset_path.numpy().decode().endswith("assets/labels.json")


def test_other_users_can_read_the_export_under_any_umask(exported):
    modes = {entry.is_dir(): stat.S_IMODE(entry.stat().st_mode) for entry in [exported[3], *exported[3].rglob("*")]}
    assert modes == {True: 0o755, False: 0o644}


CRF = {"iterations": 3, "smoothness_weight": 1.0, "appearance_colour_sigma": 40.0, "appearance_weight": 2.0}


@pytest.fixture(scope="module")
def refined(models, tmp_path_factory):
    """An export that DenseCRF refines."""
    folder = tmp_path_factory.mktemp("refined") / "1"
    serving.export(models[3], folder, labels=LABELS, image_size=SIZE, crf=CRF)
    return folder


def test_an_export_with_a_crf_refines_the_probabilities_at_the_images_own_size(load, refined, signatures):
    signature = load(refined).signatures["probabilities"]
    changed = 0
    for shape in (SIZE, (37, 61), (1, 1)):
        images = tf.constant(np.stack([scene(*shape, seed=seed) for seed in range(2)]))
        plain = signatures[3]["probabilities"](image=images)["probabilities"]
        expected = kseg.DenseCRF(**CRF, from_logits=False)([plain, images]).numpy()
        seen = signature(image=images)["probabilities"]
        # A pixel on the border of two simplices may fall to either, by how the graph rounds: 1e-3 seen.
        np.testing.assert_allclose(seen, expected, atol=5e-3)
        changed += np.count_nonzero(expected.argmax(-1) != plain.numpy().argmax(-1))
    assert changed > 100


@pytest.fixture(scope="module")
def refined_by_default(models, tmp_path_factory):
    """An export with tiles that DenseCRF refines with its default arguments."""
    folder = tmp_path_factory.mktemp("refined_by_default") / "1"
    kseg.export(models[3], folder, labels=LABELS, image_size=SIZE, crf=True, tiles=True)
    return folder


FRESH = """
import sys
import numpy as np
import tensorflow as tf
try:
    import kseg
    raise SystemExit("kseg can be imported here, so this shows nothing")
except ImportError:
    pass
path, refined, jpeg, image, outputs = sys.argv[1:]
data = open(jpeg, "rb").read()
png = tf.saved_model.load(path).signatures["serve_bytes"](image_bytes=tf.constant([data]))["label_map_bytes"][0]
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.load(session, ["serve"], path)
    signature = meta.signature_def["serve_bytes"]
    fed, fetched = signature.inputs["image_bytes"].name, signature.outputs["label_map_bytes"].name
    again = session.run(fetched, {fed: [data]})[0]
loaded = tf.saved_model.load(refined)
found = {name: loaded.signatures[name](image=tf.constant(np.load(image)))["label_map"] for name in ("serving_default", "tiles")}
found |= {"loaded": tf.io.decode_png(png)[..., 0], "session": tf.io.decode_png(again)[..., 0]}
np.savez(outputs, **found)
"""


@pytest.fixture(scope="module")
def fresh(exported, refined_by_default, tmp_path_factory):
    """Label maps from a process that cannot import kseg; the photograph and the image that they are of."""
    folder, jpeg, images = (
        tmp_path_factory.mktemp("fresh"),
        encoded(scene(75, 100), "JPEG"),
        scene(50, 70, seed=3)[None],
    )
    (folder / "scene.jpg").write_bytes(jpeg)
    np.save(folder / "images.npy", images)
    (folder / "fresh.py").write_text(FRESH)
    exports = [str(exported[3]), str(refined_by_default)]
    command = [sys.executable, "-I", "fresh.py", *exports, "scene.jpg", "images.npy", "outputs.npz"]
    subprocess.run(command, cwd=folder, check=True, timeout=300)
    return np.load(folder / "outputs.npz"), jpeg, images


def test_a_fresh_process_without_kseg_gives_the_same_label_map_also_in_a_session_of_tensorflow_1(models, fresh):
    outputs, jpeg, _ = fresh
    expected, _ = serving.predict_label_maps(models[3], SIZE, decoded(jpeg, "RGB")[None])
    np.testing.assert_array_equal(outputs["loaded"], expected[0])
    np.testing.assert_array_equal(outputs["session"], expected[0])


def test_a_fresh_process_without_kseg_gives_the_same_refined_label_maps(load, models, refined_by_default, fresh):
    outputs, _, images = fresh
    for name in ("serving_default", "tiles"):
        served = load(refined_by_default).signatures[name](image=tf.constant(images))["label_map"]
        np.testing.assert_array_equal(outputs[name], served)
    plain, _ = serving.predict_label_maps(models[3], SIZE, images)
    assert len(np.unique(outputs["serving_default"])) > 1 and (outputs["serving_default"] != plain).any()


def test_predict_label_maps_refines_like_the_export(load, models, refined):
    images = scene(37, 61, seed=3)[None]
    expected, _ = serving.predict_label_maps(models[3], SIZE, images, crf=CRF)
    seen = load(refined).signatures["serving_default"](image=tf.constant(images))["label_map"]
    plain, _ = serving.predict_label_maps(models[3], SIZE, images)
    assert (seen == expected).numpy().mean() > 0.999  # see above: the border of two simplices
    assert (plain != expected).mean() > 0.01


VIEWS = {"flips": ("horizontal", "vertical"), "rotations": (0, 90)}  # all eight ways to lay an image down


@pytest.fixture(scope="module")
def turned(models, tmp_path_factory):
    """An export that averages over eight views."""
    folder = tmp_path_factory.mktemp("turned") / "1"
    serving.export(models[3], folder, labels=LABELS, image_size=SIZE, tiles=True, **VIEWS)
    return folder


def test_an_export_with_views_averages_the_probabilities_of_each(load, models, turned):
    images = np.stack([scene(*SIZE, seed=seed) for seed in range(2)])
    logits = inference.average_views(models[3], **VIEWS)(images.astype(np.float32))
    signature = load(turned).signatures["probabilities"]
    seen = signature(image=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(seen, tf.nn.softmax(logits), atol=1e-5)
    plain = tf.nn.softmax(models[3](images.astype(np.float32)))
    assert np.abs(seen - plain).max() > 0.01


def test_all_signatures_of_an_export_with_views_agree(load, models, turned):
    image = scene(2 * SIZE[0], 2 * SIZE[1], seed=5)
    loaded = load(turned).signatures
    expected, _ = serving.predict_label_maps(models[3], SIZE, image[None], **VIEWS)
    np.testing.assert_array_equal(loaded["serving_default"](image=tf.constant(image[None]))["label_map"], expected)
    outputs = loaded["serve_bytes"](image_bytes=tf.constant([tf.io.encode_png(image).numpy()]))["label_map_bytes"]
    np.testing.assert_array_equal(tf.io.decode_png(outputs[0])[..., 0], expected[0])


def test_tiles_of_an_export_with_flips_are_equivariant_to_flips(load, turned):
    tiles = load(turned).signatures["tiles"]
    image = scene(36, 48, seed=6)[None]  # two steps of 18 and of 24: tiles lie alike from both ends
    straight, flipped = (tiles(image=tf.constant(seen)) for seen in (image, image[:, :, ::-1]))
    np.testing.assert_allclose(flipped["confidence"][:, :, ::-1], straight["confidence"], atol=1e-5)
    np.testing.assert_array_equal(flipped["label_map"][:, :, ::-1], straight["label_map"])
    assert len(np.unique(straight["label_map"])) > 1


def test_an_unknown_view_is_refused(models, tmp_path):
    for views, message in (
        ({"flips": ["left"]}, "`flips` must be a list of"),
        ({"rotations": [45]}, "multiples of 90"),
    ):
        with pytest.raises(ValueError, match=message):
            serving.export(models[3], tmp_path / "1", labels=LABELS, image_size=SIZE, **views)


def test_the_manifest_records_how_the_model_was_exported(exported, turned, refined, refined_by_default):
    plain = {"image_size": [24, 32], "image_range": None, "flips": [], "rotations": [0], "tiles": False, "crf": None}
    plain |= {"image_scale": None, "dtype": "uint8", "normalization": None}
    plain |= {"max_pixels": 50_000_000, "score_memory": 1.0, "strict": False}
    assert manifest.read_manifest(exported[3]) == plain
    assert manifest.read_manifest(turned) == plain | {
        "flips": ["horizontal", "vertical"],
        "rotations": [0, 90],
        "tiles": True,
    }
    of_layer = inspect.signature(kseg.DenseCRF).parameters
    defaults = {name: of_layer[name].default for name in (*CRF, "smoothness_sigma", "compatibility")}
    found = manifest.read_manifest(refined_by_default)
    assert found["tiles"] and found["crf"].items() >= defaults.items()
    assert manifest.read_manifest(refined)["crf"].items() >= (defaults | CRF).items()
    assert kseg.DenseCRF(**found["crf"]).get_config().items() >= defaults.items()


def test_an_export_without_a_manifest_counts_as_unrefined(tmp_path):
    unknown = {"image_size": None, "image_range": None, "flips": [], "rotations": [0], "tiles": False, "crf": None}
    unknown |= {"image_scale": None, "dtype": "uint8", "normalization": None}
    unknown |= {"max_pixels": None, "score_memory": None, "strict": True}
    assert manifest.read_manifest(tmp_path) == unknown
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / manifest.FILE_NAME).write_text('{"image_size": [24, 32]}')  # of an earlier version
    assert manifest.read_manifest(tmp_path) == unknown | {"image_size": [24, 32]}


def dtypes(function):
    """Every dtype that occurs in the graph of a signature."""
    graph = function.graph.as_graph_def()
    nodes = [node for body in [graph.node, *(f.node_def for f in graph.library.function)] for node in body]
    return {
        tf.dtypes.as_dtype(node.attr[key].type)
        for node in nodes
        for key in ("T", "dtype", "DstT")
        if node.attr[key].type
    }


def test_a_network_trained_in_bfloat16_is_exported_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network()
        assert model.layers[2].compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    serving.export(model, tmp_path / "export", labels=LABELS, image_size=SIZE)
    loaded = tf.saved_model.load(tmp_path / "export")
    assert tf.bfloat16 not in dtypes(loaded.signatures["serving_default"])
    assert tf.bfloat16 in dtypes(tf.function(model).get_concrete_function(tf.TensorSpec((1, *SIZE, 3))))
    images = scene(40, 50)[None]
    expected, _ = serving.predict_label_maps(model, SIZE, images)
    np.testing.assert_array_equal(
        loaded.signatures["serving_default"](image=tf.constant(images))["label_map"], expected
    )


KINDS = {"uint8": 250, "uint16": 10_000, "float32": 3.0}


@pytest.mark.parametrize(
    ("channels", "dtype"),
    [
        pytest.param(2, "uint16", marks=pytest.mark.slow),
        pytest.param(4, "uint8", marks=pytest.mark.slow),
        (4, "uint16"),
        pytest.param(1, "float32", marks=pytest.mark.slow),
        (7, "float32"),
    ],
)
def test_images_of_any_channels_and_type_are_served_as_keras_predicts_them(tmp_path, channels, dtype):
    images = (KINDS[dtype] * np.random.default_rng(0).random((2, 37, 61, channels))).astype(dtype)
    constants = None
    if dtype != "uint8":
        constants = {"mean": images.mean(axis=(0, 1, 2)).tolist(), "deviation": images.std(axis=(0, 1, 2)).tolist()}
    model = network(channels)
    options = {"image_size": SIZE, "dtype": dtype, "normalization": constants, "crf": CRF}
    serving.export(model, tmp_path / "1", labels=LABELS, tiles=True, **options)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    assert ("serve_bytes" in signatures) == (dtype != "float32")
    label_maps, _ = serving.predict_label_maps(model, SIZE, images, crf=CRF, normalization=constants)
    for name in ("serving_default", "tiles"):
        assert signatures[name].structured_input_signature[1]["image"].dtype == dtype
        served = signatures[name](image=tf.constant(images))["label_map"].numpy()
        assert len(np.unique(served)) > 1 and served.shape == label_maps.shape
        if name == "serving_default":
            assert (served == label_maps).mean() > 0.999
    if dtype == "float32":
        with pytest.raises(tf.errors.InvalidArgumentError, match="`image` must be finite"):
            signatures["serving_default"](image=tf.fill(images.shape, np.float32("nan")))
        return
    kind = PixelKind(channels, dtype)
    encoded_images = [encode_as_png(image) for image in images]
    wrong = [
        encode_pixels(images[0][..., :1]),
        encode_as_png(images[0].astype("uint8" if dtype == "uint16" else "uint16")),
        b"GIF89a",
    ]
    wrong += [encoded(scene(20, 30), "JPEG"), encoded_images[0][:-30]]
    answer = signatures["serve_bytes"](image_bytes=tf.constant(encoded_images + wrong))
    expected = [0, 0, *[statuses.UNSUPPORTED_FORMAT] * 4, statuses.DAMAGED]
    assert answer["status"].numpy().tolist() == expected
    bits = 8 * np.dtype(dtype).itemsize
    assert f"a PNG file of {channels} channels of {bits} bits" in answer["message"][2].numpy().decode()
    for png_bytes, label_map in zip(answer["label_map_bytes"].numpy()[:2], label_maps, strict=True):
        assert (decode_image(png_bytes)[..., 0] == label_map).mean() > 0.999
    assert kind_of(encoded_images[0]) == kind


def test_constants_that_do_not_fit_the_images_are_refused(tmp_path):
    right = {"mean": [1.0] * 4, "deviation": [2.0] * 4}
    for dtype, constants in (("uint16", None), ("float32", {"mean": [1.0], "deviation": [2.0]}),
                             ("uint16", right | {"deviation": [2.0, 2.0, 0.0, 2.0]})):  # fmt: skip
        with pytest.raises(ValueError, match="a mean and a deviation above 0 for each of 4 channels"):
            serving.export(
                network(4), tmp_path / "1", labels=LABELS, image_size=SIZE, dtype=dtype, normalization=constants
            )
    with pytest.raises(ValueError, match="`dtype` must be one of uint8, uint16, float32"):
        serving.export(network(4), tmp_path / "1", labels=LABELS, image_size=SIZE, dtype="int8", normalization=right)


def test_networks_that_cannot_be_served_are_refused(tmp_path):
    def exporting(model):
        return serving.export(model, tmp_path / "export", labels=LABELS, image_size=SIZE)

    soft = keras.Sequential([network(), keras.layers.Activation("softmax", name="ending")], name="soft")
    with pytest.raises(ValueError, match=r"`model` must give logits. Received: soft, .*layer ending.*activation=None"):
        exporting(soft)
    with pytest.raises(
        ValueError, match=r"one image \(B, H, W, C\) with a known C. Received: inputs of shapes .*None\)"
    ):
        exporting(keras.Model(*[keras.Input((None, None, None))] * 2))
    with pytest.raises(
        ValueError, match=r"a logit for each of the 3 classes of `labels`. Received: 5 logits \[model small\]"
    ):
        exporting(network(num_classes=5))
    with pytest.raises(
        ValueError, match=r"own size. Received: logits \(12, 16\) of an image \(24, 32\).*padding='same'"
    ):
        exporting(network(stride=2))
    with pytest.raises(ValueError, match=r"own size. Received: logits \(18, 26\)"):
        exporting(network(padding="valid"))

    class Game(keras.Model):
        pass

    with pytest.raises(TypeError, match=r"must be a functional keras.Model.*For a game, export its `segmentor`"):
        exporting(Game())
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"labels": ["ground", "car", "sky"]},
            TypeError,
            r"`labels` must be a kseg\.LabelMap\. Received: labels=\['ground'",
        ),
        ({"image_size": "32x24"}, ValueError, r"`image_size` must be \(height, width\).*image_size='32x24'\. Write"),
        ({"image_size": 24}, ValueError, r"Received: image_size=24\."),
        ({"image_size": (24, 32, 3)}, ValueError, r"Received: image_size=\(24, 32, 3\)"),
        ({"image_size": (24.0, 32)}, ValueError, r"Received: image_size=\(24\.0, 32\)"),
        ({"image_size": (0, 32)}, ValueError, r"above 0\. Received: image_size=\(0, 32\)"),
        ({"crf": "auto"}, TypeError, r"`crf` must be True, a dict .*Received: crf='auto'"),
        ({"crf": {"iteration": 3}}, TypeError, r"DenseCRF has no argument 'iteration'\. Did you mean 'iterations'"),
        ({"crf": {"from_logits": True}}, ValueError, r"`crf` must not set from_logits"),
        ({"path": None}, TypeError, r"`path` must be the path of a folder\. Received: path=None"),
        (
            {"model": "model.keras"},
            TypeError,
            r"`model` must be a functional keras\.Model\. Received: model='model\.keras'",
        ),
        ({"rotations": 90}, ValueError, r"`rotations` must be a list"),
        ({"max_pixels": 767}, ValueError, r"at least those of `image_size`, 768\. Received: max_pixels=767"),
        ({"max_pixels": 1e6}, ValueError, r"`max_pixels` must be a whole number.*max_pixels=1000000\.0"),
        (
            {"score_memory": 0},
            ValueError,
            r"`score_memory` must be a number of GiB above 0\. Received: score_memory=0\.",
        ),
        (
            {"score_memory": 1e-5},
            ValueError,
            r"must suffice for probabilities of 3 classes at `image_size`, 768 pixels",
        ),
        ({"score_memory": 1e-4, "crf": True}, ValueError, r"must suffice for DenseCRF of 3 classes"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(models, tmp_path, arguments, error, message):
    right = {"model": models[3], "path": tmp_path / "export", "labels": LABELS, "image_size": SIZE}
    with pytest.raises(error, match=message):
        kseg.export(**(right | arguments))
    assert not list(tmp_path.iterdir())


def test_a_file_or_a_folder_with_other_contents_is_not_overwritten(models, tmp_path):
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh")
    script.chmod(0o755)
    with pytest.raises(FileExistsError, match=r"`path` must be a folder\. Received: path='.*run\.sh', which is a file"):
        kseg.export(models[3], script, labels=LABELS, image_size=SIZE)
    with pytest.raises(FileExistsError, match=r"a folder with 'run\.sh' in it\. Name a folder inside it"):
        kseg.export(models[3], tmp_path, labels=LABELS, image_size=SIZE)
    assert stat.S_IMODE(script.stat().st_mode) == 0o755


def test_an_earlier_export_and_what_a_killed_one_left_are_overwritten(models, exported, tmp_path):
    shutil.copytree(exported[1], tmp_path / "export")
    (tmp_path / "export" / "saved_model.pb.tmp0123abcd").touch()
    kseg.export(models[3], tmp_path / "export", labels=LABELS, image_size=np.array(SIZE), rotations=np.array([0]))
    graphs = [(folder / "saved_model.pb").read_bytes() for folder in (tmp_path / "export", exported[1])]
    assert graphs[0] != graphs[1]
    assert manifest.read_manifest(tmp_path / "export") == manifest.read_manifest(exported[3])


def test_a_model_of_one_input_size_is_refused_at_another_and_with_rotations_that_do_not_fit(tmp_path):
    image = keras.Input((24, 32, 3))
    model = keras.Model(image, keras.layers.Conv2D(3, 1)(image), name="fixed")
    with pytest.raises(
        ValueError, match=r"`image_size` must be the input size of the model\. .*\(24, 32\) \[model fixed\]"
    ):
        kseg.export(model, tmp_path / "export", labels=LABELS, image_size=(48, 64))
    with pytest.raises(ValueError, match=r"`rotations` must be of 0 and 180 for a model of one size"):
        kseg.export(model, tmp_path / "export", labels=LABELS, image_size=SIZE, rotations=(0, 90))


def test_a_classifier_of_windows_is_refused(tmp_path):
    classifier = kseg.PatchClassifier(3, window=18, kernel_sizes=(3, 3), filters=(4, 4), dense_units=(8,))
    with pytest.raises(ValueError, match=r"must return logits \(B, H, W, K\)\. .*kseg\.convolutionalize"):
        kseg.export(classifier, tmp_path / "export", labels=LABELS, image_size=(18, 18))


def test_predict_label_maps_refuses_images_of_another_dtype_or_rank(models):
    with pytest.raises(TypeError, match=r"`images` must hold uint8\. Received: images\.dtype=float32"):
        serving.predict_label_maps(models[3], SIZE, np.zeros((1, 20, 30, 3), np.float32))
    with pytest.raises(ValueError, match=r"Add an axis for the batch"):
        serving.predict_label_maps(models[3], SIZE, np.zeros((20, 30, 3), np.uint8))
