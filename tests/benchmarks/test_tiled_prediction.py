"""The benchmark of tiles holds each way against the network alone on as many pixels."""

import numpy as np

from benchmarks import tiled_prediction


def test_every_way_is_timed_by_the_clock_and_of_the_cpu(monkeypatch):
    monkeypatch.setattr(tiled_prediction, "FILTERS", (4, 4))
    monkeypatch.setattr(tiled_prediction, "TILES", [(64, 32)])
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    rows = tiled_prediction.compare(image, num_classes=3, rounds=1)
    assert [name for name, _, _ in rows] == ["tiles 64, overlap 32", "2 flips", "8 turns", "1000 superpixels"]
    assert all(seconds.shape == alone.shape == (2,) and (alone > 0).all() for _, seconds, alone in rows)


def test_a_way_is_held_against_as_many_images_as_it_shows_the_network():
    counted = tiled_prediction.Counted(type("Model", (), {"predict_on_batch": staticmethod(lambda images: images)}))
    tiled_prediction.inference.predict_tiles(counted, np.zeros((64, 160, 3)), tile=64, overlap=32)
    assert counted.number == 3 * 6
