"""Training on two machines, here two processes on the loopback device: equal to one machine, and what interrupts it.

python -m pipeline.run --strategy multiworker ..., in each with its own TF_CONFIG
"""

import json
import os
import signal
import socket
import time

import keras
import numpy as np
import pytest
from PIL import Image

import kseg.games
import kseg.layers  # noqa: F401  (Keras finds what is stored once it is imported)
from pipeline import machines, run
from pipeline.engine.store import SCRATCH
from tests.pipeline.whole_line import COMPONENTS, finish, start

UNEVEN = "--set=example_gen.streets_validation=7"  # two batches: 4 images, then 3, of which one machine gets 2 and the other 1
GAME = ("--set=trainer.adversarial_weight=0.1", "--set=trainer.discriminator_learning_rate=1e-4")
LONG = ("--set=trainer.epochs=40", "--adversarial-weight", "0", "--learning-rate", "1e-4", "--until", "trainer", UNEVEN)


def addresses(count=2):
    """Ports of this machine that nobody uses at present."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    places = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return places


def listed(places, index):
    """TF_CONFIG of the machine of that index."""
    return json.dumps({"cluster": {"worker": places}, "task": {"type": "worker", "index": index}})


def started(folder, *more, each=((), ())):
    """Both machines; `each` has further arguments for each."""
    places = addresses()
    return [
        start(folder, "--strategy", "multiworker", *more, *own, TF_CONFIG=listed(places, index))
        for index, own in enumerate(each)
    ]


def ended(processes):
    """Waits for all processes; returns the status and the output of each."""
    output = [process.communicate()[0] for process in processes]
    return [process.returncode for process in processes], output


def trained(folder, strategy):
    """Weights and history of the finished training by that strategy; of a game those of both networks as it ended, too."""
    for recipe in (folder / "runs" / "trainer").glob("*/recipe.json"):
        if json.loads(recipe.read_text())["config"]["strategy"] == strategy:
            networks = [keras.saving.load_model(path, compile=False) for path in sorted(recipe.parent.glob("*.keras"))]
            weights = [weight for network in networks for weight in network.get_weights()]
            return weights, json.loads((recipe.parent / "history.json").read_text())
    raise AssertionError(f"nothing was trained by {strategy}")


def assert_alike(two, one, tolerance):
    """Weights are the same but for rounding, which AdamW passes on: 9e-7 apart was seen after 15 steps, 3e-5 after 200."""
    for of_two, of_one in zip(two, one, strict=True):
        np.testing.assert_allclose(of_two, of_one, rtol=0, atol=tolerance)


def until_it_trains(folder, both):
    """Waits until the chief has kept the state of two epochs; returns the place."""
    scratch = folder / "runs" / ".scratch" / "trainer"
    while all(process.poll() is None for process in both):
        for path in scratch.glob("*/checkpoint.npz"):
            with np.load(path) as kept:
                about = json.loads(str(kept["about"]))
            if len(about["history"].get("val_loss", ())) > 1:
                return path
        time.sleep(0.05)
    raise AssertionError(ended(both))


def assert_one_trains_the_same(folder, *arguments):
    """Trains on one device, too, and compares."""
    finish(folder, *arguments, "--until", "trainer", "--strategy", "one")
    (two, history), (one, expected) = trained(folder, "multiworker"), trained(folder, "one")
    assert history.keys() == expected.keys()
    for name in history.keys() & {"loss", "val_loss", "val_mean_iou", "discriminator_loss", "adversarial_loss"}:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-4, err_msg=name)
    assert_alike(two, one, 1e-5)


def assert_it_keeps_nothing(root, output):
    """The second machine, with a root of its own, has taken part and has written nothing of the training."""
    assert "worker 1 has taken part; worker 0 keeps the model and continues" in output
    assert {path.name for path in root.iterdir()} == {SCRATCH, *COMPONENTS[: COMPONENTS.index("trainer")]}
    assert not list((root / SCRATCH / "trainer").iterdir())


def test_two_machines_train_what_one_trains_and_only_the_chief_writes(tmp_path):
    arguments, own = ("--adversarial-weight", "0", UNEVEN, "--learning-rate", "1e-4"), tmp_path / "own"
    status, output = ended(started(tmp_path, *arguments, "--until", "trainer", each=((), ("--root", str(own)))))
    assert status == [0, 0], output
    assert_it_keeps_nothing(own, output[1])
    assert_one_trains_the_same(tmp_path, *arguments)


@pytest.mark.slow
def test_two_machines_play_the_game_that_one_plays_and_the_chief_pushes(tmp_path):
    arguments, own = (*GAME, UNEVEN, "--learning-rate", "1e-4"), tmp_path / "own"
    status, output = ended(started(tmp_path, *arguments, each=((), ("--root", str(own)))))
    assert status == [0, 0], output
    assert "SavedModel" in output[0] and "SavedModel" not in output[1]
    assert_it_keeps_nothing(own, output[1])
    assert (tmp_path / "models" / "small" / "1" / "saved_model.pb").is_file()
    assert_one_trains_the_same(tmp_path, *arguments)


@pytest.mark.slow
def test_two_machines_adapt_to_images_without_masks_as_one_does(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (6, 4, 6, 3), np.uint8)):
        Image.fromarray(pixels).resize((48, 32)).save(target / f"{number}.png")
    judged = ("--target", str(target), "--set=trainer.adaptation=entropy", "--set=trainer.pseudo_label_weight=0")
    arguments = (*judged, UNEVEN, "--learning-rate", "1e-4")
    status, output = ended(started(tmp_path, *arguments, "--until", "trainer"))
    assert status == [0, 0], output
    assert_one_trains_the_same(tmp_path, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("dying", "game"), [(0, GAME), (1, GAME), (1, ())], ids=["chief", "worker", "worker-alone"])
def test_a_killed_machine_is_reported_within_60_seconds_and_training_resumes(dying, game, tmp_path):
    arguments = (*LONG, *game, "--set=trainer.epochs=15")
    both = started(tmp_path, *arguments)
    path = until_it_trains(tmp_path, both)
    both[dying].kill()
    output, _ = both[1 - dying].communicate(timeout=60)
    both[dying].communicate()
    assert both[1 - dying].returncode == 4, output
    assert output.count("error: ") == 1 and "Traceback" not in output, output
    assert "error: All machines must stay until training ends. Received: " in output
    assert "Start the same command on all of them again: training resumes from its last checkpoint." in output
    with np.load(path) as kept:
        before = json.loads(str(kept["about"]))["history"]["val_loss"]
    status, output = ended(started(tmp_path, *arguments))
    assert status == [0, 0], output
    weights, history = trained(tmp_path, "multiworker")
    assert len(history["val_loss"]) == 15 and history["val_loss"][: len(before)] == before
    assert output[0].count("  val_loss ") == 15 - len(before), output
    finish(tmp_path, *arguments, "--strategy", "one")
    assert_alike(weights, trained(tmp_path, "one")[0], 2e-4)


@pytest.mark.slow
def test_machines_that_would_resume_from_different_steps_are_refused(tmp_path):
    both = started(tmp_path, *LONG)
    until_it_trains(tmp_path, both)
    for process in both:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    status, output = ended(started(tmp_path, *LONG, each=((), ("--root", str(tmp_path / "own")))))
    assert status == [2, 2], output
    for one in output:
        assert "error: All machines must resume from the same checkpoint. Received: steps " in one, one


@pytest.mark.slow
def test_ctrl_c_on_one_machine_ends_the_other_with_a_message(tmp_path):
    left, stopped = both = started(tmp_path, *LONG)
    until_it_trains(tmp_path, both)
    os.killpg(stopped.pid, signal.SIGINT)
    (status, other), output = ended([stopped, left])
    assert (status, other) == (130, 4), output
    assert output[0].rstrip().endswith("training continues from its last checkpoint.") and "Traceback" not in "".join(
        output
    )
    assert "Received: worker 0: no answer from worker 1." in output[1]


@pytest.mark.parametrize("index", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_machine_that_never_comes_is_named_after_the_time_that_was_set(index, tmp_path):
    places = addresses()
    process = start(
        tmp_path,
        "--strategy=multiworker",
        "--until=trainer",
        "--set=wait_for_machines=8",
        TF_CONFIG=listed(places, index),
    )
    (status,), (output,) = ended([process])
    assert status == 4 and "Traceback" not in output, output
    other = 1 - index
    assert f"Received: worker {index} waited 8 s for worker {other} [{places[other]}]. Start the same command" in output


GOOD = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "{",
        "[]",
        json.dumps(GOOD | {"cluster": {"worker": ["a:1"]}}),
        json.dumps(GOOD | {"cluster": {"worker": ["a", "b"]}}),
        json.dumps(GOOD | {"cluster": {"worker": "a:1"}}),
        json.dumps(GOOD | {"task": {"type": "worker", "index": 2}}),
        json.dumps(GOOD | {"task": {"type": "evaluator", "index": 0}}),
        json.dumps({"cluster": GOOD["cluster"]}),
    ],
)
def test_a_wrong_tf_config_is_refused_before_anything_runs(wrong, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", wrong)
    assert run.main(["--strategy", "multiworker"]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: TF_CONFIG must list at least two machines") and not output.out
    assert f"Received: TF_CONFIG={wrong}. Set it on the first of two to, for example, {machines.EXAMPLE}." in output.err


def test_the_example_in_the_message_is_valid():
    first = machines.this_machine(machines.EXAMPLE)
    assert first == machines.Machine("worker 0", True, {"worker 0": "host1:12345", "worker 1": "host2:12345"})


def test_a_machine_called_chief_is_the_chief():
    named = {"cluster": {"worker": ["b:2"], "chief": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert not machines.this_machine(json.dumps(named)).is_chief
    assert machines.this_machine(json.dumps(named | {"task": {"type": "chief", "index": 0}})).is_chief


@pytest.mark.parametrize(
    "images, batch_size, replicas", [(7, 4, 2), (9, 4, 2), (7, 4, 4), (1, 1, 1), (3, 8, 1), (2, 8, 2), (701, 8, 3)]
)
def test_every_device_gets_an_image_of_every_validation_batch(images, batch_size, replicas):
    from pipeline.components.trainer import _validation_batch_size

    size = _validation_batch_size(images, batch_size, replicas)
    rest = images % size
    assert replicas <= size <= 2 * batch_size and (rest == 0 or rest >= replicas)
    if not 0 < images % batch_size < replicas and batch_size <= images:
        assert size == batch_size


def test_uneven_batches_are_refused():
    from pipeline.components.trainer import _check_batch_size, _validation_batch_size

    with pytest.raises(ValueError, match=r"must be a multiple of the number of devices.*batch_size=8 on 3 devices"):
        _check_batch_size(8, 3)
    _check_batch_size(6, 2)
    with pytest.raises(
        ValueError, match=r"a multiple of twice the number of devices.*and without.*batch_size=6 on 2 devices"
    ):
        _check_batch_size(6, 2, halves=True)
    with pytest.raises(ValueError, match=r"must have an image for each device. Received: 1 images on 2 devices"):
        _validation_batch_size(1, 4, 2)
