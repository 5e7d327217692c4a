"""Images without masks on the command line: what goes with --target and --unlabelled, and what is refused by name."""

import pytest

from pipeline import run
from pipeline.settings.trainer import ADAPTATIONS, Trainer, choices, labelled_images, resolve_game


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "others").mkdir()
    return str(tmp_path / "others")


def test_a_teacher_labels_them_and_a_discriminator_trains_on_request_alone(folder):
    plain = ["--data", "photos"]
    for given in (["--target", folder], ["--unlabelled", folder], []):
        trainer = run.parse([*plain, *given]).config.trainer
        assert trainer.adaptation == "none" and trainer.pseudo_label_weight > 0
        assert trainer.target_colours == ("--target" in given)
    chosen = [*plain, "--target", folder, "--set", "trainer.adaptation=maps"]
    assert run.parse(chosen).config.trainer.adaptation == "maps"


def test_the_planner_is_told_what_trains_beside_the_network(folder):
    judged = ["--data", "photos", "--target", folder, "--set", "trainer.adaptation=entropy"]
    assert "trainer.adaptation=entropy" in run.parse(judged).config.planner.given
    weights = ["--set", "trainer.pseudo_label_weight=0", "--set", "trainer.domain_weight=0.1"]
    given = run.parse([*judged, *weights]).config.planner.given
    assert {"trainer.pseudo_label_weight=0.0", "trainer.domain_weight=0.1"} <= set(given)


TARGET, UNLABELLED = ["--target", "{}"], ["--unlabelled", "{}"]
ENTROPY, OWN_COLOURS = ["--set", "trainer.adaptation=entropy"], ["--set", "trainer.target_colours=false"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*TARGET, *UNLABELLED], r"must be of one domain\. Received: --target .* and --unlabelled"),
        (["--set", "trainer.adaptation=maps"], r"by --target\. Received: trainer.adaptation=maps without --target"),
        ([*UNLABELLED, "--set", "trainer.adaptation=features"], r"trainer.adaptation=features without --target"),
        (
            [*UNLABELLED, "--set", "trainer.pseudo_label_weight=0"],
            r"Something must learn from the images of --unlabelled",
        ),
        (
            [*TARGET, *OWN_COLOURS, "--set", "trainer.pseudo_label_weight=0"],
            r"Something must learn from the images of --target",
        ),
        (
            [*UNLABELLED, "--adversarial-weight", "0.1", "--set", "trainer.pseudo_label_weight=0"],
            r"Something must learn from the images of --unlabelled",
        ),
        (
            [*TARGET, *OWN_COLOURS, *ENTROPY, "--set=trainer.domain_weight=0", "--set=trainer.pseudo_label_weight=0"],
            r"Something must learn from the images of --target",
        ),
        (
            [*UNLABELLED, "--set", "evaluator.chosen_with_target_labels=true"],
            r"`chosen_with_target_labels` must go with --target",
        ),
        (
            [*UNLABELLED, "--set", "trainer.target_colours=true"],
            r"`target_colours` must go with --target\. Received: trainer.target_colours=true without it",
        ),
        ([*TARGET, "--strategy", "mirrored"], r"must train on one device\. Received: --target .* --strategy mirrored"),
        ([*UNLABELLED, "--strategy", "mirrored"], r"must train on one device"),
        ([*TARGET, "--folds", "3"], r"A cross-validation trains on pairs alone"),
        ([*UNLABELLED, "--batch-size", "1"], r"`batch_size` must be at least 2 with --unlabelled"),
        ([*TARGET, *ENTROPY, "--adversarial-weight", "0.1"], r"There must be one discriminator"),
        (
            [*TARGET, *ENTROPY, "--set", "trainer.game=gambler"],
            r"`game` and `encoding` must be left out between domains",
        ),
        (
            [*TARGET, *ENTROPY, "--set", "trainer.encoding=product"],
            r"`game` and `encoding` must be left out between domains",
        ),
        *[
            (
                [*TARGET, "--set", "trainer.adaptation=features", "--set", f"trainer.{setting}"],
                rf"must be left out on features.*trainer.{setting}.* with trainer.adaptation=features",
            )
            for setting in ("objective=hinge", "label_smoothing=0.1")
        ],
        ([*TARGET, *ENTROPY, "--set", "trainer.discriminator=two_branch"], r"without the image.*one of patch_gan"),
        (
            [*TARGET, "--set", "trainer.adaptation=features", "--set", "trainer.discriminator=patch_gan"],
            r"trainer.discriminator=patch_gan with trainer.adaptation=features\. Leave it out\.$",
        ),
        *[
            (
                [*given, "--set", "trainer.game=gambler"],
                r"`game` must have a weight.*=gambler with .*=0\. Add --adversarial-w",
            )
            for given in ([], UNLABELLED, TARGET)
        ],
        (
            [*TARGET, "--set", "trainer.domain_weight=0.1"],
            r"`domain_weight` must go with a discriminator.* with trainer.adaptation=none\. Choose one",
        ),
        *[
            (
                ["--set", f"trainer.{setting}"],
                rf"must go with --unlabelled or --target.*trainer.{setting} without either",
            )
            for setting in (
                "pseudo_label_weight=0.5",
                "pseudo_label_threshold=0.8",
                "teacher_decay=0.9",
                "teacher_start=1",
                "cut_mix=false",
            )
        ],
        ([*TARGET, "--set", "trainer.pseudo_label_threshold=0"], r"a number above 0 and of at most 1"),
        ([*TARGET, "--set", "trainer.teacher_decay=1"], r"`teacher_decay` must be"),
        ([*TARGET, "--set", "trainer.adaptation=entropie"], r"Did you mean 'entropy'"),
    ],
)
def test_contradicting_settings_are_refused_before_anything_runs(argv, message, folder):
    with pytest.raises(ValueError, match=message):
        run.parse(["--data", "photos", *(text.format(folder) for text in argv)])


def test_a_teacher_trains_on_one_of_several_devices_where_the_strategy_is_left_open(folder):
    def strategy(*given):
        config = run.parse(["--data", "photos", "--strategy", "auto", *given]).config
        assert ("trainer.strategy=auto" in config.planner.given) == (config.trainer.strategy == "auto")
        return config.trainer.strategy

    assert strategy("--unlabelled", folder) == strategy("--target", folder) == "one"
    assert strategy() == strategy("--target", folder, "--set", "trainer.pseudo_label_weight=0") == "auto"


def test_images_that_only_lend_their_colours_leave_a_batch_of_one_to_its_pair(folder):
    lent = ["--data", "photos", "--target", folder, "--batch-size", "1", "--set", "trainer.pseudo_label_weight=0"]
    assert labelled_images(run.parse(lent).config.trainer, True) == 1


def test_a_target_of_streets_takes_the_place_of_the_game(folder):
    assert run.parse(["--unlabelled", folder]).config.trainer.adversarial_weight > 0
    for settings_given in ([], ["--set", "trainer.adaptation=maps"], ["--adversarial-weight", "0"]):
        assert run.parse(["--target", folder, *settings_given]).config.trainer.adversarial_weight == 0


@pytest.mark.parametrize("flag", ["--target", "--unlabelled"])
def test_a_folder_must_be_there_and_results_lie_outside_of_it(flag, folder, tmp_path, capsys):
    missing = str(tmp_path / "nowhere")
    assert run.main(["--data", str(tmp_path), flag, missing]) == 2
    assert f"{flag} must be a folder of images. Received: {flag} {missing}" in capsys.readouterr().err
    assert run.main(["--data", "tfds:x", flag, folder, "--root", f"{folder}/runs"]) == 2
    assert "--root must lie outside the data" in capsys.readouterr().err


def test_recipes_name_the_discriminator_that_is_used_and_half_of_a_batch_has_masks():
    named = {
        adaptation: choices(Trainer(adaptation=adaptation))["pipeline.networks.discriminators"]
        for adaptation in ("none", *ADAPTATIONS)
    }
    assert named == {"none": [], "maps": ["patch_gan"], "entropy": ["patch_gan"], "features": ["_domain_classes"]}
    assert resolve_game(Trainer(adaptation="maps", discriminator="unet")).discriminator == "unet"
    sizes = [labelled_images(Trainer(batch_size=size), True) for size in (2, 5, 8)]
    assert sizes == [1, 3, 4] and labelled_images(Trainer(batch_size=8), False) == 8
    lent = Trainer(batch_size=8, pseudo_label_weight=0.0, target_colours=True)
    assert labelled_images(lent, True) == 8
