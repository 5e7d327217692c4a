"""The command line of pipeline.run: what it reads and refuses, and that help imports nothing heavy."""

import os
import subprocess
import sys

import pytest

from pipeline import run
from pipeline.engine import console
from pipeline.settings import crf as crf_settings


def test_help_imports_no_framework():
    code = (
        "import sys, contextlib\nfrom pipeline import run\nwith contextlib.suppress(SystemExit):\n    run.main(['--help'])\n"
        "print([m for m in ('tensorflow', 'keras', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1] == "[]"
    assert "--adversarial-weight" in answer and "trainer.epochs = 80" in answer
    assert "evaluator.refinements are among flips, turns, tiles, scales, superpixels, crf." in answer


def test_flags_change_settings_and_set_overrides_them():
    config, beam, *_ = run.parse(["--epochs", "3", "--image-size", "64x48", "--set", "trainer.epochs=4", "--name", "x"])
    assert (config.trainer.epochs, config.transform.image_size, config.name, beam) == (4, (48, 64), "x", [])


def test_a_flag_that_is_off_by_default_needs_no_value():
    assert [run.parse(argv).config.trainer.jit for argv in ([], ["--jit"], ["--jit", "false"])] == [False, True, False]
    assert run.parse(["--jit", "--epochs", "3"]).config.trainer.jit
    assert run.parse(["--jit", "--", "--streaming"]).beam_options == ["--streaming"]
    assert run.parse(["--precision", "mixed_float16"]).config.trainer.precision == "mixed_float16"


def test_the_default_is_the_game_on_streets_and_with_data_a_plain_network():
    assert run.parse([]).config.trainer.adversarial_weight > 0
    config = run.parse(["--data", "some/photos"]).config
    assert (config.trainer.adversarial_weight, config.name) == (0, "photos")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epoch", "3"], r"Unknown argument '--epoch'.*Did you mean '--epochs'\?"),
        (["--set", "trainer.epoch=3"], r"Did you mean 'trainer.epochs'\?"),
        (["--set", "trainer.epochs"], "must be COMPONENT.FIELD=VALUE"),
        (["--name", "../x"], "`name` must be made of letters"),
        (["--config", "camvid"], "--data must name a folder"),
        (["--set", 'evaluator.thresholds={"mean_io": 0.5}'], r"Did you mean 'mean_iou'\?"),
        (["--data", ".", "--layout", "nan", "--explain"], "`layout` must be one of ade20k, .*, yolo"),
        (["--set", "example_gen.layout=vox"], r"Did you mean 'voc'\?"),
        (["--follow-links", "photos"], "Unknown argument 'photos'"),
        (["--model", "unett"], "`model` must be one of auto, deeplabv3, .*unet"),
        (["--set", "evaluator.refinements=flips,crff"], r"evaluator.refinements=crff\. Did you mean 'crf'\?"),
        (["--set", 'exporter.crf={"iteration": 3}'], r"Received: iteration=3 \[crf\]\. Did you mean 'iterations'\?"),
        (
            ["--set", "exporter.flips=left"],
            r"`flips` must be at most 2 different values, each one of horizontal, vertical\. Received: exporter\.flips=left\.",
        ),
        (
            ["--set", "exporter.rotations=45"],
            r"`rotations` must be 1 to 4 different values, each one of 0, 90, 180, 270\.",
        ),
        (
            ["--set", "exporter.rotations="],
            r"`rotations` must be 1 to 4 .*Received: exporter\.rotations=\(empty\)\. The default is 0\.",
        ),
        (["--set", "exporter.crf=nowhere.json"], "must be auto, a JSON object or a file that holds one"),
        (["--set", "evaluator.crf=auto"], r"requires evaluator.refinements=crf.*Received: .*=none"),
        (
            ["--set", "evaluator.refinements=flips,crf", "--set", "exporter.crf=auto"],
            r"must not be refined twice\. Received: exporter.crf, and crf in evaluator.refinements",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_status_2(argv, message, capsys):
    with pytest.raises(ValueError, match=message):
        run.parse(argv)
    assert run.main(argv) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_parameters_of_dense_crf_are_read_as_predict_reads_them(tmp_path):
    (tmp_path / "crf.json").write_text('{"model": "x", "settings": {"iterations": 7}, "trials": []}')
    for component, more in (("exporter", []), ("evaluator", ["--set", "evaluator.refinements=crf"])):
        for text, changed in (("auto", {}), ('{"iterations": 3}', {"iterations": 3})):
            config = run.parse([*more, "--set", f"{component}.crf={text}"]).config
            assert getattr(config, component).crf == crf_settings.AUTO | changed
        config = run.parse([*more, "--set", f"{component}.crf={tmp_path / 'crf.json'}"]).config
        assert getattr(config, component).crf == crf_settings.AUTO | {"iterations": 7}
        assert getattr(run.parse([*more, "--set", f"{component}.crf=none"]).config, component).crf is None


def test_rollback_trains_nothing_and_prints_what_is_served_now(tmp_path, capsys):
    for number in ("1", "2"):
        (tmp_path / "models" / "photos" / number).mkdir(parents=True)
        (tmp_path / "models" / "photos" / number / "saved_model.pb").write_bytes(b"graph")
    arguments = [
        "--rollback",
        "--data",
        "some/photos",
        "--push-to",
        str(tmp_path / "models"),
        "--root",
        str(tmp_path / "runs"),
    ]
    assert run.main(arguments) == 0
    output = capsys.readouterr().out.split()
    assert output == [
        "rolled",
        "back",
        f"{tmp_path}/models/photos/rolled_back-2",
        "newest",
        f"{tmp_path}/models/photos/1",
    ]
    assert run.main(arguments) == 2
    assert "Received: versions [1]" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("data", ["streets", "tfds:x", "s3://bucket/photos"])
@pytest.mark.parametrize("flags", [["--data-root", "."], ["--follow-links"]])
def test_what_concerns_files_alone_is_refused_for_other_data(data, flags, capsys):
    assert run.main(["--data", data, *flags]) == 2
    assert f"go with files on this disk. Received: --data {data}." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nowhere", "pipe", "folder"])
@pytest.mark.parametrize("flag", ["--schema", "--classes", "--data"])
def test_an_input_that_is_no_file_is_refused_before_any_work(flag, name, photos, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    places = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models"), "--until", "example_gen"]
    inputs = {"--data": str(photos)} | {flag: str(tmp_path / name)}
    assert run.main([*places, *(word for given in inputs.items() for word in given)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(tmp_path / name) in error and error.count("\n") == 1
    assert not list((tmp_path / "runs").glob("[!.]*"))


def test_a_missing_folder_is_named(tmp_path, capsys):
    assert run.main(["--data", str(tmp_path / "nowhere"), "--root", str(tmp_path / "runs")]) == 2
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_data_are_validated_against_a_frozen_schema_known_by_its_content_not_its_path(photos, tmp_path, capsys):
    def ran(name, text):
        (tmp_path / name).write_text(text)
        arguments = ["--data", str(photos), "--ignore-value", "9", "--schema", str(tmp_path / name)]
        status = run.main([*arguments, "--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")])
        return status, len(list((tmp_path / "runs" / "schema_gen").iterdir()))

    assert ran("one.json", '{"height": {"max": 27}}') == (2, 1)
    message = "Data must match the schema: `height` max 27. Received: min 20, max 28 [split train, "
    assert message in capsys.readouterr().err
    assert ran("two.json", '{"height": {"max": 27}}') == (2, 1)
    assert ran("one.json", '{"height": {"max": 26}}') == (2, 2)
    assert ran("one.json", '{"hight": {"max": 26}}') == (2, 2)
    assert "Received: 'hight'" in capsys.readouterr().err


def test_arguments_after_a_bare_dash_dash_go_to_beam():
    config, beam, *_ = run.parse(["--epochs", "3", "--", "--direct_num_workers=2"])
    assert (config.trainer.epochs, beam) == (3, ["--direct_num_workers=2"])


@pytest.mark.parametrize(
    "given",
    [
        ["--precision", "auto"],
        ["--model", "auto"],
        ["--set", "transform.image_size=none"],
        ["--set", "transform.image_scale=none"],
        ["--set", "trainer.encoder=none"],
    ],
)
def test_a_value_that_leaves_a_setting_open_is_the_planners_to_choose(given):
    assert run.parse(["--data", "photos", *given]).config.planner.given == ()


def test_a_value_that_says_none_to_something_is_given():
    given = ["trainer.crop_size=none", "trainer.weights=none"]
    arguments = [part for text in given for part in ("--set", text)]
    assert run.parse(["--data", "photos", *arguments]).config.planner.given == tuple(given)


def test_whole_images_of_unlike_sizes_are_no_batch_so_their_crop_is_the_planners_to_choose():
    arguments = ["--data", "photos", "--image-scale", "0.5", "--set", "trainer.crop_size=none"]
    assert run.parse(arguments).config.planner.given == ("transform.image_scale=0.5",)


def test_epochs_are_passes_over_the_pairs_unless_minutes_are_given():
    given = [
        run.parse(["--data", "photos", "--epochs", "3", *more]).config.planner.given
        for more in ([], ["--minutes", "5"], ["--set", "trainer.steps_per_epoch=9"])
    ]
    assert given == [
        ("trainer.epochs=3", f"trainer.steps_per_epoch={steps}") if steps else ("trainer.epochs=3",)
        for steps in ("none", "", "9")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dry-run", "--only", "trainer"],
            r"--dry-run stops after the planner\. Received: --dry-run with --only trainer",
        ),
        (["--dry-run", "--until", "pusher"], r"Received: --dry-run with --until pusher"),
        (["--dry-run", "--rollback"], r"--rollback moves a version .* Received: --rollback with --dry-run"),
        (["--explain", "--rollback"], r"Received: --rollback with --explain"),
        (["--dry-run", "--folds", "3"], r"--folds runs every component.*or --dry-run"),
    ],
)
def test_what_would_do_more_than_a_dry_run_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        run.parse(["--data", "photos", *arguments])


def test_an_option_that_beam_does_not_know_is_refused():
    with pytest.raises(ValueError, match="direct_num_worker"):
        run.parse(["--", "--direct_num_worker=2"])


def test_an_error_of_a_library_is_not_reported_as_the_users():
    def raised(code):
        try:
            exec(code, {"__name__": "elsewhere"})
        except ValueError as error:
            return console.raised_by_us(error)

    assert not raised("int('x')")


def places(tmp_path):
    return ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models"), "--name", "photos"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("", "a file", "`--push-to` must be a folder that can be written. Received: "),
        ("photos", "a file", "`--push-to` must be a folder that can be written. Received: "),
        (
            "photos/.last_version",
            "seven",
            ".last_version must hold the highest number of a version so far. Received: 'seven' [",
        ),
        (
            "photos/.last_version",
            "-1",
            ".last_version must hold the highest number of a version so far. Received: '-1' [",
        ),
        (
            "photos/.last_version",
            "9223372036854775808",
            ".last_version must hold the highest number of a version so far.",
        ),
        (
            "photos/.last_version",
            "9223372036854775807",
            "The next version must have a number that servers can read",
        ),
        (
            "photos/.last_version/",
            None,
            ".last_version must hold the highest number of a version so far. Received: 'it cannot be",
        ),
        (
            "photos/9223372036854775807/",
            None,
            "The next version must have a number that servers can read",
        ),
    ],
)
def test_a_place_where_no_version_can_be_published_is_refused_before_any_work(
    photos, tmp_path, capsys, name, content, message
):
    place = tmp_path / "models" / name
    if content is None:
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    assert run.main(["--data", str(photos), *places(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert str(tmp_path / "models") in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("inside", ["models", "deep/models", "link"])
def test_a_place_of_models_inside_the_data_is_refused_at_the_start(photos, tmp_path, capsys, inside):
    (photos / "link").symlink_to("images")
    arguments = ["--data", str(photos), "--root", str(tmp_path / "runs"), "--push-to", str(photos / inside)]
    assert run.main(arguments) == 2
    assert (
        f"Received: --push-to {photos / inside} [in --data {photos}]. Choose a folder elsewhere"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "runs").exists()


def test_rollback_names_what_a_server_may_choose_instead(tmp_path, capsys):
    for number in ("1", "2", "7"):
        (tmp_path / "models" / "photos" / number).mkdir(parents=True)
        if number != "7":
            (tmp_path / "models" / "photos" / number / "saved_model.pb").write_bytes(b"graph")
    assert run.main(["--rollback", "--data", "some/photos", *places(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"newest        {tmp_path}/models/photos/1"
    assert f"Received: {tmp_path}/models/photos/7 [it is empty]" in lines[2]
