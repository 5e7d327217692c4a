"""The wheel of this checkout, and an environment that has nothing else of it."""

import pathlib
import subprocess
import sys
import sysconfig

from tests.conftest import ROOT


def copy_checkout(folder: pathlib.Path) -> pathlib.Path:
    """Copies the files that git knows and that packages are built from, so that building leaves nothing behind here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name.startswith(("kseg/", "pipeline/")) or name in ("setup.py", "pyproject.toml", "README.md"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return folder


def build_wheel(source, folder: pathlib.Path) -> pathlib.Path:
    """Builds the wheel of a checkout or source distribution into an empty folder, by the packages that are installed."""
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, str(source)], capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_environment(folder: pathlib.Path) -> pathlib.Path:
    """Makes a virtual environment with the packages that are installed here, but without kseg; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "installed_elsewhere.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def install_wheel(wheel: pathlib.Path, python: pathlib.Path):
    """Installs a wheel in the environment of an interpreter, in place of another version."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--force-reinstall",
    ]
    subprocess.run([*pip, "--quiet", str(wheel)], check=True)
