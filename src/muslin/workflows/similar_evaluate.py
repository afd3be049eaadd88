"""How often a search finds products again: on DeepFashion by its own protocol, or on a shop's own products."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data import read_and_log
from muslin.data.formats import detect_format
from muslin.data.formats.deepfashion_items import RetrievalSets, retrieval_sets
from muslin.data.photos import PhotoImages
from muslin.errors import DataError, StoppedError
from muslin.evaluation.retrieval import Recall, ranks_of_own, recalls
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.models.feature_graph import FeatureGraph
from muslin.models.photo_features import photo_features
from muslin.similarity.fitting import choose_projection
from muslin.workflows.product_catalogue import open_catalogue
from muslin.workflows.similar import feature_graph, log_unreadable, photos_of

FORMAT = "deepfashion-items"


@dataclass(frozen=True)
class RetrievalResult:
    """How often products are found again.

    Attributes:
        protocol: `In-shop`, `Consumer-to-shop` or `own products`.
        network: whose features were compared.
        queries, gallery, products: numbers of photos looked up, of photos among which, and of the queries' products.
        learned_from: photos of products from which the projection was learned; 0 where that did not pay.
        recall: at several numbers of photos.
    """

    protocol: str
    network: str
    queries: int
    gallery: int
    products: int
    learned_from: int
    recall: tuple[Recall, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        recall = [{"k": each.k, "value": each.value, "interval": list(each.interval)} for each in self.recall]
        values: dict[str, Any] = plain({**vars(self), "recall": recall})
        return values


def evaluate_retrieval(
    data: str | Path,
    model: str | Path | None = None,
    *,
    read_options: Mapping[str, Any] | None = None,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, photos: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RetrievalResult:
    """Recall@k with intervals.

    DeepFashion's lists say what is looked up among what: In-shop's `query` among its `gallery`; of Consumer-to-shop the
    customers' photos of the test set among the shops' photos of the validation and test set. The projection is fitted
    to the training set. In other data, each photo of products that the projection has not seen is looked up among all
    other photos.

    Args:
        data: photos with products, as `muslin.read` takes them.
        model: whose backbone gives the features; None for the one of `muslin similar build`.

    Raises:
        DataError: the data cannot be read, are no photos, or no product has several.
        StoppedError: `should_stop` returned True.
    """
    options, told = dict(read_options or {}), set[str]()

    def note(message: str) -> None:
        told.update([message.code] if isinstance(message, Message) else [])
        log(message)

    sets = _retrieval_sets(Path(data), options)
    photos = _listed_photos(data, options, note) if sets else _catalogue_photos(data, options, note)
    graph = feature_graph(model)
    features, readable, unreadable = _features(graph, photos, on_progress, should_stop)
    log_unreadable(unreadable, told, log)
    if not readable:
        raise DataError("no_photo_indexed", **examples(unreadable))
    _, products = np.unique([photos[i].product for i in readable], return_inverse=True)
    order = np.argsort(products, kind="stable")
    features, products = features[order], products[order].astype(np.int64)
    if sets is None:
        return _own_products(graph, features, products)
    return _by_protocol(graph, features, products, [photos[readable[i]].name for i in order.tolist()], sets)


class _Photo(NamedTuple):
    """A photo of a product, as `Predictor.predict_named` takes it."""

    product: str
    name: str
    image: Any


def _retrieval_sets(path: Path, options: Mapping[str, Any]) -> RetrievalSets | None:
    """What is searched among what, of DeepFashion's lists; None of other data."""
    found = options.get("format") or getattr(detect_format(path) if path.exists() else None, "name", None)
    return retrieval_sets(path) if found == FORMAT else None


def _listed_photos(data: str | Path, options: Mapping[str, Any], log: Log) -> list[_Photo]:
    dataset = read_and_log(data, log=log, **options)
    if dataset.products is None or not isinstance(dataset.images, PhotoImages):
        raise DataError("retrieval_without_pairs", count=len(dataset))
    products, names = map(str, dataset.products), map(str, dataset.ids)
    return [_Photo(*each) for each in zip(products, names, dataset.images.photos, strict=True)]


def _catalogue_photos(data: str | Path, options: Mapping[str, Any], log: Log) -> list[_Photo]:
    catalogue = open_catalogue(data, None, options, log)
    for note in (*catalogue.table.fixes, *catalogue.notes):
        log(note)
    names, photos = photos_of(catalogue)
    return [_Photo(names[product], photo.name, photo.image) for product, photo in photos]


def _features(
    graph: FeatureGraph,
    photos: Sequence[_Photo],
    on_progress: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> tuple[NDArray[np.float16], list[int], dict[str, Message]]:
    """Of the readable photos, float16 (n, width), and their places; and why others are not."""
    rows: list[NDArray[np.float16]] = []
    readable: list[int] = []
    unreadable: dict[str, Message] = {}
    for place, photo in enumerate(photo_features(graph, ((each.name, each.image) for each in photos))):
        on_progress(place + 1, len(photos))
        if should_stop() and place + 1 < len(photos):
            raise StoppedError("index_stopped", done=place + 1, n=len(photos))
        if photo.features is None:
            unreadable[photo.name] = photo.error or Message("photo_readable_only_later", path=photo.name)
        else:
            rows.append(photo.features.astype(np.float16))
            readable.append(place)
    return np.stack(rows) if rows else np.zeros((0, 0), np.float16), readable, unreadable


def _own_products(graph: FeatureGraph, features: NDArray[np.float16], products: NDArray[np.int64]) -> RetrievalResult:
    projection, held_out = choose_projection(features, products)
    places = np.flatnonzero(np.isin(products, held_out))
    if not len(places):
        raise DataError("retrieval_without_pairs", count=len(np.unique(products)))
    vectors = projection(features)
    ranks = ranks_of_own(vectors[places], products[places], vectors, products, places)
    return _result(graph, "own products", ranks, products[places], len(products) - 1, projection.pairs)


def _by_protocol(
    graph: FeatureGraph,
    features: NDArray[np.float16],
    products: NDArray[np.int64],
    names: Sequence[str],
    sets: RetrievalSets,
) -> RetrievalResult:
    train, query, gallery = (
        np.flatnonzero([name in part for name in names]) for part in (sets.train, sets.query, sets.gallery)
    )
    if not len(query) or not len(gallery):
        raise DataError("retrieval_without_queries", protocol=sets.protocol)
    fitted = train if len(train) else gallery
    _, numbers = np.unique(products[fitted], return_inverse=True)
    projection, _ = choose_projection(features[fitted], numbers.astype(np.int64))
    vectors = projection(features)
    ranks = ranks_of_own(vectors[query], products[query], vectors[gallery], products[gallery])
    return _result(graph, sets.protocol, ranks, products[query], len(gallery), projection.pairs)


def _result(
    graph: FeatureGraph,
    protocol: str,
    ranks: NDArray[np.int64],
    products: NDArray[np.int64],
    gallery: int,
    learned_from: int,
) -> RetrievalResult:
    n_products = len(np.unique(products))
    found = recalls(ranks, products)
    return RetrievalResult(protocol, graph.network, len(ranks), gallery, n_products, learned_from, found)
