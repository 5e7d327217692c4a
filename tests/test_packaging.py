"""What is built from setup.py: the wheel, the source distribution for Beam's workers, and the small install in a clean venv."""

import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tests.built_wheels import build_wheel, copy_checkout
from tests.conftest import ROOT
from tests.kseg.test_extras import FAILING, SCRIPT, distribution, extras


@pytest.fixture
def checkout(tmp_path) -> pathlib.Path:
    """A copy of this checkout."""
    return copy_checkout(tmp_path / "checkout")


def requirements(wheel: pathlib.Path) -> set[str]:
    """Names of the packages that the wheel requires without any extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    rows = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    return {row.partition("<")[0].partition(">")[0].lower() for row in rows if "extra ==" not in row}


def test_the_wheel_has_the_report_templates_the_command_and_the_small_requirements(checkout, tmp_path):
    wheel = build_wheel(checkout, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "kseg = kseg.__main__:main" in archive.read(entry_points).decode()
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.j2")}
    assert {name for name in names if name.endswith(".j2")} == templates
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline" / "server" / "page").iterdir()}
    assert len(page) > 5 and page <= set(names)
    assert not [name for name in names if name.startswith("tests/")]
    assert requirements(wheel) == {"tensorflow", "keras", "numpy", "pillow"}


def test_workers_that_get_the_package_by_setup_file_get_the_packages_of_the_pipeline(checkout, tmp_path, monkeypatch):
    from apache_beam.runners.portability.stager import Stager

    from pipeline.examples.runner_options import pipeline_options

    monkeypatch.delenv("KSEG_FOR_WORKERS", raising=False)
    plain = Stager._build_setup_package(str(checkout / "setup.py"), str(tmp_path))
    with tarfile.open(plain) as archive:
        assert not any(name.endswith("/for_workers") for name in archive.getnames())
    pathlib.Path(plain).unlink()

    pipeline_options([f"--setup_file={checkout / 'setup.py'}"])
    built = Stager._build_setup_package(str(checkout / "setup.py"), str(tmp_path))
    monkeypatch.delenv("KSEG_FOR_WORKERS")  # a worker does not have it
    wheel = build_wheel(built, tmp_path)
    assert {"tensorflow", "apache-beam", "tensorflow-datasets", "simplejpeg", "scipy", "jinja2"} <= requirements(wheel)


def test_the_lock_covers_every_extra():
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert {distribution(requirement) for listed in extras().values() for requirement in listed} <= locked
    for name in (
        "tensorflow",
        "keras",
        "numpy",
        "pillow",
        "apache-beam",
        "google-crc32c",
        "jinja2",
        "rich",
        "tensorboard",
    ):
        assert name in locked


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_clean_environment_with_the_small_install_trains_exports_and_names_extras(checkout, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(ROOT / "requirements.lock"), str(checkout)], check=True)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([python, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    listed = run("-m", "pip", "list", "--format=freeze").stdout.lower()
    assert "tensorflow==" in listed and not any(name in listed for name in ("beam", "scipy", "scikit", "datasets"))
    done = run("-c", "import sys\n" + SCRIPT, str(tmp_path))
    assert done.stdout.endswith("done\n"), done.stderr
    assert (tmp_path / "exported" / "saved_model.pb").is_file()
    kseg = str(tmp_path / "venv" / "bin" / "kseg")
    assert subprocess.run([kseg], capture_output=True, text=True, check=True).stdout.startswith("usage: kseg COMMAND")
    refused = subprocess.run([kseg, "run"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "pip install 'kseg[pipeline]'" in refused.stderr
    for name, code in FAILING.items():
        assert f"pip install 'kseg[{name}]'" in run("-c", code).stderr.splitlines()[-1]
