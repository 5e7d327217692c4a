"""The command `kseg`: it lists and runs the commands, names the missing extra, and completes in a real bash."""

import subprocess
import sys

import pytest

from kseg import __main__ as command
from tests.conftest import ROOT


def in_process(*arguments: str, code: str = "") -> subprocess.CompletedProcess:
    """Runs `kseg` in a fresh process; `code` comes first."""
    script = f"import sys\n{code}\nfrom kseg.__main__ import main\nstatus = main({list(arguments)!r})\n"
    script += (
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'apache_beam') if m in sys.modules])\nsys.exit(status)"
    )
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_alone_it_lists_the_commands_without_importing_a_framework(arguments):
    done = in_process(*arguments)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]"
    for name in ("inspect", "run", "predict", "suggest", "serve", "tune-crf", "lineage", "gc", "completion"):
        assert sum(line.startswith(f"  {name} ") for line in done.stdout.splitlines()) == 1


def test_python_dash_m_answers():
    done = subprocess.run(
        [sys.executable, "-m", "kseg", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.1.0\n"


@pytest.mark.parametrize("name", command.COMMANDS)
def test_each_command_is_the_one_of_the_pipeline_under_its_own_name(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: kseg {name} ")


def test_arguments_and_exit_status_are_passed_on(tmp_path, capsys):
    assert command.main(["lineage", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: A pushed version must hold its lineage.")


def test_an_unknown_command_or_shell_is_refused(capsys):
    assert command.main(["tune_crf", "x"]) == 2
    assert capsys.readouterr().err == (
        "error: Unknown command 'tune_crf'. Received: kseg tune_crf x. Did you mean 'tune-crf'?\n"
    )
    assert command.main(["completion"]) == 2
    assert "must be one of bash, zsh, fish" in capsys.readouterr().err


def test_a_missing_extra_is_named_before_any_work():
    hide = "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name: None if name == 'scipy' else find(name)"
    done = in_process("run", "--explain", code=hide)
    assert (done.returncode, done.stderr) == (
        2,
        "error: `kseg run` requires the extra `pipeline`. Received: no package scipy. "
        "Install it with `pip install 'kseg[pipeline]'`.\n",
    )
    done = in_process("serve", "nowhere", code=hide)
    assert "`kseg serve` requires the extra `serve`. Received: no package scipy." in done.stderr
    assert in_process("gc", "--root", "nowhere", code=hide).stderr.startswith(
        "error: --root must be the folder of a store."
    )


@pytest.fixture(scope="module")
def scripts():
    done = {}
    for shell in ("bash", "zsh", "fish"):
        arguments = [sys.executable, "-m", "kseg", "completion", shell]
        done[shell] = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return done


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {"inspect", "run", "predict", "suggest", "serve", "tune-crf", "lineage", "gc", "completion"}),
        ("pre", {"predict"}),
        ("run --mod", {"--model"}),
        ("run --model f", {"fcn8s", "fcn16s", "fcn32s", "fpn"}),
        ("run --model unet --st", {"--strategy"}),
        ("run --from tr", {"transform", "trainer"}),
        ("run --set trainer.epo", {"trainer.epochs="}),
        ("predict --flips horizontal v", {"vertical"}),
        ("predict --average probabilities --reg", {"--regions"}),
        ("predict --regions ", {"csv", "json", "geojson", "coco"}),
        ("run --data setup.p", {"setup.py"}),
        ("gc --del", {"--delete"}),
        ("serve --lo", {"--log"}),
        ("serve --log ", {"text", "json"}),
        ("inspect --sh", {"--show"}),
        ("inspect --show ki", {"kitty"}),
        ("inspect setup.p", set()),  # nothing of ours, so bash completes files
        ("inspect ", set()),
    ],
)
def test_bash_completes_commands_options_and_values(words, expected, scripts):
    line = f"kseg {words}".split(" ")
    quoted = " ".join(f"'{word}'" for word in line)
    probe = f"COMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}; _kseg; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(
        ["bash", "--norc", "-c", scripts["bash"] + probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == expected and not done.stderr


def test_zsh_uses_the_script_of_bash_and_fish_has_a_line_per_option(scripts):
    assert scripts["zsh"].endswith(scripts["bash"]) and "bashcompinit" in scripts["zsh"]
    rows = [row for row in scripts["fish"].splitlines() if "__fish_seen_subcommand_from run'" in row]
    (model,) = (row for row in rows if " -l model " in row)
    assert " -x -a '" in model and " unet'" in model and model.endswith("; default: auto; streets: unet)'")
    assert len(rows) == scripts["bash"].split("run) COMPREPLY=($(compgen -W '")[1].split("'")[0].count("--")
