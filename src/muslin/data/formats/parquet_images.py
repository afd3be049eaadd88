"""Parquet with the photos in it: a column of files' bytes, or of Hugging Face's {bytes, path}, and columns of labels.

What `write` writes also says, under the key `muslin` of the schema, which column is what and the classes in order, so
that reading it back gives the same targets, labels, parts, groups and ids.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Images, PixelImages, Target, encode_labels
from muslin.data.formats.gzip_files import read_head
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.data.photos import MAX_PHOTO_BYTES, PhotoImages
from muslin.errors import DataError, ImageError, nearest

TAKES = frozenset({"target", "targets", "image_column", "group", "split_column"})

KEY = b"muslin"
GROUP_BYTES = 2**24
"""Photos are written in row groups of about so many bytes: what is held in memory while one photo is read."""

GROUPS_KEPT = 2

UNKNOWN_COLUMN = " unknown"
"""After a target's name, what the column is called with the labels of which nobody knows whether they hold."""


@dataclass
class _File:
    """A Parquet file, of whose column of photos a few row groups are held in memory. Safe in threads."""

    path: Path
    column: str
    firsts: list[int]
    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: "OrderedDict[int, list[Any]]" = field(default_factory=OrderedDict)

    def cell(self, row: int) -> Any:
        import pyarrow.parquet as pq

        group = int(np.searchsorted(self.firsts, row, side="right")) - 1
        with self.lock:
            if group not in self.kept:
                with pq.ParquetFile(self.path) as file:
                    self.kept[group] = file.read_row_group(group, columns=[self.column]).column(0)
                while len(self.kept) > GROUPS_KEPT:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(group)
            return self.kept[group][row - self.firsts[group]].as_py()


@dataclass(frozen=True)
class PackedPhoto:
    """The photo in one row of a Parquet file."""

    name: str
    file: _File
    row: int
    box: None = None  # photos are packed as they are to be seen

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        """As of a Photo."""
        import pyarrow as pa

        try:
            cell = self.file.cell(self.row)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise ImageError(
                f"{self.name}: cannot be read ({reason}). Copy {self.file.path} again."
            ) from error
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise ImageError(f"{self.name}: row {self.row + 1:,} of {self.file.path} has no image in it.")
        return content[:max_bytes]


def detect(path: Path) -> str | None:
    """Why `path` is Parquet with photos in it, or None: a column of bytes."""
    if path.is_dir() or not read_head(path, 4).startswith(b"PAR1"):
        return None
    try:
        columns = _photo_columns(_schema(path))
    except (DataError, OSError):
        return None  # the table's reader says what is wrong with it
    return f"a Parquet file with photos in it, column {columns[0]}" if columns else None


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """One sample a row; photos stay in the file until they are asked for.

    Raises:
        DataError: the file is damaged, a named column is not there, or which column is the label cannot be told.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(path)
    try:
        note: dict[str, Any] = json.loads((schema.metadata or {}).get(KEY, b"{}"))
        photo_column = str(
            _named(path, schema, options.image_column)
            or note.get("image")
            or next(iter(_photo_columns(schema)), "")
        )
        if photo_column not in schema.names:
            raise DataError(f"{path}: has no column of images. Name it with --image-column.")
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            others = file.read(columns=[n for n in schema.names if n not in _photo_columns(schema)])
        columns = {name: others.column(name).to_pylist() for name in others.column_names}
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: the Parquet file is damaged ({reason}). Copy it again.") from error
    count = sum(sizes)
    if not count:
        raise DataError(f"{path}: has no rows. Check that the file was not cut off.")
    source = _File(path, photo_column, np.cumsum([0, *sizes])[:-1].tolist())
    id_column = note.get("id") or next((n for n in columns if n.lower() in ("id", "path", "filename")), None)
    ids = _unique([str(cell) for cell in columns[id_column]] if id_column else list(map(str, range(count))))
    try:
        chosen = options.targets or ((options.target,) if options.target else ())
        if note and not chosen:
            made = [_noted(columns, said, path) for said in note["targets"]]
        else:
            chosen = tuple(_named(path, schema, name) or "" for name in chosen) or _guessed(path, columns)
            made = [_target(name, columns, _class_names(schema, name)) for name in chosen]
        photos = PhotoImages(tuple(PackedPhoto(f"{path}/{id_}", source, row) for row, id_ in enumerate(ids)))
        images: Images = _pixels(photos, tuple(note["pixels"])) if note.get("pixels") else photos
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: does not hold what it says of itself ({error}). Convert it anew."
        ) from error
    split = _named(path, schema, options.split_column) or note.get("split")
    group = _named(path, schema, options.group) or note.get("group")
    return Dataset(
        name=str(note.get("name") or path.stem),
        format="parquet-photos",
        images=images,
        targets=tuple(target for target, _ in made),
        labels={target.name: labels for target, labels in made},
        ids=np.array(ids, dtype=object),
        parts=_parts(path, columns[split]) if split else None,
        groups=np.array([str(cell) for cell in columns[group]], dtype=object) if group else None,
        origin="; ".join([f"photos: {photo_column}", *(f"label: {target.name}" for target, _ in made)]),
        transform="fashion-mnist" if note.get("transform") == "fashion-mnist" else "fit",
    )


def write(dataset: Dataset, contents: Iterable[tuple[int, bytes]], path: BinaryIO) -> None:
    """Write the samples whose index and file's bytes come from `contents`, in that order.

    Raises:
        DataError: a name is no Unicode.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    taken = {target.name for target in dataset.targets}
    names = {}
    for name in ("id", "image", "split", "group"):
        names[name] = name
        while names[name] in taken:
            names[name] += "_"
        taken.add(names[name])
    fields = [
        pa.field(names["id"], pa.string()),
        pa.field(names["image"], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
    columns: dict[str, Callable[[NDArray[np.int64]], list[Any]]] = {}
    said = []
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        several = target.kind == "multilabel"
        fields.append(pa.field(target.name, pa.list_(pa.string()) if several else pa.string()))
        columns[target.name] = _cells_of(target, labels)
        note: dict[str, Any] = {"name": target.name, "kind": target.kind, "classes": target.classes}
        if several and ((labels == UNKNOWN).any(axis=1) & ~(labels == UNKNOWN).all(axis=1)).any():
            note["unknown"] = target.name + UNKNOWN_COLUMN
            while note["unknown"] in taken:
                note["unknown"] += "_"
            taken.add(note["unknown"])
            fields.append(pa.field(note["unknown"], pa.list_(pa.string())))
            columns[note["unknown"]] = _unknown_cells_of(target, labels)
        said.append(note)
    for name, values in (("split", dataset.parts), ("group", dataset.groups)):
        if values is not None:
            fields.append(pa.field(names[name], pa.string()))
            columns[names[name]] = _texts_of(values)
    about: dict[str, Any] = {
        "version": 1,
        "name": dataset.name,
        "transform": dataset.transform,
        "targets": said,
    } | {
        name: names[name]
        for name in ("id", "image", "split", "group")
        if name in ("id", "image") or names[name] in columns
    }
    if isinstance(dataset.images, PixelImages):
        about["pixels"] = dataset.images.pixels.shape[1:]
    try:
        schema = pa.schema(fields, metadata={KEY: json.dumps(about, ensure_ascii=False).encode()})
        # Photos are compressed already.
        compression = {f.name: "NONE" if f.name == names["image"] else "ZSTD" for f in fields}
        compression = {
            **compression,
            f"{names['image']}.bytes": "NONE",
            f"{names['image']}.path": "ZSTD",
        }
        with pq.ParquetWriter(path, schema, compression=compression, use_dictionary=False) as writer:
            rows: list[int] = []
            size = 0
            held: list[bytes] = []

            def flush() -> None:
                where = np.array(rows, dtype=np.int64)
                ids = [str(id_) for id_ in dataset.ids[where]]
                photos = [{"bytes": b, "path": i} for b, i in zip(held, ids, strict=True)]
                values = {names["id"]: ids, names["image"]: photos}
                values |= {name: cells(where) for name, cells in columns.items()}
                writer.write_table(pa.table(values, schema=schema))
                rows.clear()
                held.clear()

            for row, content in contents:
                rows.append(row)
                held.append(content)
                size += len(content)
                if size >= GROUP_BYTES or len(held) >= 4096:
                    flush()
                    size = 0
            if rows:
                flush()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{dataset.name}: the name {error.object[:80]!r} is no Unicode text. Rename the file."
        ) from error


def _texts_of(values: NDArray[np.object_]) -> Callable[[NDArray[np.int64]], list[Any]]:
    return lambda rows: [str(value) for value in values[rows]]


def _cells_of(target: Target, labels: NDArray[np.integer[Any]]) -> Callable[[NDArray[np.int64]], list[Any]]:
    if target.kind == "multiclass":
        return lambda rows: [None if i == UNKNOWN else target.classes[i] for i in labels[rows]]
    return lambda rows: [
        None if (row == UNKNOWN).all() else [target.classes[i] for i in np.flatnonzero(row == 1)]
        for row in labels[rows]
    ]


def _unknown_cells_of(
    target: Target, labels: NDArray[np.integer[Any]]
) -> Callable[[NDArray[np.int64]], list[Any]]:
    return lambda rows: [[target.classes[i] for i in np.flatnonzero(row == UNKNOWN)] for row in labels[rows]]


# ── From columns to arrays ───────────────────────────────────────────────────────────────────────────────


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: the Parquet file is damaged ({str(error).splitlines()[0]}). Copy it again."
        ) from error


def _photo_columns(schema: Any) -> list[str]:
    import pyarrow as pa

    def holds_bytes(kind: Any) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    return [field.name for field in schema if holds_bytes(field.type)]


def _named(path: Path, schema: Any, name: str | None) -> str | None:
    if name is not None and name not in schema.names:
        raise DataError(f"{path}: no column is called {name!r}. {nearest(name, schema.names)}")
    return name


def _class_names(schema: Any, column: str) -> list[str] | None:
    """The names of Hugging Face's ClassLabel numbers."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _guessed(path: Path, columns: dict[str, list[Any]]) -> tuple[str, ...]:
    likely = [name for name in columns if name.lower() in ("label", "labels", "class", "category", "target")]
    possible = likely or [
        name
        for name in columns
        if not name.endswith(UNKNOWN_COLUMN)
        and 1 < len({str(cell) for cell in columns[name]}) <= len(columns[name]) / 2
    ]
    if len(possible) > 1:
        raise DataError(
            f"{path}: {len(possible)} columns could be the label: {', '.join(possible)}. "
            "Choose with --target, more than once for several."
        )
    return tuple(possible)


def _target(
    name: str, columns: dict[str, list[Any]], class_names: list[str] | None
) -> tuple[Target, NDArray[np.integer[Any]]]:
    cells = columns[name]
    if class_names is not None:
        return Target(name, tuple(class_names)), np.array(
            [UNKNOWN if cell is None else int(cell) for cell in cells], dtype=np.int64
        )
    if any(isinstance(cell, list) for cell in cells):
        # what we write is there even if a program that wrote the file anew left out what it says of itself
        unknown = columns.get(name + UNKNOWN_COLUMN, [None] * len(cells))
        classes = tuple(
            sorted({str(label) for column in (cells, unknown) for cell in column for label in cell or ()})
        )
        texts, unsure = (
            [None if c is None else list(map(str, c)) for c in some] for some in (cells, unknown)
        )
        said = {"name": name, "kind": "multilabel", "classes": classes, "unknown": name + UNKNOWN_COLUMN}
        return _noted({name: texts, name + UNKNOWN_COLUMN: unsure}, said, Path(name))
    return encode_labels(
        name, np.array(["" if cell is None else str(cell).strip() for cell in cells], dtype=str)
    )


def _noted(
    columns: dict[str, list[Any]], said: dict[str, Any], path: Path
) -> tuple[Target, NDArray[np.integer[Any]]]:
    target = Target(said["name"], tuple(map(str, said["classes"])), said["kind"])
    index: dict[Any, int] = {name: i for i, name in enumerate(target.classes)} | {None: UNKNOWN}
    cells = columns[target.name]
    if target.kind == "multiclass":
        return target, np.array([index[cell] for cell in cells], dtype=np.int64)
    values = np.zeros((len(cells), len(target.classes)), dtype=np.int8)
    unknown = columns[said["unknown"]] if said.get("unknown") else [()] * len(cells)
    for row, (cell, unsure) in enumerate(zip(cells, unknown, strict=True)):
        if cell is None:
            values[row] = UNKNOWN
            continue
        values[row, [index[name] for name in cell]] = 1
        values[row, [index[name] for name in unsure or ()]] = UNKNOWN
    return target, values


def _pixels(images: PhotoImages, shape: tuple[int, ...]) -> PixelImages:
    pixels = np.empty((len(images), *shape), dtype=np.uint8)
    for row in range(len(images)):
        pixels[row] = images[row]
    return PixelImages(pixels)


def _parts(path: Path, cells: Sequence[Any]) -> NDArray[np.object_]:
    from muslin.data.formats.folders import PART_NAMES

    words = [str(cell).strip().lower() for cell in cells]
    for row, word in enumerate(words):
        if word not in PART_NAMES:
            known = nearest(word, PARTS)
            raise DataError(f"{path}: row {row + 1:,} is in the part {word!r}. {known}")
    return np.array([PART_NAMES[word] for word in words], dtype=object)


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return ids
