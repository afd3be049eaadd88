"""ImageClassifier under scikit-learn's contract."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import muslin
from muslin.classifier import ImageClassifier
from muslin.data.dataset import pixels_of
from muslin.data.drawn import draw

FEW = {"settings": {"min_steps": 40}}


@pytest.fixture(scope="module")
def drawn():
    dataset = draw(600, seed=1).dataset
    target = dataset.target()
    names = np.array(target.classes)[dataset.labels[target.name]]
    return pixels_of(dataset), names


@parametrize_with_checks([ImageClassifier(**FEW)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_pictures_with_named_classes_are_learned(drawn):
    pictures, names = drawn
    model = ImageClassifier().fit(pictures[:500], names[:500])
    assert model.score(pictures[500:], names[500:]) > 0.7
    assert set(model.predict(pictures[:20])) <= set(names)
    assert np.allclose(model.predict_proba(pictures[:20]).sum(axis=1), 1, atol=1e-5)


def test_floats_between_0_and_1_mean_the_same_as_bytes(drawn):
    pictures, names = drawn
    as_bytes = ImageClassifier(**FEW).fit(pictures, names)
    as_floats = ImageClassifier(**FEW).fit(pictures / 255, names)
    assert np.array_equal(as_bytes.predict_proba(pictures), as_floats.predict_proba(pictures / 255))


def test_rows_of_pixels_are_taken_as_square_pictures(drawn):
    pictures, names = drawn
    square = ImageClassifier(**FEW).fit(pictures, names)
    rows = ImageClassifier(**FEW).fit(pictures.reshape(len(pictures), -1), names)
    assert np.array_equal(
        square.predict_proba(pictures), rows.predict_proba(pictures.reshape(len(pictures), -1))
    )


def test_it_works_in_cross_validation_and_in_a_pipeline(drawn):
    pictures, names = drawn
    rows = pictures.reshape(len(pictures), -1)
    pipeline = Pipeline([("negate", FunctionTransformer(lambda x: 255 - x)), ("net", ImageClassifier(**FEW))])
    scores = cross_val_score(pipeline, rows, names, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.4


def test_a_pickled_and_a_cloned_classifier_answer_alike(drawn):
    pictures, names = drawn
    model = ImageClassifier(**FEW, random_state=3).fit(pictures, names)
    twin = pickle.loads(pickle.dumps(model))
    again = clone(model).fit(pictures, names)
    assert np.array_equal(twin.predict_proba(pictures), model.predict_proba(pictures))
    assert np.array_equal(again.predict_proba(pictures), model.predict_proba(pictures))


def test_a_saved_classifier_opens_as_a_model(drawn, tmp_path):
    pictures, names = drawn
    model = ImageClassifier(**FEW).fit(pictures, names)
    model.save(tmp_path / "drawn.muslin")
    opened = muslin.open(tmp_path / "drawn.muslin")
    assert np.array_equal(opened.predict_pixels(pictures)["label"], model.predict_proba(pictures))


def test_an_unknown_setting_is_refused_with_the_nearest_name(drawn):
    pictures, names = drawn
    with pytest.raises(muslin.MuslinError, match="Did you mean learning_rate"):
        ImageClassifier(settings={"learnin_rate": 1}).fit(pictures, names)
