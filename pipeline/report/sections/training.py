"""The network, what it costs, where and how long it trained, and the curves."""

from __future__ import annotations

from pipeline.report import charts, text
from pipeline.report.run_files import Run

PACKAGES = {"tensorflow": "TensorFlow", "keras": "Keras", "python": "Python"}
"""As they spell themselves."""


def contents(run: Run) -> dict:
    """The variables of `training.html.j2`."""
    return {
        "epochs": max(len(values) for values in run.history.values()),
        "facts": _facts(run.training),
        "panels": charts.curve_panels(run.history),
        "plot": charts.PLOT,
    }


def _facts(training: dict) -> list[tuple[str, str]]:
    """(name, value) of what is known of a training."""
    network, discriminator, hardware = training["network"], training["discriminator"], training["hardware"]
    height, width = network["image_size"]
    encoder = f", on {network['encoder']}" if network.get("encoder") else ""  # earlier trainings do not say
    facts = [
        ("network", f"{network['name']}, {network['width']}{encoder}"),
        ("parameters", f"{network['parameters']:,}"),
        (
            "multiply-adds",
            f"{text.count(network['multiply_adds'])} per image of {width}\N{MULTIPLICATION SIGN}{height}",
        ),
    ]
    crop, factor = network.get("crop_size"), network.get("image_scale")  # which earlier trainings lack
    if factor or (crop and crop != network["image_size"]):
        of = f" of images at {factor:g} of their own size" if factor else ""
        facts.append(("trained on", f"crops of {crop[1]}\N{MULTIPLICATION SIGN}{crop[0]}{of}"))
    if discriminator:
        game = text.describe_game(discriminator)
        facts.append(("discriminator", f"{discriminator['name']}, {discriminator['parameters']:,} parameters{game}"))
    return [
        *facts,
        (
            "training time",
            f"{text.duration(training['seconds'])}, {text.date(training['started'])} to {_end(training)}",
        ),
        ("processor", f"{hardware['processor']}, {hardware['cores']} core{'s' if hardware['cores'] > 1 else ''}"),
        ("memory", f"{hardware['memory_bytes'] / 2**30:.0f} GiB"),
        ("accelerator", _accelerators(hardware)),
        (
            "versions",
            ", ".join(f"{PACKAGES.get(name, name)} {version}" for name, version in training["versions"].items()),
        ),
    ]


def _end(training: dict) -> str:
    """The end, without the date if it is the day of the start."""
    start, end = text.date(training["started"]), text.date(training["finished"])
    return end.partition(" ")[2] if end[:10] == start[:10] else end


def _accelerators(hardware: dict) -> str:
    names = hardware["accelerators"]
    if not names:
        return "none"
    kinds = [f"{names.count(name)} \N{MULTIPLICATION SIGN} {name}" for name in dict.fromkeys(names)]
    return f"{', '.join(kinds)}; {hardware['replicas']} trained in step" if len(names) > 1 else kinds[0]
