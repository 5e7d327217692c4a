"""The DAG of docs/airflow.md is valid Python, and its commands run the components in the order of the line."""

import ast
import re
import shlex

import pytest

from pipeline import line, run
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def dag():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "airflow.md").read_text(encoding="utf-8"), re.DOTALL)
    return ast.parse(code)


def constant(dag, name):
    (value,) = (node.value for node in dag.body if isinstance(node, ast.Assign) and node.targets[0].id == name)
    return ast.literal_eval(value)


def test_its_tasks_are_the_components_in_order(dag):
    assert constant(dag, "COMPONENTS") == line.COMPONENTS
    calls = {ast.unparse(node) for node in ast.walk(dag) if isinstance(node, ast.Call)}
    assert "chain(*tasks)" in calls
    (task,) = (call for call in calls if call.startswith("BashOperator"))
    assert f"skip_on_exit_code={run.NOT_BLESSED}" in task


def test_each_command_runs_one_component_with_the_given_settings(dag):
    (command,) = (node.value for node in ast.walk(dag) if isinstance(node, ast.keyword) and node.arg == "bash_command")
    for name in constant(dag, "COMPONENTS"):
        command_line = eval(
            compile(ast.Expression(command), "dag", "eval"), {"RUN": constant(dag, "RUN"), "name": name}
        )
        _, arguments = command_line.split(" -m pipeline.run ")
        argv = shlex.split(arguments)
        config, beam, stages, _ = run.parse(argv)
        assert (config.name, config.example_gen.ignore_value, config.root, beam) == ("camvid", 11, "/srv/runs", [])
        assert stages == line.Stages(first=name, last=name)
