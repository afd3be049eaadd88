"""What the processes of a server use, and their end, for `http_servers.py`."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process and those that it started to end, and kill those that do not."""
    all_processes = processes(process.pid)
    for number, wait_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for pid in reversed(all_processes):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.perf_counter() + wait_s
        while time.perf_counter() < until and (process.poll() is None or any(map(is_alive, all_processes[1:]))):
            time.sleep(0.05)


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return _stat(pid)[0] != "Z"
    return False


def processes(pid: int) -> list[int]:
    """A process and those that it started, and so on."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name of the command."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processor_s(pid: int) -> float:
    """Processor time of the threads that a process, and those that it started, have now."""
    nanoseconds = 0
    for each in processes(pid):
        for file in Path(f"/proc/{each}/task").glob("*/schedstat"):
            with suppress(OSError):
                nanoseconds += int(file.read_text().split()[0])
    return nanoseconds / 1e9


def memory_mb(pid: int) -> float:
    """What a process and those that it started have for themselves, and once what they share with any other."""
    private, shared = 0, [0]
    for each in processes(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            private += sizes["Private_Clean"] + sizes["Private_Dirty"]
            shared.append(sizes["Shared_Clean"] + sizes["Shared_Dirty"])
    return (private + max(shared)) * 1024 / 1e6
