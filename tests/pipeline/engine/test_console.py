"""All commands turn errors and Ctrl-C into the same messages and exit statuses, before any work where they can."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest

from pipeline.engine import console
from tests.conftest import ROOT

COMMANDS = ("run", "predict", "serve", "tune_crf", "lineage", "gc")
REQUIRED = {
    "predict": ["--model", "nowhere", "--input", "x", "--output", "out"],
    "tune_crf": ["--model", "nowhere", "--data", "nowhere"],
    "lineage": ["nowhere"],
    "serve": ["nowhere"],
}


def command(name: str):
    return importlib.import_module(f"pipeline.{name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_unknown_argument_with_status_2_and_a_suggestion(name, capsys):
    assert command(name).main([*REQUIRED.get(name, []), "--hepl"]) == 2
    assert capsys.readouterr().err.startswith("error: Unknown argument '--hepl'. Received: ")
    known = {
        "run": "--epochs",
        "predict": "--overlays",
        "serve": "--versions",
        "tune_crf": "--trials",
        "lineage": "--json",
        "gc": "--delete",
    }[name]
    assert command(name).main([*REQUIRED.get(name, []), known[:-1]]) == 2
    assert capsys.readouterr().err.endswith(f"Did you mean {known!r}?\n")


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("run", ["--root", "a"], ["--root=b"]),
        ("run", ["--follow-links"], ["--follow-links", "false"]),
        ("inspect", ["photos", "--ignore-value", "1"], ["--ignore-value", "1"]),
        ("predict", [], ["--output", "elsewhere"]),
        ("serve", ["--port", "1"], ["--port", "2"]),
        ("tune_crf", [], ["--data", "elsewhere"]),
        ("gc", ["--root", "a"], ["--root", "a"]),
    ],
)
def test_every_command_refuses_an_option_of_one_value_that_is_given_twice(name, first, second, capsys):
    assert command(name).main([*REQUIRED.get(name, []), *first, *second]) == 2
    flag = second[0].split("=")[0]
    assert f"[argument {flag}: may be given only once]" in capsys.readouterr().err


@pytest.mark.parametrize("name", ("predict", "serve", "tune_crf", "lineage"))
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


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("predict", ["--model", "m", "--input", "x", "--output", "/dev/null/x/y"], "[/dev/null is not a folder]"),
        ("predict", ["--model", "m", "--input", "x", "--output", "x" * 256], "[a name of more than 255 bytes]"),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "/dev/null/x.json"], "[/dev/null is not a folder]"),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "/dev/null"], "[it is a pipe, socket or device]"),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "new/"], "[it is a folder]"),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "x" * 251 + ".json"], "of more than 255 bytes]"),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "photo.jpg"], "which holds something else."),
        ("tune_crf", ["--model", "m", "--data", "d", "--output", "other.json"], "which holds something else."),
        ("inspect", ["d", "--output", "photo.jpg"], "which holds something else."),
        ("inspect", [".", "--output", "image.png"], "which holds something else."),
        ("inspect", ["d", "--output", "/dev/null"], "[it is a pipe, socket or device]"),
    ],
)
def test_outputs_that_cannot_be_are_refused_by_name(name, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    assert command(name).main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `--") and message in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"photo.jpg", "other.json", "image.png"}


@pytest.mark.parametrize(
    ("flag", "place"),
    [("--root", "{}/runs"), ("--root", "{}"), ("--root", "{}/images/../x/y"), ("--push-to", "{}/models")],
)
@pytest.mark.parametrize("linked", [False, True])
def test_results_inside_the_data_are_refused_at_the_start(flag, place, linked, photos, tmp_path, monkeypatch, capsys):
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(photos)
    places = {"--root": str(tmp_path / "root"), "--push-to": str(tmp_path / "models")}
    places[flag] = place.format(tmp_path / "link" if linked else ".")
    before = sorted(photos.rglob("*"))
    arguments = ["--data", ".", "--name", "x", *(text for item in places.items() for text in item)]
    assert command("run").main(arguments) == 2
    assert f"error: {flag} must lie outside the data" in capsys.readouterr().err
    assert sorted(photos.rglob("*")) == before


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


def answer_of(code: str, *, user: int | None = None) -> subprocess.CompletedProcess:
    """What a process prints that runs `code` as `work` of a command, as another user where one is given."""
    lines = [
        "import os, pathlib, shutil, sys",
        "from pipeline.engine.console import run_command",
        f"{'pass' if user is None else f'os.setuid({user})'}",
        "def work(_):",
        textwrap.indent(textwrap.dedent(code), "    "),
        "sys.exit(run_command(work, []))",
    ]
    program = compile("\n".join(lines), str(ROOT / "pipeline" / "made_up.py"), "exec")  # as if it were of the pipeline
    assert program
    text = f"exec(compile({chr(10).join(lines)!r}, {str(ROOT / 'pipeline' / 'made_up.py')!r}, 'exec'))"
    return subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("open('{}/nowhere')", "must exist. Received: No such file or directory [{}/nowhere]. Check the path."),
        ("pathlib.Path('{}/file/x').mkdir()", "must be a folder. Received: Not a directory [{}/file/x]."),
        ("pathlib.Path('{}/nowhere').read_text()", "Received: No such file or directory [{}/nowhere]."),
        ("shutil.copyfile('{}/nowhere', '{}/x')", "Received: No such file or directory [{}/nowhere]."),
        ("pathlib.Path('{}').write_text('')", "must not be a folder. Received: Is a directory [{}]."),
        ("open('{}/' + 'x' * 256, 'w')", "at most 255 bytes, and paths 4095. Received: File name too long [{}/xxx"),
        ("open('{}/loop')", "Received: Too many levels of symbolic links [{}/loop]. Remove the link."),
    ],
)
def test_what_the_system_answers_about_a_file_names_the_file_and_a_cure(code, message, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    done = answer_of(code.replace("{}", str(tmp_path)))
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert message.replace("{}", str(tmp_path)) in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to become another user")
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "open('{}/closed')",
            "Files must be readable. Received: Permission denied [{}/closed].",
        ),
        (
            "open('{}/folder/x')",
            "Files must be readable. Received: Permission denied [{}/folder/x].",
        ),
        (
            "open('{}/new', 'w')",
            "Folders must be writable. Received: Permission denied [{}/new]. Choose other ones with",
        ),
    ],
)
def test_permissions_that_are_missing_are_those_that_the_message_names(code, message, tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "closed").write_text("")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder" / "x").write_text("")
    done = answer_of(code.replace("{}", str(tmp_path)), user=65534)
    assert done.returncode == 2 and message.replace("{}", str(tmp_path)) in done.stderr, done.stderr


def test_a_file_that_a_library_of_others_lacks_has_a_traceback():
    try:
        exec(compile("open('/nowhere')", "/elsewhere/site-packages/x.py", "exec"))
    except OSError as error:
        assert console.user_message(error) is None or "Received: No such file" not in console.user_message(error)


@pytest.mark.parametrize("argument", ["--help", "--version", "run", "completion"])
def test_the_command_kseg_ends_with_130_after_ctrl_c(argument, monkeypatch, capsys):
    from kseg import __main__ as kseg_command

    def interrupted(*_):
        raise KeyboardInterrupt

    for name in ("_help", "_missing_packages", "_complete"):
        monkeypatch.setattr(kseg_command, name, interrupted)
    monkeypatch.setattr("builtins.print", interrupted) if argument == "--version" else None
    with monkeypatch.context() as context:
        context.setattr(console, "exit_interrupted", lambda message: 130)
        assert kseg_command.main([argument]) == 130


@pytest.mark.parametrize("arguments", [["run", "--help"], ["--help"], ["completion", "bash"]])
def test_a_reader_that_leaves_the_command_kseg_gets_no_traceback(arguments):
    code = f"import sys\nfrom kseg.__main__ import main\nsys.exit(main({arguments!r}))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode in (0, 141) and done.stderr == ""  # argparse may swallow it
