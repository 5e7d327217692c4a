"""Every network of kseg in every float format: its label maps are Keras's."""

import keras
import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from tests.kseg.models.test_networks import NETWORKS, K

FLOAT = ("onnx", "openvino", "litert")
LABELS = LabelMap(tuple("abcde"), tuple((40 * number, 90, 200 - 30 * number) for number in range(K)), tuple(range(K)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("file_format", FLOAT)
def test_every_network_is_converted_and_agrees(data, tmp_path, name, file_format):
    picture = Image.open(sorted((data / "camvid/images").rglob("*.png"))[0]).convert("RGB")  # 480x360: it is resized
    keras.utils.set_random_seed(0)
    arguments = {"labels": LABELS, "image_size": (64, 96), "formats": file_format, "validation": [np.asarray(picture)]}
    report = serving.export(NETWORKS[name](), tmp_path / "model", **arguments)
    assert report[file_format]["agreement"] >= 0.999
