"""The checker on a server of others: MLServer, in an environment of its own."""

import json
import os
import shutil
import socket
import subprocess
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from muslin.oip_check import check_server
from muslin.oip_check.connection import Server
from muslin.oip_check.outcomes import RuleBrokenError

MLSERVER = "mlserver==1.7.1"

BREAKS = {
    "error.not_json": "has no error",  # {"detail": …}
    "error.unknown_output": "status 200",
    "error.too_few": "text/plain",
    "infer.id": "status 500",  # of an id with other letters than ASCII's
}
"""Rules that this version breaks, each tried by hand with curl, and a part of what the checker says."""

KEEPS = ("health.live", "model.tensors", "infer.response", "infer.batch", "infer.concurrent", "error.recovery")


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlserver")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", MLSERVER], check=True, env=without_muslin())
    port = write_settings(folder / "served")
    command = [folder / "env/bin/mlserver", "start", "."]
    environment = without_muslin() | {"PYTHONPATH": str(folder / "served")}
    with subprocess.Popen(command, cwd=folder / "served", env=environment, stdout=subprocess.DEVNULL) as process:
        server = Server(f"http://127.0.0.1:{port}")
        try:
            wait_until_ready(server)
            yield server
        finally:
            process.terminate()


def write_settings(folder: Path) -> int:
    """The folder that MLServer serves; its port."""
    shutil.copytree(Path(__file__).parent / "mlserver_model", folder)
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ports.append(listening.getsockname()[1])
    named = dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True))
    (folder / "settings.json").write_text(json.dumps(named | {"host": "127.0.0.1", "parallel_workers": 0}))
    model = {
        "name": "sums",
        "implementation": "sums.Sums",
        "platform": "numpy",
        "inputs": [{"name": "rows", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "statistics", "datatype": "FP32", "shape": [-1, 3]}],
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    return int(ports[0])


def wait_until_ready(server: Server) -> None:
    for _ in range(300):
        try:
            if server.get("/v2/models/sums/ready").status == 200:
                return
        except RuleBrokenError:
            pass
        time.sleep(0.2)
    raise AssertionError("MLServer is not ready")


def without_muslin() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.long
def test_checker_finds_what_mlserver_keeps_and_breaks(mlserver: Server) -> None:
    report = check_server(mlserver)
    found = {result.rule.name: result for result in report.results}
    assert not report.conforms
    assert report.models == ("sums",)
    assert {name: found[name].outcome for name in KEEPS} == dict.fromkeys(KEEPS, "passed")
    for name, part in BREAKS.items():
        assert found[name].outcome == "failed"
        assert part in found[name].detail
