"""The models of a store: their files, which one is active, and who promoted it."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select

from muslin.data.dataset import Target
from muslin.errors import DataError
from muslin.models.bundle import open_bundle
from muslin.review.clock import now_text
from muslin.review.schema import (
    ACTIVE_DIGEST,
    CLASSES,
    ITEMS,
    MODEL_PARTS,
    MODELS,
    PREDICTIONS,
    PRODUCTS,
    PROMOTIONS,
    VECTORS,
    DamagedValueError,
)
from muslin.review.values import ModelRow, Promotion
from muslin.storage.atomic import atomic_file, cache_folder

PART_BYTES = 16 * 2**20
CACHE_S = 30 * 24 * 3600.0
"""How long a model stays in the cache after it was last asked for."""


def add_model(connection: Connection, path: Path, record: Mapping[str, Any]) -> str:
    """Keep a copy of a model, unless it is there already, and return its digest.

    Raises:
        BundleError: no model that can be opened.
    """
    targets = open_bundle(path).targets
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if connection.scalar(select(MODELS.c.digest).where(MODELS.c.digest == digest)):
            return digest
        row = {
            "digest": digest,
            "number": (connection.scalar(select(func.max(MODELS.c.number))) or 0) + 1,
            "name": path.name,
            "size": os.fstat(file.fileno()).st_size,
            "targets": [asdict(target) for target in targets],
            "record": dict(record),
            "added_at": now_text(),
        }
        connection.execute(insert(MODELS), [row])
        file.seek(0)
        for number, content in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
            connection.execute(insert(MODEL_PARTS), [{"digest": digest, "number": number, "content": content}])
    return digest


def read_models(connection: Connection) -> list[ModelRow]:
    """All models, in the order in which they came."""
    rows = connection.execute(select(MODELS).order_by(MODELS.c.number))
    return [model_of(row) for row in rows]


def read_model(connection: Connection, digest: str) -> ModelRow:
    """
    Raises:
        DataError: the store has no such model.
    """
    row = connection.execute(select(MODELS).where(MODELS.c.digest == digest)).one_or_none()
    if row is None:
        raise DataError("review_model_missing", digest=digest)
    return model_of(row)


def model_of(row: Any) -> ModelRow:
    """A row of `models`."""
    try:
        targets = tuple(Target(t["name"], tuple(t["classes"]), t["kind"]) for t in row.targets)
        if not targets or not all(target.kind in ("multiclass", "multilabel") for target in targets):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedValueError("models.targets") from error
    return ModelRow(row.digest, row.name, row.size, targets, row.record, row.added_at)


def cached_file(connection: Connection, digest: str) -> Path:
    """A file with the content of a model, in the cache.

    Raises:
        DataError: the store has no such model, or its content is damaged.
        StorageError: the cache cannot be written.
    """
    read_model(connection, digest)
    path = cache_folder() / "review" / f"{digest}.muslin"
    if _has_digest(path, digest):
        os.utime(path)
    else:
        with atomic_file(path) as file:
            seen = hashlib.sha256()
            for content in _parts(connection, digest):
                seen.update(content)
                file.write(content)
            if seen.hexdigest() != digest:
                raise DataError("review_model_damaged", digest=digest)
        _remove_old(path.parent)
    return path


def _remove_old(folder: Path) -> None:
    """Remove the models of the cache that nobody has asked for of late. They are in their stores."""
    for path in folder.glob("*.muslin"):
        with suppress(OSError):  # another user's, for example
            if path.stat().st_mtime < time.time() - CACHE_S:
                path.unlink()


def _parts(connection: Connection, digest: str) -> Iterator[bytes]:
    numbers = list(connection.scalars(select(MODEL_PARTS.c.number).where(MODEL_PARTS.c.digest == digest)))
    for number in sorted(numbers):
        here = and_(MODEL_PARTS.c.digest == digest, MODEL_PARTS.c.number == number)
        yield connection.scalar(select(MODEL_PARTS.c.content).where(here)) or b""


def _has_digest(path: Path, digest: str) -> bool:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def active_digest(connection: Connection) -> str:
    """The digest of the active model."""
    found = connection.scalar(select(ACTIVE_DIGEST))
    if found is None:
        raise DamagedValueError("promotions")
    return str(found)


def check_active(connection: Connection, expected: str | None, name: str) -> None:
    """
    Raises:
        DataError: another model than the expected one is active in the store called `name`.
    """
    if expected is not None and active_digest(connection) != expected:
        raise DataError("promotion_model_changed", path=name)


def read_promotions(connection: Connection) -> list[Promotion]:
    """All promotions, the first one first."""
    rows = connection.execute(select(PROMOTIONS).order_by(PROMOTIONS.c.id))
    return [Promotion(row.id, row.digest, row.kind, row.who, row.at, row.metrics) for row in rows]


def previous_digest(promotions: list[Promotion]) -> str | None:
    """The model that would be active again if the last promotion were undone; None where there is none."""
    active: list[str] = []
    for promotion in promotions:
        if promotion.kind == "undo":
            active.pop()
        else:
            active.append(promotion.digest)
    return active[-2] if len(active) > 1 else None


def add_promotion(connection: Connection, digest: str, kind: str, who: str, metrics: Mapping[str, Any]) -> None:
    """Make a model the active one. Its rows of `items` are there already, so that this takes one row, however many
    products there are.

    Raises:
        DataError: the store has no such model, its targets are others, or it has not predicted every product.
    """
    model = read_model(connection, digest)
    if kind != "init":
        check_targets(read_model(connection, active_digest(connection)), model)
    if not _has_all_items(connection, model):
        if missing := len(without_predictions(connection, digest)):
            raise DataError("review_predictions_missing", digest=digest, count=missing)
        raise DamagedValueError("items")
    row = {"digest": digest, "kind": kind, "who": who, "at": now_text(), "metrics": dict(metrics)}
    connection.execute(insert(PROMOTIONS), [row])


def _has_all_items(connection: Connection, model: ModelRow) -> bool:
    """Whether a model has predicted every readable product as it is now: `items` has a row for each prediction."""
    count = select(func.count())
    products = connection.scalar(count.select_from(PRODUCTS)) or 0
    unreadable = connection.scalar(count.where(PRODUCTS.c.error.is_not(None))) or 0
    number = select(MODELS.c.number).where(MODELS.c.digest == model.digest).scalar_subquery()
    of_model = count.select_from(ITEMS).where(ITEMS.c.model == number)
    found = (connection.scalar(of_model.where(ITEMS.c.target == target.name)) for target in model.targets)
    return all(each == products - unreadable for each in found)


def forget_former(connection: Connection, count: int) -> int:
    """Remove what models predict that were active and that no undo of the last promotion makes active again.

    Of one such model, and of at most `count` products; returns of how many.
    """
    promotions = read_promotions(connection)
    needed = active_digest(connection), previous_digest(promotions)
    for digest in dict.fromkeys(each.digest for each in promotions if each.digest not in needed):
        number = select(MODELS.c.number).where(MODELS.c.digest == digest).scalar_subquery()
        products = list(connection.scalars(select(ITEMS.c.product).where(ITEMS.c.model == number).limit(count)))
        if products:
            connection.execute(delete(ITEMS).where(ITEMS.c.product.in_(products), ITEMS.c.model == number))
            for table in (VECTORS, PREDICTIONS):
                connection.execute(delete(table).where(table.c.product.in_(products), table.c.digest == digest))
            return len(products)
    return 0


def check_targets(old: ModelRow, new: ModelRow) -> None:
    """
    Raises:
        DataError: the models differ in the names or kinds of their targets. Their classes may differ.
    """
    if {(t.name, t.kind) for t in old.targets} != {(t.name, t.kind) for t in new.targets}:
        found, expected = ([f"{t.name} ({t.kind})" for t in model.targets] for model in (new, old))
        raise DataError("review_targets_differ", found=found, expected=expected)


def without_predictions(connection: Connection, digest: str) -> list[int]:
    """The readable products that a model has not predicted as they are now."""
    predicted = (
        select(PREDICTIONS.c.product)
        .where(PREDICTIONS.c.product == PRODUCTS.c.id, PREDICTIONS.c.digest == digest)
        .where(PREDICTIONS.c.fingerprint == PRODUCTS.c.fingerprint)
    )
    rows = select(PRODUCTS.c.id).where(PRODUCTS.c.error.is_(None), ~predicted.exists()).order_by(PRODUCTS.c.id)
    return list(connection.scalars(rows))


def known_classes(connection: Connection, target: str) -> tuple[str, ...]:
    """The classes of a target: the active model's, those of earlier models, and those that people added."""
    digests = dict.fromkeys(connection.scalars(select(PROMOTIONS.c.digest).order_by(PROMOTIONS.c.id.desc())))
    of_models = [
        name
        for digest in digests
        for one in read_model(connection, digest).targets
        if one.name == target
        for name in one.classes
    ]
    added = connection.scalars(
        select(CLASSES.c.name).where(CLASSES.c.target == target).order_by(CLASSES.c.at, CLASSES.c.name)
    )
    return tuple(dict.fromkeys([*of_models, *added]))
