"""No layout opens a file outside the data: each kind of file of every replica is replaced by a link out of it, or by a pipe."""

import os
import pathlib
import sys

import pytest

from kseg.pairs.folder_files import Boundary
from kseg.pairs.image_folder import recognise_pairs
from tests.kseg.pairs.layouts.test_replicas import CASES, REPLICAS, generator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REPLICAS.is_dir(), reason="the replicas of public layouts are not there"),
]
PLACES = sorted({*CASES, *(path.stem for path in REPLICAS.glob("case[0-9]*.py"))})
"""Replicas, and folders and files in them."""

OPENED: list | None = None


def _record(event, arguments):
    if event == "open" and OPENED is not None and isinstance(arguments[0], str | bytes | os.PathLike):
        OPENED.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_record)  # cannot be removed, hence the switch OPENED


def one_of_each_kind(folder: pathlib.Path) -> list[pathlib.Path]:
    """The first file of each suffix at each depth."""
    kinds = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
            kinds.setdefault((len(path.parts), path.suffix), path)
    return list(kinds.values())


def opened_by_reading(root) -> list[str]:
    """Every path that is opened while the pairs of `root` are listed and read, as far as they can be."""
    global OPENED
    OPENED = []
    try:
        try:
            listing = recognise_pairs(root).listing
        except ValueError:
            return OPENED
        sides = [side for pair in listing.pairs for side in (pair.image, pair.mask)]
        assert all(map(Boundary(root.parent if root.is_file() else root).contains, (f for s in sides for f in s.files)))
        for side in sides[:6]:
            try:
                side.read()
            except ValueError:
                continue
        return OPENED
    finally:
        OPENED = None


@pytest.fixture
def data(request, tmp_path):
    """The folder or file of a replica."""
    case, _, below = request.param.partition("/")
    generator(case).build(tmp_path / "data")
    return tmp_path / "data" / below


@pytest.mark.parametrize("data", PLACES, indirect=True)
def test_a_link_out_of_the_data_is_never_followed(data, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    opened_by_reading(data)
    for number, path in enumerate(one_of_each_kind(data)):
        kept = path.rename(outside / f"{number}{path.suffix}")
        path.symlink_to(kept)
        assert not [name for name in opened_by_reading(data) if name.startswith(str(outside))], path
        path.unlink()
        kept.rename(path)


@pytest.mark.parametrize("data", PLACES, indirect=True)
def test_a_pipe_is_never_waited_for(data, tmp_path):
    for path in one_of_each_kind(data):
        kept = path.rename(tmp_path / path.name)
        os.mkfifo(path)
        opened_by_reading(data)  # would not end
        path.unlink()
        kept.rename(path)


def test_the_path_in_a_cell_of_parquet_is_not_opened(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from kseg.pairs.errors import PairError
    from kseg.pairs.layouts.hugging_face import ParquetCell

    (tmp_path / "data").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    cells = [{"bytes": None, "path": place} for place in ("../secret.png", str(tmp_path / "secret.png"))]
    parquet.write_table(pyarrow.table({"image": cells}), tmp_path / "data" / "a.parquet")
    for row in range(2):
        with pytest.raises(PairError):
            ParquetCell(tmp_path / "data" / "a.parquet", "image", 0, row).read()
