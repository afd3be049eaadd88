"""Everything decided in a review store and the first model's data, as one Dataset to train the next model on.

The last decision on a product's present photos counts. Only the random sample calibrates, validates and tests, as
`Dataset.drawn_at_random` says; the other decided products, of which the model was uncertain, train. The test part is
sealed: it has the first model's own test set and half of the random sample as large as it is now, and no image of it,
nor a copy of one, trains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.catalogue.product_rows import with_own_names
from muslin.data.dataset import UNKNOWN, Dataset, Images, PixelImages, Target, align, indices_by_part
from muslin.data.photo_roles import ProductPhoto, known_roles
from muslin.data.photos import PhotoImages, decode_photos
from muslin.errors import DataError, ImageError
from muslin.messages import Log, Message, examples, no_log
from muslin.models.predictor import Predictor
from muslin.review.store import Store
from muslin.workflows.product_catalogue import open_catalogue
from muslin.workflows.review_decisions import TEST, TRAIN, WAITING, DecidedProduct, decided_products, labels_and_mask
from muslin.workflows.review_exchange import known_targets
from muslin.workflows.review_first_data import first_model, read_first_data
from muslin.workflows.review_products import fingerprint_of

Mask = NDArray[np.bool_]

MIN_RANDOM = 2
"""Products drawn at random of which some can calibrate while others train."""


@dataclass(frozen=True, eq=False)
class ReviewData:
    """What the next model is trained on.

    Attributes:
        dataset: with the parts `train` and `test`, the mask of random samples, and in `fixes` what a person must know.
        record: the numbers of decisions behind it, as JSON.
    """

    dataset: Dataset
    record: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class DecidedPhotos:
    """A decided product with its readable photos; `keep_alive` is what they are in."""

    decided: DecidedProduct
    photos: Sequence[ProductPhoto]
    keep_alive: Any = None


def read_review_data(store: Store, log: Log = no_log) -> ReviewData:
    """Read the photos of everything decided, and the first model's data.

    Raises:
        DataError: nothing is decided, or too little of the random sample; no photo of it is found; or data are no
            longer where they were.
    """
    products = decided_products(store)
    if not any(each.use == TRAIN for each in products):
        raise DataError("review_nothing_decided", path=store.name)
    predictor = first_model(store)
    first = read_first_data(store, predictor, log)
    if first is None:
        check_random_sample(store, products)
    with_photos, notes = find_photos(store, [each for each in products if each.use != WAITING])
    targets = known_targets(store)
    data = dataset_of(with_photos, targets, predictor, name=store.name)
    if first is not None:
        data = join_first(align(first, targets), data, predictor)
    data, overlaps = without_overlaps(data, 0 if first is None else len(first))
    data = without_untrained(data, store.targets)
    notes = [*_notes(store, products, first), *notes, *overlaps]
    for note in notes:
        log(note)
    return ReviewData(replace(data, fixes=(*data.fixes, *notes)), _record(store, products, data))


def check_random_sample(store: Store, products: Sequence[DecidedProduct]) -> None:
    """Refuse to train where nothing but the random sample can calibrate, and it has too few decisions.

    Raises:
        DataError: fewer than two products of its part that trains are decided without a gap.
    """
    if sum(each.is_random and each.use == TRAIN for each in products) >= MIN_RANDOM:
        return
    sample = max((store.counts(target.name).sample for target in store.targets), key=lambda each: each.left)
    hint = "left" if sample.left else "share"
    counts = {"n": len(products), "left": sample.left, "total": sample.total}
    raise DataError("review_sample_undecided", hint, path=store.name, **counts)


def read_sealed_test(store: Store, log: Log = no_log) -> Dataset:
    """The sealed test part: the first model's own test set, and the decided half of the random sample.

    Raises:
        DataError: there is none yet, or data are no longer where they were.
    """
    predictor = first_model(store)
    first = read_first_data(store, predictor, log)
    targets = known_targets(store)
    tests = []
    if first is not None and "test" in indices_by_part(first):
        tests.append(align(first.part("test"), targets))
    products = [each for each in decided_products(store) if each.use == TEST]
    if products:
        with_photos, notes = find_photos(store, products)
        for note in notes:
            log(note)
        tests.append(dataset_of(with_photos, targets, predictor, name=store.name))
    if not tests:
        raise DataError("promotion_without_test", path=store.name)
    return tests[0] if len(tests) == 1 else join_first(tests[0], tests[1], predictor)


def find_photos(store: Store, products: Sequence[DecidedProduct]) -> tuple[list[DecidedPhotos], list[Message]]:
    """The photos of the products in their catalogues, and a message on those that are gone or show something else now.

    Raises:
        DataError: all of them are, or a catalogue cannot be read.
    """
    wanted: dict[int, dict[str, DecidedProduct]] = {}
    for each in products:
        wanted.setdefault(each.product.catalogue, {})[each.product.name] = each
    found: list[DecidedPhotos] = []
    changed: list[str] = []
    for row in store.catalogues():
        left = wanted.get(row.id, {})
        if not left:
            continue
        catalogue = open_catalogue(row.path, None, row.read_options, no_log)
        for product in with_own_names(catalogue.rows):
            decided = left.pop(product.name, None)
            if decided is None:
                continue
            photos = catalogue.rows.find(product)
            if fingerprint_of(photos) == decided.product.fingerprint:
                readable = [photo for photo in photos if not isinstance(photo.image, ImageError)]
                found.append(DecidedPhotos(decided, readable, catalogue))
            else:
                changed.append(product.name)
        changed += left
    if not found:
        raise DataError("review_photos_missing", path=store.name, **examples(changed))
    return found, [Message("review_products_changed", **examples(changed))] if changed else []


def dataset_of(
    products: Sequence[DecidedPhotos], targets: Sequence[Target], predictor: Predictor, *, name: str
) -> Dataset:
    """The photos of decided products as a Dataset."""
    counts = [len(each.photos) for each in products]
    row_of = np.repeat(np.arange(len(products)), counts)
    photos = [photo for each in products for photo in each.photos]
    labels, no_class = {}, {}
    for target in targets:
        decisions = [each.decided.decided.get(target.name) for each in products]
        values, none = labels_and_mask(target, decisions)
        labels[target.name], no_class[target.name] = values[row_of], none[row_of]
    numbers = [each.decided.product.id for each in products]
    return Dataset(
        name=name,
        format="review",
        images=_images(photos, [each.keep_alive for each in products]),
        targets=tuple(targets),
        labels=labels,
        ids=np.array([f"decided/{numbers[r]}/{p.name}" for r, p in zip(row_of, photos, strict=True)], dtype=object),
        parts=np.array(["test" if each.decided.use == TEST else "train" for each in products], dtype=object)[row_of],
        products=np.array([f"decided/{number}" for number in numbers], dtype=object)[row_of],
        roles=known_roles([photo.role for photo in photos]),
        drawn_at_random=np.array([each.decided.is_random for each in products])[row_of],
        no_class={name: mask for name, mask in no_class.items() if mask.any()},
        origin=str(Message("review_origin", path=name)),
        transform=predictor.bundle.preprocessing.transform,
    )


def _images(photos: Sequence[ProductPhoto], keep_alive: Any) -> Images:
    images = [photo.image for photo in photos]
    if all(isinstance(image, np.ndarray) for image in images):
        if len(shapes := {image.shape for image in images}) > 1:
            raise DataError("sizes_differ", sizes=["×".join(map(str, shape)) for shape in sorted(shapes)])
        stacked = np.stack(images)
        return PixelImages(stacked if stacked.ndim == 4 else stacked[..., np.newaxis])
    if any(isinstance(image, np.ndarray) for image in images):
        raise DataError("mixed_images")
    return PhotoImages(tuple(images), keep_alive=keep_alive)


def join_first(first: Dataset, decided: Dataset, predictor: Predictor) -> Dataset:
    """The first model's data, all of them drawn at random, followed by the decided products."""
    if isinstance(first.images, PixelImages):  # then the model takes images of this size
        decided = decode_photos(decided, predictor.bundle.preprocessing.shape)
    n, both = len(first), (first, decided)
    assert decided.products is not None
    products = groups = None
    if first.products is not None or len(np.unique(decided.products.astype(str))) < len(decided):
        own = (
            first.products if first.products is not None else np.array([f"first/{i}" for i in first.ids], dtype=object)
        )
        products = np.concatenate([own, decided.products])
    if first.groups is not None:
        groups = np.concatenate([first.groups, decided.products])
    roles = [np.full(len(each), "", dtype=object) if each.roles is None else each.roles for each in both]
    none = np.zeros(n, dtype=bool)
    return replace(
        first,
        name=decided.name,
        format=decided.format,
        images=first.images.concat([decided.images]),
        labels={name: np.concatenate([each.labels[name] for each in both]) for name in first.labels},
        ids=np.concatenate([first.ids, decided.ids]),
        parts=np.concatenate([each.parts for each in both if each.parts is not None]),
        groups=groups,
        products=products,
        roles=known_roles(np.concatenate(roles).tolist()),
        drawn_at_random=np.concatenate([first.is_random, decided.is_random]),
        no_class={name: np.concatenate([none, mask]) for name, mask in decided.no_class.items()},
        origin=f"{first.origin}; {decided.origin}",
        fixes=(*first.fixes, *decided.fixes),
        unreadable={**first.unreadable, **decided.unreadable},
    )


def without_overlaps(data: Dataset, n_first: int) -> tuple[Dataset, list[Message]]:
    """`data` in which no copy of a test image trains, and a decision replaces the label of the first data.

    The label of a target on which nobody has decided stays. A decided product of which a photo is in the first data is
    as random as that photo was.
    """
    copies, is_test, is_first = data.first_copies, data.parts == "test", np.arange(len(data)) < n_first
    leaks = ~is_test & np.isin(copies, copies[is_test])
    trains = ~is_test & ~leaks
    decided = np.asarray(trains & ~is_first)
    replaced = np.asarray(trains & is_first & np.isin(copies, copies[decided]))
    data = replace(data, labels=_with_first_labels(data, replaced, decided))
    random = data.is_random
    inherits = np.asarray(decided & np.isin(copies, copies[replaced & random]), dtype=bool)
    if data.products is not None:
        shares = np.isin(data.products.astype(str), data.products[inherits].astype(str))
        inherits = np.asarray(~is_first & shares, dtype=bool)
    kept = np.flatnonzero(~leaks & ~replaced)
    messages = []
    if leaks.any():
        messages.append(Message("review_test_copies", n=int(leaks.sum())))
    if replaced.any():
        messages.append(Message("review_labels_replaced", n=int(replaced.sum())))
    return replace(data, drawn_at_random=np.asarray(random | inherits, dtype=bool)).take(kept), messages


def _with_first_labels(data: Dataset, replaced: Mask, decided: Mask) -> dict[str, NDArray[np.integer[Any]]]:
    """The labels, in which decided images have those that they replace, for each target on which nobody has decided."""
    copies, labels = data.first_copies, {}
    for name, values in data.labels.items():
        is_known = (values != UNKNOWN).reshape(len(values), -1).any(axis=1)
        former = np.full(len(data), -1)
        rows = np.flatnonzero(replaced & is_known)[::-1]  # so that the first one of several copies stays
        former[copies[rows]] = rows
        is_undecided = decided & ~is_known & ~data.no_class.get(name, np.zeros(len(data), dtype=bool))
        taken = np.flatnonzero(is_undecided & (former[copies] >= 0))
        labels[name] = values.copy()
        labels[name][taken] = values[former[copies[taken]]]
    return labels


def without_untrained(data: Dataset, known: Sequence[Target]) -> Dataset:
    """`data` without the classes of which no image trains; images that are decided as one have no class.

    Args:
        known: the targets with the classes that stay in any case.
    """
    stays = {target.name: target.classes for target in known}
    targets, labels, no_class = [], {}, dict(data.no_class)
    for target in data.targets:
        values = data.labels[target.name]
        is_of = values == 1 if target.kind == "multilabel" else values[:, np.newaxis] == np.arange(len(target.classes))
        is_kept = is_of[data.parts == "train"].any(axis=0) | np.isin(target.classes, stays[target.name])
        if (none := is_of[:, ~is_kept].any(axis=1)).any():
            no_class[target.name] = none | no_class.get(target.name, np.zeros(len(data), dtype=bool))
        if target.kind == "multilabel":
            values = np.where(none[:, np.newaxis], UNKNOWN, values[:, is_kept])
        else:
            values = np.where(none | (values == UNKNOWN), UNKNOWN, (np.cumsum(is_kept) - 1)[values])
        kept = tuple(name for name, is_left in zip(target.classes, is_kept, strict=True) if is_left)
        targets.append(replace(target, classes=kept))
        labels[target.name] = values
    return replace(data, targets=tuple(targets), labels=labels, no_class=no_class)


def _notes(store: Store, products: Sequence[DecidedProduct], first: Dataset | None) -> list[Message]:
    """What a person must know of the decisions behind a training."""
    uses = {use: [each for each in products if each.use == use] for use in (TRAIN, TEST, WAITING)}
    random = sum(each.is_random for each in uses[TRAIN])
    counts = {"n": len(uses[TRAIN]), "random": random, "test": len(uses[TEST])}
    notes = [Message("review_decisions_used", **counts)]
    if waiting := len(uses[WAITING]):
        notes.append(Message("review_test_waiting", n=waiting))
    if first is None:
        notes.append(Message("review_without_first_data"))
    for target in store.targets:
        kinds = [each.decided[target.name].kind for each in products if target.name in each.decided]
        if without := len(kinds) - kinds.count("value"):
            notes.append(Message("review_without_class", target=target.name, n=without))
        if conflicts := store.conflicts(target.name):
            names = (conflict.name for conflict in conflicts)
            notes.append(Message("review_conflicts", target=target.name, **examples(names)))
    return notes


def _record(store: Store, products: Sequence[DecidedProduct], data: Dataset) -> dict[str, Any]:
    return {
        "store": store.info.id,
        "spot_checks": store.info.spot_checks,
        "last_decision": max(decision.id for each in products for decision in each.decided.values()),
        "decided": {use: sum(each.use == use for each in products) for use in (TRAIN, TEST, WAITING)},
        "random": sum(each.is_random for each in products),
        "conflicts": {target.name: len(store.conflicts(target.name)) for target in store.targets},
        "images": {part: len(indices) for part, indices in indices_by_part(data).items()},
    }
