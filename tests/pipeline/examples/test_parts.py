"""Work by parts: the same rows from any number of workers, nothing left behind, and nothing lost without a word."""

import pytest

from pipeline.examples.parts import worked_on
from tests.conftest import ROOT

WORKERS = (
    ["--direct_num_workers=1"],
    ["--direct_num_workers=3"],
    ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
)


def squares(part):
    """As many rows as the part says."""
    for number in range(part):
        yield part, number**2


@pytest.mark.parametrize("options", WORKERS)
def test_rows_come_in_the_order_of_the_parts_from_any_number_of_workers(tmp_path, monkeypatch, options):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for workers in other processes
    parts = [3, 0, 2, 3, 1]
    with worked_on(tmp_path, iter(parts), squares, options) as rows:
        assert list(rows) == [row for part in parts for row in squares(part)]
    assert list(tmp_path.iterdir()) == []


def test_no_part_is_no_work(tmp_path):
    with worked_on(tmp_path, [], squares) as rows:
        assert list(rows) == []


def test_a_part_whose_rows_are_lost_is_missed(tmp_path):
    def lose(part):
        for path in tmp_path.glob(".parts/*.rows"):
            path.unlink()
        yield part

    lost = pytest.raises(ValueError, match=r"must leave all parts of the work\. Received: 1 of 4 \[")
    with lost, worked_on(tmp_path, range(4), lose, ["--direct_num_workers=1"]):
        pass


def test_a_fault_of_the_work_is_raised_and_nothing_is_left(tmp_path):
    def fail(part):
        yield 1 // part

    with pytest.raises(ZeroDivisionError), worked_on(tmp_path, [1, 0], fail):
        pass
    assert list(tmp_path.iterdir()) == []
