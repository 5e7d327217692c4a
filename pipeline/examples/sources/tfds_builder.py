"""The builder of a data set that TFDS has prepared; nothing is downloaded. TFDS is imported on the call, TensorFlow never."""

from __future__ import annotations

import os
import shlex

from kseg._extras import extra
from kseg._suggestions import did_you_mean


def tfds_builder(name: str):
    """The builder of a data set that TFDS has prepared, in $TFDS_DATA_DIR or TFDS's default folder.

    Args:
        name: "<name>", "<name>:<configuration>", or TFDS's own "<name>/<configuration>:<version>".

    Raises:
        ValueError: TFDS has no such data set, or has not prepared it.
    """
    with extra("data"):
        import tensorflow_datasets as tfds

    address = name if "/" in name else name.replace(":", "/", 1)
    data_dir = os.environ.get("TFDS_DATA_DIR")
    try:
        builder = tfds.builder(address, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        cure = did_you_mean(
            name.split("/")[0].split(":")[0], known, "If it is prepared, set TFDS_DATA_DIR to its place."
        )
        raise ValueError(f"TFDS must know the data set. Received: tfds:{name} [{data_dir}].{cure}") from error
    if not builder.is_prepared():
        raise ValueError(
            f"The data set must be prepared, since a run downloads nothing. Received: tfds:{name} [{builder.data_dir}]. "
            f"Run\n{prepare_command(address)}\nor set TFDS_DATA_DIR to its place."
        )
    return builder


def prepare_command(address: str) -> str:
    """The command that downloads and prepares a data set; TFDS's own `tfds build` needs packages that it does not require."""
    program = f"import tensorflow_datasets as tfds; tfds.builder({address!r}).download_and_prepare()"
    return f"python -c {shlex.quote(program)}"
