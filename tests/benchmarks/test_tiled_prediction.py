"""The benchmark of tiles compares each prediction with the network alone on as many pixels."""

import numpy as np

from benchmarks import tiled_prediction


def test_every_prediction_is_timed_in_wall_clock_and_cpu_seconds(monkeypatch):
    monkeypatch.setattr(tiled_prediction, "FILTERS", (4, 4))
    monkeypatch.setattr(tiled_prediction, "TILES", [(64, 32)])
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    rows = tiled_prediction.compare(image, num_classes=3, rounds=1)
    assert [name for name, _, _ in rows] == ["tiles 64, overlap 32", "2 flips", "8 views", "1000 superpixels"]
    assert all(seconds.shape == alone.shape == (2,) and (alone > 0).all() for _, seconds, alone in rows)


def test_the_images_that_a_model_predicts_are_counted():
    counted = tiled_prediction.CountingModel(
        type("Model", (), {"predict_on_batch": staticmethod(lambda images: images)})
    )
    tiled_prediction.inference.predict_tiles(counted, np.zeros((64, 160, 3)), tile=64, overlap=32)
    assert counted.number == 3 * 6
