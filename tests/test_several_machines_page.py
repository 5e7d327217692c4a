"""What docs/several_machines.md tells clusters to run is what the command understands; neither Slurm nor Kubernetes is needed."""

import os
import re
import subprocess

import pytest
import yaml

from pipeline import machines, run
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "several_machines.md").read_text(encoding="utf-8")
STAND_INS = {
    "scontrol": 'test "$*" = "show hostnames node[1-2]" && printf "node1\\nnode2\\n"',
    "srun": 'shift; for number in 0 1; do SLURM_PROCID=$number "$@" || status=$?; done; exit $status',
    "python": 'printf "%s\\t%s\\n" "$TF_CONFIG" "$*"; status=$(head -1 statuses); sed -i 1d statuses; exit $status',
}
"""Of commands that the scripts call; each notes what it was given."""


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def shell(script, folder, statuses, **variables):
    """Runs a script of the page beside the stand-ins, of which `python` ends with one of the statuses after the other.

    Returns:
        The status, and (TF_CONFIG, arguments) of each command.
    """
    for name, body in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "statuses").write_text("".join(f"{status}\n" for status in statuses))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"} | variables
    call = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": 60, "check": False}
    done = subprocess.run(["bash", "-c", script], **call)
    assert not done.stderr, done.stderr
    return done.returncode, [tuple(line.split("\t")) for line in done.stdout.splitlines()]


@pytest.fixture
def understood(monkeypatch):
    """The strategy that the command reads from its arguments; what they name lies on the shared disk."""

    def parse(tf_config, arguments):
        assert arguments[:2] == ["-m", "pipeline.run"]
        monkeypatch.setenv("TF_CONFIG", tf_config)
        config = run.parse(arguments[2:], run.PROG).config
        assert all(str(place).startswith("/shared/") for place in (config.data, config.root, config.push_to))
        return config.trainer.strategy

    return parse


def test_slurm_starts_every_machine_with_its_own_number(tmp_path, understood):
    (script,) = (block for block in blocks("bash") if "srun" in block)
    status, commands = shell(script, tmp_path, [0, 0], SLURM_JOB_NODELIST="node[1-2]")
    found = [machines.this_machine(tf_config) for tf_config, _ in commands]
    assert status == 0 and [machine.name for machine in found] == ["worker 0", "worker 1"]
    assert {tuple(machine.addresses.values()) for machine in found} == {("node1:12345", "node2:12345")}
    assert [machine.is_chief for machine in found] == [True, False]
    assert {understood(tf_config, arguments.split()) for tf_config, arguments in commands} == {"multiworker"}


@pytest.mark.parametrize(("statuses", "ended"), [([4, 137, 4, 4, 0, 0], 0), ([4, 4, 2, 2], 2), (10 * [4], 4)])
def test_slurm_starts_all_again_if_a_machine_was_lost_and_gives_up_otherwise(tmp_path, statuses, ended):
    (script,) = (block for block in blocks("bash") if "srun" in block)
    status, commands = shell(script, tmp_path, statuses, SLURM_JOB_NODELIST="node[1-2]")
    assert status == ended and len(commands) == len(statuses)


@pytest.mark.parametrize("index", ["0", "1"])
def test_a_plain_cluster_starts_each_machine_again_until_it_ends_otherwise(tmp_path, index, understood):
    (script,) = (block for block in blocks("bash") if "srun" not in block)
    status, commands = shell(script, tmp_path, [4, 137, 4, 3], MACHINE=index)
    assert status == 3 and len(commands) == 4 and len(set(commands)) == 1
    tf_config, arguments = commands[0]
    assert machines.this_machine(tf_config).name == f"worker {index}"
    assert understood(tf_config, arguments.split()) == "multiworker"


def test_kubernetes_starts_as_many_pods_as_the_cluster_lists_at_the_names_of_its_service(understood):
    (manifests,) = blocks("yaml")
    service, job = yaml.safe_load_all(manifests)
    pod, name = job["spec"]["template"]["spec"], job["metadata"]["name"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert list(environment) == ["MACHINE", "TF_CONFIG"]  # Kubernetes expands what stands above
    count, port = job["spec"]["completions"], service["spec"]["ports"][0]["port"]
    assert job["spec"]["completionMode"] == "Indexed" and job["spec"]["parallelism"] == count
    assert service["spec"] == service["spec"] | {"clusterIP": "None", "selector": {"job-name": name}}
    assert pod["subdomain"] == service["metadata"]["name"] and container["ports"] == [{"containerPort": port}]
    for index in range(count):
        tf_config = environment["TF_CONFIG"]["value"].replace("$(MACHINE)", str(index))
        machine = machines.this_machine(tf_config)
        assert machine.name == f"worker {index}"
        places = [f"{name}-{number}.{service['metadata']['name']}:{port}" for number in range(count)]
        assert list(machine.addresses.values()) == places
        assert understood(tf_config, [*container["command"][1:], *container["args"]]) == "multiworker"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
