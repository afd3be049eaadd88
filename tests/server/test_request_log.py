"""The log of a server: what it tells, what it never tells, and that nobody waits for its reader."""

import json
import re
import signal
import threading
from pathlib import Path

import httpx
import pytest
from guarded_app import WAIT_S, running_app, settings_of

from muslin.errors import MuslinError
from muslin.messages import Message
from muslin.server.request_log import RequestLog, event_line, fault_frames
from muslin.server.request_record import RequestRecord
from server_process import gray, running_server

TOKEN = "a-long-random-text"
SECRETS = ("ada@example.com", "dress.jpg", TOKEN, "127.0.0.1:", "Mozilla", "shop-product-7")


def lines_of(process) -> list[str]:
    """What a server writes until it has ended."""
    process.send_signal(signal.SIGTERM)
    return process.stderr.read().splitlines()


def test_each_request_is_a_line_of_json_without_a_persons_data(small_model: Path) -> None:
    with running_server(str(small_model), "--log", "json", "--token", TOKEN) as server:
        headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "Mozilla ada@example.com", "X-Request-ID": "a-1"}
        files = [("product[shop-product-7]", ("ada@example.com-dress.jpg", gray(9)))]
        assert server.client.post("/v1/predict", files=files, headers=headers).status_code == 200
        bad = headers | {"X-Request-ID": "ada@example.com"}
        assert server.client.get("/ada@example.com?name=dress.jpg", headers=bad).status_code == 404
        assert server.client.post("/v1/predict?ada@example.com=1", headers=bad, content=b"x").status_code == 400
        assert server.client.get("/v1/models", headers={"Authorization": f"Bearer {TOKEN}x"}).status_code == 401
        assert server.client.get("/v2/health/live").status_code == 200
        text = "\n".join(lines_of(server.process))
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 404, 400, 401]
    first = requests[0]
    assert (first["request_id"], first["route"], first["images"], first["model"]) == ("a-1", "/v1/predict", 1, "small")
    assert set(first["stages"]) == {"receive", "decode", "predict", "respond"}
    assert [line.get("error") for line in requests[1:]] == ["route_missing", "parameter_unknown", "token_wrong"]
    assert not [secret for secret in SECRETS if secret in text]


def test_each_response_carries_its_request_id(small_model: Path) -> None:
    with running_server(str(small_model)) as server:
        for path in ("/v2/health/live", "/v1/models", "/nowhere"):
            assert server.client.get(path, headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
            made = server.client.get(path, headers={"X-Request-ID": "two words"}).headers["x-request-id"]
            assert re.fullmatch("[0-9a-f]{16}", made)


def test_a_log_that_nobody_reads_holds_up_no_request(small_model: Path) -> None:
    with running_server(str(small_model), "--log", "json") as server:
        for number in range(300):  # more than the pipe to this process holds
            response = server.client.get("/nowhere", headers={"X-Request-ID": f"{number:0>64}"})
            assert response.status_code == 404
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(WAIT_S) == 0


def test_a_bug_is_told_by_its_place_and_not_by_its_text() -> None:
    with running_app(settings_of()) as app:
        response = httpx.get(f"http://{app.address}/fail", trust_env=False)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "server_fault")
    faults = [json.loads(line) for line in "\n".join(app.lines).splitlines() if '"fault"' in line]
    assert [fault["error"] for fault in faults] == ["ValueError"]
    assert faults[0]["frames"][-1].startswith("server/guarded_app.py:")
    assert faults[0]["request_id"] == response.headers["x-request-id"]
    assert "ada@example.com" not in response.text + "".join(app.lines)


def test_lines_that_find_no_place_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muslin.server.request_log.MAX_LINES", 2)
    reader, written, dropped = threading.Event(), [], []

    def write(line: str) -> None:
        reader.wait(WAIT_S)
        written.append(line)

    log = RequestLog("text", write, dropped.append)
    for number in range(10):
        log.event(str(number))
    reader.set()
    log.close()
    count = len("\n".join(written).splitlines())
    assert count + sum(dropped) == 10
    assert count <= 4


def test_lines_are_written_in_pieces_that_no_other_process_splits() -> None:
    written: list[str] = []
    log = RequestLog("text", written.append)
    lines = [f"{number} {'x' * (number % 700)}" for number in range(500)]
    for line in lines:
        log.event(line)
    log.close()
    assert "\n".join(written).split("\n") == lines
    assert all(len(text) < 4096 for text in written)
    assert len(written) < 100


def test_a_text_line_names_route_status_and_id() -> None:
    written: list[str] = []
    log = RequestLog("text", written.append)
    record = RequestRecord("POST", "abc")
    record.route, record.status, record.error = "/v1/predict", 413, "request_size"
    log.request(record)
    log.close()
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ  POST  /v1/predict  413  0\.0 ms  request_size  abc", written[0])


def test_an_event_is_a_code_with_its_parameters() -> None:
    line = json.loads(event_line(Message("worker_killed", pid=7)))
    assert (line["event"], line["params"]) == ("worker_killed", {"pid": 7})
    assert json.loads(event_line("serving"))["message"] == "serving"


def test_an_event_to_look_at_is_a_warning() -> None:
    hung, replaced = (
        Message("worker_hung", pid=7, seconds=30.0),
        Message("model_replaced", name="a", digest="d", former="c"),
    )
    events = [Message("worker_killed", pid=7), hung, replaced, "serving"]
    assert [json.loads(event_line(event))["level"] for event in events] == ["warning", "warning", "info", "info"]


def test_frames_name_files_without_their_folders() -> None:
    try:
        raise MuslinError("server_fault")
    except MuslinError as error:
        frames = fault_frames(error)
    assert len(frames) == 1
    assert re.fullmatch(r"server/test_request_log\.py:\d+ test_frames_name_files_without_their_folders", frames[0])
