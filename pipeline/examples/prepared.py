"""A prepared data set on disk: a TFDS directory of TFRecord shards, written and described without TensorFlow.

`tfds.builder_from_directory` reads it in a script that knows nothing of kseg: features `image` (encoded as JPEG or PNG, or a
tensor where PNG cannot hold it), `label_map` (uint8 class ids as PNG, 255 where void) and `key`; splits among train, validation
and test. Records are `tf.train.Example` messages, whose type is declared here. TFDS is imported only by `write_metadata`,
TensorFlow never.
"""

from __future__ import annotations

import hashlib
import pathlib
import struct
import zlib
from collections.abc import Iterable, Iterator

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from kseg._extras import extra
from kseg.pairs.channels import TENSOR, PixelKind, decode_tensor, encode_pixels
from pipeline.engine.files import atomic, read_json

NAME = "pairs"
"""Name of every prepared data set, which TFDS requires in the names of its files."""

_EXAMPLE = """
name: "example.proto"  package: "tensorflow"  syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "Int64List" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type {
  name: "Feature"
  field { name: "bytes_list" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".tensorflow.BytesList" }
  field { name: "int64_list" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".tensorflow.Int64List" }
}
message_type {
  name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".tensorflow.Features.FeatureEntry" }
  nested_type {
    name: "FeatureEntry"  options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".tensorflow.Feature" }
  }
}
message_type {
  name: "Example"
  field { name: "features" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".tensorflow.Features" }
}
"""
"""The part of `tf.train.Example` that pairs need, as a FileDescriptorProto."""


def _example_class():
    """The message class, from a separate pool: in the default pool TensorFlow registers the same name."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_EXAMPLE, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


_Example = _example_class()


def to_record(key: str, image_bytes: bytes, label_map_bytes: bytes) -> bytes:
    """Serialises one pair as a `tf.train.Example`, always to the same bytes.

    Args:
        key: of the pair.
        image_bytes: encoded image.
        label_map_bytes: PNG of class ids.
    """
    example = _Example()
    values = {"key": key.encode(), "label_map": label_map_bytes}
    if image_bytes.startswith(TENSOR):
        # As tfds.features.Tensor with the encoding "zlib", and its dtype so that `from_record` knows.
        pixels = decode_tensor(image_bytes)
        example.features.feature["image/shape"].int64_list.value.extend(pixels.shape)
        values |= {"image/value": zlib.compress(pixels.tobytes()), "dtype": pixels.dtype.name.encode()}
    else:
        values["image"] = image_bytes
    for name, value in values.items():
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)  # otherwise a protobuf map has no fixed order


def from_record(record: bytes) -> tuple[str, bytes, bytes]:
    """The inverse of `to_record`: key, image_bytes, label_map_bytes."""
    feature = _Example.FromString(record).features.feature
    values = {name: feature[name].bytes_list.value[0] for name in feature if name != "image/shape"}
    if "image/value" in values:
        pixels = np.frombuffer(zlib.decompress(values["image/value"]), values["dtype"].decode())
        values["image"] = encode_pixels(pixels.reshape(feature["image/shape"].int64_list.value))
    return values["key"].decode(), values["image"], values["label_map"]


SHARD_BYTES = 2**27
"""Of the source, for each shard."""

MIN_SHARDS = 16
"""Of a split with as many pairs, so that as many workers share even a small one."""


def shard_count(pairs: int, source_bytes: int) -> int:
    """Number of files of a split; it follows from the source alone, so it is the same for any number of workers.

    Args:
        pairs: of the split.
        source_bytes: size of their files in the source.

    Example:
        >>> shard_count(7, 1000), shard_count(100, 1000), shard_count(20_000, 5 * 2**30)
        (7, 16, 40)
    """
    return max(-(-source_bytes // SHARD_BYTES) if pairs else 0, min(MIN_SHARDS, pairs))


def deal(groups: Iterable[tuple[str, object]], shards: int) -> list[list]:
    """Deals groups of pairs to shards, by names alone.

    In the order of the hashes of their names the groups take the shards in turn. So neighbours, such as the frames of a film, are
    spread, shards differ by one group at most, and neither the order of the groups nor that of files has an influence.

    Args:
        groups: (name, group), each name once.
        shards: their number.

    Returns:
        For each shard its groups in the order of their names.

    Example:
        >>> deal([(name, name.upper()) for name in "edcba"], 2)
        [['A', 'B', 'D'], ['C', 'E']]
    """
    ordered = sorted(groups, key=lambda group: hashlib.sha256(group[0].encode()).digest())
    dealt = (sorted(ordered[shard::shards], key=lambda group: group[0]) for shard in range(shards))
    return [[group for _, group in shard] for shard in dealt]


def shard_name(split: str, shard: int, shards: int) -> str:
    """File name of one shard."""
    return f"{NAME}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def write_records(path: pathlib.Path, records: Iterable[bytes]):
    """Writes serialised messages as a TFRecord file, as they come; the file appears when it is complete."""
    with atomic(path) as unfinished, open(unfinished, "wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + _checksum(length) + record + _checksum(record))


def _checksum(data: bytes) -> bytes:
    """TFRecord's masked CRC-32C."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def write_metadata(directory: pathlib.Path, kind: PixelKind, description: str, pairs: dict[str, int]):
    """Turns a folder of shards into a TFDS directory: adds dataset_info.json and features.json, removes empty splits.

    Args:
        directory: the folder of shards.
        kind: of the images.
        description: for `builder.info`.
        pairs: of each split, as many as must be stored.

    Raises:
        ValueError: a shard is missing, or a split holds another number of pairs.
    """
    counted = count_records(directory)
    for split in sorted({*counted, *pairs}):
        found = sum(records for records, _ in counted.get(split, ()))
        check_complete(f"pairs of {split}", found, pairs.get(split, 0), directory)
    with extra("data"):
        import tensorflow_datasets as tfds  # takes 0.5 s; does not import TensorFlow

    template = tfds.core.ShardedFileTemplate(directory, dataset_name=NAME, filetype_suffix="tfrecord")
    split_infos = []
    for split, files in counted.items():
        lengths, sizes = zip(*files, strict=True)
        if any(lengths):
            info = {"shard_lengths": list(lengths), "num_bytes": sum(sizes), "filename_template": template}
            split_infos.append(tfds.core.SplitInfo(split, **info))
        else:
            for path in shard_paths(directory)[split]:
                path.unlink()
    shape, dtype = (None, None, kind.channels), np.dtype(kind.dtype).type
    if kind.is_plain:
        image = tfds.features.Image(shape=shape, doc="8-bit grey or RGB, JPEG or PNG")
    elif kind.is_png:
        image = tfds.features.Image(shape=shape, dtype=dtype, encoding_format="png", doc=f"{kind}, PNG")
    else:
        image = tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib", doc=str(kind))
    label_map = tfds.features.Image(shape=(None, None, 1), encoding_format="png", doc="class ids; 255 is void")
    features = {"image": image, "label_map": label_map, "key": tfds.features.Text(doc="unique within a split")}
    if not kind.is_png:
        features["dtype"] = tfds.features.Text(doc="of the image")
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features=tfds.features.FeaturesDict(features),
        split_infos=split_infos,
        check_data=False,  # it would import TensorFlow
        description=description,
    )


def check_complete(what: str, found: int, expected: int, place: pathlib.Path):
    """Compares what workers left with what they were given.

    Args:
        what: is counted, in the plural.
        found: their number.
        expected: the number that there must be.
        place: folder that they are in.

    Raises:
        ValueError: the numbers differ.
    """
    if found != expected:
        raise ValueError(
            f"The workers must leave all {what}. Received: {found} of {expected} [{place}]. "
            "See that every worker writes to the same disk as this process, and run again."
        )


def shard_paths(directory: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Files of each split, in order, also of a data set that was prepared under another name.

    Raises:
        ValueError: a file is missing, as the names of the others say.
    """
    found = {}
    for path in sorted(pathlib.Path(directory).glob("*.tfrecord-*-of-*")):
        found.setdefault(path.name.split(".")[0].rpartition("-")[2], []).append(path)
    for paths in found.values():
        prefix, _, number = paths[0].name.rpartition("-of-")
        names = {f"{prefix.rpartition('-')[0]}-{shard:05d}-of-{number}" for shard in range(int(number))}
        if missing := sorted(names - {path.name for path in paths}):
            raise ValueError(
                f"A data set must have all its shards. Received: {len(missing)} of {len(names)} are missing, the first is "
                f"{missing[0]} [{directory}]. Run again; workers elsewhere must write to the same disk as this process."
            )
    return found


def count_records(directory: pathlib.Path) -> dict[str, list[tuple[int, int]]]:
    """(records, bytes) of each file of each split, counted in the files themselves."""
    return {split: [_count_file(path) for path in paths] for split, paths in shard_paths(directory).items()}


def _count_file(path) -> tuple[int, int]:
    """Number of records of a TFRecord file and their bytes."""
    lengths = [length for _, length in record_places(path)]
    return len(lengths), sum(lengths)


def record_places(path: pathlib.Path) -> list[tuple[int, int]]:
    """(start, length) in bytes of each record of a TFRecord file, by skipping from one to the next without reading them."""
    places = []
    with open(path, "rb") as file:
        while header := file.read(12):
            (length,) = struct.unpack("<Q", header[:8])
            places.append((file.tell(), length))
            file.seek(length + 4, 1)
    return places


def read_records(path: pathlib.Path) -> Iterator[bytes]:
    """The records of a TFRecord file, one after another.

    Raises:
        ValueError: the file is damaged.
    """
    with open(path, "rb") as file:
        while header := file.read(12):
            (length,) = struct.unpack("<Q", header[:8])
            record, checksum = file.read(length), file.read(4)
            if header[8:] != _checksum(header[:8]) or checksum != _checksum(record):
                raise ValueError(
                    f"Records must be as they were written. Received: a damaged one that ends at byte {file.tell()} [{path}]. "
                    "Run again with --verify."
                )
            yield record


def read_record(path: pathlib.Path, start: int, length: int) -> bytes:
    """One record of a TFRecord file, at a place of `record_places`."""
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(length)


def split_sizes(directory: pathlib.Path) -> dict[str, int]:
    """Number of pairs per split, as dataset_info.json says."""
    info = read_json(pathlib.Path(directory) / "dataset_info.json")
    return {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
