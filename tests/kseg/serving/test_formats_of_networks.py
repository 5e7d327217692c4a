"""Every network of kseg in every float format: its label maps are Keras's, or it is refused by name."""

import keras
import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.serving import exporting as serving
from tests.kseg.models.test_networks import NETWORKS, K

FLOAT = ("onnx", "openvino", "litert")
LABELS = LabelMap(tuple("abcde"), tuple((40 * number, 90, 200 - 30 * number) for number in range(K)), tuple(range(K)))
REFUSED = {(name, file_format) for name in ("segnet", "segnet_basic", "unet_unpooling") for file_format in FLOAT}
REFUSED |= {("segnet_nails", "litert")}
"""Networks that unpool by indices go into no format; LiteRT pads no maps of six axes."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("file_format", FLOAT)
def test_a_network_is_converted_or_refused_by_name(data, tmp_path, name, file_format):
    picture = Image.open(sorted((data / "camvid").rglob("*.png"))[0]).convert("RGB").resize((120, 90))
    keras.utils.set_random_seed(0)
    arguments = {"labels": LABELS, "image_size": (64, 96), "formats": file_format, "validation": [np.asarray(picture)]}
    if (name, file_format) in REFUSED:
        with pytest.raises(ValueError, match=f"Received: {file_format}: .* Leave {file_format} out"):
            serving.export(NETWORKS[name](), tmp_path / "model", **arguments)
    else:
        report = serving.export(NETWORKS[name](), tmp_path / "model", **arguments)
        assert report[file_format]["agreement"] >= 0.999
