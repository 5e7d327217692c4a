"""What this machine computes with, without asking a framework. Standard library only."""

from __future__ import annotations

import os
import pathlib
import platform
import resource
import sys


def processor() -> str:
    """Name of the processor; where Linux does not say it, its architecture."""
    lines = _cpuinfo().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def memory() -> int:
    """Memory of the machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory() -> int:
    """Peak resident memory of this program in bytes; where Linux does not count it, perhaps that of its parent."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def accelerators() -> list[str]:
    """Names of NVIDIA's accelerators, as their driver lists them."""
    found = []
    for path in sorted(pathlib.Path("/proc/driver/nvidia/gpus").glob("*/information")):
        names = [line.partition(":")[2].strip() for line in path.read_text().splitlines() if line.startswith("Model")]
        found += names or [path.parent.name]
    return found


def describe() -> dict:
    """Processor, cores that this process may use, memory in bytes."""
    return {"processor": processor(), "cores": cores(), "memory_bytes": memory()}


def kind() -> str:
    """The machine in a line, the same for machines of one kind: processor, cores, memory, accelerators."""
    parts = [processor(), f"{cores()} cores", f"{round(memory() / 2**30)} GiB", *accelerators()]
    return ", ".join(parts)


def mixed_precision() -> str | None:
    """Keras's policy of mixed precision for which the machine has instructions; None: float32 is faster."""
    flags = _cpuinfo()
    known = accelerators() or "avx512_bf16" in flags or "amx_bf16" in flags
    return "mixed_bfloat16" if known else None


def _cpuinfo() -> str:
    """What Linux says of the processors; empty elsewhere."""
    try:
        return pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
