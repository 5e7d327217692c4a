"""Limits of the export are held against the images of the data before training."""

import pytest

from pipeline.settings.trainer import Trainer, check_servable


def test_images_up_to_the_limits_pass():
    check_servable(Trainer(), 21, [(7071, 7071), (65_535, 700)])
    check_servable(Trainer(crf={"iterations": 2}), 11, [(640, 480)])


def test_an_image_that_the_export_would_refuse_stops_the_run_with_the_setting_to_raise():
    with pytest.raises(ValueError, match=r"at most 50,000,000 pixels.*image of 7072x7071 \[trainer\.max_pixels\]"):
        check_servable(Trainer(), 21, [(10, 10), (7072, 7071)])
    with pytest.raises(ValueError, match=r"Received: an image of 70000x2 "):
        check_servable(Trainer(), 21, [(70_000, 2)])
    with pytest.raises(
        ValueError, match=r"960x720 \[trainer\.score_memory=1 with DenseCRF\]\. Raise trainer\.score_memory"
    ):
        check_servable(Trainer(crf={"iterations": 2}), 21, [(960, 720)])
    check_servable(Trainer(crf={"iterations": 2}, score_memory=4.0), 21, [(960, 720)])
