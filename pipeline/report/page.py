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
from pipeline.report.sections import folds as fold_scores

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
    environment = _environment()
    run = Run.read(name, artifacts, faults)
    sections = [_render(environment, section, run) for section in SECTIONS]
    page = environment.get_template("page.html.j2").render(name=name, sections=sections)
    write_text(pathlib.Path(path), page)


def write_folds(path, *, name: str, folds: dict, mean: dict | None):
    """Writes the page of a cross-validation.

    Args:
        path: HTML file; replaced atomically.
        name: of the model.
        folds: `scores.json` of cross_validation.
        mean: `scores.json` by which the mean of the folds is pushed or not; None: it is not exported.
    """
    environment = _environment()
    contents = fold_scores.contents(folds, mean)
    section = markupsafe.Markup(environment.get_template("folds.html.j2").render(name=name, **contents))
    write_text(pathlib.Path(path), environment.get_template("page.html.j2").render(name=name, sections=[section]))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([FOLDER, FOLDER / "sections"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = display_name
    return environment


def _render(environment, section, run: Run) -> markupsafe.Markup:
    """The HTML of a section; empty if the run has nothing to show there."""
    contents = section.contents(run)
    if contents is None:
        return markupsafe.Markup()
    template = environment.get_template(f"{section.__name__.rpartition('.')[2]}.html.j2")
    return markupsafe.Markup(template.render(contents))
