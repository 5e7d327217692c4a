"""The patch classifier of the benchmark sees its 16 x 16 window and nothing else."""

import numpy as np
import pytest

from benchmarks import streets_hardness


@pytest.fixture(scope="module")
def model():
    """A narrow patch classifier whose weights are positive, so that no ReLU hides a change of a bright image."""
    model = streets_hardness.patch_classifier(8, filters=4)
    model.set_weights([abs(weight) for weight in model.get_weights()])
    return model


def test_a_pixel_is_classified_from_the_window_round_it(model):
    image = np.random.default_rng(0).uniform(0, 255, (1, 40, 48, 3)).astype(np.float32)
    row, column = 20, 24
    window = image.copy()
    window[0, row - 8 : row + 8, column - 8 : column + 8] = 0
    outside = np.where(window == 0, image, 128).astype(np.float32)
    logits = [model(picture).numpy()[0, row, column] for picture in (image, outside)]
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)


@pytest.mark.parametrize("corner", [(12, 16), (27, 31)])
def test_the_corners_of_the_window_count(model, corner):
    image = np.random.default_rng(1).uniform(130, 200, (1, 40, 48, 3)).astype(np.float32)
    changed = image.copy()
    changed[0, corner[0], corner[1]] += 1e7
    changed_more = image.copy()
    changed_more[0, corner[0] - (corner[0] < 20) + (corner[0] > 20), corner[1]] += 1e7
    here = model(image).numpy()[0, 20, 24]
    assert (model(changed).numpy()[0, 20, 24] > here).all()
    np.testing.assert_array_equal(here, model(changed_more).numpy()[0, 20, 24])


def test_the_table_says_whether_the_bars_hold():
    unet, patch = ({"iou": [iou] * 8, "mean_iou": iou} for iou in (0.6, 0.5))
    assert "FAILS" in streets_hardness.table(unet, patch)
    assert "holds" in streets_hardness.table(unet, {"iou": [0.3] * 8, "mean_iou": 0.3})
