"""What the planner chose for the minutes that were given, with its reasons, beside what became of it."""

from __future__ import annotations

from pipeline.report import text
from pipeline.report.run_files import Run


def contents(run: Run) -> dict | None:
    """The variables of `plan.html.j2`; None where all settings were given."""
    if not run.planned:
        return None
    plan = run.planned
    return {
        "minutes": f"{plan['minutes']:g}",
        "choices": [
            choice | {"settings": [(name.rpartition(".")[2], value) for name, value in choice["settings"].items()]}
            for choice in plan["choices"]
        ],
        "warnings": plan["warnings"],
        "measured": plan["measured"],
        "machine": plan["machine"],
        "expected": text.duration(plan["expected"]["seconds"]),
        "taken": text.duration(run.training["seconds"]),
        "steps": f"{plan['expected']['steps']:,}",
        "passes": f"{plan['expected']['passes']:.1f}",
        "memory": f"{plan['expected']['memory_bytes'] / 2**30:.1f}",
    }
