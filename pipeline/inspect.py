"""python -m pipeline.inspect: looks at data before any training, in seconds.

Prints what was recognised, counts, sizes, classes and anomalies, and the command that trains; draws a contact sheet in which one
sees whether masks fit their images. Nothing is written but the picture, and below `--root` the copy of data in an object store.
No TensorFlow, unless the data are a TFDS data set.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shlex
import sys
import tempfile
import typing

from kseg.pairs.split_names import SAME, TARGET
from pipeline.engine.arguments import Parser, add_option
from pipeline.engine.console import imports, run_command, user_message
from pipeline.engine.files import atomic, check_output_file
from pipeline.engine.urls import check_url, is_url, redacted
from pipeline.settings import config as settings
from pipeline.settings import run_flags
from pipeline.storage.copies import name_by_url, possible_copies, saying_urls, url_of

if typing.TYPE_CHECKING:
    from pipeline.examples.sources.source import Source
    from pipeline.inspection.findings import Inspection

PROG = "python -m pipeline.inspect"
LEFT_OUT = ("--data", "--image-size", "--image-scale")  # of the data flags of pipeline.run
STOPS, UNREADABLE = 1, 2
PLACES = ("data", "target", "unlabelled")  # of the data, which may lie in object stores
SHOW = ("auto", "never", "kitty", "iterm2", "sixel")


def main(argv: list[str] | None = None, prog: str = PROG) -> int:
    """Inspects.

    Returns:
        The exit status: 0 nothing stops a run, 1 an anomaly does, 2 unreadable data or a wrong argument, 130 interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    return run_command(functools.partial(_inspect, prog=prog), argv, after_interrupt="Nothing was written.")


def _inspect(argv: list[str], prog: str) -> int:
    arguments, _ = build_parser(prog).parse(argv)
    copies = {}
    try:
        for name in PLACES:
            place = getattr(arguments, name)
            if place and is_url(place):
                setattr(arguments, name, check_url(place, _flag(name)))
                copies |= possible_copies(getattr(arguments, name), arguments.root)
        with saying_urls(copies):
            return _print_findings(arguments, prog)
    except Exception as error:
        if arguments.json and (message := user_message(error)):
            print(json.dumps({"data": redacted(arguments.data), "status": UNREADABLE, "error": message}, indent=1))
        raise


def _is_contact_sheet(file: pathlib.Path, data: str) -> bool:
    """Whether a file is a PNG that is none of the data."""
    with open(file, "rb") as stream:
        is_png = stream.read(4) == b"\x89PNG"
    inside = pathlib.Path(data).resolve() in file.resolve().parents
    return is_png and (not inside or file.name.endswith("-inspect.png"))


def _print_findings(arguments: argparse.Namespace, prog: str) -> int:
    # Check arguments before anything heavy is imported.
    config = _read_config(arguments)
    output = pathlib.Path(arguments.output or f"{config.name}-inspect.png")
    if arguments.limit:
        check_output_file(output, "--output", lambda file: _is_contact_sheet(file, config.data))

    # Look.
    with imports():
        from pipeline.inspection import findings as inspection
        from pipeline.inspection import text
    config = _with_copies(config, arguments.root)
    source, proposal = _open(config, prog)
    unlabelled = _open_unlabelled(config, source)
    found = inspection.inspect_source(
        source,
        config,
        seconds=arguments.seconds,
        seed=arguments.seed,
        schema=pathlib.Path(config.schema) if config.schema else None,
        report=_report if sys.stderr.isatty() else None,
    )
    if sys.stderr.isatty():
        _clear()
    void = proposal.void if proposal else None
    findings = {"data": arguments.data, **name_by_url(found.findings, config.data), "contact_sheet": None, "shown": []}
    findings = _with_unlabelled(findings, config, unlabelled)
    if proposal and url_of(config.data):
        arguments.classes = arguments.classes or str(_table_place(config))
    findings["command"] = _command(arguments, prog, void)
    if proposal:
        findings = _with_proposal(findings, proposal, config)

    # Draw, then print.
    sheet = _draw(found, arguments, config.name) if arguments.limit else None
    if sheet:
        picture, findings["shown"] = sheet
        findings["contact_sheet"] = str(output)
        with atomic(output) as unfinished:
            picture.save(unfinished, "PNG")
    if arguments.json:
        print(json.dumps(findings, indent=1, ensure_ascii=False))
        return findings["status"]
    width = text.terminal_width()
    if sheet:
        _show(picture, arguments.show, width)
    print(text.format_findings(findings, width, colours=_has_colours()))
    if proposal:
        print(f"\n{_proposal(findings, config)}")
    return findings["status"]


def _read_config(arguments: argparse.Namespace) -> settings.Config:
    """The settings of the run that would follow."""
    return run_flags.read_config(argparse.Namespace(**vars(arguments) | {"config": None}))


def _flag(name: str) -> str:
    return "DATA" if name == "data" else f"--{name}"


def _with_copies(config: settings.Config, root: str) -> settings.Config:
    """The settings with the local copy, brought up to date, in place of each URL of the data."""
    urls = {name: place for name in PLACES if is_url(place := getattr(config, name) or "")}
    if not urls:
        return config
    from pipeline.storage.fetching import bring_data

    with contextlib.redirect_stdout(sys.stderr):  # standard output is that of the findings
        copies = {name: str(bring_data(url, root, _flag(name))) for name, url in urls.items()}
    return dataclasses.replace(config, **copies)


def _open_unlabelled(config: settings.Config, source: Source) -> Source | None:
    """The images without masks, whose pixels are not read here; None where none are given.

    Raises:
        ValueError: there is none, or they are of another kind than those of the pairs.
    """
    given = settings.without_masks(config)
    if given is None:
        return None
    from pipeline.examples.sources.unlabelled import open_unlabelled
    from pipeline.validation.anomalies import check_usable

    flag, folder = given
    unlabelled = open_unlabelled(pathlib.Path(folder), flag, config.example_gen, source)
    check_usable(sum(unlabelled.counts.values()), unlabelled.faults, "image", f" of {flag}")
    return unlabelled


def _with_unlabelled(findings: dict, config: settings.Config, unlabelled: Source | None) -> dict:
    """The findings with what was found of images without masks."""
    if unlabelled is None:
        return findings | {"unlabelled": None}
    from pipeline.validation.anomalies import quarantined_pair

    domain = TARGET if config.target else SAME
    unusable = (dataclasses.asdict(quarantined_pair(row)) for row in unlabelled.faults)
    found = {
        "notes": [*findings["notes"], *unlabelled.notes],
        "unlabelled": {"domain": domain, "images": sum(unlabelled.counts.values())},
        "anomalies": [*findings["anomalies"], *unusable],
    }
    return findings | name_by_url(found, config.target or config.unlabelled)


def _open(config: settings.Config, prog: str):
    """The source, and the error with the proposed table where there was none.

    Raises:
        ValueError: it cannot be read; commands in the message are those of `prog`.
    """
    from kseg.pairs.class_table import format_table
    from pipeline.examples.sources.classes import MissingTableError
    from pipeline.examples.sources.opening import open_source

    classes = pathlib.Path(config.classes) if config.classes else None
    try:
        return open_source(config.data, config.example_gen, classes), None
    except MissingTableError as error:
        proposal = error
    except ValueError as error:
        raise ValueError(str(error).replace("python -m pipeline.run --data", prog)) from None
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder, "classes.csv")
        table.write_text(format_table(proposal.rows), encoding="utf-8")
        example_gen = settings.replace_setting(config, "example_gen.ignore_value", proposal.void).example_gen
        return open_source(config.data, example_gen, table), proposal


def _with_proposal(findings: dict, proposal, config: settings.Config) -> dict:
    """The findings with the proposed table, whose absence stops a run."""
    from kseg.pairs.class_table import format_table
    from pipeline.validation.anomalies import Anomaly

    missing = Anomaly(
        "stop",
        "no_class_table",
        "A table of classes must name the mask values. Received: none",
        str(_table_place(config)),
        f"Save the proposed one, made from {proposal.scan.scanned} of {proposal.scan.total} masks, and replace the names.",
    )
    return findings | {
        "status": STOPS,
        "proposed_classes": format_table(proposal.rows),
        "classes_from": "the masks",
        "anomalies": [dataclasses.asdict(missing), *findings["anomalies"]],
    }


def _proposal(findings: dict, config: settings.Config) -> str:
    """The proposed table as a command that saves it."""
    return "\n".join(
        [
            "The proposed table of classes, to save and edit; then inspect again, or train:",
            "",
            f"cat > {shlex.quote(str(_table_place(config)))} <<'END'",
            f"{findings['proposed_classes']}END",
        ]
    )


def _table_place(config: settings.Config) -> pathlib.Path:
    """Where a table of classes is looked for."""
    if config.classes:
        return pathlib.Path(config.classes)
    data = pathlib.Path(config.data)
    if url_of(data):  # the next look would remove a table from the copy
        return pathlib.Path("classes.csv")
    return (data if data.is_dir() else data.parent) / "classes.csv"


def _command(arguments: argparse.Namespace, prog: str, void: int | None) -> str:
    """The command that trains on these data."""
    run = "kseg run" if prog.startswith("kseg ") else "python -m pipeline.run"
    words = [*run.split(), "--data", arguments.data]
    for name, flag in _data_flags().items():
        value = getattr(arguments, flag.setting)
        if value is not None:
            words += [name, str(value)]
    if void is not None and getattr(arguments, "example_gen.ignore_value") is None:
        words += ["--ignore-value", str(void)]
    if any(is_url(getattr(arguments, name) or "") for name in PLACES) and arguments.root != settings.Config.root:
        words += ["--root", arguments.root]
    for assignment in arguments.set:
        words += ["--set", assignment]
    return shlex.join(words)


def _draw(found: Inspection, arguments, name: str):
    """The contact sheet and the names of its pairs, or None where no pair can be drawn."""
    from pipeline.inspection.contact_sheet import Shown, choose, draw_sheet
    from pipeline.inspection.reading import read_element

    sample = found.sample
    positions = choose(sample.positions, [row["split"] for row in sample.rows], arguments.limit, arguments.seed)
    read = [read_element(found.source, position, found.elements[position]) for position in positions]
    pairs = [Shown(f"{pair.split}/{pair.key}", pair.image, pair.label_map) for pair in read if pair.image is not None]
    if not pairs:
        return None
    title = (
        f"{name}: {len(pairs)} of {found.findings['pairs']['total']} pairs. "
        "Left: the image with the outlines of its mask. Right: the mask."
    )
    return draw_sheet(pairs, found.source.labels, title), [pair.name for pair in pairs]


def _show(picture, show: str, columns: int):
    """Shows the picture where the terminal can, or where the user says so."""
    from pipeline.inspection.terminal_pictures import encode_picture, find_protocol

    protocol = find_protocol(os.environ, sys.stdout.isatty()) if show == "auto" else show
    if protocol and protocol != "never":
        print(encode_picture(picture, protocol, columns))


def _has_colours() -> bool:
    return (
        sys.stdout.isatty()
        and "NO_COLOR" not in os.environ
        and os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
    )


def _report(read: int, total: int):
    """Keeps the number of pairs on one line of a terminal; `_clear` removes it."""
    if read % 8 == 0:
        print(f"\r{f'{read} of {total} pairs read':40}", end="\r", file=sys.stderr, flush=True)


def _clear():
    print(f"\r{'':40}", end="\r", file=sys.stderr, flush=True)


def _data_flags() -> dict[str, run_flags.Flag]:
    return {name: flag for name, flag in run_flags.FLAGS["data"].items() if name not in LEFT_OUT}


def build_parser(prog: str = PROG) -> Parser:
    """The parser of this command."""
    parser = Parser(
        prog,
        "Looks at data before any training, in seconds: what is recognised, counts, sizes, classes, anomalies, the command\n"
        "that trains, and a picture in which one sees whether masks fit their images.",
        usage="%(prog)s DATA [options]",
        epilog="exit status: 0 nothing stops a run, 1 an anomaly does, 2 the data cannot be read or an argument is wrong,\n"
        "130 interrupted",
        urls=PLACES,
    )
    data = parser.add_argument_group("data, as pipeline.run takes them")
    data.add_argument("data", metavar="DATA", help=run_flags.FLAGS["data"]["--data"].meaning)
    for name, flag in _data_flags().items():
        run_flags.add_flag(data, name, flag, shown=flag.default)
    data.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COMPONENT.FIELD=VALUE",
        help="change any setting of pipeline.run, such as example_validator.max_skew; repeatable",
    )
    reading = parser.add_argument_group("reading")
    add_option(
        reading,
        "--root",
        "folder of the copy of data in an object store, which pipeline.run uses as well",
        default=settings.Config.root,
        metavar="FOLDER",
    )
    add_option(
        reading,
        "--seconds",
        "time for reading pairs; where it does not suffice for all, they are drawn at random",
        type=_seconds,
        default=10.0,
        metavar="N",
    )
    add_option(reading, "--seed", "seed of that draw, and of the pairs shown", type=int, default=0, metavar="N")
    answers = parser.add_argument_group("answers")
    add_option(answers, "--output", "PNG of the contact sheet", shown="NAME-inspect.png", metavar="FILE")
    add_option(answers, "--limit", "pairs in the contact sheet; 0: no picture", type=_count, default=12, metavar="N")
    add_option(
        answers,
        "--show",
        "picture in the terminal; auto: where it says that it can",
        choices=SHOW,
        default="auto",
        metavar="HOW",
    )
    add_option(
        answers, "--json", "print everything as JSON instead, see docs/inspect.md", action="store_true", default=False
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, not {text!r}")
    return value


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
