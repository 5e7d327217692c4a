"""The report page of a run: one HTML file with its pictures inside, readable offline and loading nothing from elsewhere.

It shows what the artifacts hold and computes no score. Each part of the page is a section, a module and a template of the same
name in `sections/`; to add one, write both and list the module in `SECTIONS`. jinja2, numpy, Pillow; no TensorFlow.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import jinja2
import markupsafe

from kseg.labels import display_name
from pipeline.engine.files import write_text
from pipeline.report.run_files import Run
from pipeline.report.sections import (
    confusion,
    data,
    gate,
    images,
    plan,
    provenance,
    scores,
    summary,
    training,
    usage,
)

SECTIONS = (summary, scores, gate, images, confusion, plan, training, data, usage, provenance)
"""In the order of the page."""

FOLDER = pathlib.Path(__file__).parent


def write(path, *, name: str, artifacts: dict[str, pathlib.Path], faults: Sequence[str] = ()):
    """Writes the page of one run.

    Args:
        path: HTML file; replaced atomically.
        name: of the model.
        artifacts: folders of all components that ran or were cached, by name and in the order in which they ran.
        faults: messages about what lies among the pushed versions and is none.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([FOLDER, FOLDER / "sections"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = display_name
    run = Run.read(name, artifacts, faults)
    sections = [_render(environment, section, run) for section in SECTIONS]
    page = environment.get_template("page.html.j2").render(name=name, sections=sections)
    write_text(pathlib.Path(path), page)


def _render(environment, section, run: Run) -> markupsafe.Markup:
    """The HTML of a section; empty if the run has nothing to show there."""
    contents = section.contents(run)
    if contents is None:
        return markupsafe.Markup()
    template = environment.get_template(f"{section.__name__.rpartition('.')[2]}.html.j2")
    return markupsafe.Markup(template.render(contents))
