"""What components cost beside a bare loop of the same libraries."""

import time

import pytest

from benchmarks import pipeline

OPTIONS = ["--direct_num_workers=1"]


@pytest.mark.slow
def test_a_component_takes_little_more_cpu_time_than_a_bare_loop(tmp_path):
    data = pipeline.generate(tmp_path / "pairs", 150, "360x480")
    for name in ("example_gen", "statistics_gen"):
        seconds(getattr(pipeline, name), data, tmp_path / name, OPTIONS)
    for name in ("example_gen", "transform"):
        of_component, of_loop = [], []
        for turn in range(3):
            out, bare = tmp_path / f"{name}-{turn}", tmp_path / f"bare-{name}-{turn}"
            of_component.append(seconds(getattr(pipeline, name), data, out, OPTIONS))
            of_loop.append(seconds(getattr(pipeline, f"bare_{name}"), data, bare, 0, 1))
        assert min(of_loop) > 0.75 * min(of_component), (name, of_loop, of_component)


def seconds(action, data, out, *arguments) -> float:
    """CPU seconds of this process during `action(data, out, *arguments)`."""
    out.mkdir()
    start = time.process_time()
    action(data, out, *arguments)
    return time.process_time() - start
