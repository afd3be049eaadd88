"""Hosts in network namespaces of this machine, with a real Ray cluster across them.

```
 desk          head          2             3        namespaces, with Ray on all but the desk
  │eth0         │eth0        │eth0         │eth0    198.51.100.N, of TEST-NET-2 (RFC 5737)
  └──── bridge in a namespace of its own ──┘        nothing leads out of it
```

Each host has a network, a home folder, a small disk and a small /dev/shm of its own, and sees none of the folders that
are hidden from it, so that nothing can be shared by a path.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
TASKS = Path(__file__).parent
PREFIX = "muslin-test-"

QUICK_HEALTH = {
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_raylet_start_wait_time_s": "150",
}
"""A host that does not respond is dead after 5 s, not after Ray's half minute; one that starts slowly can go on."""


class Host:
    """One host. Its processes are those in its network namespace.

    Attributes:
        address: in 198.51.100.0/24.
        folder: its disk, as it sees it; `home` is in it.
    """

    def __init__(self, namespace: str, number: int, folder: Path, hidden: Sequence[Path]) -> None:
        self.namespace, self.address, self.folder = namespace, f"198.51.100.{number}", folder
        self._hidden = hidden
        folder.mkdir()

    def command(self, words: Sequence[object], disk_mb: int = 0) -> list[str]:
        """`words` as they are run on this host; with a disk, in a new view of the file system."""
        inside = ["set -e"]
        if disk_mb:
            inside += [f"mount -t tmpfs -o size={disk_mb}m none {self.folder}", f"mkdir {self.folder}/home"]
            inside += ["mount -t tmpfs -o size=400m none /dev/shm"]
            inside += [f"mount -t tmpfs -o size=4k none {hidden}" for hidden in self._hidden]
        inside += ['exec "$@"']
        shell = ["bash", "-c", "\n".join(inside), "bash"]
        return ["ip", "netns", "exec", self.namespace, *shell, *map(str, words)]

    @property
    def network(self) -> int:
        """The number of its network namespace, as its processes see it."""
        return os.stat(f"/run/netns/{self.namespace}").st_ino

    def pids(self) -> list[int]:
        return _pids(self.namespace)

    def inside(self, words: Sequence[object]) -> list[str]:
        """`words` as they are run in the view of the file system that the host's Ray has."""
        return ["nsenter", f"--target={self.pids()[0]}", "--mount", "--net", *map(str, words)]

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        _end_processes(self.namespace)


class Cluster:
    """Hosts with Ray. `desk` is one without, on which commands are run.

    Args:
        folder: for the hosts' disks; its path must be short, because Ray's sockets are in it.
        hidden: folders that no host but the desk sees.
        environment: of Ray's processes, beside the usual.
        head_processors: 0 for a head that does not work itself.
    """

    def __init__(
        self,
        folder: Path,
        hidden: Sequence[Path] = (),
        environment: dict[str, str] | None = None,
        head_processors: int = 1,
        disk_mb: int = 300,
    ) -> None:
        self._folder, self._hidden, self._disk_mb = folder, list(hidden), disk_mb
        self._environment = environment or {}
        self._head_processors = head_processors
        self._names = f"{PREFIX}{os.getpid()}-{folder.name}-"
        self._starting: dict[Host, subprocess.Popen[bytes]] = {}
        self.hosts: list[Host] = []
        _ip("netns", "add", self._names + "net")
        _ip("-n", self._names + "net", "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._names + "net", "link", "set", "bridge", "up")
        self.desk = self._new_host()
        self.head = self._new_host()

    @property
    def address(self) -> str:
        """For `--on`."""
        return f"ray://{self.head.address}:10001"

    def start(self, workers: int) -> None:
        """Start Ray on the head and on so many hosts more."""
        self.start_head()
        for _ in range(workers):
            self.begin_host()
        self.wait()

    def start_head(self, port: int = 6379) -> None:
        """Start Ray on the head, and wait until others can join."""
        words = ["--head", f"--port={port}", "--include-dashboard=false", "--no-monitor"]
        self._begin_ray(self.head, words, self._head_processors)
        knock = f"import socket; socket.create_connection(('{self.head.address}', {port}), 1)"
        while subprocess.run(self.desk.command([sys.executable, "-c", knock]), capture_output=True).returncode:
            if self._starting[self.head].poll() is not None:
                self.wait()
            time.sleep(0.3)

    def begin_host(self, environment: dict[str, str] | None = None) -> Host:
        """A new host, which joins the cluster with another environment; `wait` waits for it."""
        host = self._new_host()
        self._begin_ray(host, [f"--address={self.head.address}:6379"], 1, environment)
        return host

    def add_host(self, environment: dict[str, str] | None = None) -> Host:
        """A new host that has joined the cluster."""
        host = self.begin_host(environment)
        self.wait()
        return host

    def wait(self) -> None:
        """Wait until Ray runs on each host that was begun."""
        for host, starting in self._starting.items():
            output, _ = starting.communicate(timeout=180)
            assert starting.returncode == 0, (host.address, output.decode())
        self._starting.clear()

    def forget(self, host: Host) -> None:
        """A host on which Ray did not start."""
        self._starting.pop(host)

    def fill_disk(self, host: Host) -> None:
        fill = ["dd", "if=/dev/zero", f"of={host.folder}/fill", "bs=1M"]
        assert b"No space left" in subprocess.run(host.inside(fill), capture_output=True).stderr

    def kill_host(self, host: Host) -> None:
        """Take a host away: its network first, so that nobody is told."""
        self.cut(host)
        host.kill()

    def cut(self, host: Host) -> None:
        _ip("-n", host.namespace, "link", "set", "eth0", "down")

    def heal(self, host: Host) -> None:
        _ip("-n", host.namespace, "link", "set", "eth0", "up")

    def workers(self) -> list[int]:
        """The processes of all hosts that work for a command."""
        return [pid for host in self.hosts for pid in host.pids() if _words(pid).startswith(b"ray::Actor")]

    def popen(self, words: Sequence[object], **options: object) -> subprocess.Popen[bytes]:
        """A command on the desk."""
        return subprocess.Popen(self.desk.command(words), **({"env": self.environment(self.desk)} | options))  # type: ignore[call-overload]

    def environment(self, host: Host) -> dict[str, str]:
        home = self._folder / "desk" if host is self.desk else host.folder / "home"
        return self._environment | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": f"{SOURCES}:{TASKS}",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def end(self) -> None:
        """Leave nothing behind: no process, namespace or folder."""
        for host in self.hosts:
            host.kill()
        for starting in self._starting.values():
            starting.wait()
            if starting.stdout:
                starting.stdout.close()
        for name in _namespaces():
            if name.startswith(self._names):
                _ip("netns", "delete", name)

    def _new_host(self) -> Host:
        number = len(self.hosts) + 1
        namespace, net = f"{self._names}{number}", f"{self._names}net"
        _ip("netns", "add", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", net, "link", "add", f"host{number}", "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", net, "link", "set", f"host{number}", "master", "bridge", "up")
        folder = self._folder / (str(number) if self.hosts else "desk")
        host = Host(namespace, number, folder, self._hidden)
        _ip("-n", namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        self.hosts.append(host)
        return host

    def _begin_ray(
        self, host: Host, words: Sequence[str], processors: int, environment: dict[str, str] | None = None
    ) -> None:
        quiet = ["--disable-usage-stats", "--include-log-monitor=false"]
        memory = [f"--num-cpus={processors}", "--object-store-memory=120000000"]
        place = [f"--node-ip-address={host.address}", f"--temp-dir={host.folder}"]
        command = host.command(
            ["python", "-m", "ray.scripts.scripts", "start", *words, *place, *memory, *quiet], self._disk_mb
        )
        self._starting[host] = subprocess.Popen(
            command,
            env=self.environment(host) | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def ray_cluster(workers: int = 1, **options: object) -> Iterator[Cluster]:
    """A running cluster of a head and so many hosts more. Skips the test where namespaces cannot be made.

    Args:
        workers: hosts beside the head.
        options: see Cluster.
    """
    _skip_where_impossible()
    _remove_left_overs()
    folder = Path(tempfile.mkdtemp(prefix="mc", dir="/tmp"))
    cluster = None
    try:
        cluster = Cluster(folder, **options)  # type: ignore[arg-type]
        cluster.start(workers)
        yield cluster
    finally:
        if cluster:
            cluster.end()
        shutil.rmtree(folder)


def _skip_where_impossible() -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("network namespaces are made by root on Linux")
    if not shutil.which("ip"):
        pytest.skip("network namespaces are made by `ip` (Debian: iproute2)")
    probe = f"{PREFIX}{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this system lets us make no network namespace: {made.stderr.strip()}")
    _ip("netns", "delete", probe)


def _remove_left_overs() -> None:
    """What a test run that was killed left behind."""
    for name in _namespaces():
        found = re.match(rf"{PREFIX}(\d+)-(\w+)-", name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _end_processes(name)
            _ip("netns", "delete", name)
            shutil.rmtree(f"/tmp/{found[2]}", ignore_errors=True)


def _pids(namespace: str) -> list[int]:
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
    return [int(word) for word in listed.stdout.split()]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _end_processes(namespace: str) -> None:
    while pids := _pids(namespace):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _namespaces() -> list[str]:
    return [line.split()[0] for line in _ip("netns", "list").splitlines() if line]


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout
