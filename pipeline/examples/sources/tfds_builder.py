"""The builder of a data set that TFDS has prepared; nothing is downloaded. TFDS is imported on the call, TensorFlow never."""

from __future__ import annotations

import os

from kseg._suggestions import did_you_mean


def tfds_builder(name: str):
    """The builder of a data set that TFDS has prepared, in $TFDS_DATA_DIR or TFDS's default folder.

    Args:
        name: "<name>", "<name>:<configuration>", or TFDS's own "<name>/<configuration>:<version>".

    Raises:
        ValueError: TFDS has no such data set, or has not prepared it.
    """
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
            f"Run `tfds build {address}`, or set TFDS_DATA_DIR to its place."
        )
    return builder
