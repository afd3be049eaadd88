"""Places that are no Ray cluster, and what the rest of muslin has to do with Ray: nothing."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from muslin.distributed import open_executor
from muslin.errors import ExecutionError, MissingPartError
from refusals import refuses

pytest.importorskip("ray")


def test_address_without_a_cluster_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"ray://127.0.0.1:{listening.getsockname()[1]}"
    reason = "Connection refused"
    with refuses("cluster_unreachable", ExecutionError, address=address, reason=reason), open_executor(address):
        pass


def test_machine_without_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with refuses("cluster_not_here", ExecutionError), open_executor("ray"):
        pass


@pytest.mark.parametrize(
    "where",
    [
        "",
        "Ray",
        "ray://",
        "ray://head:port",
        "ray://head:70000",
        "ray://head:0",
        "ray://head/folder",
        "ray://a@head",
        "ray://:b@head",
        "ray://head#a",
        "ray://[::1",
        "ray://\u0130..\u0130",
        f"ray://{'h' * 64}",
    ],
)
def test_malformed_addresses_are_refused(where: str) -> None:
    with refuses("executor_unknown", ExecutionError, value=where), open_executor(where):
        pass


def test_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with refuses("extra_not_installed", MissingPartError, extra="ray"), open_executor("ray://head:10001"):
        pass


@pytest.mark.parametrize("program", ["import muslin.cli", "import muslin.distributed", "import muslin.sklearn"])
def test_nothing_imports_ray_unasked(program: str) -> None:
    code = f"import sys; {program}; sys.exit('ray' in sys.modules or 'grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
