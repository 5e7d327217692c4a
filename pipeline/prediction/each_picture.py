"""One piece of work for each of many pictures, through Beam; a second run continues where the first ended.

Pictures are read as example_gen reads them, so a picture that it would quarantine is listed as unreadable here, and the others go
on. Only the outcomes come back to the submitting process. Beam.
"""

from __future__ import annotations

import errno
import os
import pathlib
from collections.abc import Callable

import numpy as np
from apache_beam.utils import shared

from kseg.inference import TooManyPixels
from kseg.pairs.errors import PairError, printable
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.pairs.other_formats import side_of
from kseg.serving.manifest import read_manifest
from pipeline.engine import progress
from pipeline.engine.files import scratch_folder
from pipeline.examples.parts import batched, worked_on
from pipeline.examples.prepared import check_complete
from pipeline.prediction.model_checks import read_channels
from pipeline.prediction.picture_files import PictureFile
from pipeline.prediction.picture_records import file_state, is_finished, record_path

MAX_PICTURES, LEAST_PARTS = 64, 64
"""Pictures that one worker takes at a time, and parts that there are at least, of as many pictures."""


def work_on_pictures(
    pictures: list[PictureFile],
    output: pathlib.Path,
    models: list[pathlib.Path],
    build: Callable[[], Callable[[np.ndarray, pathlib.Path, dict], None]],
    *,
    max_pixels: int,
    made_by: dict | None = None,
    beam_options: list[str],
) -> list[dict]:
    """Works on every picture that has no record of its present state.

    Args:
        pictures: to work on.
        output: folder to write below.
        models: folders of the SavedModels that the work uses; the first says what images they take.
        build: makes the work, once per worker process whatever its number of threads; picklable. The work is called with an
            image (H, W, C), uint8, the picture's key, and the beginning of its record, and writes its files, the record last.
        max_pixels: size limit of a picture.
        made_by: what a record must hold besides the state of its file to be of use; it is part of the beginning of a record.
        beam_options: Beam's command line.

    Returns:
        {"outcome": "done", "skipped" or "unreadable"} of each picture in no order; of unreadable ones also "path", "fault" and
        "message".
    """
    progress.set_total(len(pictures))
    # Names as bytes: not all are text.
    names = [(os.fsencode(picture.source.absolute()), os.fsencode(picture.key)) for picture in pictures]
    work = WorkOnPictures(output, models[0], build, max_pixels, made_by or {})
    few = max(1, min(MAX_PICTURES, len(names) // LEAST_PARTS))
    one_of_each_folder = {picture.source.parent: picture.source.absolute() for picture in pictures}.values()
    reads = [*(model.absolute() for model in models), *one_of_each_folder]
    with scratch_folder(output) as scratch, worked_on(scratch, batched(names, few), work, beam_options, reads) as rows:
        outcomes = list(rows)
    check_complete("outcomes of pictures", len(outcomes), len(names), output)
    return outcomes


class WorkOnPictures:
    """A list of (path, key), as bytes, of pictures to their outcomes: the work of `parts.worked_on`.

    The arguments are those of `work_on_pictures`.
    """

    def __init__(self, output: pathlib.Path, model: pathlib.Path, build, max_pixels: int, made_by: dict):
        self._output, self._model = output.absolute(), model.absolute()
        self._build, self._max_pixels, self._made_by = build, max_pixels, made_by
        self._handle = shared.Shared()

    def setup(self):
        self._read = build_reader(self._model, self._max_pixels)
        self._work = self._handle.acquire(self._build)

    def __call__(self, pictures):
        for names in pictures:
            source, key = (pathlib.Path(os.fsdecode(name)) for name in names)
            yield self._work_on(source, key)
            progress.advance()

    def _work_on(self, source, key) -> dict:
        """Works on one picture unless it is finished; returns the outcome."""
        try:
            state = file_state(source) | self._made_by
            if is_finished(record_path(self._output, key), state):
                return {"outcome": "skipped"}
            image = self._read(source)
        except PairError as error:
            return _unreadable(source, error.name, str(error))
        except OSError as error:
            message = f"A picture must be readable. Received: {error.strerror} [{printable(source)}]."
            return _unreadable(source, "unreadable_file", message)
        try:
            self._work(image, key, {"source": printable(source), "key": printable(key), **state})
        except TooManyPixels as error:
            return _unreadable(source, "too_many_pixels", str(error))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            message = f"The paths of results must not be too long. Received: {printable(self._output / key)}. Shorten --output."
            return _unreadable(source, "path_too_long", message)
        return {"outcome": "done"}


def build_reader(model: pathlib.Path, max_pixels: int) -> Callable[[pathlib.Path], np.ndarray]:
    """Returns a function from the path of a picture to the image (H, W, C) that a model takes, read as example_gen does.

    It raises a PairError where the file is no picture, a damaged or a too large one, and an OSError where it cannot be read.

    Args:
        model: folder of a SavedModel, which says what channels, numbers and range its images have.
        max_pixels: size limit of a picture.
    """
    channels, manifest = read_channels(model), read_manifest(model)

    def read(source):
        data = side_of(source).read(max_pixels)
        stored, _, _ = prepare_image(
            data, channels, printable(source), max_pixels, manifest["image_range"], manifest["dtype"]
        )
        return decode_image(stored)

    return read


def _unreadable(source, fault, message) -> dict:
    return {"outcome": "unreadable", "path": printable(source), "fault": fault, "message": message}
