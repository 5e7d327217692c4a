"""python -m pipeline.run: the straight line from a folder of image and mask pairs to a SavedModel that is served.

Arguments are read before anything heavy is imported, so `--help` and a run in which everything is cached answer at once. The
components and their order are in `pipeline.line`. What follows a bare `--` goes to Beam.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import re
import sys

from pipeline import line, machines
from pipeline.engine.console import stopped, told
from pipeline.engine.files import read_json
from pipeline.engine.messages import did_you_mean
from pipeline.evaluation import gate
from pipeline.publishing import versions
from pipeline.settings import config as settings
from pipeline.settings import crf as crf_settings
from pipeline.settings import refinements as refinement_settings
from pipeline.settings.presets import CONFIGS
from pipeline.settings.trainer import MODELS

NOT_BLESSED = 3
"""Exit status of a run whose model did not pass the gate."""
LOST = 4
"""Exit status of a run that trained together with other machines, of which one is gone or never came."""

FLAGS = {  # what people change most: flag, the setting behind it, and what it means
    "--data": ("data", "folder or CSV of image and mask pairs, tfds:NAME, or streets (generated)"),
    "--classes": ("classes", "table with the columns value,name,red,green,blue; else classes.csv in the data folder"),
    "--schema": ("schema", "frozen schema.json that the data are held against; else one is inferred"),
    "--ignore-value": ("example_gen.ignore_value", "mask value that means void; none: every pixel has a class"),
    "--name": ("name", "of the model: it is pushed to PUSH_TO/NAME/VERSION; else the data folder's name"),
    "--model": ("trainer.model", f"network: {', '.join(MODELS)}"),
    "--epochs": ("trainer.epochs", "passes over the training split"),
    "--batch-size": ("trainer.batch_size", "images a training step"),
    "--learning-rate": ("trainer.learning_rate", "of the segmentor, at its peak"),
    "--image-size": (
        "transform.image_size",
        "WIDTHxHEIGHT into which images are fitted; none: their median, at most 240",
    ),
    "--adversarial-weight": (
        "trainer.adversarial_weight",
        "of the discriminator's verdict in the loss; 0: no discriminator",
    ),
    "--strategy": (
        "trainer.strategy",
        "one device, mirrored: all of this machine, multiworker: of all machines in TF_CONFIG, auto",
    ),
    "--precision": ("trainer.precision", "auto, float32, mixed_bfloat16 or mixed_float16"),
    "--jit": ("trainer.jit", "true: the training step is compiled by XLA"),
    "--seed": ("trainer.seed", "of weights and of every draw while training"),
    "--root": ("root", "folder of intermediate results"),
    "--push-to": ("push_to", "folder of pushed models"),
}


CRF_SETTINGS = ("trainer.crf", "evaluator.crf")
"""Settings that are written as `pipeline.predict --crf` is: auto, a JSON object, or a file that holds one."""


def main(argv: list[str] | None = None) -> int:
    """Runs the line; returns the exit status: 0 pushed or cached, 2 a wrong setting or input, 3 not blessed, 4 a machine lost."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        argv = sys.argv[1:] if argv is None else argv
        config, beam_options = parse(argv)
        if "--rollback" in argv:
            return roll_back(config)
        part = asked(argv)
        paths = line.run(config, beam_options, part)
        return _conclude(config, paths) if part.whole and "pusher" in paths else 0
    except KeyboardInterrupt:
        return stopped("The same command goes on: what is finished is kept, training from its last checkpoint.")
    except machines.MachineLost as error:
        print(f"error: {error}", file=sys.stderr)
        return LOST
    except Exception as error:
        message = told(error)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2


def roll_back(config: settings.Config) -> int:
    """Moves the newest version of the model out of the server's sight; returns the exit status."""
    place, newest = versions.roll_back(pathlib.Path(config.push_to, config.name))
    print(f"rolled back   {place}\nnewest        {place.with_name(str(newest))}")
    return 0


def _conclude(config, paths) -> int:
    """Writes the report, prints scores, verdict and where things lie; returns the exit status."""
    from pipeline.report import page as report

    page = pathlib.Path(config.root) / f"report-{config.name}.html"
    report.write(page, name=config.name, artifacts=paths)
    scores = read_json(paths["evaluator"] / "scores.json")
    pushed = read_json(paths["pusher"] / "pushed.json")
    print(_table(scores))
    print(f"{'TensorBoard':14}tensorboard --logdir {paths['trainer'] / 'logs'}")
    print(f"{'report':14}{page}")
    if not pushed["pushed"]:
        print("not blessed   " + "\n              ".join(pushed["reasons"]))
        print("              Nothing was pushed.")
        return NOT_BLESSED
    print(f"{'SavedModel':14}{pathlib.Path(config.push_to) / config.name / str(pushed['version'])}")
    return 0


def _table(scores: dict) -> str:
    """Per-class IoU and the summary scores, at the original size."""
    result, names = scores["original_size"], scores["classes"]
    rows = [f"\nIntersection over union on '{scores['split']}', {scores['images']} images at their original size"]
    for name, iou in zip(names, result["iou"], strict=True):
        rows.append(f"  {name:16} {'absent' if iou is None else f'{iou:.3f}'}")
    rows.append(
        f"mean_iou={result['mean_iou']:.3f}  pixel_accuracy={result['pixel_accuracy']:.3f}  "
        f"mean_accuracy={result['mean_accuracy']:.3f}  frequency_weighted_iou={result['frequency_weighted_iou']:.3f}"
    )
    rows.append(
        f"at training size mean_iou={scores['training_size']['mean_iou']:.3f}; "
        f"always '{scores['commonest_class']['name']}': mean_iou={scores['commonest_class']['mean_iou']:.3f}"
    )
    if baseline := scores["baseline"]:
        unknown = f"not compared with version {baseline['version']}: {baseline.get('why')}"
        rows.append(f"mean_iou is {gate.describe_difference(baseline)}" if baseline["compared"] else unknown)
    rows.append("")
    return "\n".join(rows)


def parse(argv: list[str]) -> tuple[settings.Config, list[str]]:
    """Reads the command line: the settings of the run, and Beam's options, which follow a bare `--`."""
    ours, beam = _parted(argv)
    arguments, unknown = _parser().parse_known_args(ours)
    if unknown:
        known = [*FLAGS, "--set", "--config"]
        cure = did_you_mean(unknown[0].split("=")[0], known, "Beam's own options go after a bare `--`.")
        raise ValueError(f"Unknown argument {unknown[0]!r}. Received: {' '.join(ours)}.{cure}")
    given = {
        setting: value for setting, value in vars(arguments).items() if setting in _settings() and value is not None
    }
    on_streets = given.get("data", "streets") == "streets"
    config = CONFIGS[arguments.config or ("streets" if on_streets else "folder")]()
    if arguments.config in (None, "folder") and not on_streets:
        given.setdefault("name", _name(given["data"]))
    changes = [*given.items(), *(_assignment(text) for text in arguments.set)]
    config = functools.reduce(lambda config, change: settings.replace_setting(config, *change), changes, config)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", config.name):
        raise ValueError(
            f"A model's name must be made of letters, digits, '_', '-' and '.'. Received: name={config.name!r}."
        )
    settings.check_refinements(config)
    if config.trainer.strategy == "multiworker":
        machines.this_machine()
    gate.check_thresholds(config.evaluator.thresholds)
    if not config.data:
        raise ValueError(f"--data must name a folder of pairs. Received: --config {arguments.config} without --data.")
    if beam:
        from pipeline.examples.runner_options import pipeline_options

        pipeline_options(beam)
    return settings.resolve_auto(config), beam


def asked(argv: list[str]) -> line.Stages:
    """Reads which part of the line is asked for.

    Raises:
        ValueError: the last component comes before the first.
    """
    arguments, _ = _parser().parse_known_args(_parted(argv)[0])
    first = arguments.only or arguments.first or line.COMPONENTS[0]
    last = arguments.only or arguments.until or line.COMPONENTS[-1]
    if line.COMPONENTS.index(first) > line.COMPONENTS.index(last):
        raise ValueError(f"--from must not come behind --until. Received: --from {first} --until {last}.")
    return line.Stages(first, last, tuple(arguments.force), arguments.explain)


def _parted(argv: list[str]) -> tuple[list[str], list[str]]:
    """What stands before a bare `--`, and what behind."""
    return (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])


def _settings():
    return {setting for setting, _ in FLAGS.values()}


def _name(data: str) -> str:
    """A model's name from the place of its data."""
    stem = data.removeprefix("tfds:").split(":")[0] if data.startswith("tfds:") else pathlib.Path(data).resolve().stem
    return re.sub(r"[^\w-]+", "_", stem).strip("_-") or "model"


def _assignment(text: str) -> tuple[str, object]:
    setting, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set must be COMPONENT.FIELD=VALUE. Received: --set {text}.")
    if setting in CRF_SETTINGS and value.lower() not in ("none", ""):
        return setting, crf_settings.read_parameters(
            value
        )  # so that the content of a file enters the recipe, not its place
    return setting, value


def _parser() -> argparse.ArgumentParser:
    defaults = {name: settings.flatten(CONFIGS[name]()) for name in ("streets", "folder")}
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.run",
        usage="%(prog)s [options] [-- Beam's options]",
        description=__doc__.split("\n\n")[0],
        epilog="settings of --set and their defaults:\n"
        + "\n".join(f"  {name} = {_shown(name, defaults)}" for name in defaults["folder"] if "." in name)
        + f"\n\n{' and '.join(CRF_SETTINGS)} are auto, a JSON object, or a file that pipeline.tune_crf wrote; the first refines\n"
        f"what is served. evaluator.refinements are of {', '.join(refinement_settings.SCORED)}."
        + "\n\nnamed configurations of --config:\n"
        + "\n".join(f"  {name:12} {function.__doc__.splitlines()[0]}" for name, function in CONFIGS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", choices=CONFIGS, help="named configuration (default: streets, folder with --data)")
    for flag, (setting, meaning) in FLAGS.items():
        text = f"{meaning} (default: {_shown(setting, defaults)})".replace("%", "%%")
        bare = {"nargs": "?", "const": "true"} if defaults["folder"][setting] is False else {}
        parser.add_argument(flag, dest=setting, metavar=flag[2:].upper().replace("-", "_"), help=text, **bare)
    parser.add_argument(
        "--set", action="append", default=[], metavar="COMPONENT.FIELD=VALUE", help="any setting; may be repeated"
    )
    names = {"choices": line.COMPONENTS, "metavar": "COMPONENT"}
    parser.add_argument("--from", dest="first", help="start here; what comes before must be finished", **names)
    parser.add_argument("--until", help="end here", **names)
    parser.add_argument("--only", help="this one alone, on what is finished: --from and --until in one", **names)
    parser.add_argument("--force", action="append", default=[], help="again, though it is finished; repeat", **names)
    parser.add_argument("--explain", action="store_true", help="run nothing: say what would run, and why")
    parser.add_argument(
        "--rollback",
        action="store_true",
        help="train nothing: move the newest version of PUSH_TO/NAME out, so that the one before it is served",
    )
    return parser


def _shown(setting: str, defaults: dict) -> str:
    streets, folder = (_text(defaults[name][setting]) for name in ("streets", "folder"))
    return streets if streets == folder else f"{folder}; on streets {streets}"


def _text(value) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
