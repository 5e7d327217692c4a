"""Whatever a setting is given, it is refused before the run with a short message, or lies within documented bounds."""

import dataclasses
import json
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline import run
from pipeline.evaluation import gate
from pipeline.settings import config as settings
from pipeline.settings import run_flags, values

SETTINGS = settings.flatten(settings.Config())
LONG = "x" * 300
ABSURD_TEXTS = (
    *("", ",", "()", "-1", "0", "nan", "inf", "-inf", "1e308", "-1e308", "5e-324", "1e-300", f"{10**20}", "9" * 5000),
    *(
        "999999x999999",
        "0x0",
        "1x",
        "\N{SUPERSCRIPT TWO}x\N{SUPERSCRIPT TWO}",
        "1,1",
        "999999,999999",
        "1," * 100 + "1",
    ),
    *(
        "0,0",
        "-5,5",
        "nan,nan",
        LONG,
        LONG * 30,
        "a\nb",
        "a\0b",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b",
        "\N{PILE OF POO}",
        "../x",
    ),
    *(
        "$_$",
        "<b>",
        "%s",
        "{}",
        "[]",
        "null",
        "true",
        "none",
        '{"iterations": 1e9}',
        '{"mean_iou": NaN}',
        "[" * 100_000,
    ),
    *(
        '{"iterations": 100000000000000000000}',
        '{"smoothness_sigma": 1e-300}',
        '{"appearance_weight": 1e308}',
        '{"x": {}}',
    ),
    *(
        '{"iterations": "5"}',
        '{"mean_iou": true}',
        '{"iterations": -1}',
        "horizontal,horizontal",
        "0,0,0",
        "90,90",
        "crf,crf",
    ),
)
ABSURD_VALUES = (
    *(None, True, -1, 0, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324, 10**20, 10**5000, (), (0,), (1,) * 100, []),
    *(
        (math.nan, math.inf),
        (10**20, 10**20),
        ("horizontal",) * 2,
        "",
        LONG,
        "a\nb",
        "3",
        b"3",
        {},
        {"mean_iou": math.nan},
    ),
    *({"iterations": 10**20}, {"iterations": None}, {1: 2}, {"smoothness_sigma": math.inf}, object(), (None,), ({},)),
)


def assign(name, text):
    """The configuration that `--set name=text` makes, checked as `pipeline.run` does."""
    config = settings.replace_setting(settings.Config(), *run_flags._assignment(f"{name}={text}"))
    settings.check_sizes(config)
    settings.check_refinements(config)
    gate.check_thresholds(config.evaluator.thresholds)
    return config


def refused_or_bounded(make, name):
    """Whether the setting was refused; where it was not, its value must lie within bounds."""
    try:
        config = make()
    except ValueError as error:
        assert "Received: " in str(error), error
        assert len(str(error)) < 700 and "\n" not in str(error), error
        return True
    value = settings.flatten(config)[name]
    json.dumps(value, allow_nan=False)
    for part in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,):
        if isinstance(part, str):
            assert len(part.splitlines()) <= 1 and not any(unicodedata.category(sign) == "Cc" for sign in part)
            assert len(part.encode()) <= 4000
        elif part is not None:
            assert abs(part) <= 2**32
    if isinstance(value, tuple):
        assert len(value) <= 16
    return False


@pytest.mark.parametrize("name", SETTINGS)
def test_absurd_text_and_absurd_values_are_refused_or_bounded(name):
    for text in ABSURD_TEXTS:
        refused_or_bounded(lambda text=text: assign(name, text), name)
    for value in ABSURD_VALUES:
        if not isinstance(value, str):
            refused_or_bounded(lambda value=value: settings.replace_setting(settings.Config(), name, value), name)
    assert refused_or_bounded(lambda: settings.replace_setting(settings.Config(), name, object()), name)


@pytest.mark.parametrize("name", SETTINGS)
@examples(max_examples=25, deadline=None, database=None, derandomize=True)
@given(
    text=st.one_of(
        st.text(max_size=400), st.floats().map(str), st.integers().map(str), st.from_regex(r"[\[{\"0-9,x.e-]*")
    )
)
def test_any_text_is_refused_or_bounded(name, text):
    refused_or_bounded(lambda: assign(name, text), name)


def test_every_field_of_every_component_has_a_rule():
    """A number, text or tuple without bounds would pass, and fail after hours."""

    def has_rule(kind):
        plain = (int, float, str, dict, tuple)
        options = [option for option in values._options(kind) if option is not type(None)]
        return all(option not in plain and getattr(option, "__origin__", None) is not list for option in options)

    for owner in (settings.Config(), *vars(settings.Config()).values()):
        if dataclasses.is_dataclass(owner):
            for field, kind in values.annotations(type(owner)).items():
                assert has_rule(kind), f"{type(owner).__name__}.{field}"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--seed", f"{10**20}"], "`seed` must be a whole number from 0 to 4,294,967,295. Received: trainer.seed=1000"),
        (
            ["--set", "trainer.filters="],
            "`filters` must be 2 to 8 values, each a whole number from 1 to 4,096. Received: ",
        ),
        (["--set", "trainer.filters="], "The default is 16,32,64,128,256."),
        (
            ["--image-size", "999999x999999"],
            "each a whole number from 1 to 16,384. Received: transform.image_size=999999,",
        ),
        (
            ["--image-size", "64"],
            "An image size must be WIDTHxHEIGHT in pixels. Received: '64'. Write for example 240x180.",
        ),
        (["--name", "n" * 300], "digits, '_', '-' and '.', at most 100 bytes long. Received: name=nnn"),
        (
            ["--set", 'exporter.crf={"iterations": 1000000}'],
            "`iterations` must be a whole number from 0 to 100. Received: ",
        ),
        (
            ["--set", 'exporter.crf={"smoothness_sigma": 1e-9}'],
            "`smoothness_sigma` must be a number from 0.1 to 1,000.",
        ),
        (["--set", "exporter.flips=horizontal,horizontal"], "`flips` must be at most 2 different values, each one of"),
        (
            ["--set", "example_gen.validation_share=0.6", "--set", "example_gen.test_share=0.5"],
            "must leave pairs to train",
        ),
        (
            ["--image-size", "16000x16000", "--batch-size", "1"],
            "`image_size` and `batch_size` must together stay below",
        ),
        (["--image-size", "1024x1024", "--batch-size", "500"], "trainer.batch_size=500, hence 524,288,000. Lower one"),
        (
            ["--image-size", "4096x4096", "--batch-size", "1", "--set", "trainer.scale=1,16"],
            "`image_size` and `scale` must",
        ),
        (
            ["--image-size", "48x32", "--set", "trainer.label_stride=33"],
            "`label_stride` must not exceed the shorter side",
        ),
        (
            ["--set", "exporter.crf=" + "c" * 300],
            "must be auto, a JSON object or a file that holds one. Received: crf=ccc",
        ),
        (["--root", "r" * 300], "each name in it at most 255. Received: root=rrr"),
        (["--set", "root="], "`root` must be a path without control characters"),
        (["--set", "evaluator.thresholds=" + "[" * 100_000], "must be a JSON object, such as"),
    ],
)
def test_bound_and_cure_are_named(argv, message):
    with pytest.raises(ValueError) as caught:
        run.parse(argv)
    assert message in str(caught.value)


def test_a_file_of_dense_crf_parameters_that_is_no_small_text_is_refused(tmp_path):
    (tmp_path / "large.json").write_bytes(b" " * (2**20 + 1))
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": 1}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    for name, message in (
        ("large", "at most 1048576 bytes"),
        ("latin", "must be UTF-8"),
        ("deep", "must be a JSON object"),
    ):
        with pytest.raises(ValueError, match=message):
            run.parse(["--set", f"exporter.crf={tmp_path / name}.json"])
    with pytest.raises(ValueError, match="a file that holds one"):
        run.parse(["--set", f"exporter.crf={tmp_path}"])


def test_a_name_derived_from_the_data_is_one_that_a_name_may_be():
    for folder in (
        "x" * 250,
        "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 80,
        "__",
        "a b",
        "...",
        "$_$",
        "stra\N{LATIN SMALL LETTER SHARP S}e",
    ):
        settings.replace_setting(settings.Config(), "name", run_flags._name(folder))


def test_machines_must_share_a_batch_equally(monkeypatch):
    workers = [f"host{number}:1" for number in range(3)]
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}})
    )
    with pytest.raises(ValueError, match=r"Received: trainer\.batch_size=8 on 3 machines\. 9 is the next that fits\."):
        run.parse(["--strategy", "multiworker"])
    assert run.parse(["--strategy", "multiworker", "--batch-size", "9"]).config.trainer.batch_size == 9
