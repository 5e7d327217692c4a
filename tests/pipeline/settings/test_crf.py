"""Parameters of DenseCRF as people write them."""

import inspect
import json
import re

import pytest

import kseg
from pipeline.settings import crf as crf_settings


def test_they_may_be_auto_json_or_what_tune_crf_wrote(tmp_path):
    (tmp_path / "crf.json").write_text(json.dumps({"model": "x", "settings": {"iterations": 7}, "trials": []}))
    (tmp_path / "plain.json").write_text('{"appearance_weight": 4}')
    assert crf_settings.read_parameters("auto") == crf_settings.AUTO
    assert crf_settings.read_parameters('{"smoothness_sigma": 1}') == crf_settings.AUTO | {"smoothness_sigma": 1}
    assert crf_settings.read_parameters(str(tmp_path / "crf.json"))["iterations"] == 7
    assert crf_settings.read_parameters(str(tmp_path / "plain.json"))["appearance_weight"] == 4


def test_auto_is_the_default_of_dense_crf_for_every_argument_that_is_a_number():
    numbers = {
        name: argument.default
        for name, argument in inspect.signature(kseg.DenseCRF).parameters.items()
        if isinstance(argument.default, (int, float)) and not isinstance(argument.default, bool)
    }
    assert numbers == crf_settings.AUTO


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("autom", "`crf` must be auto, a JSON object or a file that holds one. Received: crf=autom."),
        ("{3}", "`crf` must be a JSON object. Received: '{3}'"),
        (
            '{"iteration": 3}',
            "Unknown parameter of DenseCRF 'iteration'. Received: iteration=3 [crf]. Did you mean 'iter",
        ),
        (
            '{"iterations": 2.5}',
            "`iterations` must be a whole number from 0 to 100. Received: iterations=2.5 [crf]. `auto` has 5.",
        ),
        (
            '{"smoothness_sigma": 0}',
            "`smoothness_sigma` must be a number from 0.1 to 1,000. Received: smoothness_sigma=0 [crf].",
        ),
        (
            '{"appearance_weight": NaN}',
            "`appearance_weight` must be a number from -1,000 to 1,000. Received: appearance_weight=nan [crf].",
        ),
        (
            '{"appearance_weight": true}',
            "`appearance_weight` must be a number from -1,000 to 1,000. Received: appearance_weight=true",
        ),
    ],
)
def test_others_are_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        crf_settings.read_parameters(text)


def test_a_file_that_holds_something_else_is_named(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"The file of `crf`, .*list\.json, must be a JSON object\. Received: '\[1\]'"):
        crf_settings.read_parameters(str(tmp_path / "list.json"))
