"""All commands turn errors and Ctrl-C into the same messages and exit statuses, before any work where they can."""

import importlib
import subprocess
import sys

import pytest

from pipeline.engine import console
from tests.conftest import ROOT

COMMANDS = ("run", "predict", "tune_crf", "lineage", "gc")
REQUIRED = {
    "predict": ["--model", "nowhere", "--input", "x", "--output", "out"],
    "tune_crf": ["--model", "nowhere", "--data", "nowhere"],
    "lineage": ["nowhere"],
}


def command(name: str):
    return importlib.import_module(f"pipeline.{name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_unknown_argument_with_status_2_and_a_suggestion(name, capsys):
    assert command(name).main([*REQUIRED.get(name, []), "--hepl"]) == 2
    assert capsys.readouterr().err.startswith("error: Unknown argument '--hepl'. Received: ")
    known = {"run": "--epochs", "predict": "--overlays", "tune_crf": "--trials", "lineage": "--json", "gc": "--delete"}[
        name
    ]
    assert command(name).main([*REQUIRED.get(name, []), known[:-1]]) == 2
    assert capsys.readouterr().err.endswith(f"Did you mean {known!r}?\n")


@pytest.mark.parametrize("name", ("predict", "tune_crf", "lineage"))
def test_every_command_refuses_missing_arguments_with_status_2(name, capsys):
    assert command(name).main([]) == 2
    assert "Received: none [the following arguments are required: " in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_with_130_after_ctrl_c_and_raises_faults_of_the_program(name, monkeypatch, capsys):
    def parse(_parser, argv):
        raise error

    monkeypatch.setattr("pipeline.engine.arguments.Parser.parse", parse)
    error = KeyboardInterrupt()
    assert command(name).main([]) == 130
    assert capsys.readouterr().err.startswith("\nStopped.")
    error = KeyError("x")
    with pytest.raises(KeyError):
        command(name).main([])


@pytest.mark.parametrize(
    ("name", "arguments", "flag"),
    [
        ("run", ["--root", "{}"], "--root"),
        ("run", ["--root", "runs", "--push-to", "{}"], "--push-to"),
        ("predict", ["--model", "nowhere", "--input", "x", "--output", "{}"], "--output"),
        ("tune_crf", ["--model", "nowhere", "--data", "nowhere", "--output", "{}/crf.json"], "--output"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_anything_else(
    name, arguments, flag, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert command(name).main([argument.format(tmp_path / "file") for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: `{flag}` must be a ") and "file is not a folder]" in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_explain_reads_need_not_be_writable(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert command("run").main(["--explain", "--until", "example_gen", "--root", str(tmp_path / "file" / "runs")]) == 0
    assert "will run: there is no earlier result" in capsys.readouterr().out


def test_a_reader_that_leaves_ends_the_command_without_a_traceback():
    code = "import sys\nfrom pipeline import run\nsys.exit(run.main(['--explain']))"
    script = f'{sys.executable} -c "{code}" | (exec 0<&-; sleep 1); echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("141", "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "apache_beam.io",
            "The package 'apache_beam' must be installed. Received: No module named 'apache_beam.io'. "
            "Install it with `pip install 'kseg[pipeline]'`.",
        ),
        ("kseg.nothing", None),
    ],
)
def test_a_missing_package_names_the_extra_and_a_missing_module_of_ours_has_a_traceback(name, expected, monkeypatch):
    monkeypatch.setattr(console, "raised_by_us", lambda error: True)
    assert console.user_message(ModuleNotFoundError(f"No module named {name!r}", name=name)) == expected


def test_an_error_with_a_status_of_its_own_ends_with_it(capsys, monkeypatch):
    class Lost(console.CommandError):
        exit_status = 4

    def work(_):
        raise Lost("gone")

    monkeypatch.setattr(console, "raised_by_us", lambda error: True)
    assert console.run_command(work, []) == 4
    assert capsys.readouterr().err == "error: gone\n"
