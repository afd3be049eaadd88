"""`muslin tag` writes the same bytes whatever runs the network, and whatever ends it."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import invoke
from muslin.distributed import open_executor
from muslin.distributed.in_process import InProcess
from muslin.errors import ExecutionError, StoppedError
from muslin.execution import TRIES, Executor
from muslin.machine import physical_cores
from muslin.models import photo_shards
from muslin.models.bundle import seal
from muslin.models.predictor import CHUNK, Predictor
from muslin.storage.row_cache import rows_folder
from muslin.workflows import tag_time
from muslin.workflows.tag import TagOptions, tag
from refusals import refuses
from small_models import SIDE, convolving_bundle

COUNT = 150
"""Photos of the shop: more than two blocks of the journal."""

ATTEMPTS = 10
"""To kill a worker that is not idle."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose bits depend on batches, and photos of several sizes, some of which cannot be read."""
    folder, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)
    seal(convolving_bundle(random.random((4, 1, 3, 3), np.float32), pixels, "Softplus"), folder / "model.muslin")
    (folder / "images").mkdir()
    paths = [folder / "images" / f"{i:03}.png" for i in range(COUNT)]
    for i, path in enumerate(paths):
        size = (SIDE, SIDE) if i % 2 else (SIDE + i, SIDE, 4 if i == 4 else 3)
        Image.fromarray(random.integers(0, 256, size).astype(np.uint8)).save(path)
    shutil.copy(paths[0], paths[100])
    paths[7].write_bytes(paths[7].read_bytes()[:60])
    paths[30].write_text("<html>not found</html>")
    paths[31].write_bytes(b"")
    paths[32].write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    paths[33].write_bytes(paths[3].read_bytes() + bytes(20_000_001))  # larger than a photo may be
    paths[140].unlink()
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(photo_shards, "SHARD_PHOTOS", 10)
    return rows_folder()


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with open_executor("local:2") as executor:
        yield executor


def one_each(shop: Path) -> Path:
    (shop / "one.csv").write_text("".join(["sku,image\n", *(f"{i},{i:03}.png\n" for i in range(COUNT))]))
    return shop / "one.csv"


def several_each(shop: Path) -> Path:
    """Products of three photos in one cell."""
    cells = ["|".join(f"{i + k:03}.png" for k in range(3)) for i in range(0, COUNT, 3)]
    (shop / "several.csv").write_text("".join(["sku,image\n", *(f"{i},{cell}\n" for i, cell in enumerate(cells))]))
    return shop / "several.csv"


def archive_with_table(shop: Path) -> Path:
    if not (shop / "delivery.zip").exists():
        shutil.copytree(shop / "images", shop / "delivery/images")
        shutil.copy(one_each(shop), shop / "delivery")
        shutil.make_archive(str(shop / "delivery"), "zip", shop / "delivery")
    return shop / "delivery.zip"


def parquet_with_photos(shop: Path) -> Path:
    photos = [path.read_bytes() for path in sorted((shop / "images").iterdir()) if path.stem != "033"]
    table = pa.table({"image": [{"bytes": each, "path": None} for each in photos], "n": range(len(photos))})
    pq.write_table(table, shop / "photos.parquet")
    return shop / "photos.parquet"


def tagged(shop: Path, data: Path, out: Path, **options: Any) -> bytes:
    """What `tag` writes with an empty cache."""
    shutil.rmtree(rows_folder().parent, ignore_errors=True)
    tag(shop / "model.muslin", data, out, TagOptions(**options))
    return out.read_bytes()


@pytest.mark.parametrize("data", [one_each, several_each, archive_with_table, parquet_with_photos])
def test_bytes_are_those_of_one_process(
    data: Callable[[Path], Path], shop: Path, processes: Executor, tmp_path: Path
) -> None:
    path = data(shop)
    expected = tagged(shop, path, tmp_path / f"here{path.suffix if path.suffix != '.zip' else '.csv'}")
    out = tmp_path / f"there{path.suffix if path.suffix != '.zip' else '.csv'}"
    done = processes.status().done
    assert tagged(shop, path, out, executor=processes) == expected
    assert processes.status().done > done + 10
    out.unlink()
    assert tagged(shop, path, out, executor=InProcess()) == expected


def test_bits_are_those_of_photos_one_by_one(shop: Path, processes: Executor) -> None:
    """Not those of batches, in which ONNX Runtime computes some images otherwise."""
    photos = sorted((shop / "images").iterdir())[50:90]
    predictor = Predictor.open(shop / "model.muslin")
    alone = [predictor.predict([photo])[0] for photo in photos]
    assert list(predictor.predict(photos)) == alone
    assert list(predictor.with_executor(processes).predict(photos)) == alone


def test_update_only_empty_and_taxonomy_are_the_same(shop: Path, processes: Executor, tmp_path: Path) -> None:
    rows = [f"{i},{i:03}.png,{'Bag' if i % 5 else ''}\n" for i in range(COUNT)]
    names = "tag,parent,name\nBag,Things,Sack\nShirt,Clothes,Shirt\n"
    (shop / "taxonomy.csv").write_text(names)
    outputs = []
    for executor in (None, processes):
        out = tmp_path / f"{executor is None}.csv"
        for count in (COUNT // 2, COUNT):
            (shop / "more.csv").write_text("".join(["sku,image,label\n", *rows[:count]]))
            options = {"update": True, "only_empty": True, "taxonomy": shop / "taxonomy.csv"}
            tagged(shop, shop / "more.csv", out, executor=executor, **options)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
    assert b"Sack,Things" in outputs[0]


@pytest.mark.parametrize("first", ["here", "there"])
def test_job_is_finished_by_another_executor(first: str, shop: Path, processes: Executor, tmp_path: Path) -> None:
    path, out = several_each(shop), tmp_path / "out.csv"
    expected = tagged(shop, path, tmp_path / "expected.csv")
    one, other = (None, processes) if first == "here" else (processes, None)
    shutil.rmtree(rows_folder().parent)
    with refuses("tagging_stopped", StoppedError):
        tag(shop / "model.muslin", path, out, TagOptions(executor=one), should_stop=lambda: True)
    result = tag(shop / "model.muslin", path, out, TagOptions(executor=other, resume=True))
    assert result.resumed >= CHUNK // 3
    assert out.read_bytes() == expected


def workers() -> list[int]:
    """The processes of muslin that this one has started and that still run."""
    pids = []
    with suppress(OSError):  # a thread or a process has ended
        for path in Path("/proc/self/task").glob("*/children"):
            for pid in map(int, path.read_text().split()):
                if b"muslin.workers" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    pids.append(pid)
    return pids


def test_killed_workers_change_nothing(shop: Path, tmp_path: Path) -> None:
    path, out, killed = one_each(shop), tmp_path / "out.csv", list[int]()

    def kill(done: int, products: int) -> None:
        for pid in workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    expected = tagged(shop, path, tmp_path / "expected.csv")
    for _ in range(ATTEMPTS):
        notes = list[Any]()
        killed.clear()
        out.unlink(missing_ok=True)
        shutil.rmtree(rows_folder().parent)
        with open_executor("local:2") as executor:
            options = TagOptions(executor=executor)
            tag(shop / "model.muslin", path, out, options, log=notes.append, on_progress=kill)
            retried = executor.status().retried  # not of workers that were idle
        assert out.read_bytes() == expected
        assert len(set(killed)) > 1
        assert [note.params["count"] for note in notes if note.code == "shards_retried"] == [retried] * bool(retried)
        if retried:
            return
    raise AssertionError(f"in {ATTEMPTS} attempts no worker was killed at work")


def test_job_whose_workers_all_end_can_be_resumed(shop: Path, tmp_path: Path) -> None:
    path, out, has_ended = one_each(shop), tmp_path / "out.csv", threading.Event()

    def kill_all() -> None:
        while not has_ended.is_set():
            for pid in workers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def start(done: int, products: int) -> None:
        if not killing.is_alive():
            killing.start()

    killing = threading.Thread(target=kill_all)
    expected = tagged(shop, path, tmp_path / "expected.csv")
    shutil.rmtree(rows_folder().parent)
    try:
        with open_executor("local:1") as executor, pytest.raises(ExecutionError) as error:
            tag(shop / "model.muslin", path, out, TagOptions(executor=executor), on_progress=start)
    finally:
        has_ended.set()
        killing.join()
    assert (error.value.code, error.value.params["tries"]) == ("shard_lost", TRIES)
    assert int(error.value.params["name"].removesuffix(".png")) >= CHUNK, "the shard's first photo"
    assert tag(shop / "model.muslin", path, out, TagOptions(resume=True)).resumed >= CHUNK
    assert out.read_bytes() == expected


def test_time_is_said_before_work_that_takes_long(
    shop: Path, processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = list[Any]()
    tag(shop / "model.muslin", one_each(shop), tmp_path / "a.csv", TagOptions(executor=processes), log=notes.append)
    monkeypatch.setattr(tag_time, "MIN_PRODUCTS", COUNT)
    for out in ("b.csv", "c.csv"):
        monkeypatch.setattr(tag_time, "MIN_S", 0 if out == "c.csv" else 60)
        options = TagOptions(executor=processes, precision=0.9)
        tag(shop / "model.muslin", one_each(shop), tmp_path / out, options, log=notes.append)
    [note] = [note for note in notes if note.code == "tagging_expected"]
    assert (note.params["count"], note.params["workers"]) == (COUNT, 2)
    assert 0 < note.params["there_s"] <= note.params["here_s"] * physical_cores()


def test_outputs_of_workers_are_cached_at_the_head(shop: Path, processes: Executor, tmp_path: Path) -> None:
    tagged(shop, one_each(shop), tmp_path / "one.csv", executor=processes)
    done = processes.status().done
    tag(shop / "model.muslin", one_each(shop), tmp_path / "two.csv", TagOptions(executor=processes))
    unreadable_alone = processes.status().done - done
    assert unreadable_alone <= 1
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


def test_worker_that_computes_other_bits_is_refused(shop: Path, processes: Executor) -> None:
    predictor = Predictor.open(shop / "model.muslin")
    shared = {"model": photo_shards._model_bytes(predictor.bundle)}
    shard = photo_shards._shard(photo_shards._Part(), {"golden": "0" * 64, "vectors": False})
    with refuses("worker_output", ExecutionError):
        list(processes.map(photo_shards.TASK, [shard], shared))


def test_command_takes_the_place_to_work(shop: Path, tmp_path: Path, capfd: Any) -> None:
    words = ["tag", shop / "model.muslin", one_each(shop), "-o", tmp_path / "out.csv"]
    assert invoke(capfd, *words, "--on", "local:2").code == 0
    assert (tmp_path / "out.csv").read_bytes() == tagged(shop, one_each(shop), tmp_path / "here.csv")
    result = invoke(capfd, *words, "--on", "local:none", "--json")
    assert result.json["error"]["code"] == "executor_processes"
