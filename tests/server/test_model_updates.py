"""Models that are replaced while a real server runs, by requests and by their files."""

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import httpx
import pytest

from muslin.data.dataset import Target
from muslin.messages import Message
from muslin.models import first_run
from muslin.models.bundle import open_bundle, seal
from muslin.models.prediction_digest import prediction_digest
from muslin.server.model_copies import ModelCopies
from muslin.server.model_updates import ModelUpdates
from muslin.server.models import ModelTable, open_model
from muslin.server.openapi import SCHEMAS
from muslin.server.settings import Settings
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


@dataclass(frozen=True)
class Shop:
    """A server with a token of the model `shop/clothes.muslin`.

    Attributes:
        path: of the model's file.
        workers: how many processes.
    """

    server: Served
    path: Path
    workers: int

    def post(self, content: bytes) -> httpx.Response:
        return self.server.client.post("/v1/models/clothes", content=content)

    def hang_up(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)

    def used_digests(self) -> set[str]:
        """The digests that responses name, on connections of their own, so that each worker is likely among them."""
        with httpx.Client(base_url=self.server.address, headers=HEADERS, trust_env=False, timeout=WAIT_S) as client:
            found = [client.get("/v1/models/clothes", headers={"connection": "close"}).json() for _ in range(16)]
        return {model["digest"] for model in found}

    def refused_files(self) -> int:
        """How many times a file was not used: one of a request, or by a worker one on the disk."""
        metrics = self.server.client.get("/metrics").text
        return sum(map(int, re.findall(r'muslin_model_loads_total{.*result="refused"} (\d+)', metrics)))


@pytest.fixture(scope="module")
def shops(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Shop]]:
    """Gives the shop with a number of workers; tests share it, because a start takes seconds."""
    with ExitStack() as stack:

        @cache
        def shop_of(workers: int) -> Shop:
            path = tmp_path_factory.mktemp("shop") / "shop" / "clothes.muslin"
            path.parent.mkdir()
            shutil.copy(files["first"], path)
            words = (str(path), "--workers", str(workers))
            server = stack.enter_context(running_server(*words, environment={"MUSLIN_TOKEN": TOKEN}))
            server.client.headers.update(HEADERS)
            return Shop(server, path, workers)

        yield shop_of


@pytest.fixture
def shop(
    request: pytest.FixtureRequest, shops: Callable[[int], Shop], files: dict[str, Path], digests: dict[str, str]
) -> Shop:
    """A shop that serves the first model; its parameter are its workers."""
    shop = shops(getattr(request, "param", 1))
    if shop.server.client.get("/v1/models/clothes").json()["digest"] != digests["first"]:
        assert shop.post(files["first"].read_bytes()).status_code == 200
    return shop


alone_and_in_two_workers = pytest.mark.parametrize("shop", [1, 2], ids=["one process", "two workers"], indirect=True)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@alone_and_in_two_workers
def test_posted_model_is_served_by_all_and_lies_on_disk(
    shop: Shop, files: dict[str, Path], digests: dict[str, str]
) -> None:
    response = shop.post(files["second"].read_bytes())
    assert response.status_code == 200
    assert (response.json()["digest"], response.json()["former_digest"]) == (digests["second"], digests["first"])
    assert response.json().keys() == SCHEMAS["ReplacedModel"]["properties"].keys()
    assert shop.used_digests() == {digests["second"]}
    assert shop.server.predict(gray(250)).json()["results"][0]["predictions"]["label"]["label"] == "Sandal"
    assert shop.path.read_bytes() == files["second"].read_bytes()
    kept = shop.path.with_name(f"clothes.{digests['first'][:16]}.muslin")
    assert kept.read_bytes() == files["first"].read_bytes()
    names = {shop.path.name, *(f"clothes.{digest[:16]}.muslin" for digest in digests.values())}
    assert {entry.name for entry in shop.path.parent.iterdir()} <= names


def test_response_names_the_model_that_was_served_last(
    shop: Shop, files: dict[str, Path], digests: dict[str, str]
) -> None:
    """Another one came while this one was being sent."""

    def slowly() -> Iterator[bytes]:
        yield b""
        assert shop.post(files["second"].read_bytes()).status_code == 200
        yield files["third"].read_bytes()

    response = httpx.post(
        f"{shop.server.address}/v1/models/clothes", content=slowly(), headers=HEADERS, timeout=WAIT_S, trust_env=False
    )
    assert (response.json()["digest"], response.json()["former_digest"]) == (digests["third"], digests["second"])


def test_bad_model_leaves_the_old_one(shop: Shop, digests: dict[str, str], files: dict[str, Path]) -> None:
    content, before = files["second"].read_bytes(), shop.refused_files()
    for number, bad in enumerate((b"", b"not a model", content[: len(content) // 2])):
        response = shop.post(bad)
        assert shop.refused_files() == before + number + 1
        assert response.status_code == 422
        assert response.json()["error"]["params"]["path"] == "clothes"
    assert shop.used_digests() == {digests["first"]}


def test_model_with_other_golden_images_is_refused(shop: Shop, digests: dict[str, str], tmp_path: Path) -> None:
    bundle = small_bundle()
    wrong = {name: values[::-1] for name, values in bundle.golden_probabilities.items()}
    seal(replace(bundle, golden_probabilities=wrong), tmp_path / "wrong.muslin")
    response = shop.post((tmp_path / "wrong.muslin").read_bytes())
    assert (response.status_code, response.json()["error"]["code"]) == (422, "golden_mismatch")
    assert shop.used_digests() == {digests["first"]}


def test_model_whose_file_cannot_be_written_is_refused(
    shop: Shop, files: dict[str, Path], digests: dict[str, str]
) -> None:
    folder = shop.path.parent
    moved = folder.rename(folder.with_name("moved"))
    folder.touch()
    try:
        response = shop.post(files["second"].read_bytes())
    finally:
        folder.unlink()
        moved.rename(folder)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "path_occupied")
    assert str(folder.parent) not in response.text
    assert shop.used_digests() == {digests["first"]}


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)],
    ids=["pipe", "device", "loop"],
)
def test_model_replaces_what_is_no_file(
    shop: Shop, files: dict[str, Path], digests: dict[str, str], put: Callable[[Path], object]
) -> None:
    shop.path.unlink()
    put(shop.path)
    shop.hang_up()
    assert shop.post(files["second"].read_bytes()).status_code == 200
    assert (shop.path.is_symlink(), shop.path.read_bytes()) == (False, files["second"].read_bytes())
    assert shop.used_digests() == {digests["second"]}


@alone_and_in_two_workers
def test_hangup_reads_files_that_changed(shop: Shop, files: dict[str, Path], digests: dict[str, str]) -> None:
    shutil.copy(files["third"], shop.path)
    shop.hang_up()
    wait_until(lambda: shop.used_digests() == {digests["third"]})
    before = shop.refused_files()
    shop.path.write_bytes(b"not a model")
    shop.hang_up()
    wait_until(lambda: shop.refused_files() == before + shop.workers)
    assert shop.used_digests() == {digests["third"]}
    shutil.copy(files["first"], shop.path)
    shop.hang_up()
    wait_until(lambda: shop.used_digests() == {digests["first"]})


@pytest.mark.parametrize("shop", [2], ids=["two workers"], indirect=True)
def test_new_workers_serve_what_the_old_ones_did(shop: Shop, files: dict[str, Path], digests: dict[str, str]) -> None:
    """Also where the model's file was damaged meanwhile."""
    assert shop.post(files["second"].read_bytes()).status_code == 200
    shop.path.write_bytes(b"not a model")
    for pid in worker_numbers(shop.server):
        os.kill(pid, signal.SIGKILL)
    assert shop.used_digests() == {digests["second"]}
    shutil.copy(files["second"], shop.path)


def worker_numbers(server: Served) -> list[int]:
    """The process numbers of its workers."""
    pid = server.process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_unknown_model_is_not_replaced(shop: Shop, files: dict[str, Path]) -> None:
    response = shop.server.client.post("/v1/models/shoes", content=files["second"].read_bytes())
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_unknown")


def test_server_without_a_token_replaces_nothing(files: dict[str, Path], digests: dict[str, str]) -> None:
    with running_server(str(files["first"])) as server:
        response = server.client.post("/v1/models/first", content=files["second"].read_bytes())
        assert (response.status_code, response.json()["error"]["code"]) == (403, "replace_without_token")
        assert server.client.get("/v1/models/first").json()["digest"] == digests["first"]


def test_replaced_models_leave_no_threads(shop: Shop, files: dict[str, Path], digests: dict[str, str]) -> None:
    def threads() -> int:
        status = Path(f"/proc/{shop.server.process.pid}/status").read_text()
        return int(re.findall(r"Threads:\s+(\d+)", status)[0])

    counts = []
    for name in ("second", "third") * 4:
        shutil.copy(files[name], shop.path)
        shop.hang_up()
        wait_until(lambda digest=digests[name]: shop.used_digests() == {digest})
        assert shop.server.predict(gray(200)).status_code == 200
        counts.append(threads())
    assert counts[-1] < counts[0] + 5, counts  # asyncio has threads of its own


def reload_logs(path: Path, changes: list[Callable[[], object]], copies: Path | None = None) -> list[Message]:
    """What is logged when a model is read again after each of several changes of its file."""
    logged: list[Message] = []

    async def run() -> None:
        settings = Settings({"clothes": path})
        models = ModelTable({"clothes": open_model("clothes", path, settings)})
        updates = ModelUpdates(settings, models, ModelCopies(copies), None, logged.append)
        for change in changes:
            change()
            await updates.reload()
        models["clothes"].batcher.close()

    asyncio.run(run())
    return logged


def test_same_model_after_a_bad_file_is_not_logged_as_another(
    files: dict[str, Path], digests: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "clothes.muslin"
    shutil.copy(files["first"], path)
    bad, good = (lambda: path.write_bytes(b"not a model")), (lambda: shutil.copy(files["first"], path))
    kept, unchanged = reload_logs(path, [bad, good])
    assert (kept.code, unchanged.code) == ("model_kept", "model_unchanged")
    assert unchanged.params == {"name": "clothes", "digest": digests["first"]}


def test_changed_file_is_first_opened_within_limits(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "MAX_OPENING_S", 0)
    path, copies = tmp_path / "clothes.muslin", tmp_path / "copies"
    shutil.copy(files["first"], path)
    (kept,) = reload_logs(path, [lambda: shutil.copy(files["second"], path)])
    assert (kept.code, kept.params["reason"].code) == ("model_kept", "opening_limits")

    def serve_elsewhere() -> None:
        shutil.copy(files["third"], path)
        other = open_model("clothes", path, Settings({"clothes": path}))
        ModelCopies(copies).keep(other)
        other.batcher.close()

    (taken,) = reload_logs(path, [serve_elsewhere], copies)
    assert taken.code == "model_replaced", "another worker has opened it"
