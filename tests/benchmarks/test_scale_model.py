"""The arithmetic of the model on paper, by hand, and that it reproduces what was measured."""

import math

import pytest

from benchmarks import json_lines
from benchmarks.scale_model import __main__ as command
from benchmarks.scale_model import arithmetic
from benchmarks.scale_model.arithmetic import Cluster, Line
from benchmarks.scale_model.report import Assumed, Model, lines
from tests.conftest import ROOT


def test_a_line_through_two_points_is_exact_and_through_three_is_that_of_least_squares():
    assert arithmetic.line_through([(100, 3.0), (300, 4.0)]) == pytest.approx(Line(2.5, 0.005))
    assert arithmetic.line_through([(0, 0.0), (1, 0.0), (2, 3.0)]) == pytest.approx(Line(-0.5, 1.5))


def test_a_limit_is_reached_where_the_line_is_as_high():
    assert Line(100.0, 2.0).reaches(300.0) == 100
    assert Line(100.0, 2.0).reaches(50.0) == 0
    assert Line(100.0, 0.0).reaches(300.0) == math.inf


@pytest.mark.parametrize(
    ("workers", "shards", "seconds"),
    [(1, 16, 2 + 1 + 10), (2, 16, 2 + 1 + 5), (64, 16, 2 + 1 + 10 / 16), (3, 16, 2 + 1 + 10 * 6 / 16)],
    ids=["one", "two", "more than shards", "one has six shards of sixteen"],
)
def test_workers_share_shards_and_nobody_shares_the_rest(workers, shards, seconds):
    """With one worker 2 s and 11 ms an image, of which 10 are the worker's: 1,000 images."""
    found = arithmetic.seconds_of_component(Line(2.0, 0.011), 0.01, images=1000, workers=workers, shards=shards)
    assert found == pytest.approx(seconds)


def test_comparing_all_with_all_takes_an_hour_where_both_terms_together_do():
    number = arithmetic.images_in(3600, 1e-5, 1e-10)
    assert 1e-5 * number + 1e-10 * number**2 == pytest.approx(3600)
    assert arithmetic.images_in(3600, 0.01, 0) == 360_000


def test_reading_stays_and_preparing_is_shared():
    read, prepare = arithmetic.input_rates([(1, 0.0105), (2, 0.0055)])
    assert (read, prepare) == pytest.approx((0.0005, 0.010))


def test_a_pass_is_as_long_as_its_longest_part():
    """By hand: 1,000 images of 2 MB in batches of 10, on 2 machines of 5 devices; 1 M parameters, 10 G multiply-adds."""
    cluster = Cluster(machines=2, devices=5, cores=4, flops=1e12, network=1e9, storage=1e9)
    work = {"images": 1000, "image_bytes": 2e6, "batch_size": 10, "multiply_adds": 10e9, "parameters": 10**6}
    found = arithmetic.seconds_of_pass(cluster, **work, read=0.002, prepare=0.01)
    assert found.compute == pytest.approx(6.0)  # 6 * 10 G * 1,000 operations by 10 devices of 1 T a second
    assert found.bytes_exchanged == pytest.approx(100 * 4e6)  # 4 MB sent in each of 100 steps
    assert found.exchange == pytest.approx(0.4)
    assert found.cores == pytest.approx(1.75)  # (2 + 5) ms of each of 1,000 images by 4 cores
    assert found.bytes_read == pytest.approx(4e9) and found.storage == pytest.approx(4.0)
    assert found.seconds == pytest.approx(6.4) and found.limit == "devices"
    slow = arithmetic.seconds_of_pass(cluster._replace(storage=1e8), **work, read=0.002, prepare=0.01)
    assert slow.seconds == pytest.approx(40.0) and slow.limit == "storage"


def test_one_machine_exchanges_nothing():
    assert arithmetic.ring_bytes(100, 1) == 0


@pytest.fixture
def points():
    """Points of a machine on which everything lies on lines: 5 s, 1 ms an image by the command and 10 ms by its workers."""
    about = {"pairs": [100, 200, 400], "size": "360x480", "parameters": 10**6, "multiply_adds": 10**10}
    rows = [{"what": "network", "processor": "a processor", "day": "2026-11-28"} | about]
    for pairs, workers in ((100, 1), (200, 1), (400, 1), (400, 2)):
        for what, written in (("example_gen", 200_000), ("statistics_gen", 0), ("transform", 100_000)):
            seconds = 5 + 0.001 * pairs + 0.01 * pairs / workers
            sizes = {"source": 300_000 * pairs, "written": written * pairs}
            row = {"what": what, "pairs": pairs, "workers": workers, "seconds": seconds, "worker": 3 + 0.01 * pairs}
            rows.append(row | sizes)
    rows.append({"what": "digests", "cpu": 1.0, "bytes": 10**9})
    rows += [{"what": "names", "number": n, "cpu": n * 1e-4, "memory": n * 5000} for n in (1000, 4000)]
    rows.append({"what": "near_duplicates", "number": 8000, "cpu": 3.2, "memory": 0})  # 32 million comparisons
    rows.append({"what": "near_duplicates", "number": 60_000, "cpu": 0.6, "memory": 60_000 * 200})
    rows += [{"what": "training_input", "machines": k, "images": 100, "cpu": 0.1 + 2 / k} for k in (1, 2, 4)]
    return rows


def test_rates_are_those_of_the_lines_and_the_points_that_gave_none_are_reproduced(points):
    model = Model(points)
    assert model.components["example_gen"].alone == pytest.approx(Line(5.0, 0.011))
    assert model.components["example_gen"].shared == pytest.approx(0.01)
    assert (model.components["transform"].read, model.components["transform"].written) == (200_000, 100_000)
    assert model.comparison == pytest.approx(1e-7) and model.hashing == pytest.approx(1e-9)
    assert (model.read, model.prepare) == pytest.approx((0.001, 0.02))
    found = model.reproduced()
    assert [what for what, *_ in found if "example_gen" in what] == [
        "example_gen, 400 pairs, workers: 1, s",
        "example_gen, 400 pairs, workers: 2, s",
    ]
    assert len(found) == 7
    for _, measured, expected in found:
        assert measured == pytest.approx(expected)


def test_a_point_off_the_line_is_seen(points):
    points[-2]["cpu"] *= 1.2  # of two machines
    *_, (what, measured, expected) = Model(points).reproduced()
    assert "one of 2 machines" in what and measured == pytest.approx(1.2 * expected)


def test_preparation_of_many_images_is_computed_by_hand(points):
    steps = {what: row for what, *row in Model(points).preparation(1_000_000, 10, Assumed(disk=1.0))}
    assert steps["first look at the files"][0] == pytest.approx(300)  # 300 GB by one core at 1 GB/s
    # 5 s, 1,000 s that nobody shares, 10,000 s by 10 workers, of whom some have 224 of 2,236 shards; on disk 500 GB take 500 s
    assert steps["example_gen"] == pytest.approx([1005 + 10_000 * 224 / 2236, 10, 3e11, 2e11])
    slow = {what: row for what, *row in Model(points).preparation(1_000_000, 10, Assumed(disk=0.1))}
    assert slow["example_gen"][0] == pytest.approx(5000)  # 500 GB at 0.1 GB/s


def test_limits_are_where_they_are_by_hand(points):
    model = Model(points)
    limits = dict(model.limits(Assumed(memory=50.0)))
    assert limits["names fill 50 GB in the command"] == pytest.approx(10_000_000)
    assert limits["the first look takes an hour of one core"] == pytest.approx(12_000_000)
    assert limits["listing takes an hour of one core"] == pytest.approx(36_000_000)
    assert limits["example_gen: what nobody shares takes an hour"] == pytest.approx(3_595_000)
    (example_gen, *_) = model.saturating_workers(Assumed(disk=5.0))
    assert example_gen == ("example_gen", pytest.approx(100))  # 500 kB in 10 ms are 50 MB/s of a worker


def test_the_tables_name_the_first_limit_first(points):
    text = "\n".join(lines(points, Assumed(), 10_000_000, 64, 16))
    rows = text.partition("What breaks first:")[2].splitlines()[4:]
    assert rows[0] == "| example_gen: what nobody shares takes an hour | 3.6 million |"
    assert "| 16 | " in text and "| storage |" in text


@pytest.mark.skipif(not (ROOT / command.FILE).exists(), reason="python -m benchmarks.scale_model --measure was not run")
def test_the_points_that_are_kept_are_reproduced_within_15_percent():
    for what, measured, expected in Model(json_lines.read(ROOT / command.FILE)).reproduced():
        assert expected == pytest.approx(measured, rel=0.15), what
