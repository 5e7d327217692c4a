"""The scripts of the README run, in the order in which they stand there, and its links lead somewhere."""

import re

import numpy as np
from PIL import Image

from tests.conftest import ROOT

PAGE = (ROOT / "README.md").read_text()


def test_the_scripts_run_from_training_to_export_with_fewer_images_and_epochs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scripts = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    smaller = [("range(96)", "range(8)"), ("epochs=8", "epochs=1"), ("(16, 32, 64, 128)", "(2, 4)")]
    names = {}
    for number, script in enumerate(scripts):
        for text, other in smaller:
            assert number or text in script
            script = script.replace(text, other)
        exec(compile(script, f"README.md, script {number + 1}", "exec"), names)
    assert names["label_map"].shape == (96, 128) and np.asarray(Image.open("overlay.png")).shape == (96, 128, 3)
    assert (tmp_path / "streets_model" / "saved_model.pb").is_file()


def test_links_and_pages_exist():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
