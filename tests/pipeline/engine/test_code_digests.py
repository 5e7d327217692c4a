"""A change of code, of a package or of a setting reaches the components that use it and what follows from them, no others."""

import ast
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from pipeline import line, run
from pipeline.engine import code_digests, store
from pipeline.settings.config import Config
from pipeline.settings.exporter import crf_choice
from pipeline.settings.trainer import Trainer, choices
from tests.conftest import ROOT
from tests.pipeline.whole_line import command

AFTER_TRAINER = ("trainer", "exporter", "evaluator", "infra_validator", "pusher")
AFTER_EXPORTER = AFTER_TRAINER[1:]
GAME = Trainer(adversarial_weight=0.1)
NETWORKS = ["pipeline.networks.segmentors.unet", "pipeline.networks.discriminators.two_branch"]
CHOSEN = {"planner": NETWORKS, "trainer": NETWORKS}
ON_STREETS = line.components_of(Config())
PATHS = sorted(path.relative_to(ROOT) for package in ("kseg", "pipeline") for path in (ROOT / package).rglob("*.py"))
MODULES = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of both packages."""
    folder = tmp_path_factory.mktemp("code")
    for package in ("kseg", "pipeline"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def tree(copy, monkeypatch):
    """The copy as fingerprints see it; what a test changes there is undone."""
    folder = code_digests._folder
    monkeypatch.setattr(code_digests, "_folder", lambda name: copy / name if name in MODULES else folder(name))
    before = {path: path.read_bytes() for path in copy.rglob("*.py")}
    yield copy
    for path in copy.rglob("*.py"):
        if path not in before:
            path.unlink()
        elif path.read_bytes() != before[path]:
            path.write_bytes(before[path])


def codes(config=GAME):
    """Code and packages of each component."""
    return {name: code_digests.code(f"pipeline.components.{name}", choices(config)) for name in line.COMPONENTS}


def changed(before, after):
    return [name for name in before if before[name] != after.get(name)]


@pytest.fixture(scope="module")
def unchanged(copy):
    with pytest.MonkeyPatch.context() as patch:
        folder = code_digests._folder
        patch.setattr(code_digests, "_folder", lambda name: copy / name if name in MODULES else folder(name))
        return codes()


@pytest.fixture(scope="module")
def truth():
    """Modules of each component, seen by the interpreter."""
    components = {name: CHOSEN.get(name, []) for name in line.COMPONENTS}
    left_out = ["kseg.postprocess.densecrf", *code_digests.NEUTRAL]
    command = [sys.executable, "-m", "tests.pipeline.engine.real_imports", json.dumps(components), json.dumps(left_out)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


def documented_anew(source: str) -> str:
    """The source without its comments and layout, with other docstrings, and with one wherever there was none."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            node.body = [ast.Expr(ast.Constant("Another docstring.")), *node.body[documented:]]
    return f"# Another comment.\n{ast.unparse(ast.fix_missing_locations(tree))}\n"


def test_components_reach_what_the_interpreter_imports_for_them(truth):
    for name in line.COMPONENTS:
        reached = code_digests.code(f"pipeline.components.{name}", choices(GAME))[0].keys()
        doors = {module for module in truth[name] if MODULES[module].name == "__init__.py"}
        assert reached <= set(truth[name]), name
        assert set(truth[name]) - reached <= doors, name


def test_comments_and_docstrings_recompute_nothing(tree, unchanged):
    for path in MODULES.values():
        (tree / path).write_text(documented_anew((tree / path).read_text()))
    assert codes() == unchanged


def test_a_new_function_and_a_changed_line_recompute_exactly_what_reaches_the_module(tree, unchanged, truth):
    def edited(value):
        """Modules whose digest each component knows, once a function is added to every module."""
        for path in MODULES.values():
            (tree / path).write_text(f"{(ROOT / path).read_text()}\n\ndef brand_new():\n    return {value}\n")
        return codes()

    first, second = edited(1), edited(2)
    for before, after in ((unchanged, first), (first, second)):
        for name, (digests, packages) in after.items():
            assert changed(digests, before[name][0]) == truth[name], name
            assert packages == before[name][1], name


def test_a_new_network_recomputes_nothing(tree, unchanged):
    (tree / "kseg/models/vnet.py").write_text("import keras\n\n\ndef VNet(num_classes):\n    return keras.Model()\n")
    table = tree / "kseg/__init__.py"
    line = '    "UNet": "kseg.models.unet",\n'
    text = table.read_text().replace(line, line + line.replace("UNet", "VNet").replace("unet", "vnet"))
    assert text != table.read_text()
    table.write_text(text)
    (tree / "pipeline/networks/segmentors/vnet.py").write_text(
        "import kseg\n\n\ndef build(config, num_classes, **options):\n    return kseg.VNet(num_classes)\n"
    )
    assert codes() == unchanged
    chosen = code_digests.code(
        "pipeline.components.trainer", choices(GAME) | {"pipeline.networks.segmentors": ["vnet"]}
    )[0]
    assert {"kseg.models.vnet", "pipeline.networks.segmentors.vnet"} <= chosen.keys()
    assert not {"kseg.models.unet", "pipeline.networks.segmentors.unet"} & chosen.keys()


def test_a_new_loss_or_encoder_recomputes_nothing_until_it_is_used(tree, unchanged):
    for package, name in (("losses", "Hausdorff"), ("encoders", "densenet"), ("layers", "Blur")):
        (tree / f"kseg/{package}/brand_new.py").write_text(f"def {name}():\n    return 1\n")
        door = tree / f"kseg/{package}/__init__.py"
        door.write_text(f"{door.read_text()}\nfrom kseg.{package}.brand_new import {name}\n")
    assert changed(unchanged, codes()) in (
        [],
        ["exporter", "infra_validator"],
    )  # which import kseg.layers for what it registers


def test_the_exporter_reaches_dense_crf_where_it_refines_and_the_trainer_never_does():
    module = "kseg.postprocess.densecrf.layer"
    for used in (True, False):
        assert (module in code_digests.code("pipeline.components.exporter", crf_choice(used))[0]) == used
    assert module not in code_digests.code("pipeline.components.trainer", choices(GAME))[0]


@pytest.mark.parametrize(
    ("config", "inside", "outside"),
    [
        (Trainer(), "kseg.models.unet", "kseg.models.discriminators"),
        (Trainer(model="fcn8s"), "kseg.encoders.vgg", "kseg.encoders.resnet"),
        (Trainer(model="pspnet"), "kseg.encoders.resnet", "kseg.encoders.vgg"),
        (Trainer(model="light_fpn"), "kseg.encoders.efficientnet_lite", "kseg.encoders.applications"),
        (Trainer(model="light_fpn"), "kseg.encoders.torch_files", "kseg.encoders.vgg"),
        (Trainer(model="light_fpn", encoder="resnet50"), "kseg.encoders.resnet", "kseg.encoders.efficientnet_lite"),
        (Trainer(encoder="vgg16"), "kseg.encoders.vgg", "kseg.encoders.resnet"),
        (Trainer(), "kseg.encoders.features", "kseg.encoders.vgg"),
        (GAME, "pipeline.networks.discriminators.two_branch", "pipeline.networks.discriminators.patch_gan"),
        (Trainer(adaptation="features"), "kseg.models.discriminators", "pipeline.networks.discriminators.patch_gan"),
        (Trainer(), "kseg.losses.pixelwise", "kseg.postprocess.densecrf.layer"),
        (Trainer(), "pipeline.settings.trainer", "pipeline.settings.evaluator"),
        (Trainer(), "kseg.training.callbacks.overlays", "kseg.plots"),
    ],
)
def test_the_trainer_reaches_the_chosen_network_and_not_the_others(config, inside, outside):
    reached = code_digests.code("pipeline.components.trainer", choices(config))[0]
    assert outside in MODULES and inside in reached
    assert not [name for name in reached if f"{name}.".startswith(f"{outside}.")]


def test_no_component_reads_what_the_trainer_draws():
    for name in line.COMPONENTS:
        assert ('"overlays"' in (ROOT / f"pipeline/components/{name}.py").read_text()) == (name == "trainer"), name


def test_each_component_reaches_its_own_settings_alone():
    of_components = {f"pipeline.settings.{name}" for name in line.COMPONENTS}
    for name, (code, _) in codes().items():
        own = {f"pipeline.settings.{name}"}
        planned = {"pipeline.settings.trainer", "pipeline.settings.transform"} if name == "planner" else set()
        assert of_components & code.keys() == own | planned, name


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("refinements", ["", "superpixels,flips,tiles,crf"])
def test_every_module_whose_functions_a_component_runs_is_in_its_recipe(refinements, tmp_path):
    folder = tmp_path / "run"
    chosen = ("--adversarial-weight", "0.1", f"--set=evaluator.refinements={refinements}", "--epochs", "1")
    arguments = command(folder, *chosen)[3:]
    seen = tmp_path / "seen.json"
    subprocess.run([sys.executable, "-m", "tests.pipeline.engine.executed", seen, *arguments], cwd=ROOT, check=True)
    always = {"pipeline.engine.loading", "pipeline.engine.console"}
    ran = json.loads(seen.read_text())
    assert ran.keys() == set(ON_STREETS)
    for name, modules in ran.items():
        (recipe,) = (folder / "runs" / name).glob("*/recipe.json")
        missing = set(modules) - json.loads(recipe.read_text())["code"].keys() - always
        assert not missing, name
        assert f"pipeline.components.{name}" in modules


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A function of files of the package `toy`: what its module `component` reaches."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code_digests, "FIRST_PARTY", ("toy",))
    monkeypatch.setattr(code_digests, "_folder", lambda name: tmp_path / name if name == "toy" else None)

    def reach(component, choices=None, **files):
        for name, text in {"__init__": "", "component": component, **files}.items():
            path = pathlib.Path(tmp_path, "toy", f"{name.replace('__in__', '/')}.py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return {name.removeprefix("toy.") for name in code_digests.code("toy.component", choices)[0]} - {"component"}

    return reach


FILES = {
    "a": "A = 1",
    "b": "B = 1",
    "ways__in____init__": "from toy.a import A\nfrom toy.b import B",
    "ways__in__c": "C = 1",
}
LAZY = "NAMES = {'A': 'toy.a', 'b': 'toy.b'}\ndef __getattr__(name):\n    return NAMES[name]"


@pytest.mark.parametrize(
    ("component", "reached"),
    [
        ("def f():\n    from toy import a", {"a"}),
        ("from toy.ways import A", {"a"}),
        ("from toy import ways\nways.A", {"a"}),
        ("from toy import ways\nways.c", {"ways.c"}),
        ("import toy.ways", {"a", "b"}),
        ("from toy.ways import *", {"a", "b"}),
        ("from toy import ways\ngetattr(ways, name)", {"a", "b"}),
        ("from toy import ways\nways.unknown", {"a", "b"}),
        ("import importlib\nimportlib.import_module('toy.a')", {"a"}),
        ("import importlib\nimportlib.import_module(f'toy.ways.{name}')", {"ways.c"}),
        ("import importlib\nimportlib.import_module(name)", {"a", "b", "ways.c"}),
    ],
)
def test_what_cannot_be_resolved_is_reached_whole(component, reached, toy):
    assert toy(component, **FILES) == reached


@pytest.mark.parametrize(
    ("component", "reached"),
    [
        ("import toy", set()),
        ("import toy\ntoy.A", {"a"}),
        ("import toy\ntoy.b.B", {"b"}),
        ("import toy\ntoy.__version__", set()),
        ("from toy import A", {"a"}),
        ("import toy\ngetattr(toy, name)", {"a", "b"}),
        ("import toy\nvars(toy)[name]", {"a", "b"}),
        ("from toy import *", {"a", "b"}),
    ],
)
def test_lazy_names_lead_to_their_modules(component, reached, toy):
    assert toy(component, **FILES | {"__init__": LAZY}) == reached


def test_what_is_not_chosen_is_left_out(toy):
    component = "import importlib\nimportlib.import_module(f'toy.ways.{name}')\nfrom toy import a"
    files = FILES | {"ways__in____init__": "", "ways__in__d": "from toy import b"}
    assert toy(component, **files) == {"a", "ways.c", "ways.d", "b"}
    assert toy(component, choices={"toy.ways": ["d"]}, **files) == {"a", "ways.d", "b"}
    assert toy(component, choices={"toy.ways": []}, **files) == {"a"}


def test_modules_of_a_table_are_reached_or_those_that_are_chosen(toy):
    component = "import importlib\nWAYS = {'one': 'toy.a', 'two': 'toy.b'}\nimportlib.import_module(WAYS[name])"
    assert toy(component, **FILES) == {"a", "b"}
    assert toy(component, choices={"toy.component.WAYS": ["two"]}, **FILES) == {"b"}
    assert toy(component, choices={"toy.component.WAYS": []}, **FILES) == set()
    assert toy(component.replace("'toy.b'", "place()"), **FILES) == {"a", "b", "ways.c"}


def test_packages_are_those_that_reached_modules_import(toy, monkeypatch):
    monkeypatch.setattr(code_digests, "_version", lambda package: "1")
    toy("from toy import ways\nways.A", **FILES | {"a": "import numpy.linalg, json\nA = 1", "b": "import keras\nB = 1"})
    assert code_digests.code("toy.component")[1] == {"numpy": "1"}


def of_line(folder, *settings):
    """Fingerprint of each component of a run."""
    config, beam, *_ = run.parse(["--root", str(folder / "runs"), "--push-to", str(folder / "models"), *settings])
    explained = store.Store(config.root, explain=True)
    return {name: artifact.fingerprint for name, artifact in line.compute(config, beam, explained)}


@pytest.mark.parametrize(
    ("module", "components"),
    [
        ("kseg/data/augment.py", AFTER_TRAINER),
        ("kseg/models/unet.py", AFTER_TRAINER),
        ("kseg/serving/graph.py", AFTER_EXPORTER),
        ("kseg/models/fcn.py", ()),  # not the chosen network
        ("kseg/streets/rendering.py", ON_STREETS),
        ("pipeline/validation/schema.py", ("schema_gen", "example_validator", "pusher")),
        ("pipeline/publishing/fresh_process.py", ("infra_validator", "pusher")),
        ("pipeline/predict.py", ()),
        ("pipeline/run.py", ()),
    ],
)
def test_an_edited_module_recomputes_what_reaches_it_and_what_follows(module, components, tree, tmp_path):
    before = of_line(tmp_path)
    (tree / module).write_text((tree / module).read_text() + "\nBRAND_NEW = 1\n")
    assert tuple(changed(before, of_line(tmp_path))) == components


@pytest.mark.parametrize(("package", "components"), [("h5py", AFTER_TRAINER), ("apache_beam", ON_STREETS)])
def test_another_version_of_a_package_recomputes_what_imports_it_and_what_follows(
    package, components, tmp_path, monkeypatch
):
    before, version = of_line(tmp_path), code_digests._version
    monkeypatch.setattr(
        code_digests, "_version", lambda name: version(name) and version(name) + "+" * (name == package)
    )
    assert tuple(changed(before, of_line(tmp_path))) == components


@pytest.mark.parametrize(
    ("setting", "components"),
    [
        ("trainer.epochs=3", AFTER_TRAINER),
        ("exporter.flips=horizontal", AFTER_EXPORTER),
        ("evaluator.min_gain=0.2", ("evaluator", "pusher")),
        ("evaluator.refinements=crf", ("evaluator", "pusher")),
        ("exporter.crf=auto", AFTER_EXPORTER),
        ("pusher.keep=2", ("pusher",)),
    ],
)
def test_a_setting_recomputes_its_component_and_what_follows(setting, components, tmp_path):
    assert tuple(changed(of_line(tmp_path), of_line(tmp_path, "--set", setting))) == components


@pytest.mark.parametrize(
    ("settings", "components"),
    [
        ((), ()),
        (("--set", "evaluator.refinements=crf"), ("evaluator", "pusher")),
        (("--set", "exporter.crf=auto"), AFTER_EXPORTER),
    ],
)
def test_the_code_of_dense_crf_recomputes_what_refines_by_it(settings, components, tree, tmp_path):
    before = of_line(tmp_path, *settings)
    path = tree / "kseg/postprocess/densecrf/permutohedral.py"
    path.write_text(path.read_text() + "\nBRAND_NEW = 1\n")
    assert tuple(changed(before, of_line(tmp_path, *settings))) == components


def test_the_content_of_a_file_of_settings_counts_and_not_its_place(tmp_path):
    def of(name, text):
        (tmp_path / name).write_text(text)
        return of_line(tmp_path, "--set", "evaluator.refinements=crf", "--set", f"evaluator.crf={tmp_path / name}")

    one = of("one.json", '{"settings": {"iterations": 3}, "model": "a"}')
    assert of("two.json", '{"settings": {"iterations": 3}, "model": "b"}') == one
    other = of("one.json", '{"settings": {"iterations": 4}, "model": "a"}')
    assert tuple(changed(one, other)) == ("evaluator", "pusher")
