"""Images without masks, beside the pairs of `--data`: those of `--target`, of another domain, or of `--unlabelled`, of the same.

Refused: other kinds of images than those of the pairs. Beam.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import apache_beam as beam

from kseg.pairs.channels import PixelKind
from kseg.pairs.errors import printable
from kseg.pairs.split_names import UNLABELLED
from kseg.pairs.unlabelled import find_contents, list_unlabelled, read_unlabelled
from pipeline.examples.sources.files import file_sizes, shared_place
from pipeline.examples.sources.source import Elements, Source, quarantine_row, read_outputs
from pipeline.settings.example_gen import ExampleGen


def open_unlabelled(folder: pathlib.Path, flag: str, config: ExampleGen, labelled: Source) -> Source:
    """The images below a folder as a source of the one split `UNLABELLED`.

    Args:
        folder: of images; masks among them are not read.
        flag: that named it, for messages.
        config: the largest image, and whether links may lead out of the folder.
        labelled: the source of the pairs, whose kind of images these must have.

    Raises:
        ValueError: there is no image, or they are of another kind than the labelled ones.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{flag} must be a folder of images. Received: no such folder [{printable(folder)}]. Check the path."
        )
    listing = list_unlabelled(folder, follow_links=config.follow_links)
    if not listing.every_pair:
        others = f"{len(listing.foreign_files)} files, none of them an image" if listing.foreign_files else "nothing"
        raise ValueError(
            f"{flag} must be a folder of images. Received: {others} [{printable(folder)}]. Check the path."
        )
    depths = _check_contents(folder, flag, listing, config, labelled)
    notes = []
    if masks := listing.unused_masks:
        notes.append(
            f"{flag}: masks lie there and are not read, {len(masks)} in all, the first: {printable(masks[0])}. Scores on labels "
            "of these images take a run of their own, with --data."
        )
    if foreign := listing.foreign_files:
        notes.append(f"{flag}: other files are left out, {len(foreign)} in all, the first: {printable(foreign[0])}.")
    reader = _ReadImages(labelled.channels, config.max_pixels, labelled.conventions, depths)
    return dataclasses.replace(
        labelled,
        counts={UNLABELLED: len(listing.pairs)} if listing.pairs else {},
        sizes=file_sizes(listing.pairs),
        elements=Elements(listing.pairs, _name, shared_place if any(map(shared_place, listing.pairs)) else None),
        reader=reader,
        faults=tuple(_row(fault.pair, fault.error) for fault in listing.faults),
        sides={(pair.split, printable(pair.key)): (pair.image, pair.mask) for pair in listing.every_pair},
        unused_masks=tuple(map(printable, listing.unused_masks)),
        foreign_files=tuple(map(printable, listing.foreign_files)),
        unused_splits=(),
        layout="",
        notes=(
            f"{flag}: {len(listing.pairs)} image{'s' * (len(listing.pairs) != 1)} without masks, for training alone",
            *notes,
        ),
    )


def unlabelled_record(source: Source, domain: str, images: int, reencoded: dict[str, int]) -> dict:
    """What ingestion.json holds of images without masks.

    Args:
        source: of `open_unlabelled`.
        domain: `TARGET` or `SAME` of `kseg.pairs.split_names`.
        images: number of those that were stored.
        reencoded: some of them by the reason why they became PNGs.
    """
    left_out = {"unread_masks": list(source.unused_masks), "foreign_files": list(source.foreign_files)}
    return {"domain": domain, "images": images, "reencoded": reencoded, **left_out}


def _check_contents(folder, flag, listing, config, labelled: Source) -> frozenset[int]:
    """Refuses images of another kind than the labelled ones; returns the bits of a sample that these have."""
    wanted = PixelKind(labelled.channels, labelled.conventions.dtype)
    found = find_contents((pair.image for pair in listing.pairs), config.max_pixels)
    deep = frozenset((16,)) if labelled.conventions.image_range else frozenset((8,))
    depths = find_contents((image for image, _ in labelled.sides.values()), config.max_pixels).depths or deep
    if found.kind is not None and found.kind != wanted:
        raise ValueError(
            f"The images of {flag} must hold what those of --data do: {wanted}. "
            f"Received: {found.kind}{_stored_from(found)} [{printable(folder)}]. "
            "Save them as those are."
        )
    if wanted.is_plain and found.depths and not found.depths & depths:
        raise ValueError(
            f"The images of {flag} must have as many bits as those of --data: {_bits(depths)}. "
            f"Received: {_bits(found.depths)} [{printable(folder)}]. Save them as those are."
        )
    return depths


def _stored_from(found) -> str:
    """What the files hold, where that is not what would be stored."""
    return ", stored from 16 bits" if found.kind.dtype == "uint8" and found.depths == {16} else ""


def _bits(depths) -> str:
    return " or ".join(map(str, sorted(depths)))


def _name(pair) -> tuple[str, str]:
    return pair.split, pair.key


def _row(pair, error) -> dict[str, str]:
    return quarantine_row(pair.split, pair.key, pair.image.name, "", error)


class _ReadImages(beam.DoFn):
    """Reads an image as a pair whose mask is void."""

    def __init__(self, channels, max_pixels, conventions, depths):
        self._channels, self._max_pixels, self._conventions, self._depths = channels, max_pixels, conventions, depths

    def process(self, pair):
        yield from read_outputs(functools.partial(self._read, pair), functools.partial(_row, pair))

    def _read(self, pair):
        read = read_unlabelled(pair, self._channels, self._max_pixels, self._conventions, self._depths)
        return pair.split, pair.key, *read
