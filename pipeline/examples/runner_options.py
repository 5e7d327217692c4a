"""Beam's options from the command line, with a runner in this process by default, which downloads nothing."""

from __future__ import annotations

import argparse
import logging
import os

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.engine.messages import did_you_mean

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
"""By name, since Beam's own default tries Prism first, and Prism is a download."""


def pipeline_options(argv: list[str] = ()) -> PipelineOptions:
    """Beam's options from its command line, with this project's defaults in front.

    By default Beam runs in this process with a thread for each core. Pillow and zlib let go of Python's lock, so threads help:
    ingesting the 468 CamVid pairs took 5.8 s with one thread, 3.8 s with two, 7.7 s with two processes
    (`--direct_running_mode=multi_processing`), which start and exchange bytes for longer than they gain, and 7.6 s with Beam's
    `multi_threading`, which sends everything through gRPC; 2 cores, 0.75 to 0.95 GiB, and 1.3 GiB with gRPC.

    Args:
        argv: what followed the bare `--`, for example ["--direct_num_workers=2"].

    Raises:
        ValueError: Beam does not know an option, or not that value; the message names the nearest right one.
    """
    argv = list(argv)
    os.environ["KSEG_FOR_WORKERS"] = "1"  # setup.py: what --setup_file builds requires the pipeline's packages
    PipelineOptions(argv).get_all_options(add_extra_args_fn=lambda parser: _refuse_unknown(parser, argv))
    return PipelineOptions([f"--runner={RUNNER}", f"--direct_num_workers={os.cpu_count()}", *argv])


def _without_advice(record: logging.LogRecord) -> bool:
    """Leaves out Beam's advice that several threads in one process have no effect: they have, see `pipeline_options`."""
    return "direct_running_mode should be" not in record.getMessage()


logging.getLogger("apache_beam.runners.portability.fn_api_runner.fn_runner").addFilter(_without_advice)
logging.getLogger("apache_beam.runners.common").setLevel(
    logging.CRITICAL
)  # logs each error with its traceback, then raises it


def _refuse_unknown(parser: argparse.ArgumentParser, argv: list[str]):
    def refuse(message):
        raise ValueError(f"Beam's options must be right. Received: {' '.join(argv)} [{message}].")

    parser.error = refuse  # argparse would end the process
    _, unknown = parser.parse_known_args(argv)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        cure = did_you_mean(unknown[0].split("=")[0], known, "The pipeline's own options go before the bare `--`.")
        raise ValueError(f"Unknown option of Beam {unknown[0]!r}. Received: -- {' '.join(argv)}.{cure}")
