"""The index of a catalogue's photos: their features, the vectors that are searched, and what people decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, DataError, unknown
from muslin.models.bundle import Preprocessing
from muslin.models.feature_graph import FeatureGraph
from muslin.models.json_schema import COUNT, AnyOf, check_schema, parse_json
from muslin.similarity.projection import Projection
from muslin.similarity.same_product import SameProductData
from muslin.similarity.sealed_arrays import SealedArrays, pack_texts, read_texts, write_sealed
from muslin.similarity.search import Search
from muslin.storage.outputs import Output
from muslin.strict_json import json_text

KIND, FORMAT_VERSION = "muslin similar index", "1"

NOT_SAME, SAME = 0, 1
VERDICTS = ("not the same", "the same")
"""What a person decides on two products, by number."""

MAX_COMPARED_NAMES = 10_000
"""Products whose names are compared with one that is not there: takes a fifth of a second."""

_SCHEMA: dict[str, Any] = {
    "network": str, "weights": str, "output": str,
    "preprocessing": {"height": COUNT, "width": COUNT, "channels": COUNT, "transform": str},
    "data": str, "read_options": {str: AnyOf([[str], [COUNT], COUNT, bool, str])}, "versions": {str: str},
    "unit": str, "unreadable": COUNT, "pairs": COUNT,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class IndexedPhotos:
    """Photos in the order of their products.

    Attributes:
        names: as the catalogue calls them.
        digests: uint8 (photos, 32): `PhotoContent.digest` of each.
        products: int64 (photos,), rising: the number of each photo's product.
        features: float16 (photos, width).
    """

    names: Sequence[str]
    digests: NDArray[np.uint8]
    products: NDArray[np.int64]
    features: NDArray[np.float16] = field(repr=False)

    def __len__(self) -> int:
        return len(self.products)


@dataclass(frozen=True)
class IndexSource:
    """Where an index comes from.

    Attributes:
        data, read_options: what was read, as the command line took it; a path is absolute.
        versions: of the packages that the features depend on.
        unit: what a product is called: `product`, or `photo` where nothing tells which products there are.
        unreadable: number of photos that could not be read.
    """

    data: str
    read_options: Mapping[str, Any]
    versions: Mapping[str, str]
    unit: str = "product"
    unreadable: int = 0


@dataclass(frozen=True, eq=False)
class Index:
    """An opened index.

    Attributes:
        graph: what features are taken with, also of photos that are looked up.
        products: names, in the order of their numbers; each has a photo.
        vectors: float16 (photos, width), of unit length.
        calibration: what the guarantee of "the same product" rests on; None where no product has several photos.
        decisions: per pair of products, the lower number first, a number of VERDICTS.
        kept: decisions on products that the index does not have now, by their names.
    """

    graph: FeatureGraph
    photos: IndexedPhotos
    products: Sequence[str]
    projection: Projection
    vectors: NDArray[np.float16]
    calibration: SameProductData | None
    decisions: Mapping[tuple[int, int], int]
    source: IndexSource
    kept: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @cached_property
    def search(self) -> Search:
        """What finds the nearest products."""
        return Search(self.vectors, self.photos.products)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each product, by its name."""
        return {name: number for number, name in enumerate(self.products)}

    def number(self, name: str, path: Path) -> int:
        """The number of a product.

        Raises:
            DataError: the index has no such product.
        """
        if name not in self.numbers:
            raise DataError("product_not_indexed", path=str(path), name=name, nearest=self.nearest_name(name))
        return self.numbers[name]

    def nearest_name(self, name: str) -> str | None:
        """The product whose name is most like this one; None for none, and among too many to compare."""
        nearest: str | None = unknown(name, self.products if len(self.products) <= MAX_COMPARED_NAMES else ())[
            "nearest"
        ]
        return nearest

    def pairs(self, verdict: int) -> frozenset[tuple[int, int]]:
        """The pairs of products with this verdict."""
        return frozenset(pair for pair, given in self.decisions.items() if given == verdict)

    def named_decisions(self) -> dict[tuple[str, str], int]:
        """All decisions, by the products' names."""
        named = {(self.products[a], self.products[b]): verdict for (a, b), verdict in self.decisions.items()}
        return {**self.kept, **named}


def decisions_of(
    named: Mapping[tuple[str, str], int], products: Sequence[str]
) -> tuple[dict[tuple[int, int], int], dict[tuple[str, str], int]]:
    """Decisions by the numbers of these products, and those on other products by name."""
    numbers = {name: number for number, name in enumerate(products)}
    found: dict[tuple[int, int], int] = {}
    kept: dict[tuple[str, str], int] = {}
    for (one, other), verdict in named.items():
        if one in numbers and other in numbers:
            a, b = sorted((numbers[one], numbers[other]))
            found[a, b] = verdict
        else:
            kept[one, other] = verdict
    return found, kept


def write_index(output: Output, index: Index) -> None:
    """Write an index as one sealed file, whole or not at all; equal indexes give equal bytes.

    Raises:
        StorageError: see `Output.open`.
    """
    source, graph = index.source, index.graph
    described = {
        "network": graph.network, "weights": graph.weights, "output": graph.output,
        "preprocessing": vars(graph.preprocessing), "data": source.data, "read_options": dict(source.read_options),
        "versions": dict(source.versions), "unit": source.unit, "unreadable": source.unreadable,
        "pairs": index.projection.pairs,
    }  # fmt: skip
    named = sorted(index.named_decisions().items())
    texts = {
        "product_names": list(index.products),
        "photo_names": list(index.photos.names),
        "decided": [name for pair, _ in named for name in pair],
        "described": [json_text(described)],
    }
    calibration = index.calibration
    arrays: dict[str, NDArray[Any]] = {
        **pack_texts(texts),
        "graph": np.frombuffer(graph.model, np.uint8),
        "projection_mean": index.projection.mean,
        "projection": index.projection.matrix,
        "products": index.photos.products,
        "digests": index.photos.digests,
        "verdicts": np.array([verdict for _, verdict in named], np.uint8),
        "calibration_cosine": calibration.cosine if calibration else np.zeros(0, np.float32),
        "calibration_correct": (calibration.correct if calibration else np.zeros(0, np.bool_)).astype(np.uint8),
        "calibration_logit": calibration.logit if calibration else np.zeros(2),
        "calibration_group": calibration.group if calibration else np.zeros(0, np.int32),
        "vectors": index.vectors,
        "features": index.photos.features,
    }
    write_sealed(output, {"format": KIND, "format_version": FORMAT_VERSION}, arrays)


def open_index(path: Path, *, for_search: bool = False) -> Index:
    """An index from its file.

    Args:
        for_search: whether only its vectors are needed: its features are then not compared with the seal, for which all
            of them are read. Such an index must not be written again.

    Raises:
        DataError: it is no index, damaged, or of a later version.
    """
    file = SealedArrays(path, KIND)
    if file.metadata.get("format_version") != FORMAT_VERSION:
        raise DataError("index_newer", path=str(path))
    try:
        [text] = read_texts(file, "described", 1)
        described = parse_json(text.encode())
        check_schema(described, _SCHEMA)
        preprocessing = Preprocessing(**described["preprocessing"])
    except (BundleError, ValueError) as error:
        raise DataError("index_damaged", path=str(path), part="described") from error
    names = read_texts(file, "product_names")
    products = file.read("products", np.int64, None)
    photos = read_texts(file, "photo_names", len(products))
    if len(names) != len(set(names)) or not np.array_equal(np.unique(products), np.arange(len(names))):
        raise DataError("index_damaged", path=str(path), part="products")
    if (np.diff(products) < 0).any():
        raise DataError("index_damaged", path=str(path), part="products")
    mean = file.read("projection_mean", np.float32, None)
    matrix = file.read("projection", np.float32, len(mean), None)
    graph = FeatureGraph(
        described["network"], described["weights"], preprocessing,
        file.read("graph", np.uint8, None).tobytes(), described["output"],
    )  # fmt: skip
    source = IndexSource(
        **{name: described[name] for name in ("data", "read_options", "versions", "unit", "unreadable")}
    )
    decided = _read_decisions(file)
    found, kept = decisions_of(decided, names)
    return Index(
        graph,
        IndexedPhotos(
            photos,
            file.read("digests", np.uint8, len(products), 32),
            products,
            file.map("features", np.float16, len(products), len(mean), check=not for_search),
        ),
        names,
        Projection(mean, matrix, described["pairs"]),
        file.read("vectors", np.float16, len(products), matrix.shape[1]),
        _read_calibration(file),
        found,
        source,
        kept,
    )


def _read_decisions(file: SealedArrays) -> dict[tuple[str, str], int]:
    verdicts = file.read("verdicts", np.uint8, None).tolist()
    named = read_texts(file, "decided", 2 * len(verdicts))
    if any(verdict not in (NOT_SAME, SAME) for verdict in verdicts):
        raise DataError("index_damaged", path=str(file.path), part="verdicts")
    return {(named[2 * i], named[2 * i + 1]): verdict for i, verdict in enumerate(verdicts)}


def _read_calibration(file: SealedArrays) -> SameProductData | None:
    cosine = file.read("calibration_cosine", np.float32, None)
    correct = file.read("calibration_correct", np.uint8, len(cosine))
    group = file.read("calibration_group", np.int32, len(cosine))
    logit = file.read("calibration_logit", np.float64, 2)
    if not len(cosine):
        return None
    if (
        (np.diff(cosine) > 0).any()
        or not np.isfinite([*cosine, *logit]).all()
        or (group < 0).any()
        or group.max() > len(group)
    ):
        raise DataError("index_damaged", path=str(file.path), part="calibration")
    return SameProductData(cosine, correct.astype(np.bool_), group, logit)


def describe(index: Index) -> dict[str, Any]:
    """What an index holds, as JSON values."""
    return {
        "products": len(index.products),
        "photos": len(index.photos),
        "unreadable": index.source.unreadable,
        "network": index.graph.network,
        "data": index.source.data,
        "decisions": {word: len(index.pairs(number)) for number, word in enumerate(VERDICTS)},
    }
