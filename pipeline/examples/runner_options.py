"""Beam's options from the command line, with a runner in this process by default, which downloads nothing."""

from __future__ import annotations

import argparse
import importlib
import logging
import os

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from kseg._suggestions import did_you_mean

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
"""Named explicitly, since Beam's default tries Prism first, which it would download."""

DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
"""Which Beam knows by its full name only."""


def pipeline_options(argv: list[str] = ()) -> PipelineOptions:
    """Parses Beam's command line on top of this project's defaults.

    By default Beam runs in this process with one thread per core. Pillow and zlib release Python's lock, so threads help:
    ingesting the 468 CamVid pairs on 2 cores took 5.8 s with one thread and 3.8 s with two. Two processes
    (`--direct_running_mode=multi_processing`) took 7.7 s, since starting them and exchanging bytes costs more than it saves, and
    Beam's `multi_threading`, which sends everything through gRPC, 7.6 s.

    Args:
        argv: what follows the bare `--`, for example ["--direct_num_workers=2"].

    Raises:
        ValueError: Beam does not know an option or its value; the message suggests the nearest option. Or the runner is not
            installed.
    """
    argv = list(argv)
    runner = _import_runner(argv)
    os.environ["KSEG_FOR_WORKERS"] = "1"  # setup.py: what --setup_file builds requires the pipeline's packages
    PipelineOptions(argv).get_all_options(add_extra_args_fn=lambda parser: _refuse_unknown(parser, argv))
    if runner == DASK_RUNNER:
        argv += _for_dask(argv)
    return PipelineOptions([f"--runner={RUNNER}", f"--direct_num_workers={os.cpu_count()}", *argv])


def _for_dask(argv: list[str]) -> list[str]:
    """Options of Dask's runner: its full name, and by default one part at a time.

    Otherwise its Reshuffle, which moves nothing, leaves parts in groups of 128, so that one worker does all the work.
    """
    chosen = any(argument.startswith(("--dask_npartitions", "--dask_partition_size")) for argument in argv)
    return [f"--runner={DASK_RUNNER}", *([] if chosen else ["--dask_partition_size=1"])]


def _drop_advice(record: logging.LogRecord) -> bool:
    """Drops Beam's advice that several threads in one process have no effect: they do, see `pipeline_options`."""
    return "direct_running_mode should be" not in record.getMessage()


logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").addFilter(_drop_advice)
# This logger reports each error with its traceback, and then the error is raised all the same.
logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)


def _import_runner(argv: list[str]) -> str:
    """Imports the module of the runner that is named, since it may define options of its own; returns its full name."""
    name = PipelineOptions(argv).view_as(StandardOptions).runner or RUNNER
    known = {path.rpartition(".")[2].lower(): path for path in (*StandardOptions.ALL_KNOWN_RUNNERS, DASK_RUNNER)}
    path = known.get(name.lower()) or known.get(f"{name.lower()}runner") or name
    module, _, _ = path.rpartition(".")
    if not module:
        return path  # Beam lists those that it knows
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"The runner must be installed. Received: --runner={name} [{error}]. "
            "Install the extra of apache-beam that it needs, such as apache-beam[gcp] or apache-beam[dask]."
        ) from error
    return path


def _refuse_unknown(parser: argparse.ArgumentParser, argv: list[str]):
    def refuse(message):
        raise ValueError(f"Beam's options must be valid. Received: {' '.join(argv)} [{message}].")

    parser.error = refuse  # argparse would end the process
    _, unknown = parser.parse_known_args(argv)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        cure = did_you_mean(unknown[0].split("=")[0], known, "The pipeline's own options go before the bare `--`.")
        raise ValueError(f"Unknown option of Beam {unknown[0]!r}. Received: -- {' '.join(argv)}.{cure}")
