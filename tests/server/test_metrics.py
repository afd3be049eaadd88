"""What Prometheus reads of a server, in one process and in several."""

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from muslin.server.metrics import COUNTS
from server_process import WAIT_S, Served, gray, running_server

Values = Mapping[str, float]


def read_metrics(client: httpx.Client, **headers: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The labels and values of each metric; the text must be as Prometheus wants it."""
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def total(metrics: Any, name: str, **labels: str) -> float:
    """The sum of the values with these labels."""
    rows = metrics.get(f"muslin_{name}", [])
    return sum(value for of, value in rows if all(of.get(label) == wanted for label, wanted in labels.items()))


@pytest.fixture(scope="module")
def server(small_model: Path):
    with running_server(f"m={small_model}") as served:
        yield served


def test_requests_decisions_and_classes_are_counted(server: Served) -> None:
    response = server.predict(gray(10), gray(128), gray(250), b"no image")
    results = response.json()["results"]
    assert server.predict(b"no image").status_code == 415
    assert server.client.get("/v1/models/gone").status_code == 404
    assert server.client.get("/ada@example.com").status_code == 404
    assert server.client.post("/v1/predict", headers={"Host": "evil.example"}).status_code == 421
    metrics = read_metrics(server.client)
    assert total(metrics, "errors_total", route="/v1/predict", code="host_unknown") == 1
    assert total(metrics, "requests_total", route="/v1/predict", method="POST", status="200") == 1
    assert total(metrics, "requests_total", route="/v1/predict", status="415") == 1
    assert total(metrics, "requests_total", route="/v1/models/{name}", status="404") == 1
    assert total(metrics, "requests_total", route="other", status="404") == 1
    assert total(metrics, "errors_total", code="model_unknown") == 1
    assert total(metrics, "unreadable_images_total", model="m", code="not_an_image") == 2
    predictions = [each["predictions"]["label"] for each in results if each["predictions"]]
    for name in ("accept", "review", "out of scope"):
        expected = sum(each["decision"] == name for each in predictions)
        assert total(metrics, "decisions_total", decision=name, model="m", target="label") == expected
    for label, count in Counter(each["label"] for each in predictions).items():
        assert total(metrics, "predicted_classes_total", **{"class": label}) == count
    out = sum(each["decision"] == "out of scope" for each in predictions)
    assert total(metrics, "out_of_scope_ratio", model="m", target="label") == pytest.approx(out / 3)


def test_batches_tell_their_size_their_wait_and_why_they_began(small_model: Path) -> None:
    with running_server(f"m={small_model}", "--max-batch", "2") as server:
        server.predict(*[gray(value) for value in range(5)])
        metrics = read_metrics(server.client)
    assert total(metrics, "batches_total", model="m") == 3
    assert total(metrics, "batches_total", reason="full") >= 1
    assert total(metrics, "batch_images_sum") == 5
    assert total(metrics, "batch_images_bucket", le="2.0") == 3
    assert total(metrics, "batch_wait_seconds_count") == 3
    assert total(metrics, "batch_run_seconds_sum") > 0
    assert 10e6 < total(metrics, "resident_memory_bytes") < 1e9
    for stage in ("receive", "decode", "predict", "respond"):
        assert total(metrics, "stage_duration_seconds_count", stage=stage) == 1


def test_the_protocols_predictions_are_counted_too(server: Served) -> None:
    before = read_metrics(server.client)
    pixels = {"name": "images", "shape": [2, 8, 8, 1], "datatype": "UINT8", "data": [0] * 64 + [255] * 64}
    name = server.client.get("/v2/models/m").json()["inputs"][0]["name"]
    answer = server.client.post("/v2/models/m/infer", json={"inputs": [pixels | {"name": name}]})
    assert answer.status_code == 200, answer.text
    after = read_metrics(server.client)
    assert total(after, "decisions_total") - total(before, "decisions_total") == 2
    assert server.client.post("/v2/models/m/infer", json={}).status_code == 400
    route = "/v2/models/{name}/infer"
    errors = total(read_metrics(server.client), "errors_total", route=route)
    assert errors == 1


def test_a_client_cannot_invent_labels(server: Served) -> None:
    for path in ("/x%0Ay", "/v9/1", "/v1/models/invented"):
        server.client.request("PROPFIND", path, headers={"X-Request-ID": "invented"})
    text = server.client.get("/metrics").text
    assert "invented" not in text
    assert "PROPFIND" not in text
    assert total(read_metrics(server.client), "requests_total", method="other") == 3


def test_histograms_are_cumulative_and_end_with_their_count(server: Served) -> None:
    server.predict(gray(10))
    metrics = read_metrics(server.client)
    for name in (name for name, count in COUNTS.items() if count.bounds):
        rows: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for labels, value in metrics.get(f"muslin_{name}_bucket", []):
            rows.setdefault(tuple((k, v) for k, v in labels.items() if k != "le"), []).append(value)
        assert rows, name
        for key, values in rows.items():
            assert values == sorted(values)
            assert values[-1] == total(metrics, f"{name}_count", **dict(key))


def test_metrics_of_all_workers_are_joined(small_model: Path) -> None:
    with running_server(f"m={small_model}", "--workers", "2") as server:
        for value in range(20):
            with httpx.Client(base_url=server.address, timeout=WAIT_S, trust_env=False) as client:
                files = {"image": ("a.png", gray(value))}
                assert client.post("/v1/predict", files=files).status_code == 200
        wait_until(lambda: total(read_metrics(server.client), "decisions_total") == 20)
        metrics = read_metrics(server.client)
        assert total(metrics, "requests_total", route="/v1/predict") == 20
        assert total(metrics, "request_duration_seconds_count", route="/v1/predict") == 20
        assert total(metrics, "model_workers", model="m") == 2
        for pid in workers_of(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: workers_answer(server.address))
        metrics = read_fresh(server.address)
        assert total(metrics, "decisions_total") == 20  # what the dead have counted stays
        assert total(metrics, "model_workers", model="m") <= 2


def test_workers_that_no_request_has_reached_are_counted(small_model: Path) -> None:
    with running_server(f"m={small_model}", "--workers", "3") as server:
        metrics = read_fresh(server.address)
        assert total(metrics, "model_loads_total", result="loaded") == 3
        assert total(metrics, "model_workers", model="m") == 3


def workers_of(supervisor: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]


def workers_answer(address: str) -> bool:
    try:
        return total(read_fresh(address), "model_loads_total", result="loaded") == 4
    except httpx.HTTPError:
        return False


def read_fresh(address: str):
    with httpx.Client(base_url=address, timeout=WAIT_S, trust_env=False) as client:
        return read_metrics(client)


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
