"""docs/data.md says what the code recognises."""

import runpy

from kseg.pairs import recognisers
from tests.conftest import ROOT


def test_the_page_of_data_is_what_its_script_writes():
    script = runpy.run_path(str(ROOT / "docs" / "write_data_page.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run python docs/write_data_page.py"


def test_every_layout_stands_on_the_page():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert not [name for name in recognisers.RECOGNISERS if f"`{name}`" not in text and f"--layout {name}`" not in text]
