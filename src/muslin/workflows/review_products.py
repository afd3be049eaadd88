"""The products of a catalogue as a review store keeps them, and what a model predicts for them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import numpy as np

from muslin.catalogue.product_rows import RowsOfProduct, with_own_names
from muslin.data.dataset import Target
from muslin.data.photo_roles import ProductPhoto
from muslin.data.tables import Cell
from muslin.errors import ImageError
from muslin.models.feature_vectors import product_vector
from muslin.models.prediction import Prediction, TargetPrediction
from muslin.models.predictor import Predictor
from muslin.models.product_prediction import ProductPrediction
from muslin.review.store import Store
from muslin.review.values import ModelRow, NewPrediction, NewProduct, value_of
from muslin.workflows.product_catalogue import ProductCatalogue, content_digest

FINGERPRINT_BYTES = 16

MAX_TEXT = 1_000
"""Characters of a product's text, which is for people and for the search."""

MIN_CANDIDATES = 5
"""Classes that a person can choose from at once, where there are as many: the prediction set, then the most probable
others."""


@dataclass(frozen=True)
class CatalogueProduct:
    """A product of a catalogue, as `muslin.review.schema.PRODUCTS` has it.

    Attributes:
        rows: its rows in the catalogue, with a name that no other product has.
        fingerprint: of what its photos show, or of why they cannot be read.
        photos: their names, in order.
        text: the cells of its rows.
    """

    rows: RowsOfProduct
    fingerprint: str
    photos: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return self.rows.name


def read_products(catalogue: ProductCatalogue) -> Iterator[CatalogueProduct]:
    """Every product of a catalogue, in order. The content of its photos is read for the fingerprint."""
    texts = product_texts(catalogue)
    for product, text in zip(with_own_names(catalogue.rows), texts, strict=True):
        photos = catalogue.rows.find(product)
        yield CatalogueProduct(product, fingerprint_of(photos), _names(photos), text)


def fingerprint_of(photos: Iterable[ProductPhoto]) -> str:
    """Of what a product's photos show, and of their roles."""
    digest = hashlib.sha256()
    for _, photo, role in photos:
        digest.update(role.encode() + b"\0" + content_digest(photo))
    return digest.hexdigest()[: 2 * FINGERPRINT_BYTES]


def _names(photos: Sequence[ProductPhoto]) -> tuple[str, ...]:
    """The name of each photo: its number where it is in a cell without one."""
    return tuple(
        str(photo.name) or f"photo {number}"
        for number, photo in enumerate(photos, 1)
        if photo.name or not isinstance(photo.image, ImageError)
    )


def product_texts(catalogue: ProductCatalogue) -> list[str]:
    """Per product the cells of its rows, each once, without those that name photos."""
    rows = catalogue.rows
    names = [name for name in dict.fromkeys(rows.table.columns) if name and name not in rows.photos.photo_columns]
    numbers = None if rows.numbers is None else rows.numbers.tolist()
    texts: list[str] = []
    for index, (_, cells) in enumerate(rows.table.rows(names)):
        number = index if numbers is None else numbers[index]
        if number == len(texts):
            texts.append("")
        if len(texts[number]) < MAX_TEXT:
            known = texts[number].split(" · ") if texts[number] else []
            words = [word for word in map(_cell_text, cells) if word]
            texts[number] = " · ".join(dict.fromkeys(known + words))[:MAX_TEXT]
    return texts


def _cell_text(cell: Cell) -> str:
    text = cell if isinstance(cell, str) else ", ".join(cell)
    return text.replace("\0", "").encode(errors="backslashreplace").decode()


def open_store_model(store: Store, model: ModelRow) -> Predictor:
    """The predictor of a model of the store, whose predictions have vectors and are cached.

    Raises:
        BundleError: it cannot be opened.
    """
    path: Path = store.open_model(model.digest)
    return Predictor.open(path, name=model.name).with_vectors().with_cache()


def predict_catalogue(
    catalogue: ProductCatalogue, predictor: Predictor, products: Iterable[CatalogueProduct], precision: float,
    guarantee: str,
) -> Iterator[NewProduct]:  # fmt: skip
    """These products of the catalogue with what the model predicts for them, in order."""
    predicted, returned = tee(products)
    predictions = catalogue.predict(predictor, (product.rows for product in predicted), precision, guarantee)
    for product, prediction in zip(returned, predictions, strict=True):
        photos = prediction.photos if isinstance(prediction, ProductPrediction) else (prediction,)
        yield NewProduct(
            product.name,
            product.fingerprint,
            product.photos,
            product.text,
            _new_predictions(prediction, predictor.targets),
            product_vector([photo.vector for photo in photos if photo.vector is not None]),
            None if prediction.error is None else str(prediction.error),
        )


def _new_predictions(prediction: Prediction | ProductPrediction, targets: Sequence[Target]) -> dict[str, NewPrediction]:
    if prediction.error is not None:
        return {}
    return {target.name: new_prediction(target, prediction.predictions[target.name]) for target in targets}


def new_prediction(target: Target, prediction: TargetPrediction) -> NewPrediction:
    """A prediction as the store keeps it. Its probability is that of the class; of several labels the lowest."""
    labels = (prediction.label,) if prediction.labels is None else prediction.labels
    probabilities = prediction.probabilities
    classes = list(probabilities)
    order = [classes[i] for i in np.argsort([-probabilities[name] for name in classes], kind="stable")]
    candidates = dict.fromkeys([*prediction.prediction_set, *order[:MIN_CANDIDATES]])
    n = max(MIN_CANDIDATES, len(prediction.prediction_set) if prediction.decision != "accept" else 0)
    lowest = min((probabilities[name] for name in labels), default=0.0)
    return NewPrediction(value_of(target, labels), lowest, prediction.decision, tuple(candidates)[:n])
