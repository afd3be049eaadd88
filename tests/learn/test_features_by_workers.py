"""Features by an executor's workers are those of one machine, bit for bit, and need no torch there."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from muslin.data import read
from muslin.data.photos import resize_photos
from muslin.data.synthetic import make_garments
from muslin.distributed import open_executor
from muslin.distributed.in_process import InProcess
from muslin.execution import Executor, ExecutorStatus, Shard, ShardResult
from muslin.learn.recipes import recipe
from muslin.learn.train import extract_features
from muslin.models import feature_shards
from muslin.models.bundle import open_bundle
from refusals import refuses

PROBE = {"weights": "random", "network": "efficientnet-lite0", "image_size": "32"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 photos of several sizes in folders of their classes; one is torn, one is no image, one is there twice."""
    folder = tmp_path_factory.mktemp("shards") / "photos"
    dataset = make_garments(150, seed=8, size_px=48, colour=True).dataset
    for index in range(150):
        path = folder / dataset.targets[0].classes[dataset.labels["label"][index]] / f"{index:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[index]).resize((40 + index % 7, 48)).save(path)
    first = next((folder / "dress").iterdir())
    (folder / "dress" / "torn.jpg").write_bytes(first.read_bytes()[:500])
    (folder / "dress" / "text.jpg").write_text("no image")
    (folder / "dress" / "twice.jpg").write_bytes(first.read_bytes())
    return folder


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def features_of(photos: Path, executor: Executor | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Any]:
    dataset = resize_photos(read(photos), (32, 32, 3))
    found, problems = extract_features(
        dataset,
        recipe("photo", **PROBE),
        seed=0,
        threads=2,
        executor=executor,  # type: ignore[arg-type]
    )
    rows = np.empty((len(found), found.width), np.float32)
    for samples, block in found.blocks():
        rows[samples] = block
    return rows, found.image_digests, {index: (each.code, each.params) for index, each in problems.items()}


def test_features_of_workers_are_those_of_this_process(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = features_of(photos, None)
    assert sorted(code for code, _ in alone[2].values()) == ["image_cut_off", "not_an_image"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with open_executor("local:2") as executor:
        by_workers = features_of(photos, executor)
        assert executor.status().done == 3, "150 photos in shards of 64"
        again = features_of(photos, executor)
        assert executor.status().done == 4, "the head has cached all but what cannot be read"
    for found in (by_workers, again):
        assert np.array_equal(found[0], alone[0])
        assert np.array_equal(found[1], alone[1])
        assert found[2] == alone[2]


def test_weights_are_those_of_one_machine(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"recipe": "photo", "settings": PROBE}
    alone = muslin.train(photos, out=tmp_path / "alone", **options)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    messages: list[Any] = []
    helped = muslin.train(photos, out=tmp_path / "helped", executor=InProcess(), log=messages.append, **options)
    assert open_bundle(helped.model).weights == open_bundle(alone.model).weights
    assert helped.record["data"] == alone.record["data"]
    assert "extraction_expected" in {getattr(message, "code", None) for message in messages}


def test_worker_extracts_without_torch() -> None:
    program = "import sys, muslin.models.feature_shards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


class Swapping:
    """An executor whose workers respond for other photos."""

    def map(self, task: str, shards: Iterable[Shard], shared: Mapping[str, bytes]) -> Iterator[ShardResult]:
        for result in InProcess().map(task, shards, shared):
            yield ShardResult({**result.params, "problems": result.params["problems"][1:]}, result.content)

    def cancel(self) -> None: ...

    def status(self) -> ExecutorStatus:
        return ExecutorStatus(1, 0, 0, 0)


def test_features_of_other_photos_are_refused(photos: Path) -> None:
    with refuses("content_damaged"):
        features_of(photos, Swapping())


def test_large_photos_fill_a_shard_sooner(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_shards, "SHARD_BYTES", 4_000)
    alone = features_of(photos, None)[0]
    monkeypatch.setenv("XDG_CACHE_HOME", str(photos.parent / "small-shards"))
    executor = InProcess()
    assert np.array_equal(features_of(photos, executor)[0], alone)
    assert executor.status().done > 10
