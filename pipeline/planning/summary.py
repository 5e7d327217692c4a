"""A plan in a few lines, for the log. Standard library only."""

from __future__ import annotations

from pipeline.planning.choosing import as_minutes


def summarize(plan: dict) -> list[str]:
    """The lines: each choice with its reason, warnings, and what is expected.

    Args:
        plan: content of `plan.json`.
    """
    lines = []
    for choice in plan["choices"]:
        values = ", ".join(f"{name.rpartition('.')[2]}={text}" for name, text in choice["settings"].items())
        lines.append(f"{choice['topic']}: {values}; {choice['reason']}")
        lines += [f"    instead of {other}" for other in choice["considered"]]
    lines += [f"warning: {text}" for text in plan["warnings"]]
    expected = plan["expected"]
    lines.append(
        f"expected: {as_minutes(expected['seconds'])} of training, {expected['steps']:,} steps, "
        f"{expected['passes']:.1f} passes over the training pixels, "
        f"{expected['memory_bytes'] / 2**30:.1f} GiB at most [{plan['machine']}]"
    )
    return lines
