"""A change of code, of a package or of a setting reaches the components that use it and what follows from them, no others."""

import pytest

from pipeline import line, run
from pipeline.engine import store

AFTER_TRAINER = ("trainer", "evaluator", "infra_validator", "pusher")


def fingerprints(folder, *settings):
    config, beam = run.parse(["--root", str(folder / "runs"), "--push-to", str(folder / "models"), *settings])
    explained = store.Store(config.root, explain=True)
    return {name: artifact.fingerprint for name, artifact in line.steps(config, beam, explained)}


@pytest.fixture
def reached(tmp_path, monkeypatch):
    """A function of a module or package that is edited: names of the components whose recipes then differ."""
    source, version = store._source, store._version

    def edit(module=None, package=None):
        before = fingerprints(tmp_path)
        monkeypatch.setattr(store, "_source", lambda name: source(name) and source(name) + "\n" * (name == module))
        monkeypatch.setattr(store, "_version", lambda name: version(name) and version(name) + "+" * (name == package))
        after = fingerprints(tmp_path)
        return tuple(name for name in before if before[name] != after[name])

    return edit


@pytest.mark.parametrize(
    ("module", "components"),
    [
        ("pipeline.components.trainer", AFTER_TRAINER),
        ("kseg.augment", AFTER_TRAINER),
        ("kseg.models.unet", AFTER_TRAINER),
        ("kseg.models.fcn", ()),  # not the chosen network
        ("kseg.streets.rendering", line.COMPONENTS),
        ("pipeline.validation.schema", ("schema_gen", "example_validator")),
        ("pipeline.publishing.fresh_process", ("infra_validator", "pusher")),
        ("pipeline.settings.crf", ("evaluator", "pusher")),
        ("pipeline.predict", ()),
        ("pipeline.run", ()),
    ],
)
def test_an_edited_module_reaches_what_imports_it_and_what_follows(module, components, reached):
    assert store._source(module)
    assert reached(module=module) == components


@pytest.mark.parametrize(("package", "components"), [("h5py", AFTER_TRAINER), ("apache_beam", line.COMPONENTS)])
def test_another_version_of_a_package_reaches_what_imports_it_and_what_follows(package, components, reached):
    assert store._version(package)
    assert reached(package=package) == components


@pytest.mark.parametrize(
    ("setting", "components"),
    [
        ("trainer.epochs=3", AFTER_TRAINER),
        ("evaluator.min_gain=0.2", ("evaluator", "pusher")),
        ("evaluator.refinements=crf", ("evaluator", "pusher")),
        ("trainer.crf=auto", AFTER_TRAINER),
        ("pusher.keep=2", ("pusher",)),
    ],
)
def test_a_setting_reaches_its_component_and_what_follows(setting, components, tmp_path):
    before, after = fingerprints(tmp_path), fingerprints(tmp_path, "--set", setting)
    assert tuple(name for name in before if before[name] != after[name]) == components


def test_the_code_of_dense_crf_reaches_what_refines_by_it(tmp_path, monkeypatch):
    source = store._source
    for settings, components in (
        ((), ()),
        (("--set", "evaluator.refinements=crf"), ("evaluator", "pusher")),
        (("--set", "trainer.crf=auto"), AFTER_TRAINER),
    ):
        before = fingerprints(tmp_path, *settings)
        with monkeypatch.context() as edited:
            edited.setattr(store, "_source", lambda name: source(name) and source(name) + "\n" * ("densecrf" in name))
            after = fingerprints(tmp_path, *settings)
        assert tuple(name for name in before if before[name] != after[name]) == components


def test_the_content_of_a_file_of_settings_counts_and_not_its_place(tmp_path):
    def of(name, text):
        (tmp_path / name).write_text(text)
        more = "--set", "evaluator.refinements=crf", "--set", f"evaluator.crf={tmp_path / name}"
        return fingerprints(tmp_path, *more)

    one = of("one.json", '{"settings": {"iterations": 3}, "model": "a"}')
    assert of("two.json", '{"settings": {"iterations": 3}, "model": "b"}') == one
    other = of("one.json", '{"settings": {"iterations": 4}, "model": "a"}')
    assert tuple(name for name in one if one[name] != other[name]) == ("evaluator", "pusher")
