"""The comparison of arms is fair, goes on where it stopped, and computes its intervals rightly."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest

from benchmarks.adversarial_gain import continued, pictures, plan, report, settings, training
from benchmarks.adversarial_gain.__main__ import RATIO_ARM, run_pending
from kseg.labels import LabelMap

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Networks that train in a moment."""
    monkeypatch.setattr(training, "FILTERS", (4, 8))


def row(run, **scores):
    return vars(run) | {"scores": {"mean_iou": 0.0, "boundary_f1": 0.0, "iou": [0.5, 0.5]} | scores, "minutes": 1.0}


def small_data(classes=("ground", "thing")):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 16, 16, 3), np.uint8)
    examples = pictures.Pictures(images, (images[..., 0] > 128).astype(np.uint8))
    return pictures.Data("small", {"train": examples, "validation": examples}, classes)


def test_both_arms_have_equally_many_settings_tried_and_the_adversary_is_in_one_of_them():
    assert len(settings.PLAIN) == len(settings.ADVERSARIAL)
    assert not any(setting.weight for setting in settings.PLAIN)
    assert all(setting.weight for setting in settings.ADVERSARIAL)
    assert len({*settings.PLAIN, *settings.ADVERSARIAL}) == 2 * len(settings.PLAIN)


def test_finished_runs_are_not_asked_again_after_the_file_is_read_anew(tmp_path):
    first, second, *_ = plan.search_runs()
    plan.append(tmp_path / "runs.jsonl", first, minutes=1.0, scores={"mean_iou": 0.5})
    left = plan.unfinished_runs(plan.search_runs(), plan.read(tmp_path / "runs.jsonl"))
    assert first not in left and left[0] == second and len(left) == len(plan.search_runs()) - 1


def test_a_line_that_a_kill_cut_off_is_done_again_in_its_place(tmp_path):
    path, (first, second, *_) = tmp_path / "runs.jsonl", plan.search_runs()
    plan.append(path, first, scores={"mean_iou": 0.5})
    with open(path, "a") as file:
        file.write('{"data": "str')
    assert [plan.key_of(row) for row in plan.read(path)] == [first.key()]
    plan.append(path, second, scores={"mean_iou": 0.25})
    assert [row["scores"]["mean_iou"] for row in plan.read(path)] == [0.5, 0.25]


@pytest.mark.slow
def test_each_finished_run_is_in_the_file_when_the_next_one_begins(tmp_path, monkeypatch):
    data = dataclasses.replace(small_data(), name=pictures.STREETS)
    runs = [dataclasses.replace(run, steps=1) for run in plan.search_runs()[:2]]
    train, path = training.train, tmp_path / "runs.jsonl"

    def killed_in_the_second(data, setting, seed, steps):
        if setting == runs[1].setting:
            raise KeyboardInterrupt
        return train(data, setting, seed, steps)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "train", killed_in_the_second)
        run_pending(runs, data, path, until=float("inf"))
    assert [plan.key_of(row) for row in plan.read(path)] == [runs[0].key()]
    before = path.read_text()
    assert not run_pending(runs, data, path, until=0.0)  # no time is left
    assert run_pending(runs, data, path, until=float("inf"))
    assert path.read_text().startswith(before) and plan.unfinished_runs(runs, plan.read(path)) == []


@pytest.mark.slow
def test_what_the_game_costs_is_timed_in_turns_and_the_first_is_not_counted(monkeypatch):
    order, data = [], small_data()
    monkeypatch.setattr(training, "COST_STEPS", 2)
    fit = keras.Model.fit

    def noted(model, *arguments, **settings):
        order.append(type(model).__name__)
        fit(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "fit", noted)
    assert training.cost_ratio(data, settings.PLAIN[0], settings.ADVERSARIAL[0], rounds=1) > 0
    assert order == ["Functional", "SegmentationGame"] * 2


def test_settings_are_chosen_on_validation_alone_and_measured_with_other_seeds():
    searched = plan.search_runs()
    rows = [
        row(run, mean_iou=0.1 + 0.1 * (run.setting in (settings.PLAIN[3], settings.ADVERSARIAL[4]))) for run in searched
    ]
    measured = plan.measurement_runs(pictures.STREETS, rows, ratio=1.5)
    assert {run.split for run in searched} == {"validation"} and {run.split for run in measured} == {"test"}
    assert {run.setting for run in measured} == {settings.PLAIN[3], settings.ADVERSARIAL[4]}
    assert not {run.seed for run in searched} & {run.seed for run in measured}
    steps = {run.arm: run.steps for run in measured}
    assert steps == {"plain": 500, "plain, equal minutes": 750, "adversarial": 500}


def test_the_interval_of_paired_differences_is_students():
    mean, low, high = report.interval([0.01, 0.02, 0.03, 0.02, 0.02])
    half = 2.7764451 * np.std([1, 2, 3, 2, 2], ddof=1) / 100 / np.sqrt(5)  # t for 4 degrees of freedom
    assert (mean, low, high) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
    assert report.interval([0.01])[1:] == (-np.inf, np.inf) and report.format_gain([0.01]) == "+0.0100"


def test_both_arms_begin_with_the_same_weights_and_see_the_same_pictures():
    data = small_data()
    plain, game = (
        training.build_model(data, arm[0], seed=3, steps=2) for arm in (settings.PLAIN, settings.ADVERSARIAL)
    )
    for one, other in zip(plain.weights, game.segmentor.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    once, again = (next(iter(training.batches(data.splits["train"], seed=3))) for _ in range(2))
    np.testing.assert_array_equal(once[0], again[0])


@pytest.mark.parametrize("setting", [settings.PLAIN[0], settings.ADVERSARIAL[0]], ids=str)
def test_a_run_trains_and_scores(setting):
    data = small_data()
    model, seconds = training.train(data, setting, seed=0, steps=2)
    scores = training.score(model, data, "validation")
    assert seconds > 0 and 0 <= scores["mean_iou"] <= 1 and len(scores["iou"]) == 2


def test_the_table_holds_the_seeds_that_every_arm_has_finished_and_their_paired_differences():
    data = dataclasses.replace(small_data(), name=pictures.STREETS)
    rows = [row(run, mean_iou=0.5) for run in plan.search_runs()]
    rows.append(vars(plan.Run(pictures.STREETS, "cost", settings.ADVERSARIAL[0], 0, "train", 1)) | {"ratio": 1.2})
    gains = {"plain": 0.0, "plain, equal minutes": 0.01, "adversarial": 0.03}
    runs = [run for run in plan.measurement_runs(pictures.STREETS, rows, ratio=1.2) if run.seed < 3]
    rows += [row(run, mean_iou=0.5 + 0.1 * run.seed + gains[run.arm]) for run in runs[:-1]]  # of seed 2, two arms
    text = report.gain_table(rows, data, ratio=1.2)
    assert "2 seeds, 500 steps; a step of the game takes 1.20 plain steps, so equal minutes are 600 plain steps" in text
    assert (
        "| mean IoU | 0.5500 | 0.5600 | 0.5800 | +0.0300 (+0.0300 to +0.0300) | +0.0200 (+0.0200 to +0.0200) |" in text
    )


def test_discriminators_are_compared_with_the_plain_arm_of_their_seed():
    rows = [row(run, mean_iou=0.5, wheels=0.4, lines=0.6, neighbours=0.03) for run in plan.search_runs()]
    gains = {(64, 1): 0.04, (16, 2): 0.02}
    for run in plan.discriminator_runs(rows):
        size = run.setting.filters, run.setting.stride
        if not run.setting.weight or (size in gains and (size, run.seed) != ((64, 1), 102)):
            scores = 0.5 + 0.1 * (run.seed - 100) + (gains[size] if run.setting.weight else 0)
            rows.append(row(run, mean_iou=scores, wheels=scores, lines=0.6, neighbours=0.03))
    text = report.discriminator_table(rows, {(64, 1): 12.5, (16, 2): 1.25, (8, 4): 1.0})
    same = "(+0.0400 to +0.0400) | +0.0400 (+0.0400 to +0.0400) | +0.0000 | +0.0000 | +0.0000 |"
    assert text.splitlines()[2] == f"| 64 | 1 | 12.50 | 2 | +0.0400 {same}"  # two of its seeds are finished
    assert (
        text.splitlines()[3].startswith("| 16 | 2 | 1.25 | 3 | +0.0200 (+0.0200 to +0.0200)")
        and len(text.splitlines()) == 4
    )


def test_encodings_are_compared_with_the_plain_arm_of_their_seed_on_both_data_sets():
    rows = [row(run, mean_iou=0.5) for run in plan.search_runs()]
    for name, gain in ((pictures.STREETS, 0.02), (pictures.CAMVID, -0.02)):
        runs = plan.encoding_runs(rows, name)
        assert {run.split for run in runs} == {"validation"} and len({run.key() for run in runs}) == 12
        for run in runs:
            if run.setting.encoding == "product" or not run.setting.weight:
                more = gain if run.setting.weight else 0.0
                rows.append(row(run, mean_iou=0.5 + 0.01 * run.seed + more, boundary_f1=0.3))
    text = report.encoding_table(rows, [pictures.STREETS, pictures.CAMVID])
    nothing = "+0.0000 (+0.0000 to +0.0000) |"
    assert [line for line in text.splitlines() if "product" in line] == [  # the search has one seed of the others, too
        f"| {pictures.STREETS} | product | 3 | +0.0200 (+0.0200 to +0.0200) | {nothing}",
        f"| {pictures.CAMVID} | product | 3 | -0.0200 (-0.0200 to -0.0200) | {nothing}",
    ]


def test_each_change_on_camvid_differs_from_the_others_and_is_shown_once_it_is_finished():
    runs = plan.change_runs()
    assert len({run.key() for run in runs}) == len(runs) and {run.data for run in runs} == {pictures.CAMVID}
    assert sum(bool(run.setting.weight) for run in runs) > 8
    text = report.changes_table([row(run, mean_iou=0.5, boundary_f1=0.25) for run in runs[:2]])
    assert text.splitlines()[2:] == ["| plain | dice 0.5 | 0.500 | 0.250 |", "| plain | defaults | 0.500 | 0.250 |"]


def test_the_best_change_is_measured_with_the_seeds_of_the_plain_arm():
    rows = [row(run, mean_iou=0.5) for run in plan.search_runs()]
    rows += [row(run, mean_iou=0.5 + 0.1 * (run.setting == settings.CHANGES[8])) for run in plan.change_runs()]
    asked = plan.confirmation_runs(rows)
    assert {run.setting for run in asked} == {settings.CHANGES[8]} and [run.seed for run in asked] == [0, 1, 2]
    plain = [run for run in plan.measurement_runs(pictures.CAMVID, rows, ratio=1.2) if run.arm == "plain"]
    rows += [row(run, mean_iou=0.5 + 0.1 * run.seed) for run in plain]
    rows += [row(run, mean_iou=0.52 + 0.1 * run.seed, boundary_f1=0.1) for run in asked]
    text = report.confirmed_table(rows)
    assert "| mean IoU | 0.6000 | 0.6200 | +0.0200 (+0.0200 to +0.0200) |" in text
    assert "| boundary F1 | 0.0000 | 0.1000 | +0.1000 (+0.1000 to +0.1000) |" in text


@pytest.fixture(scope="module")
def finished():
    """The runs that the documentation rests on."""
    return plan.read(DOCS / "adversarial_gain.jsonl")


def ratio(rows, data, **changes):
    setting = dataclasses.replace(plan.best(rows, plan.ADVERSARIAL_ARM), **changes)
    (found,) = [
        row for row in rows if row["arm"] == RATIO_ARM and (row["data"], row["setting"]) == (data.name, setting)
    ]
    return found["ratio"]


def compared(data):
    """Both data sets without their pictures."""
    camvid = LabelMap.from_csv(data / "camvid" / "classes.csv", ignore_value=pictures.CAMVID_VOID)
    return (
        pictures.Data(pictures.STREETS, {}, pictures.streets.LABELS.names),
        pictures.Data(pictures.CAMVID, {}, camvid.names),
    )


def test_the_documented_tables_are_those_of_the_finished_runs(finished, data):
    document = (DOCS / "adversarial_training.md").read_text()
    tables = [report.search_table(finished), report.changes_table(finished), report.confirmed_table(finished)]
    tables += [report.encoding_table(finished, [pictures.STREETS, pictures.CAMVID])]
    tables += [report.gain_table(finished, one, ratio(finished, one)) for one in compared(data)]
    streets, _ = compared(data)
    sizes = {(filters, stride): {"filters": filters, "stride": stride} for filters, stride in settings.DISCRIMINATORS}
    costs = {size: ratio(finished, streets, **changes) for size, changes in sizes.items()}
    tables += [report.discriminator_table(finished, costs)]
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len(rows) > 2 and "\n".join(rows) in document
    for command in ("", " --encodings", " --changes", " --discriminators"):
        assert f"python -m benchmarks.adversarial_gain{command}" in document
    assert "python -m benchmarks.game_step" in document


def test_enough_seeds_and_changes_were_run_and_all_on_one_version_of_the_streets(finished, data):
    streets, camvid = compared(data)
    assert {row["data"] for row in finished} == {streets.name, camvid.name, continued.NAME}
    for one, seeds in ((streets, 5), (camvid, 3)):
        arms = [report.values(finished, one, arm, ratio(finished, one))["mean_iou"] for arm in plan.ARMS]
        assert [len(values) for values in arms] == [seeds] * 3
    assert not plan.unfinished_runs(plan.search_runs(), finished)
    assert sum(bool(run.setting.weight) for run in plan.change_runs()) > 8
    assert not plan.unfinished_runs(plan.change_runs(), finished)


def test_the_picture_has_a_panel_for_each_data_set_and_a_row_for_each_score(finished, data):
    both = [(one, ratio(finished, one)) for one in compared(data)]
    panels = report.picture(finished, both).axes
    assert ["streets" in panel.get_xlabel() for panel in panels] == [True, False]
    for panel, (one, value) in zip(panels, both, strict=True):
        scores = report.values(finished, one, plan.PLAIN_ARM, value)
        assert [text.get_text() for text in panel.get_yticklabels()] == [
            report.TITLES.get(name, name) for name in scores
        ]
        assert len(panel.containers) == 2


@pytest.fixture
def small_continued(monkeypatch):
    """Two games and one control of few steps, on a U-Net."""
    plain = settings.Setting(learning_rate=1e-3)
    game = dataclasses.replace(plain, weight=0.5, filters=4)
    arms = {
        "CONTINUED": (
            dataclasses.replace(game, game="segan"),
            dataclasses.replace(game, game="gambler", discriminator="unet"),
        ),
        "CONTROLS": tuple(dataclasses.replace(plain, **{name: 0.5}) for name in ("hardest", "boundary", "even")),
        "PLAIN": plain, "PLAIN_STEPS": 2, "START_STEPS": 1, "SEEDS": range(1), "FINAL_SEEDS": range(1),
    }  # fmt: skip
    for name, value in arms.items():
        monkeypatch.setattr(continued, name, value)
    monkeypatch.setattr(training, "cost_ratio", lambda *_, **__: 1.0)  # times are those of another test
    return continued


@pytest.mark.slow  # 18 small trainings
def test_formulations_continue_from_one_plain_model_a_seed_and_go_on_where_they_stopped(small_continued, tmp_path):
    path, models, left = tmp_path / "runs.jsonl", tmp_path / "models", []

    def compare(runs):
        """Continues, and stops before the run after so many."""
        left[:] = range(runs)
        return small_continued.compare(path, models, lambda: bool(left) and left.pop() >= 0, small_data())

    compare(6)  # the costs of all but the plain arm, and one run
    rows = plan.read(path)
    assert [row["arm"] for row in rows].count("cost") == 5
    text = compare(99)
    again = plan.read(path)
    assert again[: len(rows)] == rows and len({plan.key_of(row) for row in again}) == len(again)
    found = {(row["arm"], row["seed"], row["steps"]) for row in again if "scores" in row}
    arms = {"plain", "segan", "gambler", "hardest pixels", "borders", "even bets"}
    winners = {(row["arm"], row["seed"], 3) for row in again if row.get("steps") == 3}
    assert len(winners) in (3, 4) and ("plain", 0, 3) in winners  # from the trunk
    assert found == {(arm, seed, 2) for arm in arms for seed in (100, 0)} | winners
    assert sorted(file.name for file in models.iterdir()) == ["start-0.keras", "start-100.keras"]
    gains, duels = text.split("\n\n")
    assert len(gains.splitlines()) == 2 + len(arms) + len(winners) and "| gambler | " in gains
    assert len(duels.splitlines()) == 2 + 2 * (len(winners) - 1)


def test_the_winner_is_measured_with_its_controls(small_continued, monkeypatch):
    monkeypatch.setattr(small_continued, "FINAL_SEEDS", range(2))
    segan, gambler = small_continued.CONTINUED
    hardest, borders, even = small_continued.CONTROLS
    every = small_continued.PLAIN, segan, gambler, hardest, borders, even
    ratios = dict.fromkeys((*every, *map(small_continued.from_trunk, every)), 1.0)

    def rows(best, pairs):
        return [
            row(small_continued.run_of(setting, seed, 1.0), mean_iou=0.5 + 0.1 * (setting == best))
            for setting, seed in pairs
        ]

    for best, *controls in ((segan, borders), (gambler, hardest, even)):
        first = small_continued.wanted([], ratios)
        assert first == [(setting, 100) for setting in every]
        second = small_continued.wanted(rows(best, first), ratios)
        third = small_continued.wanted(rows(best, second), ratios)
        last = small_continued.PLAIN, best, *controls
        from_trunk = {(small_continued.from_trunk(setting), 0) for setting in last}
        assert set(third) - set(second) == {(setting, 1) for setting in last} | from_trunk


def test_the_winner_is_compared_with_plain_and_each_control_by_seeds_that_both_have(small_continued, monkeypatch):
    monkeypatch.setattr(small_continued, "FINAL_SEEDS", range(2))
    _, gambler = small_continued.CONTINUED
    hardest, _, even = small_continued.CONTROLS
    every = small_continued.PLAIN, *small_continued.CONTINUED, *small_continued.CONTROLS
    scores = {small_continued.PLAIN: 0.5, gambler: 0.75, hardest: 0.625, even: 0.75}
    pairs = [(setting, seed) for setting in every for seed in (100, 0)] + [(gambler, 1), (even, 1)]
    pairs += [(small_continued.from_trunk(setting), 0) for setting in (gambler, even)]
    rows = [
        row(
            small_continued.run_of(setting, seed, 1.0),
            mean_iou=scores.get(dataclasses.replace(setting, learning_rate=1e-3), 0.25),
            boundary_f1=0.5 + seed / 4 * (setting == even),
        )
        for setting, seed in pairs
    ]
    table = small_continued.table(rows, dict.fromkeys((*every, *map(small_continued.from_trunk, every)), 1.0))
    assert [line.split(" | ") for line in table.split("\n\n")[1].splitlines()[2:]] == [
        ["| plain", "the plain model", "1", "+0.2500", "+0.0000 |"],
        ["| hardest pixels", "the plain model", "1", "+0.1250", "+0.0000 |"],
        ["| even bets", "the plain model", "2", "+0.0000 (+0.0000 to +0.0000)", "-0.1250 (-1.7133 to +1.4633) |"],
        ["| even bets", "the trunk", "1", "+0.0000", "+0.0000 |"],
    ]
