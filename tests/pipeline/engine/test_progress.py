"""The progress line: plain lines where the output is no terminal."""

import io

import pytest

from pipeline.engine import progress


def test_a_finished_line_says_so_and_a_failed_one_says_that():
    stream = io.StringIO()
    with progress.line("transform", stream):
        progress.total(10)
        progress.advance(4)
        assert "4 of 10" in progress._line.text() and "left" in progress._line.text()
    with pytest.raises(KeyError), progress.line("trainer", stream):
        raise KeyError
    first, second = stream.getvalue().splitlines()
    assert first.split()[:2] == ["transform", "done"] and second.split()[:2] == ["trainer", "failed"]


def test_counting_without_an_open_line_does_nothing():
    progress.total(3)
    progress.advance()
    assert progress._line is None


def test_a_line_that_is_handed_over_is_silent():
    with progress.line("trainer", io.StringIO()):
        with progress.handed_over():
            assert progress._line.silent
        assert not progress._line.silent
