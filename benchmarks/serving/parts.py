"""`serve_bytes` beside its parts, each of them alone: the table "parts"."""

from __future__ import annotations

import pathlib

from benchmarks.serving.models import draw, encode, trained_network
from benchmarks.serving.turns import take_turns

SIZES = ((176, 240), (96, 128))  # (height, width) of the network
PICTURES = ((360, 480), (960, 1280))  # of the picture
NUMBER = 4  # of different pictures
PARTS = ("decode", "resize", "network", "back", "encode")


def compare_parts(place: pathlib.Path | None, folder: pathlib.Path, rounds: int, epochs: int):
    """Prints the table.

    Args:
        place: a version of a model of images that are fitted into a box; None: two narrow U-Nets are trained.
        folder: to write these to.
        rounds: calls of each part.
        epochs: of their training.
    """
    places = {place.parent.name: place} if place else _export_trained(folder, epochs)
    names = " | ".join(PARTS)
    print(f"| network | picture | {names} | sum | `serve_bytes` | : sum | : decode + network + encode |")
    print("|" + " --- |" * (len(PARTS) + 6))
    for name, version in places.items():
        for size in PICTURES:
            pictures = [encode(image, size) for image in draw(NUMBER, size)]
            cpu = {key: value[0] for key, value in take_turns(part_functions(version, pictures), rounds).items()}
            parts, whole = [cpu[part] for part in PARTS], cpu["serve_bytes"]
            least = cpu["decode"] + cpu["network"] + cpu["encode"]
            shown = " | ".join(f"{part:.1f}" for part in (*parts, sum(parts), whole))
            print(
                f"| {name} | {size[1]}x{size[0]} | {shown} | {whole / sum(parts):.2f} | {whole / least:.2f} |",
                flush=True,
            )
    print("\nCPU milliseconds, medians.\n")


def part_functions(version: pathlib.Path, pictures: list[bytes]) -> dict:
    """Functions of the number of a call that compute a part of `serve_bytes`, or all of it, for one of the pictures.

    Args:
        version: folder of an export.
        pictures: encoded.
    """
    import tensorflow as tf

    from kseg.data.resizing_in_graph import fit_image_in_graph
    from kseg.serving.bands import most_probable
    from kseg.serving.decoding_in_graph import decode_strictly
    from kseg.serving.manifest import read_manifest

    height, width = read_manifest(version)["image_size"]
    loaded = tf.saved_model.load(str(version))
    signatures = loaded.signatures

    def traced(function, *specs):
        return tf.function(function, input_signature=specs, autograph=False)

    image = tf.TensorSpec((None, None, 3), tf.uint8)
    decode = traced(lambda encoded: decode_strictly(encoded, 3), tf.TensorSpec((), tf.string))
    resize = traced(lambda image: fit_image_in_graph(image, (height, width)), image)
    classes = signatures["network"].structured_outputs["probabilities"].shape[-1]
    back = traced(
        lambda probabilities, size: most_probable(probabilities, size, with_confidence=False)[0],
        tf.TensorSpec((None, None, classes), tf.float32),
        tf.TensorSpec((2,), tf.int32),
    )
    png = traced(lambda label_map: tf.io.encode_png(label_map[..., None]), tf.TensorSpec((None, None), tf.uint8))

    # What each part is given: what the one before it returns.
    given = {name: [] for name in (*PARTS, "serve_bytes")}
    for picture in map(tf.constant, pictures):
        decoded = decode(picture)
        fitted = resize(decoded)
        rows, columns = fitted.shape[:2]
        padded = tf.pad(tf.cast(fitted, tf.float32), [[0, height - rows], [0, width - columns], [0, 0]])[tf.newaxis]
        probabilities = signatures["network"](image=padded)["probabilities"][0, :rows, :columns]
        size = tf.constant(decoded.shape[:2])
        steps = (
            (picture,),
            (decoded,),
            (padded,),
            (probabilities, size),
            (back(probabilities, size),),
            (picture[tf.newaxis],),
        )
        for name, arguments in zip(given, steps, strict=True):
            given[name].append(arguments)

    functions = {
        "decode": decode,
        "resize": resize,
        "network": lambda image: signatures["network"](image=image)["probabilities"],
        "back": back,
        "encode": png,
        "serve_bytes": lambda encoded: signatures["serve_bytes"](image_bytes=encoded)["label_map_bytes"],
    }

    def of(name):
        return lambda number: functions[name](*given[name][number % len(pictures)]).numpy()

    return {name: of(name) for name in functions}


def _export_trained(folder: pathlib.Path, epochs: int) -> dict[str, pathlib.Path]:
    import kseg
    from kseg import streets

    places = {}
    for size in SIZES:
        place = folder / f"trained-{size[0]}"
        kseg.export(trained_network(size, epochs), place, labels=streets.LABELS, image_size=size)
        places[f"U-Net, {size[1]}x{size[0]}"] = place
    return places
