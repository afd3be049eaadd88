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
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import make_garments
from muslin.sklearn import ImageClassifier, SeenImagesWarning
from refusals import refuses

FEW = {"settings": {"min_steps": 40}}


@pytest.fixture(scope="module")
def garments():
    dataset = make_garments(600, seed=1).dataset
    target = dataset.target()
    names = np.array(target.classes)[dataset.labels[target.name]]
    return pixel_array(dataset), names


@parametrize_with_checks([ImageClassifier(**FEW)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_classifier_learns_images_with_named_classes(garments):
    images, names = garments
    model = ImageClassifier().fit(images[:500], names[:500])
    assert model.score(images[500:], names[500:]) > 0.7
    assert set(model.predict(images[:20])) <= set(names)
    assert np.allclose(model.predict_proba(images[:20]).sum(axis=1), 1, atol=1e-5)


def test_floats_in_0_to_1_equal_bytes(garments):
    images, names = garments
    as_bytes = ImageClassifier(**FEW).fit(images, names)
    as_floats = ImageClassifier(**FEW).fit(images / 255, names)
    assert np.array_equal(as_bytes.predict_proba(images), as_floats.predict_proba(images / 255))


def test_rows_of_pixels_are_square_images(garments):
    images, names = garments
    square = ImageClassifier(**FEW).fit(images, names)
    rows = ImageClassifier(**FEW).fit(images.reshape(len(images), -1), names)
    assert np.array_equal(square.predict_proba(images), rows.predict_proba(images.reshape(len(images), -1)))


def test_classifier_works_in_cross_validation_and_pipelines(garments):
    images, names = garments
    rows = images.reshape(len(images), -1)
    pipeline = Pipeline([("negate", FunctionTransformer(lambda x: 255 - x)), ("net", ImageClassifier(**FEW))])
    scores = cross_val_score(pipeline, rows, names, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.4


def test_pickled_and_cloned_classifiers_predict_the_same(garments):
    images, names = garments
    model = ImageClassifier(**FEW, random_state=3).fit(images, names)
    twin = pickle.loads(pickle.dumps(model))
    again = clone(model).fit(images, names)
    assert np.array_equal(twin.predict_proba(images), model.predict_proba(images))
    assert np.array_equal(again.predict_proba(images), model.predict_proba(images))


def test_saved_classifier_opens_as_a_model(garments, tmp_path):
    images, names = garments
    model = ImageClassifier(**FEW).fit(images, names)
    model.save(tmp_path / "garments.muslin")
    opened = muslin.open(tmp_path / "garments.muslin")
    assert np.array_equal(opened.predict_pixels(images)["label"], model.predict_proba(images))


def test_unknown_settings_and_linear_probes_are_refused(garments):
    images, names = garments
    with refuses("setting_unknown", nearest="learning_rate"):
        ImageClassifier(settings={"learnin_rate": 1}).fit(images, names)
    with refuses("setting_not_read", name="batch_size", recipe="photo"):
        ImageClassifier("photo", settings={"batch_size": 8}).fit(images, names)
    with refuses("recipe_needs_photos", recipe="photo"):
        ImageClassifier("photo").fit(images, names)


def test_score_warns_of_images_that_were_fitted(garments, tmp_path):
    images, names = garments
    model = ImageClassifier(**FEW).fit(images[:500], names[:500])
    model.score(images[500:], names[500:])  # warnings are errors
    with pytest.warns(SeenImagesWarning) as caught:
        model.score(images.astype(float), names)
    assert [warning.message.args[0].params for warning in caught] == [{"n": 600, "seen": 500}]
    model.save(tmp_path / "m.muslin")
    assert muslin.open(tmp_path / "m.muslin").bundle.seen_images.counts() == {"train": 500, "validation": 0}
