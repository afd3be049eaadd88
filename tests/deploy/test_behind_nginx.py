"""muslin behind a real nginx with the configuration that `deploy/nginx.conf` has, over TLS and under a path."""

import http.client
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from muslin.models.bundle import seal
from muslin.oip_check import check_server
from muslin.oip_check.connection import Server
from server_process import gray, running_server
from small_models import small_bundle, with_calibration

CONFIGURATION = Path(__file__).parents[2] / "deploy/nginx.conf"

TOKEN = "from-the-tests"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own, with its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example,DNS:localhost"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem"


def started_nginx(folder: Path, backend: str, certificate: Path) -> tuple[subprocess.Popen[bytes], int]:
    """nginx with `deploy/nginx.conf`, of which only addresses and files are others."""
    port = free_port()
    site = CONFIGURATION.read_text()
    for old, new in {
        "127.0.0.1:8000;": f"{backend.removeprefix('http://')};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server_name shop.example;": "server_name localhost;",
        "/etc/ssl/certs/shop.example.pem": str(certificate),
        "/etc/ssl/private/shop.example.key": str(certificate.with_name("key.pem")),
    }.items():
        assert old in site
        site = site.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    main = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{\naccess_log off;\n{paths}\n{site}\n}}\n")
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.Popen([nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]), port


@pytest.fixture(scope="module")
def proxied(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of muslin's server behind nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    seal(with_calibration(small_bundle()), folder / "small.muslin")
    words = ("--root-path", "/muslin", "--trust-proxy", "127.0.0.1", "--allow-host", "localhost")
    with running_server(str(folder / "small.muslin"), *words, environment={"MUSLIN_TOKEN": TOKEN}) as served:
        nginx, port = started_nginx(folder, served.address, certificate)
        try:
            wait_for(port)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            trusted = ssl.create_default_context(cafile=certificate)
            address = f"https://localhost:{port}/muslin"
            with httpx.Client(base_url=address, verify=trusted, headers=headers, trust_env=False) as client:
                yield client
        finally:
            nginx.terminate()
            nginx.wait(10)


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def test_predictions_come_through_nginx(proxied: httpx.Client) -> None:
    reply = proxied.post("/v1/predict", files={"image": ("a.png", gray(200))})
    assert reply.status_code == 200
    assert reply.json()["model"] == "small"


def test_a_request_without_token_is_refused_behind_nginx(proxied: httpx.Client) -> None:
    reply = proxied.post("/v1/predict", files={"image": ("a.png", gray(200))}, headers={"Authorization": ""})
    assert (reply.status_code, reply.json().keys()) == (401, {"error"})


def test_metrics_and_replacements_stay_inside(proxied: httpx.Client) -> None:
    assert proxied.get("/metrics").status_code == 403
    assert proxied.post("/v1/models/small", content=b"x").status_code == 403
    assert proxied.get("/v1/models/small").status_code == 200


def test_a_body_over_the_limit_is_refused_by_nginx(proxied: httpx.Client, certificate: Path) -> None:
    limit = re.search(r"client_max_body_size (\d+)m", CONFIGURATION.read_text())
    assert limit
    trusted = ssl.create_default_context(cafile=certificate)
    connection = http.client.HTTPSConnection("localhost", proxied.base_url.port, context=trusted, timeout=10)
    connection.putrequest("POST", "/muslin/v1/predict")
    connection.putheader("Content-Length", str(int(limit[1]) * 2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_the_protocol_is_kept_behind_nginx(
    proxied: httpx.Client, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    report = check_server(Server(str(proxied.base_url), {"Authorization": f"Bearer {TOKEN}"}))
    assert report.conforms, "\n".join(report.lines())
