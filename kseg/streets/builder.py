"""Generated streets as a TFDS builder: `Streets(data_dir=...).download_and_prepare()` writes a prepared data set, offline.

It is separate from the rest of `streets`, which does not import TFDS. Importing this module registers the name "streets" with
TFDS, as every builder does; nothing is drawn or written before `download_and_prepare`.
"""

from __future__ import annotations

import dataclasses

from kseg import streets
from kseg._extras import extra

with extra("data"):
    import tensorflow_datasets as tfds


@dataclasses.dataclass(eq=False, kw_only=True)
class StreetsConfig(tfds.core.BuilderConfig):
    """Number and size of the examples.

    Args:
        train: number of examples of the split train.
        validation: of validation.
        test: of test.
        size: height and width in pixels.
        seed: of the data set.
    """

    name: str = ""
    train: int = 512
    validation: int = 64
    test: int = 96
    size: tuple[int, int] = (96, 128)
    seed: int = 0

    def __post_init__(self):
        # TFDS stores each configuration in a folder of its name, so the name must identify it.
        height, width = self.size
        self.name = self.name or f"{height}x{width}-{self.train}-{self.validation}-{self.test}-seed{self.seed}"


class Streets(tfds.core.GeneratorBasedBuilder):
    """Features: `image` uint8 (H, W, 3), `label_map` uint8 (H, W, 1) of ids with 255 void, `key`.

    Example:
        >>> builder = Streets(config=StreetsConfig(train=2, validation=1, test=1), data_dir="streets")
        >>> builder.download_and_prepare()  # doctest: +ELLIPSIS
        Downloading and preparing dataset ...
        >>> builder.info.splits["train"].num_examples
        2
    """

    VERSION = tfds.core.Version(streets.VERSION)
    BUILDER_CONFIGS = (StreetsConfig(),)
    url_infos = {}  # noqa: RUF012 (TFDS reads the class's attribute; it would look for a file of checksums)

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(*self.builder_config.size, 3), encoding_format="png"),
                "label_map": tfds.features.Image(shape=(*self.builder_config.size, 1), encoding_format="png"),
                "key": tfds.features.Text(),
            }
        )
        # `dataset_info_from_configs` looks for a package folder of metadata that this builder does not need.
        return tfds.core.DatasetInfo(builder=self, features=features, description=streets.__doc__)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in streets.SPLITS}

    def _generate_examples(self, split):
        config = self.builder_config
        for index in range(getattr(config, split)):
            image, label_map = streets.draw(index, split=split, size=config.size, seed=config.seed)
            key = f"{split}_{index:06d}"
            yield key, {"image": image, "label_map": label_map[..., None], "key": key}
