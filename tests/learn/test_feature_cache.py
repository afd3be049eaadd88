"""The cache of features: whole files or none, and no leftovers."""

from pathlib import Path

import numpy as np
import pytest

from muslin.learn.features import FeatureCache

PHOTO = bytes(range(32))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureCache:
    """A cache with one photo."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = FeatureCache("backbone")
    cache.add([(PHOTO, np.arange(8, dtype=np.uint8), np.arange(5, dtype=np.float32))])
    return cache


def test_cached_features_are_read_back(cache: FeatureCache) -> None:
    [(photo, image, row)] = cache.rows([PHOTO, bytes(32)])
    assert photo == PHOTO
    assert image.tolist() == list(range(8))
    assert row.tolist() == [0, 1, 2, 3, 4]


def test_damaged_cache_file_counts_as_absent(cache: FeatureCache) -> None:
    [path] = cache.folder.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # as a failing disk does
    path.write_bytes(content)
    assert list(cache.rows([PHOTO])) == []


def test_leftovers_of_other_backbones_are_removed(cache: FeatureCache) -> None:
    other = FeatureCache("other")
    other.folder.mkdir()
    (other.folder / ".a.safetensors.0123456789abcdef.part").write_bytes(b"half")
    cache.shrink_to(10**6)
    assert list(other.folder.iterdir()) == []
    assert len(list(cache.rows([PHOTO]))) == 1
