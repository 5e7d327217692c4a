"""What a plan chooses from statistics, minutes and the seconds of a machine; the seconds are given, so numbers follow by hand."""

import dataclasses

import pytest

from pipeline.planning.choosing import MAX_PASSES, SPARE, Cost, Settings, choose
from pipeline.planning.summary import summarize
from pipeline.settings.changes import flatten, replace_setting
from pipeline.settings.planner import PLANNED

CAMVID = {"sizes": {"480x360": 367}, "validation": 101}


def statistics(sizes, validation=0, widths=(50.0, 9.0, 1.5), channels=3, others=False):
    """Of a data set with images of these sizes ("WIDTHxHEIGHT" -> number) and three classes."""
    sides = [tuple(map(int, size.split("x"))) for size, number in sizes.items() for _ in range(number)]
    widths_of, heights = (sorted(part) for part in zip(*sides, strict=True))
    middle = (len(sides) - 1) // 2
    train = {
        "images": len(sides),
        "channels": channels,
        "sizes": sizes,
        "height": {"median": heights[middle]},
        "width": {"median": widths_of[middle]},
        "class_pixels": [9000, 900, 10],
        "class_widths": list(widths),
    }
    splits = {"train": train} | ({"validation": {"images": validation}} if validation else {})
    return {"splits": splits, "classes": ["road", "car", "pole"]} | ({"unlabelled": {}} if others else {})


def planned(data, minutes=30, per_pixel=1e-6, image=0.05, given=None, cure="", mixed=None, bfloat16=1.0, **more):
    """The plan on a machine that needs `per_pixel` seconds for each pixel of a step."""
    settings = Settings()
    for name, value in (given or {}).items():
        settings = replace_setting(settings, name, value)
    asked = []

    def measure(candidate, working_size):
        asked.append(candidate)
        height, width = candidate.trainer.crop_size or working_size
        factor = bfloat16 if candidate.trainer.precision != "float32" else 1.0
        return Cost(factor * per_pixel * candidate.trainer.batch_size * height * width, image, 2**31)

    plan = choose(
        statistics(**data),
        settings,
        frozenset(given or {}),
        minutes,
        cure_missing_weights=lambda encoder: cure,
        measure=measure,
        mixed_precision=mixed,
        **more,
    )
    return plan, asked


def test_camvid_in_thirty_minutes_by_hand():
    plan, _ = planned(CAMVID)
    trainer = plan.settings.trainer
    assert (trainer.model, trainer.encoder, trainer.weights) == ("light_fpn", "efficientnet_lite0", "imagenet")
    assert plan.settings.transform.image_size == (360, 480)
    assert trainer.crop_size == (192, 256)  # 49,152 pixels, multiples of 32
    assert trainer.batch_size == 8
    # A step takes 1e-6 * 8 * 49,152 = 0.393 s, a validation 101 * 0.05 = 5.05 s; a tenth of 1746 s allows 34 of them.
    assert trainer.epochs == 34
    assert trainer.steps_per_epoch == int((1746 - 34 * 5.05) / 0.393216) // 34
    assert plan.expected["seconds"] == pytest.approx(1800, rel=0.01)
    assert plan.expected["passes"] == pytest.approx(plan.expected["steps"] * 8 * 192 * 256 / (367 * 360 * 480))


def test_every_planned_setting_has_a_reason_once():
    plan, _ = planned(CAMVID)
    named = [name for choice in plan.choices for name in choice["settings"]]
    assert sorted(named) == sorted(set(named))
    assert set(named) | {"trainer.width", "transform.image_scale"} == set(PLANNED)
    assert all(choice["reason"] for choice in plan.choices)


@pytest.mark.parametrize("minutes", [0.5, 3, 10, 30, 90, 1000])
@pytest.mark.parametrize("images, validation", [(5, 1), (40, 10), (367, 101), (3000, 500), (100_000, 10_000)])
@pytest.mark.parametrize("per_pixel", [1e-8, 1e-6, 2e-5])
def test_a_training_takes_the_minutes_or_stops_at_enough_passes(minutes, images, validation, per_pixel):
    plan, _ = planned({"sizes": {"1280x960": images}, "validation": validation}, minutes, per_pixel)
    trainer, expected = plan.settings.trainer, plan.expected
    step = per_pixel * trainer.batch_size * trainer.crop_size[0] * trainer.crop_size[1]
    pairs = min(validation, trainer.validation_pairs or validation)
    seconds = trainer.epochs * (trainer.steps_per_epoch * step + pairs * 0.05)
    assert expected["seconds"] == pytest.approx(seconds / (1 - SPARE))
    at_least_one = trainer.epochs * step + pairs * 0.05 * trainer.epochs
    assert seconds <= max(60 * minutes, 1.01 * at_least_one)
    enough = expected["passes"] > 0.9 * MAX_PASSES
    assert enough or seconds > 0.8 * 60 * minutes or trainer.steps_per_epoch < 10


@pytest.mark.parametrize(
    ("own", "planned_size"), [("3000x40", (40, 3000)), ("1280x720", (720, 1280)), ("1920x1080", (540, 960))]
)
def test_it_is_the_pixels_of_an_image_that_are_bounded_and_not_its_sides(own, planned_size):
    plan, _ = planned({"sizes": {own: 20}}, 30)
    assert plan.settings.transform.image_size == planned_size


def test_many_images_are_shown_smaller_so_that_all_of_each_is_seen():
    sizes = [
        planned({"sizes": {"2048x1024": number}}, 30)[0].settings.transform.image_size for number in (20, 300, 3000)
    ]
    assert sizes[0] == (512, 1024)  # of 1536x768 there are more than 1024 * 1024 pixels
    assert sizes[0][1] >= sizes[1][1] > sizes[2][1]


@pytest.mark.parametrize("minutes", [0.5, 0.7, 1, 1.3, 2, 30])
def test_few_steps_are_not_lost_where_they_are_divided_by_validations(minutes):
    plan, _ = planned({"sizes": {"512x512": 20}, "validation": 4}, minutes, 2.4e-6)
    assert plan.expected["seconds"] > 0.88 * 60 * minutes


def test_more_minutes_never_choose_a_smaller_size():
    sides = [
        max(planned({"sizes": {"2048x1024": 3000}}, minutes)[0].settings.transform.image_size)
        for minutes in (1, 5, 30, 90, 600)
    ]
    assert sides == sorted(sides) and sides[0] < sides[-1]


def test_large_images_are_not_measured_above_the_sizes_that_a_plan_chooses():
    plan, asked = planned({"sizes": {"6000x4000": 40}})
    assert {candidate.transform.image_size for candidate in asked} == {(750, 1125)}
    assert plan.settings.transform.image_size == (750, 1125)


def test_crops_that_are_not_wanted_make_training_see_whole_images():
    plan, asked = planned(CAMVID, given={"trainer.crop_size": None})
    assert [candidate.trainer.crop_size for candidate in asked] == [None]
    assert plan.settings.transform.image_size == (360, 480)
    assert plan.expected["seconds"] == pytest.approx(1800, rel=0.02)
    assert plan.expected["passes"] == pytest.approx(plan.expected["steps"] * 8 / 367)


def test_a_given_number_of_validation_pairs_leaves_less_time_to_steps():
    plan, _ = planned({"sizes": {"480x360": 3000}, "validation": 3000}, given={"trainer.validation_pairs": None})
    assert plan.settings.trainer.validation_pairs is None and plan.settings.trainer.epochs == 5
    assert plan.expected["seconds"] == pytest.approx(1800, rel=0.02)


def test_landscape_and_portrait_are_fitted_into_a_square():
    assert planned({"sizes": {"500x375": 60, "375x500": 40}})[0].settings.transform.image_size == (500, 500)
    assert planned({"sizes": {"500x375": 95, "375x500": 5}})[0].settings.transform.image_size == (375, 500)


def test_small_images_are_seen_whole():
    plan, _ = planned({"sizes": {"100x75": 50}})
    assert plan.settings.transform.image_size == plan.settings.trainer.crop_size == (75, 100)


def test_what_is_given_stays_and_the_rest_follows_from_it():
    given = {
        "trainer.batch_size": 2,
        "transform.image_size": (180, 240),
        "trainer.epochs": 7,
        "trainer.precision": "float32",
    }
    plan, asked = planned(CAMVID, given=given, mixed="mixed_bfloat16")
    values = flatten(plan.settings)
    assert {name: values[name] for name in given} == given
    assert {candidate.trainer.precision for candidate in asked} == {"float32"}
    reasons = {choice["topic"]: choice["reason"] for choice in plan.choices}
    assert reasons["batch"] == reasons["precision"] == reasons["working size"] == "given"
    assert "trainer.epochs given" in reasons["length"]
    assert plan.settings.trainer.crop_size == (180, 240)


@pytest.mark.parametrize(
    "given",
    [
        {"trainer.epochs": 7},
        {"trainer.epochs": 100},
        {"trainer.steps_per_epoch": 100},
        {"trainer.steps_per_epoch": 1000},
        {"trainer.steps_per_epoch": None},
        {"trainer.steps_per_epoch": 50, "trainer.validation_pairs": 101},
    ],
    ids=str,
)
def test_a_given_part_of_the_length_leaves_the_minutes_as_they_are(given):
    plan, _ = planned(CAMVID, given=given)
    values = flatten(plan.settings)
    assert {name: values[name] for name in given} == given
    assert plan.expected["seconds"] == pytest.approx(1800, rel=0.15)
    assert plan.expected["steps"] == (values["trainer.steps_per_epoch"] or 367 // 8) * values["trainer.epochs"]


@pytest.mark.parametrize("epochs, longer", [(1, False), (900, True)])
def test_a_length_that_is_given_stays_and_says_where_it_takes_more_than_the_minutes(epochs, longer):
    plan, _ = planned(CAMVID, given={"trainer.epochs": epochs, "trainer.steps_per_epoch": None})
    assert plan.expected["steps"] == epochs * (367 // 8)
    assert any(text.endswith("more than --minutes 30.") for text in plan.warnings) == longer
    assert any("are few. Give more --epochs" in text for text in plan.warnings) == (epochs == 1)


def test_nothing_else_was_considered_where_all_is_given():
    plan, _ = planned({"sizes": {"2048x1024": 3000}}, given={"transform.image_size": (90, 180)})
    considered = {choice["topic"]: choice["considered"] for choice in plan.choices}
    assert considered["network"] and not considered["working size"]


def test_validation_that_is_learned_from_counts_among_the_training_pairs():
    passes, more = (planned(CAMVID, given=given)[0].expected for given in ({}, {"trainer.train_on_validation": True}))
    assert more["passes"] == pytest.approx(passes["passes"] * 367 / (367 + 101))


def test_a_factor_that_is_given_stays():
    plan, _ = planned(CAMVID, given={"transform.image_scale": 0.5})
    assert (plan.settings.transform.image_size, plan.settings.transform.image_scale) == (None, 0.5)
    assert plan.settings.trainer.crop_size == (180, 240)
    (crop,) = [choice for choice in plan.choices if choice["topic"] == "crop"]
    assert crop["reason"] == "whole images of the median size"


def test_another_network_is_planned_for_too():
    plan, _ = planned(CAMVID, given={"trainer.model": "unet"})
    assert plan.settings.trainer.model == "unet"
    assert plan.settings.trainer.steps_per_epoch > 1


def test_missing_weights_warn_with_their_cure_and_training_starts_from_scratch():
    plan, _ = planned(CAMVID, cure="Install them: pip install weights.")
    assert plan.settings.trainer.weights is None
    assert "pip install weights" in plan.warnings[0]


def test_a_start_that_is_given_is_no_reason_to_warn_and_photographs_are_none():
    plan, _ = planned(CAMVID, cure="Install them.", given={"trainer.weights": None, "trainer.encoder": "resnet50"})
    assert (plan.settings.trainer.encoder, plan.settings.trainer.weights) == ("resnet50", None)
    assert plan.choices[0]["reason"] == "a small pyramid; trainer.encoder, trainer.weights given"
    assert not [text for text in plan.warnings if "random" in text] and not plan.choices[0]["considered"]


@pytest.mark.parametrize("channels, adapted", [(1, True), (3, False), (4, True)])
def test_it_says_how_a_trunk_for_rgb_takes_other_channels(channels, adapted):
    plan, _ = planned(CAMVID | {"channels": channels})
    assert plan.settings.trainer.weights == "imagenet"
    assert (f"stands for each channel of {channels}" in plan.choices[0]["reason"]) == adapted


@pytest.mark.parametrize("factor, chosen", [(0.5, "mixed_bfloat16"), (0.95, "float32"), (2.0, "float32")])
def test_mixed_precision_is_taken_where_it_is_measured_to_be_faster(factor, chosen):
    plan, asked = planned(CAMVID, mixed="mixed_bfloat16", bfloat16=factor)
    assert plan.settings.trainer.precision == chosen
    assert {candidate.trainer.precision for candidate in asked} == {"float32", "mixed_bfloat16"}


def test_validation_of_many_images_looks_at_some_of_them():
    plan, _ = planned({"sizes": {"480x360": 3000}, "validation": 20_000})
    trainer = plan.settings.trainer
    assert trainer.epochs == 5
    assert trainer.validation_pairs * 5 * 0.05 == pytest.approx(0.1 * 1746, rel=0.01)


@pytest.mark.parametrize(
    ("sizes", "given", "cure"),
    [
        ({"2048x1024": 3000}, {}, "More minutes allow a larger one."),
        ({"2048x1024": 20}, {}, "A larger --image-size shows more of them."),
        ({"480x360": 20}, {"transform.image_size": (90, 120)}, "A larger --image-size shows more of them."),
        ({"480x360": 20}, {"transform.image_scale": 0.2}, "A larger transform.image_scale shows more of them."),
        ({"480x360": 20}, {}, "."),
    ],
)
def test_thin_classes_are_named_with_what_helps(sizes, given, cure):
    plan, _ = planned({"sizes": sizes}, 10, given=given)
    (warning,) = [text for text in plan.warnings if "Thin" in text]
    assert "pole" in warning and "road" not in warning and warning.endswith(f"){cure if cure == '.' else f'. {cure}'}")


def test_few_steps_are_no_reason_to_give_more_minutes_where_more_of_them_gain_nothing():
    few, enough = (planned({"sizes": {"64x64": 1}}, minutes, 1e-3)[0] for minutes in (1, 1000))
    assert any("are few. Give more --minutes" in text for text in few.warnings)
    assert not any("are few" in text for text in enough.warnings) and enough.expected["passes"] > 0.9 * MAX_PASSES


def test_few_pairs_make_a_small_batch():
    plan, _ = planned({"sizes": {"64x64": 3}})
    assert plan.settings.trainer.batch_size == 3


def test_images_without_masks_make_it_larger_unless_they_only_lend_their_colours():
    colours = {"trainer.target_colours": True, "trainer.pseudo_label_weight": 0.0}
    for given, batch in ((None, 6), (colours, 3)):
        plan, _ = planned({"sizes": {"64x64": 3}, "others": True}, given=given)
        assert plan.settings.trainer.batch_size == batch


@pytest.mark.parametrize(
    ("pairs", "devices", "others", "batch"),
    [(400, 2, False, 8), (400, 6, False, 6), (400, 16, False, 16), (3, 2, False, 2), (1, 2, False, 2), (5, 3, True, 6)],
)
def test_the_devices_share_a_batch_equally(pairs, devices, others, batch):
    plan, _ = planned({"sizes": {"64x64": pairs}, "others": others}, devices=devices)
    assert plan.settings.trainer.batch_size == batch
    (choice,) = [choice for choice in plan.choices if choice["topic"] == "batch"]
    assert (f"each of {devices} devices takes as many" in choice["reason"]) == (batch != min(8, pairs * (1 + others)))


@pytest.mark.parametrize("minutes, text", [(30, "30 minutes"), (200, "200 minutes"), (0.5, "0.5 minutes")])
def test_the_summary_says_how_long_training_takes_however_short(minutes, text):
    plan, _ = planned(CAMVID, minutes)
    (line,) = [line for line in summarize(dataclasses.asdict(plan) | {"machine": "Z80"}) if "expected" in line]
    assert line.startswith(f"expected: {text} of training, ") and line.endswith("2.0 GiB at most [Z80]")


def test_the_summary_writes_sizes_as_the_flags_take_them():
    plan, _ = planned(CAMVID)
    text = "\n".join(summarize(dataclasses.asdict(plan) | {"machine": "Z80"}))
    assert "working size: image_size=480x360; " in text and "crop: crop_size=256x192; " in text


def test_a_plan_of_the_same_numbers_is_the_same():
    assert dataclasses.asdict(planned(CAMVID)[0]) == dataclasses.asdict(planned(CAMVID)[0])
