"""The text for a terminal: very many classes and odd names keep it short and printable."""

from pipeline.inspection.text import format_findings

ROW = {"colour": [1, 2, 3], "images": 3, "train_images": 2}


def findings(classes, **others):
    fit = {way: {"compared": 0, "better": 0} for way in ("next", "previous", "other")}
    return {
        "data": "photos",
        "layout": "images/ and masks/",
        "notes": [],
        "pairs": {"total": 3, "read": 3, "quarantined": 0},
        "splits": {"train": {"pairs": 3, "read": 3}},
        "classes": classes,
        "classes_from": "classes.csv",
        "void": {"value": None, "share": 0.0},
        "proposed_classes": None,
        "channels": 3,
        "headers": {"sizes": {"4x3": 3}, "images": {"JPEG": 3}, "masks": {"PNG": 3}, "turned_by_exif": 0},
        "reencoded": {},
        "fit": fit,
        "anomalies": [],
        "not_checked": [],
        "contact_sheet": None,
        "shown": [],
        "command": "kseg run --data photos",
        "seconds": 0.1,
    } | others


def named(names, share):
    return [ROW | {"id": n, "value": n, "name": name, "share": share(n)} for n, name in enumerate(names)]


def test_of_very_many_classes_the_most_common_ones_are_listed():
    text = format_findings(findings(named([f"c{n}" for n in range(200)], lambda n: n / 4000 if n >= 150 else 0)), 80)
    assert " c199 " in text and " c160 " in text and " c159 " not in text and " c0 " not in text
    assert "160 more, of which 150 do not occur; --json lists all" in text


def test_names_are_printable_and_short():
    text = format_findings(findings(named(["a\x1b[31m\nb", "x" * 300], lambda n: 0.5)), 80)
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_colours_are_sent_only_where_the_terminal_shows_them():
    rows = named(["a"], lambda n: 1.0)
    assert "\x1b[48;2;1;2;3m" in format_findings(findings(rows), 80, colours=True)
    assert "\x1b" not in format_findings(findings(rows), 80)


def test_what_a_sample_cannot_show_is_said():
    sampled = {"pairs": {"total": 90, "read": 9, "quarantined": 2}, "splits": {"train": {"pairs": 88, "read": 9}}}
    text = format_findings(findings(named(["a"], lambda n: 1.0), **sampled, not_checked=["class_missing"]), 80)
    assert "90, 2 that cannot be used; 9 of 88 read, chosen at random, in 0.1 s" in text
    assert "not checked class_missing: they need all pairs" in " ".join(text.split())
