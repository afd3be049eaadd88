"""64 silent and up to 1,000 slow clients take no place, no memory and no descriptors from a person at the studio."""

import http.client
import json
import re
from pathlib import Path

import pytest
from slow_clients import PATIENCE_S, slow_clients

from muslin.studio.connections import MAX_CONNECTIONS
from studio_server import studio_process, write_shop

N_SILENT = 64
SLOW_PER_ROUND = 5  # 1,000 in 200 rounds
MAX_MB = 400


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


def answer(studio: str, method: str, path: str, body: bytes = b"", token: str = "") -> bytes:
    """The content of a response, which must be the one asked for."""
    connection = http.client.HTTPConnection(studio, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"X-Muslin-Token": token})
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        return content
    finally:
        connection.close()


def memory_mb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) >> 10


def test_slow_clients_take_nothing_from_a_person(shop: Path, rounds: int) -> None:
    with studio_process(shop) as (address, process):
        studio = address.removeprefix("http://")
        found = re.search(rb'muslin-token" content="([^"]+)"', answer(studio, "GET", "/"))
        assert found
        token = found[1].decode()
        inspection = {"model": "first.muslin", "image": "file:noise.png"}
        before = answer(studio, "POST", "/api/predict", json.dumps({"inspection": inspection}).encode(), token)
        with slow_clients(studio, token, N_SILENT, SLOW_PER_ROUND * rounds) as clients:
            for round_number in range(rounds):
                for client in clients:
                    client.step()
                answer(studio, "GET", "/api/models")
                edited = inspection | {"image_edits": {"brightness": round_number / rounds}}
                answer(studio, "POST", "/api/predict", json.dumps({"inspection": edited}).encode(), token)
                answer(studio, "POST", "/api/images", (shop / "noise.png").read_bytes(), token)
                assert memory_mb(process.pid) < MAX_MB
                assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 2 * MAX_CONNECTIONS + 64
        after = answer(studio, "POST", "/api/predict", json.dumps({"inspection": inspection}).encode(), token)
        assert after == before
