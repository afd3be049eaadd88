"""The systemd unit: systemd finds no fault in it, it is well confined, and the server tells when it is ready."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from muslin.models.bundle import seal
from server_process import running_server
from small_models import small_bundle

UNIT = Path(__file__).parents[2] / "deploy/muslin.service"

MAX_EXPOSURE = 15
"""In tenths of systemd's scale from 0, confined, to 10; most services of Debian have 9 or more."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the path of a program that is here."""
    path = tmp_path / "muslin.service"
    path.write_text(UNIT.read_text().replace("/opt/muslin/bin/muslin", sys.executable))
    return path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("words", [("verify",), ("security", "--offline=true", f"--threshold={MAX_EXPOSURE}")])
def test_systemd_accepts_the_unit(unit: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(["systemd-analyze", *words, unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_the_service_manager_is_told_when_the_server_is_ready(workers: int, tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "small.muslin")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address := str(tmp_path / "notify"))
        manager.settimeout(10)
        words = (str(tmp_path / "small.muslin"), "--workers", str(workers))
        with running_server(*words, environment={"NOTIFY_SOCKET": address}) as served:
            assert manager.recv(100) == b"READY=1"
            assert served.client.get("/v2/health/ready").status_code == 200


def test_a_service_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "small.muslin")
    environment = {"NOTIFY_SOCKET": f"@muslin-{os.getpid()}"}
    with running_server(str(tmp_path / "small.muslin"), environment=environment) as served:
        assert served.client.get("/v2/health/live").status_code == 200


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("mmdebstrap") or os.getuid() != 0, reason="needs mmdebstrap and root")
def test_unit_runs_under_a_systemd_of_its_own(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "small.muslin")
    done = subprocess.run([UNIT.parent / "try-service", tmp_path / "small.muslin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for said in ("model replaced by a request", "reloaded", "after systemd started it again", "Result=success"):
        assert said in done.stdout
