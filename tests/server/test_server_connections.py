"""HTTP/1.1 as the server speaks it: heads, odd requests, and what goes over the wire."""

import json
import socket
from contextlib import suppress

import pytest

from server_process import WAIT_S, Served, gray

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: %b\r\nContent-Type: image/png\r\n"


def exchange(served: Served, *pieces: bytes) -> bytes:
    """What the server sends until it closes the connection."""
    host, _, port = served.address.removeprefix("http://").partition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:
        with suppress(ConnectionError):  # closed before all was sent
            for piece in pieces:
                connection.sendall(piece)
        with suppress(ConnectionError):  # which it was then also told after the response
            while chunk := connection.recv(65536):
                received += chunk
    return received


def host_of(served: Served) -> bytes:
    return served.address.removeprefix("http://").encode()


@pytest.mark.parametrize("request_bytes", [b"\x16\x03\x01\x02\x00", b"INVENTED / HTTP/1.1\r\n\r\n", b"GET / \r\n\r\n"])
def test_what_is_no_http_is_refused_as_json(served: Served, request_bytes: bytes) -> None:
    response = exchange(served, request_bytes, b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "http_malformed"' in response


@pytest.mark.parametrize("line", [b"X: %b" % (80_000 * b"x"), 3000 * b"X-Header: 0123456789 01234\r\n"])
def test_head_that_is_too_large_is_refused(served: Served, line: bytes) -> None:
    response = exchange(served, b"GET /v1/models HTTP/1.1\r\n" + line)
    assert response.startswith(b"HTTP/1.1 431 ")


def test_requests_sent_together_are_answered_in_order(served: Served) -> None:
    image = gray(60)
    head = HEAD % host_of(served)
    one = head + b"Content-Length: %d\r\n\r\n%b" % (len(image), image)
    bad = head + b"Content-Length: 1\r\n\r\nx"
    last = head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(image), image)
    response = exchange(served, one + bad + one + last)
    statuses = [part[:3] for part in response.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"415", b"200", b"200"]


def test_chunked_body_and_expect_continue_are_understood(served: Served) -> None:
    image = gray(60)
    head = HEAD % host_of(served) + b"Connection: close\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (10, image[:10], len(image) - 10, image[10:])
    response = exchange(served, head, chunks)
    assert response.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b'"results": [' in response


def test_trailer_is_no_header(served: Served) -> None:
    infer = b"POST /v2/models/small/infer HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n" % host_of(served)
    inputs = [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [60] * 64}]
    body = json.dumps({"inputs": inputs}).encode()
    chunks = b"%x\r\n%b\r\n0\r\nInference-Header-Content-Length: 0\r\n\r\n" % (len(body), body)
    assert exchange(served, infer + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "beside", [b"0\r\nX: " + 400_000 * b"x", b"0\r\n" + 20_000 * b"X: 0123456789\r\n", b"1;" + 400_000 * b"x"]
)
def test_more_beside_a_body_than_in_it_is_refused(served: Served, beside: bytes) -> None:
    response = exchange(served, HEAD % host_of(served) + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", beside)
    assert response.startswith(b"HTTP/1.1 400 ")


def test_chunks_of_a_byte_are_refused(served: Served) -> None:
    head = HEAD % host_of(served) + b"Transfer-Encoding: chunked\r\n\r\n"
    response = exchange(served, head, *10 * [5_000 * b"1\r\nx\r\n"])
    assert response.startswith(b"HTTP/1.1 400 ")


def test_both_lengths_of_a_body_are_refused(served: Served) -> None:
    head = HEAD % host_of(served) + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    assert exchange(served, head).startswith(b"HTTP/1.1 400 ")


def test_head_request_has_no_body(served: Served) -> None:
    request = b"HEAD /v1/models HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host_of(served)
    response = exchange(served, request)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.endswith(b"\r\n\r\n")
    assert response.count(b"\r\n\r\n") == 1


def test_many_requests_for_another_protocol_are_all_answered(served: Served) -> None:
    upgrade = b"GET /v2 HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" % host_of(served)
    last = b"GET /v2 HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host_of(served)
    assert exchange(served, 1500 * upgrade + last).count(b"HTTP/1.1 200 ") == 1501


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_request_for_another_protocol_is_answered_in_http_1(served: Served, protocol: bytes, is_chunked: bool) -> None:
    image, upgrade = gray(60), b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n" % protocol
    framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(image), image)
    if not is_chunked:
        framed = b"Content-Length: %d\r\n\r\n%b" % (len(image), image)
    upgraded = HEAD % host_of(served) + upgrade + framed
    last = HEAD % host_of(served) + b"Connection: close\r\n" + framed
    for pieces in ([upgraded, upgraded, last], [upgraded[:90], upgraded[90:-20], upgraded[-20:] + upgraded + last]):
        statuses = [part[:3] for part in exchange(served, *pieces).split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"200", b"200"]
