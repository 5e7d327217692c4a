"""What preparing data costs: CPU time an image, beside a bare loop of the same libraries, and the peak of memory.

    python -m benchmarks.pipeline --folder pairs --pairs 2000 20000 --size 360x480

The pairs are generated once, below `--folder`, and kept. Each measurement is a process of its own, whose workers count as well.
With `--workers 2` two bare loops work side by side, each on half of the pairs. docs/scale.md has the figures.

    python -m benchmarks.pipeline --folder pairs --pairs 1000 4000 --size 48x64 \\
        --measured example_gen statistics_gen transform export evaluator predict
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

CLASSES = "value,name,red,green,blue\n0,ground,90,90,90\n1,left,220,60,50\n2,right,50,90,220\n"
MEASURED = ("bare example_gen", "example_gen", "statistics_gen", "example_validator", "bare transform", "transform")
WITH_MODEL = ("export", "evaluator", "predict")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where the generated pairs are kept")
    parser.add_argument("--pairs", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--size", default="64x96", help="HEIGHTxWIDTH of the images")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--measured", nargs="+", default=MEASURED, choices=(*MEASURED, *WITH_MODEL))
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "DATA", "RESULTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        return measure(*arguments.one, arguments.workers)
    print(f"{'':18}{'pairs':>8}{'ms of CPU an image':>20}{'peak MiB':>10}{'seconds':>9}", flush=True)
    for number in arguments.pairs:
        data = generate(arguments.folder / f"{arguments.size}-{number}", number, arguments.size)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as results:
            for what in arguments.measured:
                command = [sys.executable, "-m", "benchmarks.pipeline", "--folder", str(arguments.folder)]
                command += ["--workers", str(arguments.workers), "--one", what, str(data), results]
                answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                found = json.loads(answer.splitlines()[-1])
                per_image, peak = found["cpu"] / number * 1000, found["peak"] / 2**20
                print(f"{what:18}{number:8}{per_image:20.2f}{peak:10.0f}{found['seconds']:9.1f}", flush=True)


def generate(folder: pathlib.Path, pairs: int, size: str) -> pathlib.Path:
    """Writes pairs of noise, which PNG does not make smaller, and masks of three blocks; returns the folder."""
    if (folder / "classes.csv").is_file():
        return folder
    height, width = map(int, size.split("x"))
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 :, : width // 3], mask[height // 2 :, width // 2 :] = 1, 2
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(pairs):
        coarse = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((width, height))) // 2
        image = image + np.random.default_rng(number).integers(0, 128, image.shape, np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{number:07}.png", compress_level=1)
        Image.fromarray(np.roll(mask, number, 1)).save(folder / "masks" / f"{number:07}.png")
    (folder / "classes.csv").write_text(CLASSES)
    return folder


def measure(what: str, data: str, results: str, workers: int):
    """Runs one component or bare loop on what those before it left, and prints its cost as JSON."""
    out = pathlib.Path(results, what.replace(" ", "_"))
    out.mkdir()
    action = globals()[what.replace(" ", "_")]
    start, used = time.monotonic(), _cpu_seconds()
    if what.startswith("bare"):
        _side_by_side(action, pathlib.Path(data), out, workers)
    else:
        action(pathlib.Path(data), out, [f"--direct_num_workers={workers}"])
    seconds, cpu = time.monotonic() - start, _cpu_seconds() - used
    peaks = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"cpu": cpu, "seconds": seconds, "peak": sum(peaks) * 1024}))


def _side_by_side(loop, data, out, number):
    """Runs a bare loop in as many processes, each on its part of the pairs."""
    loops = [
        multiprocessing.get_context("fork").Process(target=loop, args=(data, out, part, number))
        for part in range(number)
    ]
    for process in loops:
        process.start()
    for process in loops:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"A bare loop failed with the exit code {process.exitcode}.")


def _cpu_seconds() -> float:
    """Of this process and its children."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def example_gen(data, out, beam_options):
    from pipeline.components.example_gen import example_gen
    from pipeline.settings.example_gen import ExampleGen

    example_gen(out, ExampleGen(), source=data, beam_options=beam_options)


def statistics_gen(data, out, beam_options):
    from pipeline.components.statistics_gen import statistics_gen
    from pipeline.settings.statistics_gen import StatisticsGen

    statistics_gen(out, StatisticsGen(), examples=out.with_name("example_gen"), beam_options=beam_options)


def example_validator(data, out, beam_options):
    from pipeline.components.example_validator import example_validator
    from pipeline.components.schema_gen import schema_gen
    from pipeline.settings.example_validator import ExampleValidator
    from pipeline.settings.schema_gen import SchemaGen

    found = {name: out.with_name(f"{name}_gen") for name in ("statistics",)} | {
        "examples": out.with_name("example_gen")
    }
    schema_gen(out, SchemaGen(), **found)
    example_validator(out, ExampleValidator(max_leaked=1), **found, schema=out)


def transform(data, out, beam_options):
    from pipeline.components.transform import transform
    from pipeline.settings.transform import Transform

    found = {"examples": out.with_name("example_gen"), "statistics": out.with_name("statistics_gen")}
    transform(out, Transform(image_scale=0.5), **found, beam_options=beam_options)


def export(data, out, beam_options):
    """A network of one layer: what a model costs is not asked here."""
    import keras

    import kseg
    from kseg.labels import LabelMap

    labels, image = LabelMap.load(out.with_name("example_gen")), keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(labels.num_classes, 3, padding="same")(image))
    kseg.export(model, out / "saved_model", labels=labels, image_scale=0.5)


def evaluator(data, out, beam_options):
    from pipeline.components.evaluator import evaluator
    from pipeline.settings.evaluator import Evaluator

    names = {"examples": "example_gen", "statistics": "statistics_gen", "transform": "transform", "export": "export"}
    found = {name: out.with_name(component) for name, component in names.items()}
    evaluator(out, Evaluator(split="train"), **found, beam_options=beam_options)


def predict(data, out, beam_options):
    from pipeline import predict

    places = {"model": out.with_name("export") / "saved_model", "input": data / "images", "output": out / "labelled"}
    arguments = [text for name, place in places.items() for text in (f"--{name}", str(place))]
    if predict.main([*arguments, "--", *beam_options]):
        raise RuntimeError("pipeline.predict failed.")


def bare_example_gen(data, out, part, of):
    """Reads and writes every pair as example_gen does, one after another: of each `of` pairs that with the number `part`."""
    from kseg.pairs.image_folder import read_pair
    from pipeline.examples import prepared
    from pipeline.examples.sources.opening import open_source
    from pipeline.settings.example_gen import ExampleGen

    config = ExampleGen()
    opened = open_source(data, config, None)
    prepared.write_records(
        out / f"pairs-{part}",
        (
            prepared.to_record(pair.key, *read_pair(pair, opened.labels, 3, config.max_pixels, opened.conventions)[:2])
            for pair in itertools.islice(opened.elements.stream(), part, None, of)
        ),
    )


def bare_transform(data, out, part, of):
    """Fits every pair as transform does, one after another: of each `of` shards that with the number `part`."""
    from kseg.pairs.image_files import decode_image, encode_image, encode_png
    from kseg.pairs.resizing import resize_image, resize_label_map, working_size
    from pipeline.examples import prepared

    def fitted():
        for paths in prepared.shard_paths(out.with_name("example_gen")).values():
            for path in paths[part::of]:
                for record in prepared.read_records(path):
                    key, image_bytes, label_map_bytes = prepared.from_record(record)
                    label_map = decode_image(label_map_bytes)[..., 0]
                    size = working_size(*label_map.shape, 0.5)
                    image = resize_image(decode_image(image_bytes), size)
                    yield prepared.to_record(key, encode_image(image), encode_png(resize_label_map(label_map, size)))

    prepared.write_records(out / f"pairs-{part}", fitted())


if __name__ == "__main__":
    main()
