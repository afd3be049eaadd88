"""The models of an open review store, and which one is active."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from muslin.data.dataset import Target
from muslin.errors import DataError, StorageError
from muslin.review import items, model_rows
from muslin.review import products as product_rows
from muslin.review.database import Database
from muslin.review.settings import check_who
from muslin.review.values import ModelRow, NewPrediction, Promotion


class StoreModels:
    """What a `muslin.review.store.Store` does with its models; its methods raise what those of a Store raise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """What messages call the store: its path, or its URL without a password."""
        return self._database.name

    @property
    def targets(self) -> tuple[Target, ...]:
        """The active model's."""
        return self.active.targets

    @property
    def active(self) -> ModelRow:
        """The model whose predictions are shown."""
        with self._database.reading() as connection:
            return model_rows.read_model(connection, model_rows.active_digest(connection))

    def models(self) -> list[ModelRow]:
        """All models, in the order in which they came."""
        with self._database.reading() as connection:
            return model_rows.read_models(connection)

    def open_model(self, digest: str) -> Path:
        """A file of the cache with a model of the store.

        Raises:
            DataError: no such model, or a damaged one.
        """
        with self._database.reading() as connection:
            return model_rows.cached_file(connection, digest)

    def add_model(self, path: str | Path, record: Mapping[str, Any]) -> str:
        """Keep a copy of a model, and return its digest; one that is there stays as it is.

        Raises:
            BundleError: no model that can be opened.
        """
        with self._database.writing() as connection:
            return model_rows.add_model(connection, Path(path), record)

    def promote(self, digest: str, who: str, metrics: Mapping[str, Any], *, instead_of: str | None = None) -> None:
        """Make a model the active one, whose predictions for all readable products are in the store.

        Args:
            instead_of: the digest of the model that is still to be active; None for any.

        Raises:
            DataError: no such model, other targets, missing predictions, or another model has become active.
        """
        check_who(who)
        with self._database.writing() as connection:
            model_rows.check_active(connection, instead_of, self.name)
            model_rows.add_promotion(connection, digest, "promote", who, metrics)
        with suppress(StorageError):  # the next promotion goes on with it
            self._forget_former_models()

    def _forget_former_models(self) -> None:
        """Remove the predictions of models that are no longer needed, so that the store does not grow with each one.

        A few hundred at a time, so that nobody who decides has to wait.
        """
        is_over = False
        while not is_over:
            with self._database.writing() as connection:
                is_over = not model_rows.forget_former(connection, product_rows.CHUNK)

    @property
    def previous(self) -> str | None:
        """The digest of the model that `undo_promotion` makes active again."""
        return model_rows.previous_digest(self.promotions())

    def undo_promotion(self, who: str, *, instead_of: str | None = None) -> str:
        """Make the model active again that was before the last promotion, and return its digest.

        Args:
            instead_of: as in `promote`.

        Raises:
            DataError: there is none, it has not predicted products that came later, or another model has become active.
        """
        check_who(who)
        with self._database.writing() as connection:
            model_rows.check_active(connection, instead_of, self.name)
            digest = model_rows.previous_digest(model_rows.read_promotions(connection))
            if digest is None:
                raise DataError("review_no_promotion", path=self.name)
            model_rows.add_promotion(connection, digest, "undo", who, {})
            return digest

    def promotions(self) -> list[Promotion]:
        """All promotions, the first one first."""
        with self._database.reading() as connection:
            return model_rows.read_promotions(connection)

    def put_predictions(self, digest: str, predictions: Iterable[tuple[int, Mapping[str, NewPrediction]]]) -> None:
        """Write what another model of the store predicts for products, which may become the active one then."""
        for chunk in product_rows.chunks(predictions):
            with self._database.writing() as connection:
                model_rows.read_model(connection, digest)
                product_rows.add_predictions(connection, digest, dict(chunk))
                items.make_items(connection, [product for product, _ in chunk], digest)

    def put_vectors(self, digest: str, vectors: Mapping[int, bytes | None]) -> None:
        """Write the vectors that a model of the store gives for products."""
        for chunk in product_rows.chunks(vectors.items()):
            with self._database.writing() as connection:
                model_rows.read_model(connection, digest)
                product_rows.add_vectors(connection, digest, dict(chunk))

    def without_predictions(self, digest: str) -> list[int]:
        """The readable products that a model has not predicted as they are now; in the order of their ids."""
        with self._database.reading() as connection:
            return model_rows.without_predictions(connection, digest)
