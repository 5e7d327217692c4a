"""The classes of a source: read from a table, or refused with a table to save that is made from the masks.

Refused as well: a class whose name means void, until the user has chosen. No TensorFlow.
"""

from __future__ import annotations

import pathlib
import shlex

from kseg.labels import LabelMap, UndeclaredVoidError
from kseg.pairs.class_table import MaskScan, ProposedRow, format_table, propose_classes
from kseg.pairs.layouts.class_files import read_known_file
from kseg.pairs.layouts.class_tables import described_classes
from pipeline.settings.example_gen import ExampleGen

MANY = 64  # values, above which the masks are more probably smoothed than that there are so many classes


def read_classes(table: pathlib.Path | str, config: ExampleGen, command: str) -> LabelMap:
    """Reads a table of classes.

    Args:
        table: a file, or a text of `described_classes`.
        config: void value, and whether a class may be called void.
        command: that runs the line on this source, to be completed in messages.

    Raises:
        ValueError: the table is wrong, or a class has a name that means void; the message gives both commands.
    """
    known = described_classes(table) if isinstance(table, str) else read_known_file(table)
    if known:
        return known.label_map(config.ignore_value, void_is_class=config.void_is_class)
    try:
        return LabelMap.from_csv(table, config.ignore_value, void_is_class=config.void_is_class)
    except UndeclaredVoidError as error:
        raise ValueError(undeclared_void_message(error.value, error.name, error.path, command)) from error


def undeclared_void_message(value: int, name: str, where, command: str) -> str:
    """The message about a class whose name means void, with the two commands to choose from."""
    return (
        f"A class must not have a name that means void, unless you say so. Received: {value},{name} [{where}]. Choose:\n"
        f"  as void, not trained:  {command} --ignore-value {value}\n"
        f"  as a class:            {command} --set example_gen.void_is_class=true"
    )


def run_command(
    data, classes: pathlib.Path | None = None, data_root: str | None = None, follow_links: bool = False
) -> str:
    """The command that runs the line on `data`."""
    given = ["--data", str(data), *(["--classes", str(classes)] if classes else [])]
    given += [*(["--data-root", data_root] if data_root else []), *(["--follow-links"] if follow_links else [])]
    return shlex.join(["python", "-m", "pipeline.run", *given])


class MissingTableError(ValueError):
    """No table of classes; the message holds one to save.

    Attributes:
        rows: of the proposed table.
        scan: of the masks that it was made from.
        void: proposed or given raw value of void, or None.
    """

    def __init__(self, message: str, rows: list[ProposedRow], scan: MaskScan, void: int | None):
        super().__init__(message)
        self.rows, self.scan, self.void = rows, scan, void


def missing_table_error(
    received: str, scan: MaskScan, table: str, command: str, ignore_value: int | None
) -> MissingTableError:
    """The error of a missing table of classes, with one to save.

    Args:
        received: what was given instead of a table.
        scan: of the masks.
        table: path to save the table at.
        command: that runs the line once the table is there.
        ignore_value: raw value of void, if the user gave it.

    Raises:
        ValueError: no table can be made.
    """
    rows = propose_classes(scan, ignore_value)
    void = next((row.value for row in rows if row.name == "void"), ignore_value)
    lines = [
        f"A table of classes must name the mask values. Received: {received}. Save the one below, which was made from "
        f"{scan.scanned} of {scan.total} masks, replace the names, and run again.",
        "",
        f"cat > {shlex.quote(table)} <<'END'",
        f"{format_table(rows)}END",
        command if void is None else f"{command} --ignore-value {void}",
        "",
        *_notes(scan, rows, void, ignore_value),
    ]
    return MissingTableError("\n".join(lines), rows, scan, void)


def _notes(scan, rows, void, ignore_value):
    if void is None:
        yield "If a value means void, that is pixels without a label, add --ignore-value VALUE."
    elif ignore_value is None:
        yield f"{void} is probably void: such pixels are not trained. If it is a class, rename it and leave out --ignore-value."
    if len(rows) > MANY:
        yield (
            f"Are these {len(rows)} classes? Anti-aliased or resized edges leave many values with small shares: draw masks "
            "without smoothing, resize them by nearest neighbour."
        )
    if scan.errors:
        yield f"{len(scan.errors)} masks cannot be read, the first: {scan.errors[0]}"
