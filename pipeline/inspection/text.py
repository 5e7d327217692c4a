"""The findings as text for a terminal."""

from __future__ import annotations

import shutil
import textwrap

from kseg.labels import display_name
from pipeline.validation.anomalies import LABELS, Anomaly, describe_kinds

LABEL = 12  # columns of the words on the left
MAX_LISTED = 5  # sizes and kinds of files
MAX_CLASSES = 40  # rows of the table
NUMBERS = 37  # columns of the table apart from the names and bars
BAR = 20  # columns of the largest class
WIDEST = 120


HELD = {"uint8": "8 bits", "uint16": "16 bits", "float32": "floating-point numbers"}
"""What images hold, by dtype."""


def terminal_width() -> int:
    """Columns to write in."""
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def format_findings(findings: dict, width: int, colours: bool = False) -> str:
    """The findings as lines of at most `width` columns, apart from paths and commands, which stay whole.

    Args:
        findings: as `pipeline.inspection.findings` describes them.
        width: columns.
        colours: whether the terminal shows 24-bit colours.
    """
    rows = [
        ("data", findings["data"]),
        ("layout", findings["layout"] or None),
        *(("", note) for note in findings["notes"]),
        ("pairs", _pairs(findings)),
        ("splits", _splits(findings)),
        ("sizes", _counts(findings["headers"]["sizes"])),
        ("images", _images(findings)),
        ("masks", _counts(findings["headers"]["masks"])),
        ("stored as", _stored(findings)),
        ("classes", _classes(findings)),
    ]
    lines = [line for label, text in rows if text for line in _row(label, text, width)]
    lines += ["", *_class_table(findings, width, colours), ""]
    lines += _anomalies(findings, width)
    lines += [line for label, text in _last(findings) if text for line in _row(label, text, width)]
    lines.append(f"{'train':{LABEL}}{findings['command']}")
    return "\n".join(lines)


def _row(label: str, text: str, width: int) -> list[str]:
    """The text beside its label, wrapped."""
    room = max(20, width - LABEL)
    wrapped = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if number == 0 else '':{LABEL}}{line}" for number, line in enumerate(wrapped)]


def _pairs(findings) -> str:
    pairs = findings["pairs"]
    unusable = f", {pairs['quarantined']} that cannot be used" if pairs["quarantined"] else ""
    every = sum(split["pairs"] for split in findings["splits"].values())
    read = "all read" if pairs["read"] >= every else f"{pairs['read']} of {every} read, chosen at random,"
    return f"{pairs['total']}{unusable}; {read} in {findings['seconds']:.1f} s"


def _splits(findings) -> str:
    return ", ".join(f"{name} {split['pairs']}" for name, split in findings["splits"].items())


def _counts(counts: dict[str, int]) -> str:
    """The most common ones; a single one without its count."""
    if len(counts) == 1:
        return next(iter(counts))
    rows = [f"{name} ({number})" for name, number in list(counts.items())[:MAX_LISTED]]
    more = [f"{len(counts) - MAX_LISTED} more"] * (len(counts) > MAX_LISTED)
    return "; ".join([*rows, *more])


def _images(findings) -> str:
    headers = findings["headers"]
    turned = f"; {headers['turned_by_exif']} turned by EXIF" if headers["turned_by_exif"] else ""
    return _counts(headers["images"]) + turned


def _stored(findings) -> str:
    numbers = HELD[findings.get("dtype", "uint8")]
    channels = f"{findings['channels']} channel{'s' * (findings['channels'] > 1)} of {numbers}"
    reasons = ", ".join(f"{number} ({reason})" for reason, number in findings["reencoded"].items())
    return channels + (f"; converted to PNG: {reasons}" if reasons else "")


def _classes(findings) -> str:
    number, void = len(findings["classes"]), findings["void"]
    where = f" from {findings['classes_from']}" if findings["classes_from"] else ""
    if findings["proposed_classes"]:
        where = " proposed from the masks, see below"
    words = (
        "no void value"
        if void["value"] is None
        else f"void is {void['value']}, {_percent(void['share'])} of the pixels"
    )
    return f"{number}{where}; {words}"


def _class_table(findings, width, colours) -> list[str]:
    """A row for each class, or for the most common ones of very many."""
    rows = findings["classes"]
    if len(rows) > MAX_CLASSES:
        rows = sorted(filter(lambda row: row["share"], rows), key=lambda row: -row["share"])[:MAX_CLASSES]
    largest = max((row["share"] for row in rows), default=0) or 1
    swatch = 3 if colours else 0
    room = width - LABEL - swatch - NUMBERS
    names = [display_name(row["name"], max(5, room - BAR // 2)) for row in rows]
    name_width = max(5, *map(len, names)) if names else 5
    bar = max(0, min(BAR, room - name_width))
    lines = [
        f"{'':{LABEL + swatch}}{'id':>3} {'value':>5}  {'class':{name_width}} {'pixels':>8} {'images':>7} {'train':>6}"
    ]
    for name, row in zip(names, rows, strict=True):
        patch = "\x1b[48;2;{};{};{}m  \x1b[0m ".format(*row["colour"]) if colours else ""
        line = (
            f"{'':{LABEL}}{patch}{row['id']:3} {row['value']:5}  {name:{name_width}} {_percent(row['share']):>8} "
            f"{row['images']:7} {row['train_images']:6}  {'#' * round(bar * row['share'] / largest)}"
        )
        lines.append(line.rstrip())
    if hidden := len(findings["classes"]) - len(rows):
        absent = sum(not row["share"] for row in findings["classes"])
        lines.append(f"{'':{LABEL + swatch}}{hidden} more, of which {absent} do not occur; --json lists all")
    return lines


def _percent(share: float) -> str:
    return "0 %" if not share else f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"


def _anomalies(findings, width) -> list[str]:
    rows = [Anomaly(**row | {"examples": tuple(row["examples"])}) for row in findings["anomalies"]]
    number = {severity: sum(row.severity == severity for row in rows) for severity in LABELS}
    kinds = len({row.name for row in rows if row.severity == "warn"})
    counts = [f"{number['stop']} that stop{'s' * (number['stop'] == 1)} a run"] * (number["stop"] > 0)
    counts += [f"{number['quarantine']} pairs quarantined".replace("1 pairs", "1 pair")] * (number["quarantine"] > 0)
    counts += [f"{kinds} warning{'s' * (kinds > 1)}"] * (kinds > 0)
    lines = _row("anomalies", ", ".join(counts) or "none", width)
    for text in describe_kinds(rows):
        room = max(20, width - 2)
        lines += textwrap.wrap(
            text,
            room,
            initial_indent="  ",
            subsequent_indent=" " * 15,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    return [*lines, ""]


def _last(findings):
    if findings["not_checked"]:
        yield "not checked", f"{', '.join(findings['not_checked'])}: they need all pairs; raise --seconds"
    yield "fit", _fit(findings["fit"])
    if findings["contact_sheet"]:
        yield "picture", f"{findings['contact_sheet']} with {len(findings['shown'])} pairs"


def _fit(fit: dict) -> str | None:
    other = fit["other"]
    if not other["compared"]:
        return None
    own = other["compared"] - other["better"]
    neighbours = max(fit["next"]["better"], fit["previous"]["better"])
    return (
        f"own masks fit better than another image's in {own} of {other['compared']} images; "
        f"a neighbour's fits better in {neighbours} of {max(fit['next']['compared'], fit['previous']['compared'])}"
    )
