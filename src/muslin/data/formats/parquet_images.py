"""Parquet with the photos in it: a column of files' bytes, or of Hugging Face's {bytes, path}, and columns of labels.

`write` also stores, under the key `muslin` of the schema, what each column is and the classes in order, so that
reading gives the same targets, labels, parts, groups and ids.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Images, PixelImages, Target, encode_labels
from muslin.data.formats.multilabel_cells import encode_lists
from muslin.data.formats.photo_tables import part_column, unique_ids
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import read_head
from muslin.data.photos import MAX_PHOTO_BYTES, PhotoImages
from muslin.data.tables.columns import build_columns, check_column
from muslin.data.tables.parquet import open_parquet
from muslin.errors import DataError, ImageError
from muslin.messages import Log, no_log

SCHEMA_KEY = b"muslin"

GROUP_BYTES = 2**24
"""Photos are written in row groups of about this size, which is what reading one photo holds in memory."""

GROUP_PHOTOS = 4096
CACHED_GROUPS = 2

UNKNOWN_SUFFIX = " unknown"
"""After a target's name: the column with the labels of which it is not known whether they hold."""

LABEL_NAMES = ("label", "labels", "class", "category", "target")
ID_NAMES = ("id", "path", "filename")


@dataclass
class _PhotoColumn:
    """The column of photos in a Parquet file, of which a few row groups are cached. Safe in threads."""

    path: Path
    name: str
    group_starts: list[int]
    lock: threading.Lock = field(default_factory=threading.Lock)
    cache: "OrderedDict[int, list[Any]]" = field(default_factory=OrderedDict)

    def cell(self, row: int) -> Any:
        import pyarrow.parquet as pq

        group = int(np.searchsorted(self.group_starts, row, side="right")) - 1
        with self.lock:
            if group not in self.cache:
                with pq.ParquetFile(self.path) as file:
                    self.cache[group] = file.read_row_group(group, columns=[self.name]).column(0)
                while len(self.cache) > CACHED_GROUPS:
                    self.cache.popitem(last=False)
            self.cache.move_to_end(group)
            return self.cache[group][row - self.group_starts[group]].as_py()


@dataclass(frozen=True)
class ParquetPhoto:
    """The photo in one row of a Parquet file."""

    name: str
    column: _PhotoColumn
    row: int
    box: None = None  # photos are stored already cropped

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        """As of a Photo."""
        import pyarrow as pa

        try:
            cell = self.column.cell(self.row)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise ImageError("parquet_photo_unreadable", path=self.name, reason=reason) from error
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise ImageError("parquet_photo_empty", path=self.name, row=self.row + 1)
        return content[:max_bytes]


def detect(path: Path) -> str | None:
    """Why `path` is Parquet with photos in it, or None: a column of bytes."""
    if path.is_dir() or not read_head(path, 4).startswith(b"PAR1"):
        return None
    try:
        with open_parquet(path) as file:
            columns = _photo_columns(file.schema_arrow)
    except DataError:
        return None  # the reader of tables reports the damage
    return f"Parquet with photos in its column {columns[0]}" if columns else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The data set in `path`; its photos stay in the file until they are needed.

    Raises:
        DataError: the file is damaged, a column is unknown, or several columns could be the label.
    """
    try:
        with open_parquet(path) as file:
            schema = file.schema_arrow
            metadata = json.loads((schema.metadata or {}).get(SCHEMA_KEY, b"{}"))
            for name in (options.image_column, options.split_column, options.group, *options.targets):
                if name is not None:
                    check_column(path, name, schema.names)
            photo_columns = _photo_columns(schema)
            image_column = str(options.image_column or metadata.get("image") or next(iter(photo_columns), ""))
            if image_column not in schema.names:
                raise DataError("no_image_column", path=str(path))
            group_sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            others = file.read(columns=[name for name in schema.names if name not in photo_columns])
        columns = {name: others.column(name).to_pylist() for name in others.column_names}
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise DataError("parquet_damaged", path=str(path), reason=reason) from error
    count = sum(group_sizes)
    if not count:
        raise DataError("no_rows", path=str(path))
    photo_column = _PhotoColumn(path, image_column, np.cumsum([0, *group_sizes])[:-1].tolist())
    try:
        id_column = metadata.get("id") or next((n for n in columns if n.lower() in ID_NAMES), None)
        ids = unique_ids(list(map(str, columns[id_column] if id_column else range(count))))
        if metadata and not options.targets:
            encoded = [_encode_described(columns, target) for target in metadata["targets"]]
        else:
            names = options.targets or _likely_labels(path, columns)
            encoded = [_encode_target(name, columns, _class_label_names(schema, name)) for name in names]
        photos = PhotoImages(tuple(ParquetPhoto(f"{path}/{id_}", photo_column, row) for row, id_ in enumerate(ids)))
        images: Images = _decode_to_pixels(photos, metadata["pixels"]) if metadata.get("pixels") else photos
        split = options.split_column or metadata.get("split")
        group = options.group or metadata.get("group")
        groups = np.array(list(map(str, columns[group])), dtype=object) if group else None
        parts = None
        if split:
            rows = ((str(cell),) for cell in columns[split])
            column = build_columns([split], rows, no_log)[split]
            parts = part_column(path, column, np.arange(count), np.arange(1, count + 1))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("parquet_metadata", path=str(path), reason=str(error)) from error
    return Dataset(
        name=str(metadata.get("name") or path.stem),
        format="parquet-photos",
        images=images,
        targets=tuple(target for target, _ in encoded),
        labels={target.name: labels for target, labels in encoded},
        ids=ids,
        parts=parts,
        groups=groups,
        origin="; ".join([f"photos: {image_column}", *(f"label: {target.name}" for target, _ in encoded)]),
        transform="fashion-mnist" if metadata.get("transform") == "fashion-mnist" else "fit",
    )


def write(dataset: Dataset, contents: Iterable[tuple[int, bytes]], path: BinaryIO) -> None:
    """Write the samples whose index and file's bytes come from `contents`, in that order.

    Raises:
        DataError: a name is not valid Unicode.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table, image_name = _label_table(dataset)
        image = pa.field(image_name, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        schema = table.schema.insert(1, image)
        compression = dict.fromkeys((*schema.names, f"{image_name}.path"), "ZSTD")
        compression |= {image_name: "NONE", f"{image_name}.bytes": "NONE"}  # photos are compressed already
        with pq.ParquetWriter(path, schema, compression=compression, use_dictionary=False) as writer:
            group: list[tuple[int, bytes]] = []
            size = 0
            for sample in chain(contents, [None]):
                if sample:
                    group.append(sample)
                    size += len(sample[1])
                if group and (sample is None or size >= GROUP_BYTES or len(group) >= GROUP_PHOTOS):
                    images = [{"bytes": photo, "path": str(dataset.ids[row])} for row, photo in group]
                    part = table.take(pa.array([row for row, _ in group], pa.int64()))
                    writer.write_table(part.add_column(1, image, [pa.array(images, image.type)]))
                    group, size = [], 0
    except UnicodeEncodeError as error:
        raise DataError("name_not_unicode", path=dataset.name, name=error.object[:80]) from error


def _label_table(dataset: Dataset) -> tuple[Any, str]:
    """All columns but the photos', with the metadata that `read` needs; and the name of the photos' column."""
    import pyarrow as pa

    taken = {target.name for target in dataset.targets}

    def free_name(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    names = {name: free_name(name) for name in ("id", "image", "split", "group")}
    columns = {names["id"]: pa.array(map(str, dataset.ids), pa.string())}
    described = []
    for target in dataset.targets:
        labels, classes = dataset.labels[target.name], np.array(target.classes, dtype=object)
        description: dict[str, Any] = {"name": target.name, "kind": target.kind, "classes": target.classes}
        if target.kind == "multiclass":
            cells = [None if i == UNKNOWN else target.classes[i] for i in labels]
            columns[target.name] = pa.array(cells, pa.string())
        else:
            unlabelled = (labels == UNKNOWN).all(axis=1)
            lists = [None if empty else classes[row == 1] for row, empty in zip(labels, unlabelled, strict=True)]
            columns[target.name] = pa.array(lists, pa.list_(pa.string()))
            if (labels[~unlabelled] == UNKNOWN).any():
                description["unknown"] = free_name(target.name + UNKNOWN_SUFFIX)
                lists = [classes[row == UNKNOWN] for row in labels]
                columns[description["unknown"]] = pa.array(lists, pa.list_(pa.string()))
        described.append(description)
    metadata: dict[str, Any] = {
        "version": 1,
        "name": dataset.name,
        "transform": dataset.transform,
        "targets": described,
        "id": names["id"],
        "image": names["image"],
    }
    for name, values in (("split", dataset.parts), ("group", dataset.groups)):
        if values is not None:
            columns[names[name]] = pa.array(map(str, values), pa.string())
            metadata[name] = names[name]
    if isinstance(dataset.images, PixelImages):
        metadata["pixels"] = dataset.images.pixels.shape[1:]
    content = json.dumps(metadata, ensure_ascii=False).encode("utf-8")
    return pa.table(columns).replace_schema_metadata({SCHEMA_KEY: content}), names["image"]


# ── Arrays from columns ──────────────────────────────────────────────────────────────────────────────────


def _photo_columns(schema: Any) -> list[str]:
    import pyarrow as pa

    def holds_bytes(type_: Any) -> bool:
        if pa.types.is_struct(type_):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in type_)
        return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))

    return [field.name for field in schema if holds_bytes(field.type)]


def _class_label_names(schema: Any, column: str) -> list[str] | None:
    """The names of the numbers in a column of Hugging Face's ClassLabel; None for another column."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _likely_labels(path: Path, columns: dict[str, list[Any]]) -> tuple[str, ...]:
    """The only column that could be the label, or none."""
    possible = [name for name in columns if name.lower() in LABEL_NAMES] or [
        name
        for name, cells in columns.items()
        if not name.endswith(UNKNOWN_SUFFIX) and 1 < len(set(map(str, cells))) <= len(cells) / 2
    ]
    if len(possible) > 1:
        raise DataError("label_column_ambiguous", path=str(path), columns=possible)
    return tuple(possible)


def _encode_target(
    name: str, columns: dict[str, list[Any]], class_names: list[str] | None
) -> tuple[Target, NDArray[np.integer[Any]]]:
    cells = columns[name]
    if class_names is not None:
        indices = [UNKNOWN if cell is None else int(cell) for cell in cells]
        return Target(name, tuple(class_names)), np.array(indices, dtype=np.int64)
    if any(isinstance(cell, list) for cell in cells):
        # the column of unknown labels is used even if a program that rewrote the file dropped the metadata
        unknown_cells = columns.get(name + UNKNOWN_SUFFIX, [None] * len(cells))
        labels, unknown_labels = (
            [None if cell is None else list(map(str, cell)) for cell in column] for column in (cells, unknown_cells)
        )
        classes = {label for cell in (*labels, *unknown_labels) for label in cell or ()}
        return encode_lists(name, tuple(sorted(classes)), labels, unknown_labels)
    texts = ["" if cell is None else str(cell).strip() for cell in cells]
    return encode_labels(name, np.array(texts, dtype=str))


def _encode_described(
    columns: dict[str, list[Any]], description: dict[str, Any]
) -> tuple[Target, NDArray[np.integer[Any]]]:
    """A target from its description in the metadata."""
    name, classes = description["name"], tuple(map(str, description["classes"]))
    cells, unknown = columns[name], description.get("unknown")
    if description["kind"] != "multiclass":
        return encode_lists(name, classes, cells, columns[unknown] if unknown else None)
    index: dict[Any, int] = {label: i for i, label in enumerate(classes)} | {None: UNKNOWN}
    return Target(name, classes), np.array([index[cell] for cell in cells], dtype=np.int64)


def _decode_to_pixels(images: PhotoImages, shape: list[int]) -> PixelImages:
    pixels = np.empty((len(images), *shape), dtype=np.uint8)
    for row in range(len(images)):
        pixels[row] = images[row]
    return PixelImages(pixels)
