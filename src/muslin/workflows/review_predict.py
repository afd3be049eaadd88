"""What another model predicts for all products of a review store, before it may become the active one."""

from collections.abc import Callable, Iterator
from itertools import islice

from muslin.errors import DataError, StoppedError
from muslin.messages import Log, Message, examples, no_log
from muslin.models.predictor import Predictor
from muslin.review.store import Store
from muslin.review.values import CatalogueRow, ModelRow, NewProduct, Product
from muslin.workflows.product_catalogue import open_catalogue
from muslin.workflows.review_products import open_store_model, predict_catalogue, read_products

CHUNK = 500
"""Products that are on disk before the next ones are begun, and between two messages."""

Predicted = Iterator[tuple[int, NewProduct]]
"""Of each product its number, and what the model gives for it."""


def predict_products(
    store: Store, digest: str, log: Log = no_log, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Predict every product that the model has not predicted as it is now; their number.

    CHUNK are on disk before the next ones are begun, so a call that was stopped or killed goes on where it was. What
    the network gives for a photo is cached too.

    Raises:
        DataError: photos of products are gone, or show something else than when they were added.
        StoppedError: `should_stop` returned true.
    """
    missing, done = set(store.without_predictions(digest)), 0
    if not missing:
        return 0
    log(Message("review_predicting", n=len(missing)))
    predictor = open_store_model(store, find_row(store, digest))
    for row in store.catalogues():
        wanted = {product.name: product for product in store.products(row.id) if product.id in missing}
        predicted = _predictions(store, predictor, row, wanted) if wanted else iter(())
        while chunk := dict(islice(predicted, CHUNK)):
            store.put_vectors(digest, {number: product.vector for number, product in chunk.items()})
            store.put_predictions(digest, ((number, product.predictions) for number, product in chunk.items()))
            done += len(chunk)
            log(Message("review_predicted", n=done, total=len(missing)))
            if done < len(missing) and should_stop():
                raise StoppedError("review_predicting_stopped", done=done, count=len(missing))
        if wanted:
            raise DataError("review_photos_changed", path=row.path, **examples(wanted))
    return done


def find_row(store: Store, digest: str) -> ModelRow:
    """The row of a model that is in the store."""
    return next(model for model in store.models() if model.digest == digest)


def _predictions(store: Store, predictor: Predictor, row: CatalogueRow, wanted: dict[str, Product]) -> Predicted:
    """The predictions for the wanted products of a catalogue, which are taken out of `wanted`."""
    catalogue, info = open_catalogue(row.path, None, row.read_options, no_log), store.info
    chosen = predictor.rules.choose(info.precision, info.guarantee, per_product=catalogue.has_several)
    found = (product for product in read_products(catalogue) if product.name in wanted)
    same = (product for product in found if product.fingerprint == wanted[product.name].fingerprint)
    for product in predict_catalogue(catalogue, predictor, same, chosen.precision, info.guarantee):
        if product.error is None:
            yield wanted.pop(product.name).id, product
