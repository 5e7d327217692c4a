"""The examples in docstrings run and give the numbers that stand there."""

import doctest
import importlib

import numpy as np
import pytest

import kseg

MODULES = (
    "kseg.pairs.class_balance",
    "kseg.pairs.listing",
    "kseg.inference.averaging",
    "kseg.inference.overlap_tile",
    "kseg.inference.sliding_window",
    "kseg.inference.tiles",
    "kseg.postprocess.densecrf.permutohedral",
    "kseg.postprocess.densecrf.layer",
    "kseg.layers.normalization",
    "kseg.layers.pooling",
    "kseg.layers.unpooling",
    "kseg.layers.upsampling",
    "kseg.layers.windows",
    "kseg.losses.lovasz",
    "kseg.losses.overlap",
    "kseg.losses.pixelwise",
    "kseg.metrics.boundary",
    "kseg.metrics.bootstrap",
    "kseg.metrics.calibration",
    "kseg.metrics.confusion",
    "kseg.models.dilated",
    "kseg.models.fcn",
    "kseg.models.full_resolution",
    "kseg.models.generators",
    "kseg.models.patch_classifier",
    "kseg.models.segnet",
    "kseg.models.unet",
    "kseg.outlines",
    "kseg.receptive_fields.walk",
    "kseg.regions",
    "kseg.superpixels",
    "pipeline.validation.anomalies",
    "pipeline.validation.duplicates",
    "pipeline.validation.histograms",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name):
    result = doctest.testmod(importlib.import_module(name), extraglobs={"kseg": kseg, "np": np})
    assert result.attempted and not result.failed
