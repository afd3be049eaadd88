"""This computer, as far as it affects speed. Imports nothing heavy."""

import os
import platform
from pathlib import Path


def description() -> dict[str, str | int | float]:
    """Processor, cores, memory and system: what a reader of a measured time needs."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": processor(),
        "cores": physical_cores(),
        "memory_gb": round(memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The processor's name, from the system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def physical_cores() -> int:
    """Number of cores that this process can use; two threads of a core count once where the system reports them."""
    try:
        allowed = os.sched_getaffinity(0)
        topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(topology.format(cpu)).read_text() for cpu in allowed})
    except (AttributeError, OSError):
        return os.cpu_count() or 1
