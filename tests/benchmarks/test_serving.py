"""The parts that the benchmark of serving times are those of `serve_bytes`."""

import numpy as np

import kseg
from benchmarks.serving.models import encode
from benchmarks.serving.parts import PARTS, part_functions
from benchmarks.serving.turns import take_turns
from kseg import streets


def test_the_parts_one_after_the_other_give_the_answer_of_serve_bytes(tmp_path):
    network = kseg.UNet(streets.LABELS.num_classes, filters=(4, 8))
    kseg.export(network, tmp_path / "model", labels=streets.LABELS, image_size=(48, 64))
    images = np.random.default_rng(0).integers(0, 256, (2, 90, 100, 3), np.uint8)
    functions = part_functions(
        tmp_path / "model", [encode(image, size) for image, size in zip(images, [(90, 100), (75, 110)], strict=True)]
    )
    assert tuple(functions) == (*PARTS, "serve_bytes")
    for number, shape in enumerate([(90, 100), (75, 110)]):
        assert functions["decode"](number).shape == (*shape, 3)
        assert functions["back"](number).shape == shape
        assert functions["encode"](number) == functions["serve_bytes"](number)[0]


def test_turns_are_interleaved_and_the_first_ones_are_not_counted():
    called = []
    times = take_turns(
        {"a": lambda number: called.append(("a", number)), "b": lambda number: called.append(("b", number))}, 2
    )
    assert called == [(name, number) for number in range(-3, 2) for name in "ab"]
    assert set(times) == {"a", "b"} and all(len(time) == 2 for time in times.values())
