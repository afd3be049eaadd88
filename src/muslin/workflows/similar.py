"""The index of a catalogue's photos, built from any data.

Read from `build` down. Features come from the earlier index, from muslin's cache or from the network; the rest is
computed anew each time, in seconds.
"""

import os
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.catalogue.product_rows import with_identifiers, with_own_names
from muslin.data.photo_content import versions
from muslin.data.photo_lookup import NOT_FOUND
from muslin.data.photo_roles import ProductPhoto
from muslin.data.photos import unreadable_by_kind
from muslin.data.registry import DATASETS
from muslin.errors import DataError, StoppedError
from muslin.execution import Executor
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.models.bundle import open_bundle
from muslin.models.feature_graph import FeatureGraph
from muslin.models.photo_features import photo_features
from muslin.models.predictor import MODEL_FILE
from muslin.similarity.fitting import fit_vectors
from muslin.similarity.index import (
    SAME,
    Index,
    IndexedPhotos,
    IndexSource,
    decisions_of,
    describe,
    open_index,
    write_index,
)
from muslin.similarity.same_product import SameProductRule, same_product_rule
from muslin.storage.outputs import Output
from muslin.storage.scratch import ScratchArray
from muslin.workflows.product_catalogue import ProductCatalogue, check_no_photo, open_catalogue
from muslin.workflows.similar_decisions import locked_index
from muslin.workflows.similar_time import log_expected_time
from muslin.workflows.work_time import ExecutorNotes

BACKBONE = "efficientnet-lite0"
"""Whose features tell photos apart where no model is named; see docs/how-to/similar.md."""

PACKAGES = ("muslin", "PIL", "onnxruntime")
"""On whose versions features depend."""


@dataclass(frozen=True)
class BuildOptions:
    """How to build an index.

    Attributes:
        model: a model whose backbone gives the features; None for BACKBONE with its ImageNet weights.
        update: whether to go on from the index that is there: features of its photos are kept.
        read_options: how to read the data, as `muslin.read` takes it.
        executor: its workers compute the features; None for this process. The index is the same, byte for byte.
    """

    model: str | Path | None = None
    update: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)
    executor: Executor | None = None


@dataclass(frozen=True)
class BuildResult:
    """A built index.

    Attributes:
        out: the file.
        index: what was written.
        computed, kept: photos whose features were computed, or found in the index of before or in the cache.
        unreadable: why photos could not be read, by their names.
        without_photo: products that are not in the index, because no photo of theirs could be read.
        notes: on what was guessed or repaired, and on what was excluded.
    """

    out: Path
    index: Index
    kept: int
    unreadable: Mapping[str, Message]
    without_photo: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def rule(self) -> SameProductRule:
        """What "the same product" rests on."""
        return same_product_rule(self.index.calibration)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "path": str(self.out),
            **describe(self.index),
            "kept": self.kept,
            "unreadable": {name: plain(reason) for name, reason in self.unreadable.items()},
            "without_photo": list(self.without_photo),
            "same_product": self.rule.to_dict(),
            "notes": plain(self.notes),
        }


def build(
    data: str | Path,
    out: str | Path | Output,
    options: BuildOptions | None = None,
    *,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, photos: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> BuildResult:
    """Write an index of the photos of `data`, which is anything that `muslin tag` reads.

    Args:
        out: a new file; as an Output it can replace one. Decisions in an index that is there are kept.
        log: called with each note as soon as it is known.
        on_progress: called with the numbers of finished and of all photos.
        should_stop: called now and then; the work stops cleanly once it returns True. What is computed stays in the
            cache, from which the next attempt takes it.

    Raises:
        DataError: the data cannot be read, hold no readable photo, or the index to update is of another model.
        BundleError: the model cannot be opened, or gives no features.
        MissingPartError: the ImageNet weights are not installed.
        StorageError: the output exists or is an input, or the disk is full.
        StoppedError: `should_stop` returned True.
    """
    options, output = options or BuildOptions(), Output.of(out)
    old = open_index(output.path) if options.update and os.path.lexists(output.path) else None
    output = replace(output, overwrite=output.overwrite or old is not None)
    output.check([p for p in (options.model, data) if p is not None and str(p) not in DATASETS])
    graph = _graph(options.model, old, output.path)
    catalogue = open_catalogue(data, None, options.read_options, log)
    check_no_photo(output, catalogue.rows)
    for note in (*catalogue.table.fixes, *catalogue.notes):
        log(note)
    names, photos = photos_of(catalogue)
    known, notes = _kept_features(old, log), ExecutorNotes(options.executor, log)
    log_expected_time(graph, photos, known, options.executor, log)

    def on_photo(done: int, count: int) -> None:
        on_progress(done, count)
        notes.tell()
        if should_stop() and done < count:
            raise StoppedError("index_stopped", done=done, n=count)

    extracted = _extract(graph, photos, known, options.executor, on_photo)
    notes.end()
    unreadable = extracted.unreadable
    log_unreadable(unreadable, {note.code for note in catalogue.notes}, log)
    source = IndexSource(_place(data), _stored(options.read_options), _versions(), catalogue.unit, len(unreadable))
    without = tuple(names[i] for i in np.setdiff1d(np.arange(len(names)), extracted.products).tolist())
    with locked_index(output.path):
        before = open_index(output.path).named_decisions() if old or _is_index(output.path) else {}
        index = _make_index(graph, names, extracted, before, source)
        write_index(output, index)
    return BuildResult(output.path, index, extracted.kept, unreadable, without, catalogue.notes)


def _graph(model: str | Path | None, old: Index | None, path: Path) -> FeatureGraph:
    """What features are taken with: the model's, or that of the index of before."""
    if model is None and old is not None:
        old.graph.check()
        return old.graph
    graph = feature_graph(model)
    if old is not None and (old.graph.weights, old.graph.preprocessing) != (graph.weights, graph.preprocessing):
        raise DataError("index_other_model", path=str(path), name=str(model), network=old.graph.network)
    return graph


def feature_graph(model: str | Path | None) -> FeatureGraph:
    """What features are taken with: the backbone of a model, or BACKBONE with its ImageNet weights.

    Raises:
        BundleError: the model cannot be opened, or gives no features.
        MissingPartError: the ImageNet weights are not installed.
    """
    if model is None:
        from muslin.learn.features import imagenet_graph

        return imagenet_graph(BACKBONE)
    return FeatureGraph.of(open_bundle(Path(model) / MODEL_FILE if os.path.isdir(model) else Path(model)))


def photos_of(catalogue: ProductCatalogue) -> tuple[list[str], list[tuple[int, ProductPhoto]]]:
    """The products' names; and each photo with the number of its product, in the order of the products."""
    names: list[str] = []
    photos: list[tuple[int, ProductPhoto]] = []
    for product in with_own_names(with_identifiers(catalogue.rows)):
        photos += [(len(names), photo) for photo in catalogue.rows.find(product)]
        names.append(product.name)
    return names, photos


@dataclass(frozen=True, eq=False)
class _Extracted:
    """Of the readable photos; a product's identical ones are there once."""

    names: list[str]
    digests: NDArray[np.uint8]
    products: NDArray[np.int64]
    features: NDArray[np.float16]
    kept: int
    unreadable: dict[str, Message]


def _extract(
    graph: FeatureGraph,
    photos: Sequence[tuple[int, ProductPhoto]],
    known: Mapping[bytes, NDArray[np.float16]],
    executor: Executor | None,
    on_photo: Callable[[int, int], None],
) -> _Extracted:
    rows: ScratchArray | None = None
    names: list[str] = []
    digests: list[bytes] = []
    products: list[int] = []
    seen: set[tuple[int, bytes]] = set()
    unreadable: dict[str, Message] = {}
    kept = 0
    images = ((photo.name, photo.image) for _, photo in photos)
    with closing(photo_features(graph, images, known.get, executor=executor)) as found:
        for done, ((product, _), photo) in enumerate(zip(photos, found, strict=True), 1):
            on_photo(done, len(photos))
            if photo.features is None:
                unreadable[photo.name] = photo.error or Message("photo_readable_only_later", path=photo.name)
                continue
            if (product, photo.digest) in seen:
                continue
            seen.add((product, photo.digest))
            rows = rows or ScratchArray(len(photos), photo.features.shape, np.float16)
            rows.write(len(names), photo.features.astype(np.float16))
            names.append(photo.name)
            digests.append(photo.digest)
            products.append(product)
            kept += photo.digest in known
    if rows is None:
        raise DataError("no_photo_indexed", **examples(unreadable))
    digest_rows = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
    features = rows.memmap()[: len(names)]
    return _Extracted(names, digest_rows, np.array(products, np.int64), features, kept, unreadable)


def log_unreadable(unreadable: Mapping[str, Message], told: Set[str], log: Log) -> None:
    """Log photos that could not be read, but for those that were counted as missing when the data were read.

    Args:
        told: the codes of the messages that were logged then.
    """
    untold = {name: reason for name, reason in unreadable.items() if NOT_FOUND.get(reason.code) not in told}
    for note in unreadable_by_kind(untold, "photos_not_indexed"):
        log(note)


def _make_index(
    graph: FeatureGraph,
    names: Sequence[str],
    extracted: _Extracted,
    decided: Mapping[tuple[str, str], int],
    source: IndexSource,
) -> Index:
    present, products = np.unique(extracted.products, return_inverse=True)
    present_names = [names[i] for i in present.tolist()]
    decisions, kept = decisions_of(decided, present_names)
    photos = IndexedPhotos(extracted.names, extracted.digests, products.astype(np.int64), extracted.features)
    same = frozenset(pair for pair, verdict in decisions.items() if verdict == SAME)
    fitted = fit_vectors(photos.features, photos.products, same)
    return Index(
        graph, photos, present_names, fitted.projection, fitted.vectors, fitted.calibration, decisions, source, kept
    )


def _kept_features(old: Index | None, log: Log) -> dict[bytes, NDArray[np.float16]]:
    """The features in an index, by the photos' digests; none where other versions computed them."""
    if old is None:
        return {}
    if old.source.versions != _versions():
        log(Message("index_versions_changed", found=_text(old.source.versions), expected=_text(_versions())))
        return {}
    digests = old.photos.digests
    return {digest.tobytes(): row for digest, row in zip(digests, old.photos.features, strict=True)}


def _text(installed: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in installed.items())


def _versions() -> dict[str, str]:
    return dict(zip(PACKAGES, versions(*PACKAGES), strict=True))


def _place(data: str | Path) -> str:
    """The data as they can be opened from another folder."""
    return str(data) if data in DATASETS else os.path.abspath(data)


def _stored(read_options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of reading as JSON values, with a folder of photos that can be opened from elsewhere."""
    stored: dict[str, Any] = {
        name: [*value] if isinstance(value, tuple) else value for name, value in read_options.items()
    }
    return stored | {"images": os.path.abspath(str(stored["images"]))} if stored.get("images") else stored


def _is_index(path: Path) -> bool:
    try:
        open_index(path, for_search=True)
    except DataError:
        return False
    return True
