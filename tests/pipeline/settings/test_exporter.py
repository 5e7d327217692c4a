"""Limits of the export are held against the images of the data before training; moved settings are named."""

import dataclasses

import pytest

from pipeline.settings import config as settings
from pipeline.settings.exporter import MOVED, Exporter, check_servable, check_working_size


def test_images_up_to_the_limits_pass():
    check_servable(Exporter(), 21, [(7071, 7071), (65_535, 700)])
    check_servable(Exporter(crf={"iterations": 2}), 11, [(640, 480)])


def test_an_image_that_the_export_would_refuse_stops_the_run_with_the_setting_to_raise():
    with pytest.raises(ValueError, match=r"at most 50,000,000 pixels.*image of 7072x7071 \[exporter\.max_pixels\]"):
        check_servable(Exporter(), 21, [(10, 10), (7072, 7071)])
    with pytest.raises(ValueError, match=r"Received: an image of 70000x2 "):
        check_servable(Exporter(), 21, [(70_000, 2)])
    with pytest.raises(
        ValueError, match=r"960x720 \[exporter\.score_memory=1 with DenseCRF\]\. Raise exporter\.score_memory"
    ):
        check_servable(Exporter(crf={"iterations": 2}), 21, [(960, 720)])
    check_servable(Exporter(crf={"iterations": 2}, score_memory=4.0), 21, [(960, 720)])


def test_limits_below_the_working_size_stop_the_run_before_training():
    check_working_size(Exporter(max_pixels=768), 3, {"image_size": [24, 32]})
    with pytest.raises(ValueError, match=r"at least those of `image_size`, 768\. Received: max_pixels=767\."):
        check_working_size(Exporter(max_pixels=767), 3, {"image_size": [24, 32]})
    check_working_size(Exporter(max_pixels=1), 3, {"image_size": None, "image_scale": 0.5})


def test_a_setting_that_the_trainer_had_is_named_at_its_place_now():
    for field in dataclasses.fields(Exporter):
        with pytest.raises(
            ValueError, match=rf"Unknown setting 'trainer\.{field.name}'.* It is 'exporter\.{field.name}' now\."
        ):
            settings.replace_setting(settings.Config(), f"trainer.{field.name}", "none")
    assert len(MOVED) == len(dataclasses.fields(Exporter))
