"""TensorBoard's run: its name, the settings, the IoU of each class, images per second."""

import re

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from kseg.labels import LabelMap, display_name
from kseg.metrics import ConfusionMatrix
from pipeline.settings.trainer import Trainer
from pipeline.training import tensorboard

LABELS = LabelMap(("road", "car", "sky"), ((120, 60, 120), (70, 0, 130), (20, 130, 250)), (0, 1, 2))


def events(folder):
    return EventAccumulator(str(folder)).Reload()


def test_a_run_is_named_by_data_network_and_date_and_a_resumed_training_continues_it(tmp_path):
    run = tensorboard.run_folder(tmp_path, "streets", "unet")
    assert re.fullmatch(r"streets-unet-\d{4}-\d\d-\d\d_\d{4}", run.name) and run.parent == tmp_path
    earlier = tmp_path / "streets-unet-2020-01-02_0304"
    earlier.mkdir()
    assert tensorboard.run_folder(tmp_path, "streets", "unet") == earlier
    assert tensorboard.run_folder(tmp_path, "streets", "fcn8s").name.startswith("streets-fcn8s-")


def test_settings_are_text_and_hyperparameters(tmp_path):
    tensorboard.write_settings(tmp_path, Trainer(learning_rate=0.003, model="segnet"))
    written = events(tmp_path)
    (text,) = written.Tensors("settings")
    table = text.tensor_proto.string_val[0].decode()
    assert "| learning_rate | 0.003 |" in table and "| filters | (16, 32, 64, 128, 256) |" in table
    content = written.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["learning_rate"].number_value == 0.003 and values["model"].string_value == "segnet"
    assert values["weights"].string_value == "none" and values["photometric"].bool_value is True


@pytest.fixture
def fitted(tmp_path):
    """A model of one pixel that predicts class 1 everywhere, after two epochs."""
    model = keras.Sequential([keras.Input((1, 2, 3)), keras.layers.Conv2D(3, 1, kernel_initializer="zeros")])
    model.layers[-1].bias.assign([0.0, 9.0, 0.0])
    metric = ConfusionMatrix(3)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=[metric])
    curves = tensorboard.RunCurves(tmp_path, LABELS, metric, batch_size=2)
    images, truth = np.zeros((4, 1, 2, 3), np.float32), np.array([[[1, 1]], [[1, 1]], [[1, 0]], [[1, 1]]])
    training = images, np.zeros_like(truth)
    model.fit(*training, validation_data=(images, truth), batch_size=2, epochs=2, verbose=0, callbacks=[curves])
    return tmp_path


def test_the_iou_of_each_class_is_that_of_validation_and_an_absent_class_has_none(fitted):
    written = events(fitted / "validation")
    values = {
        tag: [float(np.frombuffer(event.tensor_proto.tensor_content, np.float32)[0]) for event in written.Tensors(tag)]
        for tag in written.Tags()["tensors"]
    }
    assert values == {"iou/road": [0.0, 0.0], "iou/car": [0.875, 0.875]}  # 7 of 8 pixels; training shows no car


def test_images_per_second_are_those_of_training(fitted):
    written = events(fitted / "train").Tensors("images_per_second")
    assert [event.step for event in written] == [0, 1]


@pytest.mark.parametrize(
    "name", ["$_$", "<b>", "a\nb", "\0", "n" * 200, "\N{HEBREW LETTER SHIN}", "\N{PILE OF POO}", "a/b", "%s"]
)
def test_the_curve_of_a_class_is_named_after_it_whatever_its_name_is(tmp_path, name):
    labels, metric = LabelMap((name, "car"), LABELS.colours[:2], (0, 1)), ConfusionMatrix(2)
    metric.update_state(np.array([[[0, 1]]]), np.array([[[[9.0, 0.0], [0.0, 9.0]]]], np.float32))
    curves = tensorboard.RunCurves(tmp_path, labels, metric, batch_size=2)
    curves.on_epoch_end(0)
    curves.on_train_end()
    assert set(events(tmp_path / "validation").Tags()["tensors"]) == {f"iou/{display_name(name, 80)}", "iou/car"}
