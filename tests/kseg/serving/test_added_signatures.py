"""The signatures `network`, `overlay` and `from_examples` of an export agree with the others, and keep their limits."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import kseg
from kseg import plots
from kseg.pairs.channels import encode_as_png
from kseg.serving import exporting as serving
from kseg.serving import graph, overlay_in_graph, statuses
from tests.kseg.pairs.encoded import encoded
from tests.kseg.serving.test_exporting import LABELS, SIZE, network, scene

FILES = [encoded(scene(40, 60), "JPEG"), encoded(scene(61, 37), "PNG"), encoded(scene(24, 32), "PNG")]


@pytest.fixture(scope="module")
def model():
    return network()


KINDS = {
    "box": {"image_size": SIZE, "max_pixels": 80_000},
    "scaled": {"image_scale": 0.8},
    "strict": {"image_size": SIZE, "strict": True},
    "views": {"image_size": SIZE, "flips": ["horizontal"], "rotations": [0, 90]},
    "refined": {"image_size": SIZE, "crf": {"iterations": 2}},
}


@pytest.fixture(scope="module")
def loaded(model, tmp_path_factory):
    """An export of each kind, made when it is first asked for; one of images of unlike sizes cuts those of 2000 pixels."""

    class Exports(dict):
        def __missing__(self, kind):
            folder = tmp_path_factory.mktemp(kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(graph, "LARGE_PIXELS", 2000)
                patch.setattr(statuses, "TILE", (32, 40))
                serving.export(model, folder, labels=LABELS, **KINDS[kind])
            self[kind] = tf.saved_model.load(folder)
            return self[kind]

    return Exports()


def ask(loaded, signature, strings):
    (name,) = loaded.signatures[signature].structured_input_signature[1]
    outputs = loaded.signatures[signature](**{name: tf.constant(list(strings), tf.string)})
    return {name: value.numpy() for name, value in outputs.items()}


def example(**features) -> bytes:
    """A serialized tf.Example of bytes values."""
    written = tf.train.Example()
    for name, values in features.items():
        written.features.feature[name].bytes_list.value.extend(values)
    return written.SerializeToString()


def levels(*sizes, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (*sizes, 3)).astype(np.float32)


@pytest.mark.parametrize("sizes", [(2, 24, 32), (1, 64, 96), (3, 32, 32)])
def test_the_network_alone_answers_levels_of_any_size_with_probabilities(model, loaded, sizes):
    image = levels(*sizes)
    found = loaded["box"].signatures["network"](image=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(found, tf.nn.softmax(model(image)), atol=1e-6)


@pytest.mark.parametrize("name", ["box", "views"])
def test_the_network_answers_an_image_of_the_working_size_as_the_other_signatures_do(loaded, name):
    image = scene(*SIZE)[None]
    found = loaded[name].signatures["network"](image=tf.constant(image, tf.float32))["probabilities"]
    expected = loaded[name].signatures["probabilities"](image=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "build",
    [lambda: kseg.UNet(3, filters=(4, 8)), pytest.param(lambda: kseg.LightFPN(3), marks=pytest.mark.slow)],
    ids=["unet", "light_fpn"],
)
def test_xla_compiles_the_network(tmp_path, build):
    model = build()
    serving.export(model, tmp_path, labels=LABELS, image_size=(64, 96))
    loaded = tf.saved_model.load(tmp_path)
    compiled = tf.function(loaded.signatures["network"], jit_compile=True)
    image = levels(1, 64, 96)
    found = compiled(image=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(
        found, loaded.signatures["network"](image=tf.constant(image))["probabilities"], atol=2e-5
    )


@pytest.mark.slow
def test_openvino_takes_the_network_from_the_saved_model(loaded):
    openvino = pytest.importorskip("openvino")
    signature = loaded["box"].signatures["network"]
    compiled = openvino.Core().compile_model(
        openvino.convert_model(signature), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    image = levels(2, 64, 96)
    expected = signature(image=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(next(iter(compiled(image).values())), expected, atol=1e-5)


def test_the_network_refuses_more_pixels_than_it_sees_at_once_and_what_is_no_number(loaded):
    ask_network = loaded["box"].signatures["network"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="A batch must have at most 80,000 pixels"):
        ask_network(image=tf.zeros((3, 200, 200, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`image` must be finite"):
        ask_network(image=tf.fill((1, 24, 32, 3), np.nan))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`network` must be asked for at most 1,048,576 pixels"):
        loaded["views"].signatures["network"](image=tf.zeros((5, 512, 512, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`network` must be asked for an image"):
        ask_network(image=tf.zeros((0, 24, 32, 3)))


@pytest.mark.parametrize("name", ["box", "scaled", "refined"])
def test_an_overlay_shows_the_label_map_in_the_colours_of_the_classes(loaded, name):
    label_maps = ask(loaded[name], "serve_bytes", FILES)["label_map_bytes"]
    found = ask(loaded[name], "overlay", FILES)
    assert found["status"].tolist() == [0, 0, 0] and found["message"].tolist() == [b"", b"", b""]
    for file, png, jpeg in zip(FILES, label_maps, found["overlay_bytes"], strict=True):
        picture = Image.open(io.BytesIO(jpeg))
        image, label_map = (np.asarray(Image.open(io.BytesIO(data))) for data in (file, png))
        expected = np.asarray(plots.overlay(image, label_map, LABELS), int)
        assert picture.format == "JPEG" and picture.size == (image.shape[1], image.shape[0])
        assert np.abs(np.asarray(picture) - expected).mean() < 6  # levels that JPEG loses at borders of strong colours


def test_an_overlay_is_drawn_as_for_people_before_it_is_encoded(monkeypatch):
    image, label_map = scene(40, 60), np.random.default_rng(0).integers(0, 3, (40, 60), dtype=np.uint8)
    monkeypatch.setattr(overlay_in_graph, "BAND_PIXELS", 500)
    monkeypatch.setattr(tf.io, "encode_jpeg", lambda pixels, **_: pixels)
    for channels in (1, 3):
        shown = image[..., :channels]
        drawn = overlay_in_graph.encode_overlay(tf.constant(shown), tf.constant(label_map), LABELS.palette())
        difference = np.abs(drawn.numpy().astype(int) - np.asarray(plots.overlay(shown, label_map, LABELS)))
        assert difference.max() <= 1


def test_an_overlay_is_upright(loaded):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(scene(40, 60)).save(file, "JPEG", exif=exif)
    found = ask(loaded["box"], "overlay", [file.getvalue()])
    assert Image.open(io.BytesIO(found["overlay_bytes"][0])).size == (40, 60)


@pytest.mark.parametrize("name", ["box", "scaled"])
def test_examples_are_answered_as_their_images_are(loaded, name):
    expected = ask(loaded[name], "serve_bytes", FILES)
    found = ask(loaded[name], "from_examples", [example(image=[file], key=[b"1"]) for file in FILES])
    assert {key: value.tolist() for key, value in found.items()} == {
        key: value.tolist() for key, value in expected.items()
    }


BAD_EXAMPLES = {
    "a picture": FILES[1],
    "nothing": b"",
    "another name": example(picture=[FILES[1]]),
    "two values": example(image=[FILES[1], FILES[1]]),
    "a number": tf.train.Example(
        features=tf.train.Features(feature={"image": tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))})
    ).SerializeToString(),
    "cut off": example(image=[FILES[1]])[:-100],
}


@pytest.mark.parametrize("bad", BAD_EXAMPLES)
def test_a_bad_example_leaves_its_batch_alone(loaded, bad):
    good = example(image=[FILES[0]])
    found = ask(loaded["box"], "from_examples", [good, BAD_EXAMPLES[bad], good])
    assert found["status"].tolist() == [0, statuses.BAD_EXAMPLE, 0]
    assert found["label_map_bytes"][0] == found["label_map_bytes"][2] != found["label_map_bytes"][1] == b""
    assert found["message"][1].startswith(b"An example must be a serialized tf.Example")


@pytest.mark.parametrize("signature", ["overlay", "from_examples"])
def test_bad_images_have_the_statuses_that_serve_bytes_gives_them(loaded, signature):
    bad = [b"", b"GIF89a" + bytes(50), FILES[0][:-100], encoded(np.zeros((300, 300, 3), np.uint8), "PNG"), FILES[0]]
    expected = ask(loaded["box"], "serve_bytes", bad)
    found = ask(loaded["box"], signature, [example(image=[file]) for file in bad] if signature != "overlay" else bad)
    assert found["status"].tolist() == expected["status"].tolist() == [1, 2, 3, 4, 0]
    if signature == "from_examples":
        assert found["message"].tolist() == expected["message"].tolist()
    assert ask(loaded["box"], signature, [])["status"].shape == (0,)


def test_an_overlay_has_no_side_that_jpeg_does_not_hold(loaded):
    long = encoded(np.zeros((1, 65_501, 3), np.uint8), "PNG")
    found = ask(loaded["box"], "overlay", [FILES[1], long])
    assert found["status"].tolist() == [0, statuses.TOO_MANY_PIXELS] and b"no side above 65,500" in found["message"][1]
    assert ask(loaded["box"], "serve_bytes", [long])["status"].tolist() == [0]


@pytest.mark.parametrize(("signature", "bad"), [("overlay", b""), ("from_examples", b"no example")])
def test_a_strict_export_refuses_the_request(loaded, signature, bad):
    good = FILES[0] if signature == "overlay" else example(image=[FILES[0]])
    assert len(ask(loaded["strict"], signature, [good])) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"An (image|example) must"):
        ask(loaded["strict"], signature, [good, bad])


@pytest.mark.parametrize(
    ("channels", "dtype", "missing"),
    [(4, "uint8", {"overlay"}), (5, "uint16", {"overlay", "from_examples", "serve_bytes"})],
)
def test_signatures_are_left_out_where_their_images_do_not_exist(tmp_path, channels, dtype, missing):
    kind = {} if dtype == "uint8" else {"normalization": {"mean": [9.0] * channels, "deviation": [2.0] * channels}}
    serving.export(network(channels), tmp_path, labels=LABELS, image_size=SIZE, dtype=dtype, **kind)
    signatures = tf.saved_model.load(tmp_path).signatures
    named = {"serving_default", "probabilities", "network", "serve_bytes", "from_examples", "overlay"}
    assert set(signatures) == named - missing
    assert signatures["network"].structured_input_signature[1]["image"].shape[-1] == channels
    if channels == 4:
        file = encode_as_png(np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8))
        assert signatures["from_examples"](examples=tf.constant([example(image=[file])]))["status"].numpy() == [0]


def test_a_network_of_one_size_takes_that_size(tmp_path):
    model = kseg.UNet(3, filters=(4, 8), input_shape=(32, 48, 3))
    serving.export(model, tmp_path, labels=LABELS, image_size=(32, 48))
    spec = tf.saved_model.load(tmp_path).signatures["network"].structured_input_signature[1]["image"]
    assert spec.shape.as_list() == [None, 32, 48, 3]
