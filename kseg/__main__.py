"""The command `kseg`: runs the commands of `pipeline`, which it imports when one is called. Standard library only.

kseg run --data photos        is   python -m pipeline.run --data photos
source <(kseg completion bash)     completes commands, options and their values
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

from kseg._suggestions import did_you_mean

COMMANDS = {
    "inspect": (
        "pipeline.inspect",
        "look at data before training: classes, anomalies, a picture of pairs, the command",
    ),
    "run": ("pipeline.run", "train: from a folder of image and mask pairs to a model that is served"),
    "predict": ("pipeline.predict", "label pictures with a pushed model"),
    "suggest": ("pipeline.suggest", "suggest which pictures to label next, by a pushed model"),
    "serve": ("pipeline.serve", "serve a pushed model over REST and gRPC"),
    "tune-crf": ("pipeline.tune_crf", "search parameters of DenseCRF for a pushed model"),
    "lineage": ("pipeline.lineage", "print the data, settings, code and scores of a pushed model"),
    "gc": ("pipeline.gc", "list or remove results that no pushed model needs"),
}
COMPLETION = "print a completion script for a shell: bash, zsh or fish"
PACKAGES = (
    "apache_beam",
    "google_crc32c",
    "h5py",
    "jinja2",
    "matplotlib",
    "rich",
    "scipy",
    "simplejpeg",
    "skimage",
    "tensorboard",
    "tensorflow_datasets",
)
"""Of the extra `pipeline`, without which all but `lineage`, `gc` and `serve` fail sooner or later."""
SERVE_PACKAGES = (
    "grpc",
    "h11",
    "open_inference",
    "prometheus_client",
    "scipy",
    "skimage",
    "starlette",
    "tensorflow_serving",
    "uvicorn",
)
"""Of the extra `serve`."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit status, or 2 where there is no such command or the extra is missing."""
    return importlib.import_module("pipeline.engine.console").run_command(_dispatch, argv)


def _dispatch(argv: list[str]) -> int:
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name == "--version":
        import kseg

        print(kseg.__version__)
        return 0
    if name == "completion":
        return _complete(rest)
    if name not in COMMANDS:
        cure = did_you_mean(name, [*COMMANDS, "completion"], otherwise="See kseg --help.")
        return _refuse(f"Unknown command {name!r}. Received: kseg {' '.join([name, *rest])}.{cure}")
    asks_for_help = not {"-h", "--help"}.isdisjoint(rest)
    extra, packages = ("serve", SERVE_PACKAGES) if name == "serve" else ("pipeline", PACKAGES)
    if name not in ("lineage", "gc") and not asks_for_help and (missing := _missing_packages(packages)):
        return _refuse(
            f"`kseg {name}` requires the extra `{extra}`. Received: no package {', '.join(missing)}. "
            f"Install it with `pip install 'kseg[{extra}]'`."
        )
    return importlib.import_module(COMMANDS[name][0]).main(rest, prog=f"kseg {name}")


def _help() -> str:
    rows = [f"  {name:12}{meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: kseg COMMAND [options]",
            "",
            "Per-pixel labelling of images with Keras.",
            "",
            "commands:",
            *rows,
            f"  {'completion':12}{COMPLETION}",
            "",
            "`kseg COMMAND --help` lists the options of a command; `kseg --version` prints the version.",
        ]
    )


def _complete(arguments: list[str]) -> int:
    completion = importlib.import_module("pipeline.engine.shell_completion")
    if len(arguments) != 1 or arguments[0] not in completion.SHELLS:
        return _refuse(
            f"The shell must be one of {', '.join(completion.SHELLS)}. Received: kseg completion {' '.join(arguments)}. "
            "For bash, add `source <(kseg completion bash)` to ~/.bashrc."
        )
    commands = {
        name: (meaning, importlib.import_module(module).build_parser()) for name, (module, meaning) in COMMANDS.items()
    }
    print(completion.script(arguments[0], "kseg", {**commands, "completion": (COMPLETION, None)}), end="")
    return 0


def _missing_packages(packages: tuple[str, ...]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
