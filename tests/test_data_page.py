"""docs/data.md says what the code recognises."""

import re
import runpy

from kseg.pairs import recognisers
from tests.conftest import ROOT


def test_the_page_of_data_is_what_its_script_writes():
    script = runpy.run_path(str(ROOT / "docs" / "write_data_page.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run python docs/write_data_page.py"


def test_every_layout_stands_on_the_page():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert not [name for name in recognisers.RECOGNISERS if f"`{name}`" not in text and f"--layout {name}`" not in text]


def test_every_fault_of_a_pair_or_source_is_explained():
    sources = [
        path.read_text(encoding="utf-8") for room in ("kseg", "pipeline") for path in (ROOT / room).rglob("*.py")
    ]
    names = {name for source in sources for name in re.findall(r'PairError\(\s*"([a-z_0-9]+)"', source)}
    text = (ROOT / "docs" / "data_validation.md").read_text(encoding="utf-8")
    assert len(names) > 40 and not sorted(name for name in names if f"`{name}`" not in text)
