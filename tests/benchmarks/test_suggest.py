"""The benchmark of suggestions: its table compares the arms of equal seeds, and pairs keep their masks."""

from benchmarks.suggest import describe, read_pairs


def row(arm, seed, mean_iou):
    return {"arm": arm, "seed": seed, "mean_iou": mean_iou}


def test_the_difference_is_taken_over_the_seeds_that_have_both_arms():
    rows = [row("first", 0, 0.3), row("suggested", 0, 0.45), row("random", 0, 0.4), row("suggested", 1, 0.5)]
    rows += [row("random", 1, 0.51), row("suggested", 2, 0.9)]
    table = describe(rows)
    assert "| first | 0.300 |  |  |" in table and "| suggested | 0.450 | 0.500 | 0.900 |" in table
    assert "suggested - random: +0.020 over 2 seeds, standard deviation 0.042" in table


def test_images_are_paired_with_the_masks_of_their_names(tmp_path):
    for folder in ("images/train", "images/val", "masks/train", "masks/val"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / "images/train" / f"{name}.jpg").touch()
        (tmp_path / "masks/train" / f"{name}.png").touch()
    pairs = read_pairs(tmp_path)
    assert [[path.rpartition("/")[2] for path in pair] for pair in pairs["train"]] == [
        ["a.jpg", "a.png"],
        ["b.jpg", "b.png"],
    ]
    assert pairs["validation"] == []
