"""What the table of accuracy says, and the commands that it runs."""

import pathlib

from benchmarks.accuracy import QUEUE, draw, table, with_edges, write_random_vgg16
from pipeline import run

ROW = {
    "arm": "net",
    "minutes": 10,
    "seed": 0,
    "mean_iou": 0.6,
    "training_seconds": 600.0,
    "all_seconds": 780.0,
    "steps": 1500,
}


def test_the_table_has_a_line_for_each_arm_and_time():
    rows = [ROW, ROW | {"seed": 1, "mean_iou": 0.65}, ROW | {"arm": "other", "mean_iou": 0.7}, ROW | {"minutes": 30}]
    assert table(rows).splitlines()[2:] == [
        "| other | 10 | 0.700 | 1,500 | 10.0, 13.0 |",
        "| net | 10 | 0.600, 0.650 | 1,500 | 10.0, 13.0 |",
        "| net | 30 | 0.600 | 1,500 | 10.0, 13.0 |",
    ]
    draw(rows)


def test_the_table_of_cells_has_their_rand_score_and_no_minutes_where_epochs_were_given():
    rows = [ROW | {"foreground_rand": 0.9}, ROW | {"arm": "old", "minutes": None, "foreground_rand": 0.8}]
    del rows[1]["steps"]
    assert table(rows).splitlines() == [
        "| network | minutes | mean IoU, by seed | Rand score of cells | steps | minutes of training, whole run |",
        "| --- | ---: | --- | --- | ---: | ---: |",
        "| old |  | 0.600 | 0.800 |  | 10.0, 13.0 |",
        "| net | 10 | 0.600 | 0.900 | 1,500 | 10.0, 13.0 |",
    ]


def test_every_command_of_the_queue_is_one_that_the_line_understands(tmp_path):
    write_random_vgg16(tmp_path / "random.weights.h5")
    queue = (*QUEUE, *with_edges(tmp_path / "random.weights.h5", tmp_path / "random.weights.h5"))
    assert len({each.folder(tmp_path) for each in queue}) == len(queue)
    for each in queue:
        command = each.command(pathlib.Path("out"), pathlib.Path("data"))
        config = run.parse(command[command.index("pipeline.run") + 1 :]).config
        assert each.minutes in (config.planner.minutes, None) and config.trainer.seed == each.seed
