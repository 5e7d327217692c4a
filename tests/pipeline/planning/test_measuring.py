"""How long a training takes, measured in a process of several devices, of which a plan needs no mirrored strategy."""

import os
import subprocess
import sys

import pytest

from pipeline.training.compiling import compile_model
from tests.conftest import ROOT

MEASURE = """
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from pipeline.planning import measuring
from pipeline.planning.choosing import Settings
from pipeline.settings.trainer import Trainer

measuring.SECONDS = 0.0
for filters in ((2, 4), (3, 5)):
    trainer = Trainer(filters=filters, batch_size=4, precision="float32", strategy="mirrored")
    print(measuring.measure(Settings(trainer=trainer), (16, 16), 3, 3).step > 0)
"""


@pytest.mark.slow
def test_unlike_trainings_on_several_devices_are_measured_in_one_process():
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    run = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["True", "True"], run.stderr[-2000:]


def test_steps_are_timed_in_which_both_networks_learn(monkeypatch):
    """A training begins with those of one network alone, which are cheaper than what follows."""
    from pipeline.planning import measuring
    from pipeline.planning.choosing import Settings
    from pipeline.settings.trainer import Trainer

    compiled = []
    monkeypatch.setattr(measuring, "SECONDS", 0.0)
    monkeypatch.setattr(
        measuring, "compile_model", lambda *given: compiled.append(model := compile_model(*given)) or model
    )
    phases = {"pretrain_segmentor": 500, "pretrain_discriminator": 500, "alternate_every": 500}
    trainer = Trainer(filters=(2, 4), batch_size=2, precision="float32", adversarial_weight=0.1, **phases)
    assert measuring.measure(Settings(trainer=trainer), (16, 16), 3, 3).step > 0
    assert compiled[0].schedule.is_constant
