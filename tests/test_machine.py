"""What this computer is: a GPU is found by what its driver lists, and by nothing else. And its memory."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from muslin.machine import gpus, return_freed_memory

LINUX = "Linux x86_64"
INFORMATION = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 154\nGPU UUID: \t GPU-1\n"


def write(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_an_nvidia_gpu_is_named_by_its_driver(tmp_path: Path) -> None:
    write(tmp_path, "proc/driver/nvidia/gpus/0000:19:00.0/information", INFORMATION)
    write(tmp_path, "proc/driver/nvidia/gpus/0000:3b:00.0/information", INFORMATION)
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        write(tmp_path, f"dev/{name}")
    assert gpus(tmp_path, LINUX) == ["NVIDIA H200", "NVIDIA H200"]


def test_an_nvidia_gpu_in_a_container_has_no_name(tmp_path: Path) -> None:
    for name in ("nvidia3", "nvidiactl", "nvidia-uvm"):
        write(tmp_path, f"dev/{name}")
    assert gpus(tmp_path, LINUX) == ["NVIDIA"]


def test_a_gpu_is_found_in_linux_on_windows(tmp_path: Path) -> None:
    write(tmp_path, "dev/dxg")
    assert gpus(tmp_path, LINUX) == []  # any graphics of Windows
    write(tmp_path, "usr/lib/wsl/lib/libcuda.so.1")
    assert gpus(tmp_path, LINUX) == ["NVIDIA"]


def test_an_amd_gpu_is_told_from_graphics_in_a_processor(tmp_path: Path) -> None:
    write(tmp_path, "dev/kfd")
    nodes = "sys/class/kfd/kfd/topology/nodes"
    write(tmp_path, f"{nodes}/0/properties", "cpu_cores_count 16\nsimd_count 0\n")
    write(tmp_path, f"{nodes}/1/properties", "cpu_cores_count 8\nsimd_count 32\n")
    assert gpus(tmp_path, LINUX) == []
    write(tmp_path, f"{nodes}/2/properties", "cpu_cores_count 0\nsimd_count 256\n")
    assert gpus(tmp_path, LINUX) == ["AMD"]


def test_a_mac_has_a_gpu_where_pytorch_can_use_it(tmp_path: Path) -> None:
    assert gpus(tmp_path, "Darwin arm64") == ["Apple"]
    assert gpus(tmp_path, "Darwin x86_64") == []


@pytest.mark.parametrize(
    "name",
    [
        "usr/bin/nvidia-smi",  # a package without a GPU
        "dev/nvidiactl",
        "dev/dri/renderD128",
        "dev/kfd",
        "proc/driver/nvidia/version",
        "usr/lib/x86_64-linux-gnu/libcuda.so.1",
    ],
)
def test_a_driver_without_a_gpu_is_no_gpu(name: str, tmp_path: Path) -> None:
    write(tmp_path, name)
    assert gpus(tmp_path, LINUX) == []


def test_the_search_needs_no_torch() -> None:
    program = "import sys; from muslin.machine import gpus; gpus(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries return freed memory themselves, or never"
)
def test_freed_memory_goes_back_to_the_system() -> None:
    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    blocks = [bytes([number % 251]) * 10_000 for number in range(10_000)]
    lowest, highest = blocks[0], blocks[-1]  # between which glibc keeps what is freed
    before = resident_mb()
    del blocks
    return_freed_memory()
    assert resident_mb() < before - 50
    assert len(lowest) == len(highest)
