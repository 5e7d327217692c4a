"""Components by name, whose modules are imported when the components run. Standard library only."""

from __future__ import annotations

import importlib
import sys

from pipeline.engine.console import imports, interrupts_kept


def component(name: str):
    """The component of that name; its module is imported when it is called, not before."""

    def call(out, config, **inputs):
        with imports():
            module = importlib.import_module(call.__module__)
            list_devices()
        with interrupts_kept():
            return vars(module)[name](out, config, **inputs)

    call.__name__, call.__module__ = name, f"pipeline.components.{name}"
    return call


def list_devices():
    """Makes TensorFlow, if it is imported, look for devices: it prints, too, the first time, and is to do so within `imports`."""
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].config.list_physical_devices()
