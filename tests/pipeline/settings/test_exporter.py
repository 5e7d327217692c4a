"""Limits of the export are held against the images of the data before training; moved settings are named."""

import dataclasses
import importlib.util

import pytest

from pipeline.settings import config as settings
from pipeline.settings.exporter import FORMATS, UNPOOLING, Exporter, check_formats, check_servable, check_working_size
from pipeline.settings.trainer import MODELS


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
    for field in (field for field in dataclasses.fields(Exporter) if field.name != "formats"):
        with pytest.raises(
            ValueError, match=rf"Unknown setting 'trainer\.{field.name}'.* It is 'exporter\.{field.name}' now\."
        ):
            settings.replace_setting(settings.Config(), f"trainer.{field.name}", "none")


def test_formats_are_those_of_kseg_whose_packages_are_looked_for_before_any_work(monkeypatch):
    from kseg.serving import formats

    assert tuple(FORMATS) == tuple(formats.FORMATS)
    changed = settings.replace_setting(settings.Config(), "exporter.formats", "onnx,litert_int8")
    assert changed.exporter.formats == ("onnx", "litert_int8")
    with pytest.raises(ValueError, match=r"`formats` must be at most 4 different values.*formats=tflite"):
        settings.replace_setting(settings.Config(), "exporter.formats", "tflite")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"exporter\.formats=onnx without tf2onnx, onnx, onnxruntime\. .*kseg\[runtimes\]"
    ):
        check_formats(changed.exporter, "unet")
    check_formats(Exporter(), "segnet")


def test_other_runtimes_have_no_dense_crf():
    with pytest.raises(ValueError, match="DenseCRF runs in TensorFlow alone"):
        Exporter(formats=("onnx",), crf={"iterations": 2})


def test_networks_that_unpool_by_indices_are_refused_before_training():
    assert set(UNPOOLING) <= set(MODELS)
    for model in UNPOOLING:
        with pytest.raises(
            ValueError, match=rf"exporter\.formats=onnx and trainer\.model={model}, which unpools by indices"
        ):
            check_formats(Exporter(formats=("onnx",)), model)
