"""A small prepared data set and an exported model, as the components leave them."""

import dataclasses
import json
import os
import pathlib
import urllib.request

import numpy as np
import pytest

from kseg.labels import VOID, LabelMap
from tests.prepared_pairs import write_prepared

IMAGE_SIZE, MAX_PIXELS = (24, 32), 250_000
LABELS = LabelMap(("ground", "left", "right"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
CRF = {"iterations": 2, "appearance_colour_sigma": 60.0}
SIZES = [(40, 56), (56, 40), (37, 61), (48, 64), (20, 28)]


@dataclasses.dataclass(frozen=True)
class Line:
    """Artifacts of a line that is finished up to the exporter, and their pairs by split."""

    examples: pathlib.Path
    statistics: pathlib.Path
    transform: pathlib.Path
    trainer: pathlib.Path
    exporter: pathlib.Path
    image_size: tuple[int, int]
    pairs: dict[str, list]
    small_pairs: dict[str, list]


def pair(index: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) and its label map (H, W), uint8: two blocks on a ground, each of its own colour; void on top."""
    height, width = SIZES[index % len(SIZES)]
    label_map = np.zeros((height, width), np.uint8)
    label_map[height // 3 :, : width // 3] = 1
    label_map[height // 2 :, width // 2 :] = 2
    noise = np.random.default_rng(index).normal(0, 12, (height, width, 3))
    image = np.clip(np.array(LABELS.colours)[label_map] + noise, 0, 255).astype(np.uint8)
    label_map[0] = VOID
    return image, label_map


def nearest_colour():
    """A Keras model that needs no training: the logit of a class decreases with the squared distance to its colour."""
    import keras

    colours = np.array(LABELS.colours, np.float32)
    image = keras.Input((None, None, 3), name="image")
    score = keras.layers.Conv2D(3, 1, name="score")
    model = keras.Model(image, score(image))
    score.set_weights([2e-3 * colours.T[None, None], -1e-3 * np.sum(colours**2, axis=1)])
    return model


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Line:
    """Three splits of pairs of different sizes, the same pairs fitted into IMAGE_SIZE, and the exported `nearest_colour`."""
    from kseg.pairs.resizing import fitted_size, resize_image, resize_label_map
    from kseg.serving import exporting as serving
    from pipeline.exporting import warm_up

    folder = tmp_path_factory.mktemp("finished")
    splits = {"train": [pair(n) for n in range(3)], "validation": [pair(3)], "test": [pair(n) for n in range(4, 9)]}

    def fitted(image, label_map):
        size = fitted_size(*label_map.shape, IMAGE_SIZE)
        return resize_image(image, size), resize_label_map(label_map, size)

    small = {split: [fitted(*pair) for pair in pairs] for split, pairs in splits.items()}
    line = Line(
        examples=write_prepared(folder / "examples", splits, LABELS),
        statistics=folder / "statistics",
        transform=write_prepared(folder / "transform", small, LABELS),
        trainer=folder / "trainer",
        exporter=folder / "exporter",
        image_size=IMAGE_SIZE,
        pairs=splits,
        small_pairs=small,
    )
    (line.transform / "plan.json").write_text(json.dumps({"image_size": IMAGE_SIZE, "channels": 3}))
    line.statistics.mkdir()
    counts = sum(np.bincount(label_map.ravel(), minlength=256)[:3] for _, label_map in splits["train"])
    statistics = {"splits": {"train": {"class_pixels": counts.tolist()}}}
    (line.statistics / "statistics.json").write_text(json.dumps(statistics))
    line.trainer.mkdir()
    model = nearest_colour()
    model.save(line.trainer / "model.keras")
    serving.export(model, line.exporter / "saved_model", labels=LABELS, image_size=IMAGE_SIZE, max_pixels=MAX_PIXELS)
    warm_up.write_requests(line.exporter / "saved_model", line.transform)
    return line


@pytest.fixture(scope="session")
def own_sizes(finished, tmp_path_factory) -> Line:
    """The line of `finished` where images keep their own sizes, times 0.5."""
    from kseg.pairs.resizing import resize_image, resize_label_map, working_size
    from kseg.serving import exporting as serving
    from pipeline.exporting import warm_up

    folder, factor = tmp_path_factory.mktemp("own_sizes"), 0.5

    def reduced(image, label_map):
        size = working_size(*label_map.shape, factor)
        return resize_image(image, size), resize_label_map(label_map, size)

    small = {split: [reduced(*pair) for pair in pairs] for split, pairs in finished.pairs.items()}
    transform, exporter = write_prepared(folder / "transform", small, LABELS), folder / "exporter"
    plan = {"image_size": None, "image_scale": factor, "crop_size": [16, 16], "channels": 3}
    (transform / "plan.json").write_text(json.dumps(plan))
    model, limited = nearest_colour(), {"labels": LABELS, "max_pixels": MAX_PIXELS}
    serving.export(model, exporter / "saved_model", image_scale=factor, **limited)
    warm_up.write_requests(exporter / "saved_model", transform)
    return dataclasses.replace(finished, transform=transform, exporter=exporter, small_pairs=small)


@pytest.fixture(scope="session")
def refining(finished, tmp_path_factory) -> pathlib.Path:
    """Artifact of the exporter that averages two views, has the signature "tiles", and refines by DenseCRF."""
    from kseg.serving import exporting as serving
    from pipeline.exporting import warm_up

    folder = tmp_path_factory.mktemp("refining") / "exporter"
    options = {"flips": ("horizontal",), "tiles": True, "crf": CRF}
    limited = {"image_size": IMAGE_SIZE, "max_pixels": MAX_PIXELS}
    serving.export(nearest_colour(), folder / "saved_model", labels=LABELS, **limited, **options)
    warm_up.write_requests(folder / "saved_model", finished.transform)
    return folder


@pytest.fixture(scope="module")
def equal_exports():
    """SavedModels that tests of a module have loaded, by the files of their folders."""
    return {}


@pytest.fixture
def loaded_once(equal_exports, monkeypatch):
    """Folders of SavedModels with equal files are loaded once, which takes longer than to label with them."""
    import tensorflow as tf

    load = tf.saved_model.load

    def load_once(path):
        files = sorted(file for file in pathlib.Path(path).rglob("*") if file.is_file())
        key = tuple((str(file.relative_to(path)), file.read_bytes()) for file in files)
        if key not in equal_exports:
            equal_exports[key] = load(path)
        return equal_exports[key]

    monkeypatch.setattr(tf.saved_model, "load", load_once)


@pytest.fixture
def void_examples(tmp_path) -> pathlib.Path:
    """A prepared data set in which no pixel has a class."""
    image, label_map = pair(0)
    return write_prepared(tmp_path / "void", {"test": [(image, np.full_like(label_map, VOID))]}, LABELS)


@pytest.fixture
def memory():
    """fsspec's object store in the memory of this process, empty."""
    store = pytest.importorskip("fsspec").filesystem("memory")
    store.store.clear(), store.pseudo_dirs.clear()
    yield store
    store.store.clear(), store.pseudo_dirs.clear()


@pytest.fixture(scope="session")
def s3_server():
    """Address of a server that answers as S3 does, in a thread of this process."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    """s3fs on that server, with an empty bucket "bucket"; the environment is that of a user of it."""
    import s3fs

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        "ENDPOINT_URL": s3_server,
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "secret",
        "DEFAULT_REGION": "us-east-1",
    }
    for name, value in (
        settings | {"CONFIG_FILE": str(tmp_path / "no-config"), "EC2_METADATA_DISABLED": "true"}
    ).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/moto-api/reset", method="POST")).read()
    s3fs.S3FileSystem.clear_instance_cache()  # of the environment of another test
    store = s3fs.S3FileSystem(use_listings_cache=False)
    store.mkdir("bucket")
    return store
