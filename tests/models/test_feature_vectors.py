"""Feature vectors come with predictions, also from the cache, and similar photos have similar vectors."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.models.feature_vectors import WIDTH, feature_vectors
from muslin.models.predictor import Predictor
from noted_decoding import noted_decoding
from small_models import SIDE, small_bundle, with_ood_detector


@pytest.fixture
def predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Predictor(with_ood_detector(small_bundle(), 0.1, 0.9)).with_vectors().with_cache()


def test_cosines_of_vectors_are_near_those_of_features():
    features = np.random.default_rng(0).random((40, 1280), np.float32) ** 3
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    vectors = feature_vectors(features)
    assert vectors.shape == (40, WIDTH)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    errors = vectors @ vectors.T - units @ units.T
    assert np.abs(errors).max() < 4 / np.sqrt(WIDTH)


def test_features_of_zeros_give_vectors_of_zeros():
    assert not feature_vectors(np.zeros((2, 16), np.float32)).any()


def test_cached_vectors_are_equal(predictor, tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(30)]
    for i, path in enumerate(paths):
        noise = np.random.default_rng(i).integers(0, 256, (SIDE, SIDE))
        Image.fromarray(noise.astype(np.uint8)).save(path)
    paths[3].write_bytes(b"no photo")
    first = list(predictor.predict_iter(paths))
    names = noted_decoding(monkeypatch)
    again = list(predictor.predict_iter(paths))
    assert names == [paths[3].name]
    assert first[3].vector is None
    for one, other in zip(first, again, strict=True):
        assert one.error or np.array_equal(one.vector, other.vector)
    assert np.stack([one.vector for one in first if not one.error]).shape == (29, WIDTH)


def test_arrays_have_the_vectors_of_their_photos(predictor, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    [of_photo], [of_array] = predictor.predict(tmp_path / "photo.png"), predictor.predict(pixels[None])
    assert of_photo.vector == pytest.approx(of_array.vector, abs=1e-6)
    assert "vector" not in of_photo.to_dict()


def test_a_graph_without_features_gives_no_vectors():
    predictor = Predictor(small_bundle()).with_vectors()
    assert not predictor.has_vectors
    [prediction] = predictor.predict(np.zeros((1, SIDE, SIDE), np.uint8))
    assert prediction.vector is None
