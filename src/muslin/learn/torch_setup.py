"""How torch uses this machine: threads, precision, and memory kept between steps."""

import ctypes
import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

from muslin.errors import StorageError
from muslin.machine import physical_cores, processor
from muslin.storage.atomic import cache_folder, write_atomically


@dataclass(frozen=True)
class ComputeSettings:
    """How training computes: recorded in a run, and used again when the run resumes.

    Attributes:
        threads: number of CPU threads.
        precision: of convolutions in training; weights and predictions are always float32.
        memory_reused: whether the allocator keeps freed memory (glibc only).
    """

    threads: int
    precision: Literal["float32", "bfloat16"]
    memory_reused: bool


def keep_memory(threshold_bytes: int = 2**31 - 1, padding_bytes: int = 256 << 20) -> bool:
    """Make glibc keep large freed blocks for the next step instead of returning them to the system.

    Otherwise every training step pays for fresh memory page by page, which costs more than its arithmetic (measured:
    docs/explanation/speed.md). Returns False where the C library is not glibc.

    Args:
        threshold_bytes: larger blocks are returned at once; the default is the maximum of mallopt.
        padding_bytes: requested beyond the need whenever the heap grows.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    mmap_threshold, trim_threshold, top_pad = -3, -1, -2  # as in malloc.h
    options = {mmap_threshold: threshold_bytes, trim_threshold: threshold_bytes, top_pad: padding_bytes}
    results = [library.mallopt(option, value) for option, value in options.items()]
    return all(result == 1 for result in results)


def choose_compute_settings(threads: int | None = None) -> ComputeSettings:
    """The fastest settings on this machine; measured once, then cached in muslin's cache folder.

    The cache key is processor, torch version and number of threads, so the same machine always chooses the same
    settings, and the same seed gives the same weights.
    """
    threads = threads or physical_cores()
    instructions = torch.backends.cpu.get_cpu_capability()
    key = f"{processor()}|{instructions}|torch {torch.__version__}|{threads} threads"
    cache_file = cache_folder() / "compute.json"
    cached: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        cached |= json.loads(cache_file.read_text(encoding="utf-8"))
    if cached.get(key) not in ({"precision": "float32"}, {"precision": "bfloat16"}):
        cached[key] = {"precision": _faster_precision(threads)}
        with suppress(StorageError):  # measured again next time
            write_atomically(cache_file, json.dumps(cached, indent=2))
    precision = cached[key]["precision"]
    return ComputeSettings(threads, "bfloat16" if precision == "bfloat16" else "float32", keep_memory())


@contextmanager
def threads_of_libraries(count: int) -> Iterator[None]:
    """During the block, torch and NumPy's linear algebra use `count` threads: sums are split in the same places."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def restore_torch_settings() -> Iterator[None]:
    """Restore afterwards what `apply_compute_settings` sets, which holds for the whole process."""
    threads, flushes_denormals = torch.get_num_threads(), sys.float_info.min / 2 == 0
    deterministic = torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes_denormals)
        torch.set_deterministic_debug_mode(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


def apply_compute_settings(compute: ComputeSettings) -> None:
    """Set torch up, the same way every time."""
    torch.set_num_threads(compute.threads)
    torch.set_flush_denormal(True)
    # the same as use_deterministic_algorithms(True), which imports torch's compiler: 2 s
    torch.set_deterministic_debug_mode("error")
    # a guard against faults in other code, which costs 6 % of the time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if compute.memory_reused:
        keep_memory()


def _faster_precision(threads: int) -> str:
    """bfloat16 if the processor supports it and a convolution is clearly faster with it."""
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "float32"  # emulated, it would be hundreds of times slower
    images = torch.ones(256, 32, 14, 14).contiguous(memory_format=torch.channels_last)
    kernels = torch.ones(64, 32, 3, 3, requires_grad=True)
    seconds = {"float32": float("inf"), "bfloat16": float("inf")}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for precision in [*seconds] * 8:
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            F.conv2d(images, kernels, padding=1).float().sum().backward()  # type: ignore[no-untyped-call]
        seconds[precision] = min(seconds[precision], time.perf_counter() - start)
    torch.set_num_threads(before)
    # only if clearly faster: else noise would make the same machine choose differently
    return "bfloat16" if seconds["bfloat16"] < 0.8 * seconds["float32"] else "float32"
