"""The server's own description is complete, every response is as described, and bad input is refused on every route."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from described_calls import check_description

from muslin.server.openapi import OPERATIONS
from server_process import WAIT_S, Served, gray, running_server

TOKEN = "a-long-random-text"
CALLS, LONG_CALLS = 3, 500
"""Per route and kind; or, with other values, LONG_TOTAL of all together."""

LONG_TOTAL = 100_000
PARTS = 12
"""Of the long form, so that it has all processor cores. The short form is the first."""


@pytest.fixture(scope="module")
def guarded(small_model: Path) -> Iterator[Served]:
    with running_server(f"m={small_model}", "--token", TOKEN, "--root-path", "/shop") as server:
        server.client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield server


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, PARTS))])
def test_every_response_is_as_described(guarded: Served, is_long: bool, part: int) -> None:
    digest = guarded.client.get("/v1/models/m").json()["digest"]
    names = {"ModelName": ["m"], "Digest": [digest]}
    found = dict(check_description(guarded.address, names, TOKEN, LONG_CALLS if is_long else CALLS, part))
    assert set(found) == {" ".join(operation) for operation in OPERATIONS}
    seed = part
    while is_long and sum(map(Counter.total, found.values())) < LONG_TOTAL // PARTS:
        seed += PARTS
        for route, statuses in check_description(guarded.address, names, TOKEN, LONG_CALLS, seed):
            found[route] += statuses
    for route, statuses in found.items():
        assert statuses, route
        assert route.startswith("POST") or statuses[200], route


def test_the_description_names_the_path_prefix(guarded: Served) -> None:
    for path in ("/openapi.json", "/shop/openapi.json"):
        document = httpx.get(guarded.address + path, trust_env=False).json()  # without a token
        assert document["servers"] == [{"url": "/shop"}]
        assert set(document["paths"]) == {path for _, path in OPERATIONS}


def test_other_methods_are_refused_with_those_that_are_allowed(guarded: Served) -> None:
    for path in {path for _, path in OPERATIONS}:
        known = path.replace("{name}", "m").replace("{version}", "1")
        for method in ("DELETE", "OPTIONS", "PUT", "TRACE", "PATCH"):
            response = guarded.client.request(method, known)
            allowed = set(response.headers.get("allow", "").split(", ")) - {"HEAD"}
            assert (response.status_code, allowed) == (405, {m for m, other in OPERATIONS if other == path}), path
            assert response.json()["error"]


def test_predictions_are_as_described(guarded: Served) -> None:
    schema = guarded.client.get("/openapi.json").json()["components"]["schemas"]
    image = guarded.predict(gray(9), b"no image").json()["results"]
    files = [("product[a]", ("1.png", gray(9))), ("product[a]", ("2.png", b"no")), ("product[b]", ("3.png", b"no"))]
    product = guarded.client.post("/v1/predict", files=files).json()["results"]
    for results, name in ((image, "ImageResult"), (product, "ProductResult")):
        for result in results:
            assert set(result) == set(schema[name]["properties"])
            for prediction in result["predictions"].values():
                assert set(schema["Prediction"]["required"]) <= set(prediction)
                assert set(prediction) <= set(schema["Prediction"]["properties"])


def test_a_bad_request_to_any_route_leaves_the_server_as_it_was(guarded: Served) -> None:
    bad = [b"", b"\0" * 100, b"{", b"[" * 100_000, b"null", b'{"inputs": 3}', b"--x\r\n" * 1000, b"PK\x03\x04" * 10]
    kinds = ["application/json", "application/octet-stream", "multipart/form-data", "image/jpeg", "text/html", "\xff"]
    kinds += ["multipart/form-data; boundary=x", "multipart/form-data; boundary=" + "y" * 300, "application/x-muslin"]
    for (_, path), operation in OPERATIONS.items():
        if operation.request:
            known = path.replace("{name}", "m").replace("{version}", "1")
            tries_a_model = path == "/v1/models/{name}"  # whatever its kind, in a process of its own
            for content in bad[:4] + bad[-1:] if tries_a_model else bad:
                for kind in kinds[:1] if tries_a_model else kinds:
                    headers = {"Content-Type": kind.encode("latin-1")}
                    response = guarded.client.post(known, content=content, headers=headers)
                    assert 400 <= response.status_code < 500, (path, kind, content[:20])
                    assert response.headers["content-type"] == "application/json"
                    assert response.json()["error"]
    assert guarded.predict(gray(9)).status_code == 200


ODD_REQUESTS = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%ff%00%0a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", ODD_REQUESTS, ids=range(len(ODD_REQUESTS)))
def test_odd_bytes_get_no_answer_that_serves_them(guarded: Served, request_bytes: bytes) -> None:
    host, port = guarded.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), WAIT_S) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4000)
        except TimeoutError:
            raise  # the server neither answers nor closes the connection
        except OSError:
            answer = b""  # the server need not hear out what it refuses
    assert answer or len(request_bytes) > 100_000  # small ones are read to their end
    status = int(answer[9:12] or 400)
    assert status >= 400 or (status == 200 and b"Upgrade" in request_bytes)  # an offer, which is not taken
    assert b"root:" not in answer
    assert b"Traceback" not in answer
    assert guarded.client.get("/v2/health/live").status_code == 200
