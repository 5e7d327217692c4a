"""Named configurations: `python -m pipeline.run --config NAME`. Each docstring has the command, the time and the score.

Times were measured on two otherwise idle cores of a server processor with bfloat16 instructions (AMX). Standard library only.
"""

from __future__ import annotations

import dataclasses

from pipeline.settings.config import Config
from pipeline.settings.evaluator import Evaluator
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.planner import Planner
from pipeline.settings.trainer import Trainer
from pipeline.settings.transform import Transform


def streets() -> Config:
    """Generated streets, 96x128, trained against the two-branch discriminator; what `make run` runs.

    python -m pipeline.run

    Seen: 4 minutes, 1.4 GiB, mean IoU 0.722 on the test split (sky .85 building .83 house_window .56 shop_window .62 road .93
    lane_marking .64 car .75 wheel .59).
    """
    return Config(trainer=Trainer(epochs=16, adversarial_weight=0.05, scale=(1.0, 1.6), photometric=False))


def folder() -> Config:
    """A folder of pairs: what fits its images and 30 minutes (--minutes) on this machine; the default with --data."""
    return Config(name="model", data="", trainer=Trainer(model="auto"))


def camvid() -> Config:
    """CamVid at its own size, as the planner chooses.

    python -m pipeline.run --data $KSEG_DATA/camvid --ignore-value 11 --name camvid

    Seen on cores without AMX: 38 minutes beside other work, 35 of them training, mean IoU 0.733 on the validation split (sky .94
    building .87 pole .24 road .96 pavement .85 tree .89 sign .50 fence .58 car .85 pedestrian .60 bicyclist .79), pixel
    accuracy 0.933.
    """
    return dataclasses.replace(folder(), name="camvid", example_gen=ExampleGen(ignore_value=11))


def camvid_long() -> Config:
    """The same for 90 minutes; started again after it was stopped, it goes on.

    python -m pipeline.run --config camvid_long --data $KSEG_DATA/camvid

    Seen: mean IoU 0.739 after 13,140 steps, which were not trained on such cores: docs/accuracy.md, "ninety minutes".
    """
    return dataclasses.replace(camvid(), planner=Planner(minutes=90.0))


def isbi() -> Config:
    """ISBI 2012 electron microscopy: grey images at full size, two classes stored as 0 and 255.

    python -m pipeline.run --config isbi --data $KSEG_DATA/isbi2012_em

    Seen: 10 minutes (shared with other work), 2.2 GiB, mean IoU 0.773 on the validation split (membrane .65 cell_interior
    .89), pixel accuracy 0.910.
    """
    return dataclasses.replace(
        folder(),
        name="isbi",
        transform=Transform(image_size=(512, 512)),
        trainer=Trainer(batch_size=2, epochs=30),
    )


def voc_sample() -> Config:
    """Twelve PASCAL VOC pairs, too few to learn from: palette masks, void 255, images of different sizes.

    python -m pipeline.run --config voc_sample --data $KSEG_DATA/voc_sample

    Seen: 48 seconds, 1.6 GiB, mean IoU 0.008, which the lowered gate lets pass.
    """
    return dataclasses.replace(
        folder(),
        name="voc_sample",
        example_gen=ExampleGen(ignore_value=255),
        trainer=Trainer(batch_size=4, epochs=5),
        evaluator=Evaluator(min_gain=-1.0, margin=None),
    )


CONFIGS = {config.__name__: config for config in (streets, folder, camvid, camvid_long, isbi, voc_sample)}
