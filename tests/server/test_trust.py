"""What a server must never do to a machine or to a person's data: a test for each line."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from server_process import WAIT_S, Served, gray, running_server

TOKEN = "a-long-random-text"
SECRET = "a text that no client may see"


@pytest.fixture(scope="module")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "secret.png"
    path.write_bytes(gray(9) + SECRET.encode())
    return path


@contextmanager
def listener() -> Iterator[tuple[str, list[object]]]:
    """The address of a socket, and who has connected to it."""
    came: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, address = listening.accept()
                except TimeoutError:
                    continue
                came.append(address)
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.png", came
        finally:
            over.set()
            thread.join(WAIT_S)


def responses_to_names(served: Served, name: str) -> Iterator[httpx.Response]:
    """Responses to a URL or path wherever a request can hold one."""
    client = served.client
    yield client.post("/v1/predict", data={"image": name})
    yield client.post("/v1/predict", files={"image": (None, name.encode())})
    yield client.post("/v1/predict", files={"image": ("a.png", name.encode())})
    yield client.post("/v1/predict", json={"image": name, "url": name})
    yield client.post("/v1/predict", content=name.encode(), headers={"Content-Type": "image/png"})
    yield client.post("/v1/predict", content=b"", headers={"Content-Type": "image/png", "Content-Location": name})
    yield client.post("/v1/predict", params={"image": name}, content=gray(9), headers={"Content-Type": "image/png"})
    yield client.get("/v1/models/" + name.replace("/", "%2F"))
    yield client.get("/static/" + name.replace("/", "%2F"))
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [name]}
    yield client.post("/v2/models/small/infer", json={"inputs": [tensor]})
    external = tensor | {"data": [], "parameters": {"shared_memory_region": name, "content": name}}
    yield client.post("/v2/models/small/infer", json={"inputs": [external]})


def test_no_address_that_a_client_names_is_fetched(served: Served) -> None:
    with listener() as (address, came):
        for response in responses_to_names(served, address):
            assert 400 <= response.status_code < 500
    assert came == []


def test_no_file_that_a_client_names_is_read(served: Served, secret_file: Path) -> None:
    for name in (str(secret_file), f"file://{secret_file}", "../" * 20 + str(secret_file)[1:]):
        for response in responses_to_names(served, name):
            assert 400 <= response.status_code < 500
            assert SECRET not in response.text


@pytest.mark.parametrize(
    "content",
    [b"<html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"GIF89a<script>"],
)
def test_an_upload_never_comes_back(served: Served, content: bytes) -> None:
    response = served.client.post("/v1/predict", files={"image": ("<script>.html", content, "text/html")})
    assert response.status_code == 415
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert content not in response.content


ODD_NAMES = [b"\x1b[2J.png", b"\xff\xfe.png", b"a\x00b.png", b"\xed\xa0\x80.png", "\u202egnp.exe".encode(), b"n" * 5000,
             b"../../etc/passwd", b"=cmd|' /C calc'!A0", b'a\\"b.png']  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_odd_file_names_come_back_as_strict_json_of_bounded_length(served: Served, name: bytes) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = served.client.post("/v1/predict", content=head + gray(9) + b"\r\n--x--\r\n", headers=headers)
    assert response.status_code in (200, 400)
    text = response.content.decode("utf-8")
    json.loads(text, parse_constant=pytest.fail)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert len(text) < 3000


def test_no_response_holds_a_path_a_traceback_or_the_token(small_model: Path) -> None:
    with running_server(f"m={small_model}", "--token", TOKEN) as server:
        server.client.headers["Authorization"] = f"Bearer {TOKEN}"
        responses = [server.client.post("/v1/models/m", content=content) for content in (b"", b"PK", b"no")]
        responses += [server.client.get(path) for path in ("/", "/v1/models", "/v2", "/metrics", "/openapi.json", "/x")]
        responses += [server.client.post("/v2/models/m/infer", content=b"{"), server.predict(b"no image")]
        assert [response.status_code for response in responses] == [422] * 3 + [200] * 5 + [404, 400, 415]
        for response in responses:
            content = response.text + str(response.headers)
            assert TOKEN not in content
            assert str(small_model.parent) not in content
            assert "Traceback" not in content
            assert "site-packages" not in content


def test_pages_of_other_sites_are_told_nothing_and_change_nothing(served: Served) -> None:
    for origin in ("http://evil.example", "null", "http://localhost:3000"):
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/predict"), ("OPTIONS", "/v1/predict")):
            response = served.client.request(method, path, headers={"Origin": origin}, content=gray(9))
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers
    for host in ("evil.example", "evil.example:80"):
        assert served.client.get("/v1/models", headers={"Host": host}).status_code == 421


def test_without_a_token_nobody_replaces_a_model(served: Served, small_model: Path) -> None:
    before = small_model.read_bytes()
    assert served.client.post("/v1/models/small", content=before).status_code == 403
    assert small_model.read_bytes() == before


@pytest.mark.parametrize("host", ["0.0.0.0", "shop.example"])
def test_another_address_without_a_token_is_refused_at_start(small_model: Path, host: str) -> None:
    command = [sys.executable, "-m", "muslin", "serve", str(small_model), "--host", host, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert "token" in done.stderr
    assert "http://" not in done.stderr


def test_loopback_is_the_default(served: Served) -> None:
    inodes = {link.readlink().name for link in Path(f"/proc/{served.process.pid}/fd").iterdir() if link.is_symlink()}
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = {row[1].split(":")[0] for row in listening if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}
    assert addresses == {"0100007F"}  # 127.0.0.1


def test_a_server_answers_for_the_address_it_listens_on(small_model: Path) -> None:
    with running_server(str(small_model), "--host", "127.0.0.2") as server:
        assert server.address.startswith("http://127.0.0.2:")
        assert server.client.get("/v1/models").status_code == 200
        assert server.client.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421


def test_a_small_file_that_asks_for_much_is_refused(served: Served) -> None:
    width = (60_000).to_bytes(4, "big")
    bomb = bytearray(gray(9))
    bomb[16:24] = width + width
    response = served.predict(bytes(bomb))
    assert response.status_code == 415
    assert served.predict(gray(9)).status_code == 200


def test_the_token_is_not_in_the_list_of_processes(small_model: Path) -> None:
    with running_server(str(small_model), "--workers", "2", environment={"MUSLIN_TOKEN": TOKEN}) as server:
        assert server.client.get("/v1/models").status_code == 401
        supervisor = server.process.pid
        children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
        for pid in (supervisor, *children):
            assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
