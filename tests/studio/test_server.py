"""The studio's server as its page, and as those who are not its page, find it: over real connections."""

import http.client
import io
import json
import os
import re
import socket
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from muslin.messages import Message, table
from muslin.models.bundle import seal
from muslin.studio.request_guard import MAX_JSON_BYTES
from muslin.web.page_files import SHARED, page_texts
from small_models import convolving_bundle
from studio_server import running_studio

INSPECTION = {"model": "first.muslin", "image": "golden:0"}


def png(width=40, height=30, colour=(200, 30, 30)):
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").write_bytes(png())
    inside = tmp_path_factory.mktemp("studio") / "shop"
    inside.mkdir()
    kernels = np.arange(2 * 1 * 3 * 3, dtype=np.float32).reshape(2, 1, 3, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    seal(convolving_bundle(kernels, pixels), inside / "first.muslin")
    (inside / "broken.muslin").write_bytes(b"PK no")
    (inside / "red.png").write_bytes(png())
    (inside / "page.jpg").write_bytes(b"<html><script>1</script></html>")
    (inside / ".hidden.png").write_bytes(png())
    (inside / os.fsdecode(b"caf\xe9.png")).write_bytes(png())
    (inside / "notes.txt").write_text("private")
    (inside / "link.png").symlink_to(outside / "secret.png")
    return inside


@pytest.fixture(scope="module")
def studio(folder):
    with running_studio(folder) as address:
        yield address.removeprefix("http://")


def ask(studio, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(studio, timeout=30)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def token(studio):
    return re.search(rb'muslin-token" content="([^"]+)"', ask(studio, "GET", "/")[1])[1].decode()


def post(studio, token, path, body: Any, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(studio, "POST", path, content, x_muslin_token=token, **headers)


def refusal(answer, status):
    """The error in a response; its code says the fault."""
    assert answer[0] == status, answer
    error = json.loads(answer[1])
    assert set(error) == {"code", "message", "hint", "params"}
    assert "/tmp" not in answer[1].decode()
    return error


def numbers(answer):
    assert answer[0] == 200, answer
    (length,) = struct.unpack("<I", answer[1][:4])
    assert (4 + length) % 8 == 0
    header = json.loads(answer[1][4 : 4 + length])
    return header, np.frombuffer(answer[1][4 + length :], header["dtype"])


def test_only_models_and_images_of_the_folder_are_listed(studio):
    models = json.loads(ask(studio, "GET", "/api/models")[1])["models"]
    assert {m["path"] for m in models} == {"first.muslin", "broken.muslin"}
    images = json.loads(ask(studio, "GET", "/api/images")[1])
    assert images == {"images": ["page.jpg", "red.png"], "more": False, "unnamable": 1}


def test_a_models_kernels_are_those_of_its_weights(studio, token):
    about = json.loads(post(studio, token, "/api/model", {"model": "first.muslin"})[1])
    assert about["input"] == [8, 8, 1]
    assert about["golden_images"] == 3
    kernel = next(layer["kernel"] for layer in about["layers"] if layer["name"] == "first")
    assert (kernel["outputs"], kernel["inputs"], kernel["size"]) == (2, 1, [3, 3])
    header, values = numbers(post(studio, token, "/api/kernels", {"inspection": INSPECTION, "layer": "first"}))
    assert (header["outputs"], header["inputs"], header["rows"], header["columns"]) == (2, 1, 3, 3)
    assert values.tolist() == list(range(18))


def test_pixels_come_as_they_are_in_the_file(studio, token):
    header, values = numbers(
        post(
            studio,
            token,
            "/api/pixels",
            {"inspection": INSPECTION | {"image": "file:red.png"}, "step": "upright", "max_px": 64},
        )
    )
    assert (header["rows"], header["columns"], header["channels"]) == (30, 40, 3)
    assert (values.reshape(-1, 3) == [200, 30, 30]).all()


def test_an_upload_is_found_again_as_a_thumbnail(studio, token):
    sent = json.loads(post(studio, token, "/api/images", png(700, 20))[1])
    assert (sent["width"], sent["height"]) == (700, 20)
    status, content, headers = ask(studio, "GET", f"/api/thumbnail?image={sent['image']}&side=64")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert max(Image.open(io.BytesIO(content)).size) == 64


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        png()[:60],
        b"\x00\x00\x00\x18ftypheic....",
    ],
)
def test_uploads_that_are_no_image_are_refused(studio, token, content):
    assert refusal(post(studio, token, "/api/images", content), 415)["message"]


def test_an_upload_beyond_20_mb_is_refused_unread(studio, token):
    answer = post(studio, token, "/api/images", b"\xff" * 10, Content_Length=str(30_000_000))
    error = refusal(answer, 413)
    assert (error["code"], error["params"]) == ("request_size", {"maximum_mb": 20.0})


def test_a_chunked_body_is_cut_off_at_the_limit(studio, token):
    chunks = MAX_JSON_BYTES // 100_000 * [b"x" * 100_000]  # sent without their total
    refusal(ask(studio, "POST", "/api/model", iter(chunks), x_muslin_token=token), 400)  # read, and no JSON
    error = refusal(ask(studio, "POST", "/api/model", iter([*chunks, b"x"]), x_muslin_token=token), 413)
    assert error["code"] == "request_size"


@pytest.mark.parametrize(
    "name",
    ["../outside/secret.png", "/etc/passwd", "notes.txt", ".hidden.png", "link.png", "a/../red.png", "red.png\0",
     "C:\\x.png"],
)  # fmt: skip
def test_no_other_file_of_this_machine_is_read(studio, token, name):
    body = {"inspection": INSPECTION | {"image": f"file:{name}"}, "max_px": 64}
    assert refusal(post(studio, token, "/api/pixels", body), 404)["code"] == "file_not_in_folder"
    assert refusal(post(studio, token, "/api/model", {"model": name}), 404)["code"] == "file_not_in_folder"


def test_a_broken_model_is_named_without_a_path_of_this_machine(studio, token):
    error = refusal(post(studio, token, "/api/model", {"model": "broken.muslin"}), 422)
    assert (error["code"], error["params"]["path"]) == ("bundle_not_zip", "broken.muslin")
    assert error["hint"] == table("en")["bundle_not_zip"]["page_hint"]


def test_errors_come_in_the_language_of_the_page(studio, token):
    for language in ("en", "zh-CN"):
        answer = post(studio, token, "/api/model", {"model": "gone.muslin"}, Accept_Language=language)
        error = Message("file_not_in_folder", name="gone.muslin").to_dict(language[:2])
        assert json.loads(answer[1]) == error


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:8001", ""])
def test_a_foreign_host_name_is_refused(studio, host):
    assert refusal(ask(studio, "GET", "/api/models", Host=host), 421)["code"] == "host_unknown"


def test_pages_of_other_sites_are_refused(studio, token):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        refusal(ask(studio, "GET", "/api/models", **headers), 403)
        refusal(post(studio, token, "/api/images", png(), **headers), 403)
    refusal(ask(studio, "POST", "/api/images", png()), 403)
    refusal(ask(studio, "POST", "/api/images", png(), x_muslin_token="guess"), 403)
    assert ask(studio, "GET", "/api/models", Origin=f"http://{studio}")[0] == 200
    assert ask(studio, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


def test_every_response_carries_the_security_headers(studio):
    for path in ("/", "/static/main.js", "/api/models", "/nowhere"):
        headers = ask(studio, "GET", path)[2]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_invalid_requests_get_a_coded_error(studio, token):
    for body in (b"", b"[", b"[]", b"null", b'{"inspection": 3}', b"[" * 100_000):
        refusal(post(studio, token, "/api/pixels", body), 400)
    for inspection in ({}, {"model": "first.muslin"}, INSPECTION | {"image": 3}, INSPECTION | {"image": "what:1"},
                 INSPECTION | {"image": "golden:99"}, INSPECTION | {"image": "drawing:AAA"},
                 INSPECTION | {"model_edits": 3}, INSPECTION | {"steps": 3}):  # fmt: skip
        refusal(post(studio, token, "/api/pixels", {"inspection": inspection, "max_px": 64}), 400)
    for image in ("upload:gone", "file:gone.png"):
        refusal(post(studio, token, "/api/pixels", {"inspection": INSPECTION | {"image": image}}), 404)
    odd_edits = ([3], [{}], [{"kind": "kernel"}], [{"kind": "channel_off", "layer": "first", "channel": 9}],
                 [{"kind": "kernel", "layer": "first", "output": 0, "input": 0, "values": [["x"]]}],
                 [{"kind": "bias", "layer": "first", "output": 0, "value": 1e400}])  # fmt: skip
    for edits in odd_edits:
        refusal(post(studio, token, "/api/predict", {"inspection": INSPECTION | {"model_edits": edits}}), 400)
    refusal(ask(studio, "GET", "/static/../app.py"), 404)
    refusal(ask(studio, "GET", "/static/none.js"), 404)


def test_the_home_page_is_small(studio):
    waiting, loaded = ["/static/main.js", "/static/home/page.js"], {}
    while waiting:
        name = waiting.pop()
        if name not in loaded:
            loaded[name] = ask(studio, "GET", name)[1]
            code = loaded[name].decode()
            waiting += [urljoin(name, found) for found in re.findall(r'^(?:import|export) .*from "(.+)";', code, re.M)]
    assert "/static/components/dialog.js" in loaded
    other = ["/", "/static/page.css", "/static/studio.css", "/static/colours.css", "/static/texts/en.json"]
    assert sum(map(len, loaded.values())) + sum(len(ask(studio, "GET", path)[1]) for path in other) < 500_000


def test_both_languages_have_all_texts_of_the_pages():
    static = Path(__file__).parents[2] / "src/muslin/studio/static"
    tables = {language: page_texts((SHARED, static), language) for language in ("en", "zh")}
    assert set(tables["en"]) == set(tables["zh"])
    code = "".join(path.read_text() for folder in (SHARED, static) for path in folder.rglob("*.js"))
    used = set(re.findall(r'\bt\(\s*"([^"]+)"', code))
    used |= {f"kernel.{name}" for name in re.findall(r"^  (\w+): \[\[", (static / "kernels.js").read_text(), re.M)}
    assert len(used) > 80
    assert used <= set(tables["en"])
    for key, english in tables["en"].items():
        chinese = tables["zh"][key]
        assert english.strip()
        assert chinese.strip()
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key
        assert re.search(r"[\u4e00-\u9fff]", chinese) or len(english) < 10, key


def connect(studio: str) -> socket.socket:
    host, port = studio.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_silent_connections_hold_no_place_of_others(studio):
    silent = [connect(studio) for _ in range(300)]
    try:
        assert ask(studio, "GET", "/api/models")[0] == 200
        silent[-1].sendall(b"GET /api/models HTTP/1.1\r\nHost: " + studio.encode() + b"\r\n\r\n")
        assert silent[-1].recv(12) == b"HTTP/1.1 200"
        silent[0].settimeout(5)
        assert silent[0].recv(1) == b""  # closed, because it had waited longest
    finally:
        for connection in silent:
            connection.close()


def sent_until_closed(connection: socket.socket, content: bytes) -> int:
    """How many of the bytes, one a second, are sent before the other side closes the connection."""
    connection.settimeout(1)
    for count, byte in enumerate(content):
        try:
            connection.sendall(bytes([byte]))
            if not connection.recv(100):
                return count
        except TimeoutError:
            continue
        except OSError:
            return count
    return len(content)


@pytest.mark.slow
def test_a_request_head_that_comes_too_slowly_is_not_awaited(studio):
    with connect(studio) as connection:
        request = b"GET /api/models HTTP/1.1\r\nX-Slow: " + b"x" * 60
        assert sent_until_closed(connection, request) < len(request)


@pytest.mark.parametrize("text", ["\ud800", "\x1b[2J", "x" * 5000])
def test_any_text_in_a_request_gets_an_answer_in_json(studio, token, text):
    edits = [{"image_edits": {text: 1}}, {"image_edits": {"rotate": text}}, {"model_edits": [text]}]
    edits += [{"model_edits": [{"kind": "bias", "layer": text}]}, {"steps": {text: False}}]
    named = [{"model": text}, {"image": text}, *edits]
    for fields in named:
        status, content, _ = post(studio, token, "/api/predict", {"inspection": INSPECTION | fields})
        assert status < 500
        json.loads(content.decode("utf-8"))
    assert refusal(post(studio, token, "/api/kernels", {"inspection": INSPECTION, "layer": text}), 400)
