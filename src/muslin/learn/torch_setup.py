"""Making the most of the machine at hand: threads, precision, and memory that is kept between steps."""

import ctypes
import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F

from muslin.errors import StorageError
from muslin.machine import physical_cores, processor
from muslin.storage.atomic import cache_folder, write_atomically


@dataclass(frozen=True)
class ComputeSettings:
    """How the arithmetic is done: recorded in a run, and used again when the run goes on.

    Attributes:
        threads: of the processor.
        precision: of the convolutions' arithmetic in training; weights and predictions are always float32.
        memory_kept: whether the allocator was told to keep freed memory (glibc only).
    """

    threads: int
    precision: Literal["float32", "bfloat16"]
    memory_kept: bool


def keep_memory(threshold_bytes: int = 2**31 - 1, padding_bytes: int = 256 << 20) -> bool:
    """Ask glibc to keep large freed blocks for the next step instead of giving them back to the system.

    Without this every training step pays for fresh memory page by page, which costs more than its arithmetic
    (measured: docs/explanation/speed.md). Does nothing and returns False where the C library is not glibc.

    Args:
        threshold_bytes: larger blocks are given back at once; by default as many as mallopt can be told.
        padding_bytes: asked of the system beyond what is needed, whenever the heap grows.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    mmap_threshold, trim_threshold, top_pad = -3, -1, -2  # as in malloc.h
    options = {mmap_threshold: threshold_bytes, trim_threshold: threshold_bytes, top_pad: padding_bytes}
    taken = [library.mallopt(option, value) for option, value in options.items()]
    return all(answer == 1 for answer in taken)


def choose_compute_settings(threads: int | None = None) -> ComputeSettings:
    """The fastest way to train on this machine; measured once, then remembered in muslin's cache folder.

    The memory is per processor, torch version and number of threads, so the same machine always chooses alike and
    the same seed gives the same weights.
    """
    threads = threads or physical_cores()
    instructions = torch.backends.cpu.get_cpu_capability()
    key = f"{processor()}|{instructions}|torch {torch.__version__}|{threads} threads"
    remembered_at = cache_folder() / "compute.json"
    remembered = _remembered(remembered_at)
    if key not in remembered:
        remembered[key] = {"precision": _faster_precision(threads)}
        with suppress(StorageError):  # measured again next time
            write_atomically(remembered_at, json.dumps(remembered, indent=2))
    precision = remembered[key]["precision"]
    return ComputeSettings(threads, "bfloat16" if precision == "bfloat16" else "float32", keep_memory())


@contextmanager
def restore_torch_settings() -> Iterator[None]:
    """Put back afterwards what `apply` sets: it holds for the whole process, where other people compute too."""
    threads, flushes_denormals = torch.get_num_threads(), sys.float_info.min / 2 == 0
    deterministic = torch.are_deterministic_algorithms_enabled()
    only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes_denormals)
        torch.use_deterministic_algorithms(deterministic, warn_only=only_warns)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def apply_compute_settings(compute: ComputeSettings) -> None:
    """Set torch up as `engine` says, the same way every time."""
    torch.set_num_threads(compute.threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)
    # a guard against other people's faults that costs 6 % of the time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if compute.memory_kept:
        keep_memory()


def _remembered(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _faster_precision(threads: int) -> str:
    """bfloat16 where the processor computes with it and a convolution is a good deal faster for it."""
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "float32"  # emulated, it would be hundreds of times slower
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = {dtype: _convolution_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    finally:
        torch.set_num_threads(before)
    # a clear win only: near the line, noise would make the same machine choose differently
    return "bfloat16" if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else "float32"


def _convolution_seconds(dtype: torch.dtype) -> float:
    images = torch.ones(256, 32, 14, 14).contiguous(memory_format=torch.channels_last)
    kernels = torch.ones(64, 32, 3, 3, requires_grad=True)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            F.conv2d(images, kernels, padding=1).float().sum().backward()  # type: ignore[no-untyped-call]
        best = min(best, time.perf_counter() - start)
    return best


def compute_settings_from_dict(values: dict[str, object]) -> ComputeSettings:
    """The Engine that `asdict` wrote into a run."""
    known = {name: values[name] for name in asdict(ComputeSettings(1, "float32", False))}
    return ComputeSettings(**known)  # type: ignore[arg-type]
