"""Which modules of ours run functions while a component works; the arguments are those of `pipeline.run`.

    python -m tests.pipeline.engine.executed MODULES.json --root ... --until evaluator

Writes the names of the modules by component to the JSON file. All modules are imported first, so that what runs on import is not
seen; what modules of `code_digests.NEUTRAL` call is left out. Python's profiler sees every call in every thread of this process.
"""

import collections
import functools
import importlib
import inspect
import json
import pathlib
import sys
import threading

from pipeline import line, run
from pipeline.engine import code_digests
from tests.test_imports import MODULES

ran, at_work = collections.defaultdict(set), []


def note(frame, event, argument):
    """Notes the module of a function that is called while a component works."""
    if event == "call" and at_work and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] in ("kseg", "pipeline") and not is_neutral(frame):
            ran[at_work[-1]].add(name)


def is_neutral(frame) -> bool:
    """Whether a neutral module is at work: this call's, or one further up."""
    while frame:
        name = frame.f_globals.get("__name__", "") or ""
        if any(f"{name}.".startswith(f"{one}.") for one in code_digests.NEUTRAL):
            return True
        frame = frame.f_back
    return False


def observed(component):
    """The component, during which modules are noted."""

    @functools.wraps(component)
    def call(out, config, **inputs):
        at_work.append(component.__name__)
        try:
            component(out, config, **inputs)
        finally:
            at_work.pop()

    return call


if __name__ == "__main__":
    for module in MODULES:
        if not module.endswith("__main__"):
            importlib.import_module(module)
    find = line.component
    line.component = lambda name: observed(find(name))
    threading.setprofile(note)
    sys.setprofile(note)
    status = run.main(sys.argv[2:])
    sys.setprofile(None)
    pathlib.Path(sys.argv[1]).write_text(json.dumps({name: sorted(modules) for name, modules in ran.items()}))
    sys.exit(status)
