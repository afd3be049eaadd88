"""Models that are replaced while a real server runs, by requests and by their files."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from muslin.data.dataset import Target
from muslin.models.bundle import open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from muslin.server.openapi import SCHEMAS
from server_process import WAIT_S, Served, gray, running_server
from small_models import small_bundle

TOKEN = "a-token-of-tests"
HEADERS = {"authorization": f"Bearer {TOKEN}"}
CLASSES = {
    "first": ("Trouser", "Shirt", "Bag"),
    "second": ("Dress", "Coat", "Sandal"),
    "third": ("Boot", "Cap", "Scarf"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three models with classes of their own, by name."""
    folder = tmp_path_factory.mktemp("files")
    for name, classes in CLASSES.items():
        seal(small_bundle(Target("label", classes)), folder / f"{name}.muslin")
    return {name: folder / f"{name}.muslin" for name in CLASSES}


@pytest.fixture(scope="module")
def digests(files: dict[str, Path]) -> dict[str, str]:
    return {name: prediction_digest(open_bundle(path)) for name, path in files.items()}


@pytest.fixture
def served(request: pytest.FixtureRequest, files: dict[str, Path], tmp_path: Path) -> Iterator[Served]:
    """A server with a token of a copy of the first model, `shop/clothes.muslin`; its parameter are its workers."""
    path = shop_file(tmp_path)
    path.parent.mkdir()
    shutil.copy(files["first"], path)
    words = [str(path), "--log", "json", "--workers", str(getattr(request, "param", 1))]
    with running_server(*words, environment={"MUSLIN_TOKEN": TOKEN}) as server:
        server.client.headers.update(HEADERS)
        yield server


alone_and_in_two_workers = pytest.mark.parametrize("served", [1, 2], ids=["one process", "two workers"], indirect=True)


def shop_file(folder: Path) -> Path:
    return folder / "shop" / "clothes.muslin"


def post(server: Served, content: bytes) -> httpx.Response:
    return server.client.post("/v1/models/clothes", content=content)


def used_digests(server: Served) -> set[str]:
    """The digests that responses name, on connections of their own, so that each worker is likely to be among them."""
    with httpx.Client(base_url=server.address, headers=HEADERS, trust_env=False) as client:
        found = [client.get("/v1/models/clothes", headers={"connection": "close"}).json() for _ in range(16)]
    return {model["digest"] for model in found}


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@alone_and_in_two_workers
def test_posted_model_is_served_by_all_and_lies_on_disk(
    served: Served, files: dict[str, Path], digests: dict[str, str], tmp_path: Path
) -> None:
    response = post(served, files["second"].read_bytes())
    assert response.status_code == 200
    assert (response.json()["digest"], response.json()["former_digest"]) == (digests["second"], digests["first"])
    assert response.json().keys() == SCHEMAS["ReplacedModel"]["properties"].keys()
    assert used_digests(served) == {digests["second"]}
    assert served.predict(gray(250)).json()["results"][0]["predictions"]["label"]["label"] == "Sandal"
    path = shop_file(tmp_path)
    assert path.read_bytes() == files["second"].read_bytes()
    kept = path.with_name(f"clothes.{digests['first'][:16]}.muslin")
    assert kept.read_bytes() == files["first"].read_bytes()
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, kept.name}


def test_response_names_the_model_that_was_served_last(
    served: Served, files: dict[str, Path], digests: dict[str, str]
) -> None:
    """Another one came while this one was being sent."""

    def slowly() -> Iterator[bytes]:
        yield b""
        assert post(served, files["second"].read_bytes()).status_code == 200
        yield files["third"].read_bytes()

    response = httpx.post(
        f"{served.address}/v1/models/clothes", content=slowly(), headers=HEADERS, timeout=WAIT_S, trust_env=False
    )
    assert (response.json()["digest"], response.json()["former_digest"]) == (digests["third"], digests["second"])


def test_bad_model_leaves_the_old_one(served: Served, digests: dict[str, str], files: dict[str, Path]) -> None:
    content = files["second"].read_bytes()
    for bad in (b"", b"not a model", content[: len(content) // 2]):
        response = post(served, bad)
        assert response.status_code == 422
        assert response.json()["error"]["params"]["path"] == "clothes"
    assert used_digests(served) == {digests["first"]}


def test_model_with_other_golden_images_is_refused(served: Served, digests: dict[str, str], tmp_path: Path) -> None:
    bundle = small_bundle()
    wrong = {name: values[::-1] for name, values in bundle.golden_probabilities.items()}
    seal(replace(bundle, golden_probabilities=wrong), tmp_path / "wrong.muslin")
    response = post(served, (tmp_path / "wrong.muslin").read_bytes())
    assert (response.status_code, response.json()["error"]["code"]) == (422, "golden_mismatch")
    assert used_digests(served) == {digests["first"]}


def test_model_whose_file_cannot_be_written_is_refused(
    served: Served, files: dict[str, Path], digests: dict[str, str], tmp_path: Path
) -> None:
    folder = shop_file(tmp_path).parent
    folder.rename(tmp_path / "moved")
    folder.touch()
    response = post(served, files["second"].read_bytes())
    assert (response.status_code, response.json()["error"]["code"]) == (409, "path_occupied")
    assert str(tmp_path) not in response.text
    assert used_digests(served) == {digests["first"]}


@alone_and_in_two_workers
def test_hangup_reads_files_that_changed(
    served: Served, files: dict[str, Path], digests: dict[str, str], tmp_path: Path
) -> None:
    path = shop_file(tmp_path)
    shutil.copy(files["third"], path)
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: used_digests(served) == {digests["third"]})
    path.write_bytes(b"not a model")
    served.process.send_signal(signal.SIGHUP)
    said = served.process.stderr
    assert said
    assert any('"model_kept"' in line for line in said)  # ends with the first such line
    assert used_digests(served) == {digests["third"]}
    shutil.copy(files["first"], path)
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: used_digests(served) == {digests["first"]})


def test_unknown_model_is_not_replaced(served: Served, files: dict[str, Path]) -> None:
    response = served.client.post("/v1/models/shoes", content=files["second"].read_bytes())
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_unknown")


def test_server_without_a_token_replaces_nothing(files: dict[str, Path], digests: dict[str, str]) -> None:
    with running_server(str(files["first"])) as server:
        response = server.client.post("/v1/models/first", content=files["second"].read_bytes())
        assert (response.status_code, response.json()["error"]["code"]) == (403, "replace_without_token")
        assert server.client.get("/v1/models/first").json()["digest"] == digests["first"]


def test_replaced_models_leave_no_threads(served: Served, files: dict[str, Path]) -> None:
    def threads() -> int:
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        return int(re.findall(r"Threads:\s+(\d+)", status)[0])

    counts = []
    for name in ("second", "third") * 5:
        assert post(served, files[name].read_bytes()).status_code == 200
        assert served.predict(gray(200)).status_code == 200
        counts.append(threads())
    assert counts[-1] < counts[0] + 8, counts  # asyncio has threads of its own
