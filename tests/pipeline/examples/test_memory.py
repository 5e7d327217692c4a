"""Pictures are never gathered: the peak of memory does not depend on how many there are."""

import tracemalloc

from benchmarks.pipeline import generate
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import transform
from pipeline.examples.parts import worked_on
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.transform import Transform

OPTIONS = ["--direct_num_workers=1"]


def test_memory_does_not_grow_with_the_pictures_of_a_data_set(tmp_path):
    few, many = (generate(tmp_path / f"{pairs}", pairs, "192x192") for pairs in (16, 80))
    peaks_of(few, tmp_path / "imports")
    before, after = peaks_of(few, tmp_path / "few"), peaks_of(many, tmp_path / "many")
    more = sum(path.stat().st_size for path in many.rglob("*.png")) - sum(
        path.stat().st_size for path in few.rglob("*.png")
    )
    assert more > 4e6
    for component, peak in after.items():
        assert peak - before[component] < more / 10, component


def test_parts_and_rows_are_streams(tmp_path):
    def rows(part):
        yield from (part[:1000] for _ in range(1000))

    with worked_on(tmp_path, [bytes(1000)], rows, OPTIONS) as found:
        list(found)
    tracemalloc.start()
    with worked_on(tmp_path, (bytes(1_000_000) for _ in range(32)), rows, OPTIONS) as found:
        assert sum(map(len, found)) == 32_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000  # 8 MB are Beam's


def peaks_of(data, folder) -> dict[str, int]:
    """Bytes that Python holds at most during each component."""
    artifacts = {name: folder / name for name in ("examples", "statistics", "transform")}
    inputs = {"examples": artifacts["examples"], "statistics": artifacts["statistics"]}
    work = {
        "examples": lambda out: example_gen(out, ExampleGen(), source=data, beam_options=OPTIONS),
        "statistics": lambda out: statistics_gen(
            out, StatisticsGen(), examples=inputs["examples"], beam_options=OPTIONS
        ),
        "transform": lambda out: transform(out, Transform(image_scale=0.5), **inputs, beam_options=OPTIONS),
    }
    peaks = {}
    for name, out in artifacts.items():
        out.mkdir(parents=True)
        tracemalloc.start()
        work[name](out)
        _, peaks[name] = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peaks
