"""Options of pipeline.predict that no picture could satisfy are refused before a model is loaded."""

import pytest

from pipeline.settings import prediction

PLACES = ["--model", "m", "--input", "photos", "--output", "out"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--tile", "999999x999999"], "each at most 16,384, not '999999x999999'"),
        (["--tile", "0x5"], "WIDTHxHEIGHT in pixels"),
        (["--tile", "\N{SUPERSCRIPT TWO}x5"], "WIDTHxHEIGHT in pixels"),
        (["--superpixels", f"{10**20}"], "a whole number from 0 to 1,000,000,000, not '1000"),
        (["--max-pixels", "9" * 5000], r"not '9{80}\.\.\. \(5000 characters\)'"),
        (["--min-area", "1e308"], "a whole number from 0 to"),
        (["--tile", "9x9", "--scales", "nan"], "a factor above 0, at most 16"),
        (["--tile", "9x9", "--scales", "1", "1"], "`--scales` must be different values. Received: --scales 1.0 1.0."),
        (
            ["--flips", "vertical", "vertical"],
            "`--flips` must be different values. Received: --flips vertical vertical.",
        ),
        (["--crf", "c" * 300], "must be auto, a JSON object or a file"),
        (["--crf", '{"iterations": 1000000}'], "from 0 to 100"),
    ],
)
def test_absurd_options_are_refused(argv, message):
    with pytest.raises(ValueError, match=message):
        prediction.parse([*PLACES, *argv], "predict")
