"""This computer, as far as it affects speed. Imports nothing heavy."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")

VECTOR_FLAGS = re.compile(r"s?sse\S*|avx\S*|amx\S*|fma\S*|f16c|asimd\S*|fp\S*hp|sve\S*|sme\S*|bf16|i8mm")
"""Of x86 and Arm, as Linux names them."""

_cores: int | None = None


def description() -> dict[str, str | int | float]:
    """Processor, cores, memory and system: what a reader of a measured time needs."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": processor(),
        "cores": _allowed_cores(),
        "memory_gb": round(memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """The processor's name, from the system."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def return_freed_memory() -> None:
    """Let the C library return freed memory to the system: glibc keeps 40 MB after opening a photo model."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # another C library, or Windows
        ctypes.CDLL(None).malloc_trim(0)


def has_int8_products() -> bool:
    """Whether the processor has instructions that add products of 8-bit numbers in 32 bits, so that 8 bits are fast and
    do not overflow: VNNI of x86, or the dot products of Arm. False where the system does not say."""
    return bool(_flags() & {"avx512_vnni", "avx_vnni", "asimddp"})


VECTOR_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
"""Of x86 and of Arm, as Linux names them: they decide how fast training is."""


def vector_instructions() -> list[str]:
    """Those of VECTOR_INSTRUCTIONS that the processor has; none where the system does not say."""
    flags = _flags()
    return [name for name in VECTOR_INSTRUCTIONS if name in flags]


def instructions() -> list[str]:
    """What libraries choose their arithmetic by, so that the bits of results can depend on it: the processor's maker
    and its instructions for vectors and matrices; its name where the system lists none."""
    flags = sorted(flag for flag in _flags() if VECTOR_FLAGS.fullmatch(flag))
    return [*sorted(_values("vendor_id", "CPU implementer")), *flags] if flags else [processor()]


def _flags() -> set[str]:
    """The processor's flags as Linux lists them; none where the system does not say."""
    return {flag for line in _values("flags", "Features") for flag in line.split()}


def _values(*names: str) -> set[str]:
    try:
        lines = [line.partition(":") for line in CPU_INFO.read_text().splitlines()]
    except OSError:
        return set()
    return {value.strip() for name, _, value in lines if name.strip() in names}


@contextmanager
def limited_cores(count: int | None) -> Iterator[None]:
    """During the block, `physical_cores` is `count`, in all threads of this process; None changes nothing."""
    global _cores
    before = _cores
    _cores = count or before
    try:
        yield
    finally:
        _cores = before


def physical_cores() -> int:
    """Number of cores that this process is to use: those of `limited_cores`, or all that it can use."""
    return _cores or _allowed_cores()


def _allowed_cores() -> int:
    """Number of cores that this process can use; two threads of a core count once where the system reports them."""
    try:
        allowed = os.sched_getaffinity(0)
        topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        return len({Path(topology.format(cpu)).read_text() for cpu in allowed})
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def gpus(root: Path = Path("/"), system: str = "") -> list[str]:
    """The graphics processors on which PyTorch could train, by name, as the system's drivers list them.

    None is started, and no library of theirs is loaded. Graphics inside an ordinary processor do not count: PyTorch
    does not train on most of them.

    Args:
        root: the folder in which `/proc`, `/sys`, `/dev` and `/usr` are looked up.
        system: system and architecture as in `description`; by default this computer's.
    """
    if (system or f"{platform.system()} {platform.machine()}") == "Darwin arm64":
        return ["Apple"]  # each of these processors has one
    return [*_nvidia_gpus(root), *_amd_gpus(root)]


def _nvidia_gpus(root: Path) -> list[str]:
    names = [
        _fields(path).get("Model", "NVIDIA") for path in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    ]
    devices = list(root.glob("dev/nvidia[0-9]*"))
    if not (names or devices) and (root / "dev/dxg").exists() and (root / "usr/lib/wsl/lib/libcuda.so.1").exists():
        devices = [root / "dev/dxg"]  # in Windows' Linux
    return names or ["NVIDIA"] * len(devices)


def _amd_gpus(root: Path) -> list[str]:
    """By ROCm's list of processors, of which those with cores of both kinds are not GPUs of their own."""
    if not (root / "dev/kfd").exists():
        return []
    nodes = [_fields(path) for path in sorted(root.glob("sys/class/kfd/kfd/topology/nodes/*/properties"))]
    return ["AMD" for node in nodes if node.get("cpu_cores_count") == "0" and node.get("simd_count", "0") != "0"]


def _fields(path: Path) -> dict[str, str]:
    """The lines `name: value` or `name value` of a file of the system."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.replace(":", " ", 1).split(maxsplit=1) for line in lines)
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
