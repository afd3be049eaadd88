"""Cached outputs give the same predictions to the bit, and never those of another photo or model."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from muslin.data.photo_content import read_photo
from muslin.data.photos import Photo
from muslin.models.bundle import Bundle
from muslin.models.output_cache import OutputCache
from muslin.models.predictor import Predictor
from muslin.storage.row_cache import rows_folder
from noted_decoding import noted_decoding
from small_models import convolving_bundle, small_bundle, with_ood_detector

SIDE = 8


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return rows_folder()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """150 photos of several sizes, two alike, one with a note of the decoder; one cannot be read."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i:03}.png" for i in range(150)]
    for i, path in enumerate(paths):
        size = (SIDE, SIDE) if i % 2 else (SIDE + i, SIDE, 4 if i == 4 else 3)
        Image.fromarray(random.integers(0, 256, size).astype(np.uint8)).save(path)
    shutil.copy(paths[0], paths[100])
    paths[7].write_bytes(b"\x89PNG\r\n\x1a\n")
    return paths


def bundle() -> Bundle:
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)
    return convolving_bundle(random.random((4, 1, 3, 3), np.float32), pixels)


def test_cached_predictions_are_equal_and_decode_nothing(photos, monkeypatch):
    plain = Predictor(bundle()).predict(photos)
    first = Predictor(bundle()).with_cache().predict(photos)
    names = noted_decoding(monkeypatch)
    again = Predictor(bundle()).with_cache().predict(photos)
    assert plain == first == again
    assert names == [photos[7].name], "only the unreadable photo is tried again"
    assert again[7].error
    assert any(prediction.notes for prediction in again)


@pytest.mark.parametrize("threads", [1, 3])
def test_other_batches_and_threads_give_the_same_bits(photos, threads):
    plain = Predictor(bundle()).predict(photos)
    Predictor(bundle(), threads).with_cache().predict(photos[::3])  # so that chunks hold cached and new photos
    assert Predictor(bundle()).with_cache().predict(photos) == plain


def test_ood_scores_are_cached(photos, monkeypatch):
    model = with_ood_detector(small_bundle(), 0.49, 0.5)
    plain = Predictor(model).predict(photos)
    Predictor(model).with_cache().predict(photos)
    names = noted_decoding(monkeypatch)
    assert Predictor(model).with_cache().predict(photos) == plain
    assert len(names) == 1
    assert {p.predictions["label"].decision for p in plain if not p.error} == {"review", "out of scope"}


def test_a_changed_photo_is_decoded_again(photos, monkeypatch):
    Predictor(bundle()).with_cache().predict(photos)
    Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)).save(photos[3])
    names = noted_decoding(monkeypatch)
    changed = Predictor(bundle()).with_cache().predict(photos)
    assert sorted(names) == [photos[3].name, photos[7].name]
    assert changed == Predictor(bundle()).predict(photos)


def test_a_photo_that_is_mended_is_predicted(photos):
    assert Predictor(bundle()).with_cache().predict(photos)[7].error
    shutil.copy(photos[8], photos[7])
    assert Predictor(bundle()).with_cache().predict(photos)[7].error is None


def test_another_model_decodes_again(photos, monkeypatch):
    Predictor(bundle()).with_cache().predict(photos)
    other = Predictor(small_bundle())
    names = noted_decoding(monkeypatch)
    assert other.with_cache().predict(photos) == other.predict(photos)
    assert len(names) in (2 * len(photos) - 1, 2 * len(photos)), "a copy may be decoded once, with a cache"


def test_parts_of_a_photo_are_cached_apart(tmp_path):
    Image.fromarray(np.arange(16 * SIDE, dtype=np.uint8).reshape(SIDE, 16)).save(tmp_path / "a.png")
    boxes = [None, (0, 0, 8, 8), (8, 0, 16, 8), (0, 0, 8, 8)]
    parts = [(str(i), Photo(str(i), tmp_path / "a.png", box=box)) for i, box in enumerate(boxes)]
    plain = list(Predictor(bundle()).predict_named(parts))
    for _ in range(2):
        assert list(Predictor(bundle()).with_cache().predict_named(parts)) == plain
    assert len({str(p.predictions["label"].probability) for p in plain}) == 3


def test_work_that_is_stopped_is_cached(photos, monkeypatch):
    predictions: Iterator[Any] = Predictor(bundle()).with_cache().predict_iter(photos)
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]
    names = noted_decoding(monkeypatch)
    Predictor(bundle()).with_cache().predict(photos[:32])
    assert names == [photos[7].name]


def test_a_row_of_another_shape_counts_as_absent(photos, folder):
    cache = OutputCache(bundle())
    content = read_photo("a", photos[0])
    assert content
    for row in (b"", b"\0\0", b"\0" * 12, b"\0" * 12 + b"[1]", b"\0" * 12 + b'[["no such message", {}]]'):
        cache._rows.add(content.digest, row)
        assert cache.get(content.digest) is None


def test_damaged_cache_changes_no_prediction(photos, folder):
    plain = Predictor(bundle()).with_cache().predict(photos)
    for path in folder.rglob("*.rows"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2 :: 7] = bytes(len(content[len(content) // 2 :: 7]))
        path.write_bytes(content)
    assert Predictor(bundle()).with_cache().predict(photos) == plain
