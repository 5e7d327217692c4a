"""Folders of pairs as a TFDS builder, for scripts: `ImageFolder(config=ImageFolderConfig(...)).download_and_prepare()`.

It reads pairs like the pipeline, but in one process, and raises at the first unusable pair. It is separate from `image_folder`
because Beam workers should not import TFDS. Nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib

from kseg._extras import extra
from kseg.labels import LabelMap
from kseg.pairs.conventions import count_channels, find_conventions
from kseg.pairs.image_folder import list_pairs, read_pair

with extra("data"):
    import tensorflow_datasets as tfds


@dataclasses.dataclass(eq=False, kw_only=True)
class ImageFolderConfig(tfds.core.BuilderConfig):
    """The source of an `ImageFolder`.

    Args:
        root: folder or CSV file of pairs; see `image_folder` for the layouts.
        labels: the classes.
        validation_share: share of validation pairs if the source has no splits.
        test_share: share of test pairs if the source has no splits.
        data_root: as of `image_folder.list_pairs`: folder outside which no file is opened.
        follow_links: whether links may lead out of it.
    """

    name: str = ""
    root: str = ""
    labels: LabelMap | None = None
    validation_share: float = 0.1
    test_share: float = 0.1
    data_root: str | None = None
    follow_links: bool = False

    def __post_init__(self):
        # TFDS stores prepared data in a folder of this name, so the name must identify the source.
        source = repr((str(pathlib.Path(self.root).resolve()), self.labels, self.validation_share, self.test_share))
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        self.name = self.name or f"{pathlib.Path(self.root).stem}-{digest}"


class ImageFolder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Features: `image` uint8 (H, W, C), `label_map` uint8 (H, W, 1) of ids with 255 void, `key`.

    Prepared data are reused: after the files have changed, delete them or pass another `data_dir`.

    Raises:
        PairError: the files do not form pairs, or a pair is unusable.

    Example:
        >>> labels = LabelMap.from_csv("photos/classes.csv")
        >>> builder = ImageFolder(config=ImageFolderConfig(root="photos", labels=labels), data_dir="tfds")
        >>> builder.download_and_prepare()  # doctest: +ELLIPSIS
        Downloading and preparing dataset ...
        >>> builder.info.splits["train"].num_examples
        2
    """

    VERSION = tfds.core.Version("1.0.0")
    name = "image_folder"
    url_infos = {}  # noqa: RUF012 (TFDS reads the class's attribute; it would look for a file of checksums)

    def _info(self):
        config = self.builder_config
        if config is None or config.labels is None:
            raise ValueError(
                "`config` must be an ImageFolderConfig with `root` and `labels`. "
                f"Received: config={config}. Read the labels with LabelMap.from_csv."
            )
        shares = {"validation_share": config.validation_share, "test_share": config.test_share}
        places = {"data_root": config.data_root, "follow_links": config.follow_links}
        listing = list_pairs(config.root, **shares, **places)
        if listing.faults:
            raise listing.faults[0].error
        self._pairs = listing.pairs
        self._channels = count_channels(self._pairs)
        self._conventions = find_conventions(self._pairs, config.labels)
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, self._channels)),
                "label_map": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
                "key": tfds.features.Text(),
            }
        )
        # `dataset_info_from_configs` looks for a package folder of metadata that this builder does not need.
        return tfds.core.DatasetInfo(builder=self, features=features, description=f"Pairs of {config.root}.")

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in sorted({pair.split for pair in self._pairs})}

    def _generate_examples(self, split):
        for pair in self._pairs:
            if pair.split == split:
                labels, conventions = self.builder_config.labels, self._conventions
                image_bytes, label_map_bytes, _ = read_pair(pair, labels, self._channels, conventions=conventions)
                yield pair.key, {"image": image_bytes, "label_map": label_map_bytes, "key": pair.key}
