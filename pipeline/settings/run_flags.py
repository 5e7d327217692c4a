"""The command line of `pipeline.run`: flags for what people change often, `--set` for everything. Standard library only."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import pathlib
import re
import typing

from pipeline.engine.arguments import Parser, add_option
from pipeline.engine.urls import check_url, is_url, refuse_url
from pipeline.settings import config as settings
from pipeline.settings import crf as crf_settings
from pipeline.settings import refinements as refinement_settings
from pipeline.settings import values
from pipeline.settings.presets import CONFIGS


class Flag(typing.NamedTuple):
    """A flag for a setting that people change often."""

    setting: str
    meaning: str
    metavar: str
    default: str | None = None  # shown in place of the setting's own


FLAGS = {  # by group of the help
    "data": {
        "--data": Flag(
            "data",
            "folder or file of image and mask pairs, also s3://BUCKET/FOLDER or gs://...; tfds:NAME; or streets (generated)",
            "PLACE",
            "streets",
        ),
        "--classes": Flag(
            "classes",
            "table with the columns value,name,red,green,blue; or voc, cityscapes, ... or name=values,name=values",
            "FILE",
            "classes.csv in the folder",
        ),
        "--target": Flag(
            "target",
            "folder of images without masks of another domain, such as another camera: the network learns to label those, too",
            "FOLDER",
            "none",
        ),
        "--unlabelled": Flag(
            "unlabelled",
            "folder of images without masks of the same domain: an averaged copy of the network labels them for training",
            "FOLDER",
            "none",
        ),
        "--images": Flag(
            "example_gen.images",
            "pattern of the images in --data, such as 'left/**/*_rgb.png'",
            "PATTERN",
            "recognised",
        ),
        "--masks": Flag(
            "example_gen.masks",
            "pattern of the masks; what the wildcards take ties both together",
            "PATTERN",
            "recognised",
        ),
        "--layout": Flag(
            "example_gen.layout", "layout of --data, where it can be read in several ways", "LAYOUT", "recognised"
        ),
        "--data-root": Flag(
            "example_gen.data_root",
            "folder outside which no file of the data is opened; paths in a table may be relative to it, or absolute",
            "FOLDER",
            "the data folder, or that of the table",
        ),
        "--follow-links": Flag(
            "example_gen.follow_links",
            "read files that links in the data lead to, wherever they are",
            "true|false",
            "false",
        ),
        "--schema": Flag("schema", "frozen schema.json that the data must match", "FILE", "inferred from the data"),
        "--ignore-value": Flag("example_gen.ignore_value", "mask value that means void", "VALUE", "none"),
        "--image-size": Flag(
            "transform.image_size", "size in pixels to fit images into", "WIDTHxHEIGHT", "their median, at most 240"
        ),
        "--image-scale": Flag(
            "transform.image_scale",
            "instead, a factor on the sides of each image, for images of unlike sizes; training sees crops",
            "FACTOR",
            "none",
        ),
    },
    "model": {
        "--name": Flag("name", "name of the model, pushed to PUSH_TO/NAME/VERSION", "NAME", "name of the data folder"),
        "--model": Flag("trainer.model", "network; auto: the planner chooses what is not given", "NETWORK"),
    },
    "training": {
        "--minutes": Flag(
            "planner.minutes",
            "of training on this machine, from which the planner derives what is not given",
            "N",
            "30 with --model auto",
        ),
        "--epochs": Flag("trainer.epochs", "passes over the training split; with --minutes, equal parts of them", "N"),
        "--batch-size": Flag("trainer.batch_size", "images per training step", "N"),
        "--crop-size": Flag(
            "trainer.crop_size",
            "size in pixels of the parts of images that training sees",
            "WIDTHxHEIGHT",
            "all of the image size",
        ),
        "--learning-rate": Flag("trainer.learning_rate", "peak learning rate of the segmentor", "RATE"),
        "--adversarial-weight": Flag(
            "trainer.adversarial_weight", "weight of the discriminator in the segmentor's loss, 0 for none", "WEIGHT"
        ),
        "--folds": Flag(
            "folds",
            "cross-validation: train as many networks, each scored on the pairs that it did not see",
            "N",
            "none",
        ),
        "--export-mean": Flag("export_mean", "push the mean of the networks of --folds", "true|false", "false"),
        "--strategy": Flag(
            "trainer.strategy",
            "devices; mirrored: all of this machine, multiworker: of all machines in TF_CONFIG",
            "STRATEGY",
        ),
        "--precision": Flag(
            "trainer.precision", "floating-point type; auto: mixed_bfloat16 where the processor supports it", "TYPE"
        ),
        "--jit": Flag("trainer.jit", "compile the training step by XLA", "true|false", "false"),
        "--seed": Flag("trainer.seed", "seed of the weights and of all randomness in training", "N"),
    },
    "places": {
        "--root": Flag("root", "folder of intermediate results", "FOLDER"),
        "--push-to": Flag("push_to", "folder of pushed models, also s3://BUCKET/FOLDER or gs://...", "FOLDER"),
    },
}
URLS = ("data", "target", "unlabelled", "push_to")
"""Settings that may be places in object stores."""

CRF_SETTINGS = ("exporter.crf", "evaluator.crf")
"""Settings that are written like `pipeline.predict --crf`: auto, a JSON object, or a file that holds one."""


def build_parser(prog: str, components: tuple[str, ...]) -> Parser:
    """The parser of `pipeline.run`.

    Args:
        prog: the command as the user types it.
        components: names of the line's components in order.
    """
    streets, folder = (settings.flatten(CONFIGS[name]()) for name in ("streets", "folder"))
    parser = Parser(
        prog,
        "From a folder of image and mask pairs to a SavedModel that is served.",
        usage="%(prog)s [options] [-- Beam's options]",
        epilog=_epilog(streets, folder),
        beam=True,
        urls=URLS,
    )
    for title, flags in FLAGS.items():
        group = parser.add_argument_group(title)
        for name, flag in flags.items():
            add_flag(group, name, flag, shown=flag.default or _default(flag.setting, streets, folder))
    _add_configuration(parser.add_argument_group("all settings"), tuple(folder))
    _add_stages(parser.add_argument_group("stages"), components)
    return parser


def add_flag(group, name: str, flag: Flag, *, shown: str | None = None):
    """Adds one of FLAGS to a group of a parser, under the name of its setting.

    Args:
        group: argument group of a `Parser`.
        name: "--epochs".
        flag: what it sets.
        shown: text of the default in the help.
    """
    folder = settings.flatten(CONFIGS["folder"]())
    bare = {"nargs": "?", "const": "true"} if folder[flag.setting] is False else {}
    values = ("true", "false") if bare else _choices(flag.setting)
    add_option(group, name, flag.meaning, dest=flag.setting, metavar=flag.metavar, shown=shown, values=values, **bare)


def _add_configuration(group, names: tuple[str, ...]):
    default = "streets; folder with --data"
    add_option(group, "--config", "named configuration", choices=tuple(CONFIGS), metavar="NAME", shown=default)
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COMPONENT.FIELD=VALUE",
        help="change any of the settings listed below; repeatable (the last of a setting counts), stronger than the flags above",
    ).completions = tuple(f"{name}=" for name in names if "." in name)


def _add_stages(group, components: tuple[str, ...]):
    group.description = f"The components are, in order:\n{', '.join(components)}."

    def add_component(flag, meaning, **options):
        action = group.add_argument(flag, help=meaning, choices=components, metavar="COMPONENT", **options)
        action.completions = components

    add_component("--from", "start here; all components before must be finished", dest="first")
    add_component("--until", "stop after this one")
    add_component("--only", "run this one, on what is finished: --from and --until in one")
    add_component("--force", "compute this one although it is finished; repeatable", action="append", default=[])
    group.add_argument("--dry-run", action="store_true", help="stop after the planner: print the plan, train nothing")
    group.add_argument("--explain", action="store_true", help="run nothing; print what would run, and why")
    group.add_argument(
        "--verify",
        action="store_true",
        help="read every file of the data and of finished results anew, and compare their digests",
    )
    group.add_argument(
        "--rollback",
        action="store_true",
        help="run nothing; move the newest version of PUSH_TO/NAME away, so that the one before it is served",
    )


def _epilog(streets: dict, folder: dict) -> str:
    rows = []
    for name in folder:
        if "." in name:
            choices = f"   one of {', '.join(_choices(name))}" if _choices(name) else ""
            rows.append(f"  {name} = {_default(name, streets, folder)}{choices}")
    configurations = [f"  {name:12} {function.__doc__.splitlines()[0]}" for name, function in CONFIGS.items()]
    return "\n".join(
        [
            "settings of --set and their defaults:",
            *rows,
            "",
            f"{' and '.join(CRF_SETTINGS)} are auto, a JSON object, or a file that pipeline.tune_crf wrote; the first refines",
            f"what is served. evaluator.refinements are among {', '.join(refinement_settings.SCORED)}.",
            "",
            "named configurations of --config:",
            *configurations,
            "",
            "exit status: 0 pushed or cached, 2 a wrong argument or input, 3 not blessed, 4 a machine is lost, 130 interrupted",
        ]
    )


def _choices(setting: str) -> tuple[str, ...]:
    """The values of a setting that has a fixed list of them."""
    component, _, field = setting.rpartition(".")
    owner = type(getattr(settings.Config(), component)) if component else settings.Config
    return values.choices(values.annotations(owner)[field])


def _default(setting: str, streets: dict, folder: dict) -> str:
    """The default of a setting as text, with that of generated streets where it differs."""
    on_streets, default = values.as_text(streets[setting]), values.as_text(folder[setting])
    return default if on_streets == default else f"{default}; streets: {on_streets}"


def read_config(arguments: argparse.Namespace) -> settings.Config:
    """The named configuration, changed by the flags and then by every --set.

    Args:
        arguments: as `build_parser` reads them.

    Raises:
        ValueError: a setting is unknown or wrong.
    """
    flagged = {flag.setting for group in FLAGS.values() for flag in group.values()}
    given = {name: value for name, value in vars(arguments).items() if name in flagged and value is not None}
    on_streets = given.get("data", "streets") == "streets"
    config = CONFIGS[arguments.config or ("streets" if on_streets else "folder")]()
    if arguments.config in (None, "folder") and not on_streets:
        given.setdefault("name", _name(given["data"]))
    changes = [*given.items(), *(_assignment(text) for text in arguments.set)]
    changes = [
        (name, check_url(value, _flag(name)) if name in URLS and is_url(value) else value) for name, value in changes
    ]
    if "target" in dict(changes):  # without the game that streets have between their own label maps
        changes = [("trainer.adversarial_weight", 0.0), ("trainer.target_colours", True), *changes]
    config = functools.reduce(lambda config, change: settings.replace_setting(config, *change), changes, config)
    config = settings.resolve_strategy(config)
    if not settings.is_planned(config):
        return config
    return dataclasses.replace(config, planner=settings.prepare_planner(config, [name for name, _ in changes]))


def _name(data: str) -> str:
    """A model's name from the place of its data."""
    stem = data.removeprefix("tfds:").split(":")[0] if data.startswith("tfds:") else pathlib.Path(data).resolve().stem
    name = re.sub(r"[^\w-]+", "_", stem).strip("_-").encode()[: settings.MAX_NAME_BYTES].decode(errors="ignore")
    return name or "model"


def _flag(setting: str) -> str:
    """The flag of a setting."""
    return next(name for flags in FLAGS.values() for name, flag in flags.items() if flag.setting == setting)


def _assignment(text: str) -> tuple[str, object]:
    """Setting and value of "COMPONENT.FIELD=VALUE"."""
    setting, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set must be COMPONENT.FIELD=VALUE. Received: --set {values.shorten(text)}.")
    if setting not in URLS:
        refuse_url(value, f"--set {setting}")
    if setting in CRF_SETTINGS and value.lower() not in ("none", ""):
        return setting, crf_settings.read_parameters(value)  # the content of a file enters the recipe, not its place
    return setting, value
