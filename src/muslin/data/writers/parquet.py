"""Parquet with the photos in it: a column of Hugging Face's {bytes, path}, and columns of labels.

It also stores, under the key SCHEMA_KEY of the schema, what each column is and the classes in order, so that reading
gives the same targets, labels, parts, groups, products, roles and ids.
"""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from muslin.data.dataset import UNKNOWN, Dataset, PixelImages
from muslin.data.formats.dataset_from_tables import UNKNOWN_SUFFIX
from muslin.data.tables.parquet import SCHEMA_KEY
from muslin.data.writers.samples import Written, photo_files
from muslin.errors import DataError
from muslin.extras import require_extra
from muslin.messages import Log, Message
from muslin.storage.atomic import atomic_file
from muslin.strict_json import json_text

GROUP_BYTES = 2**24
"""Size of a row group of photos; reading one photo holds its row group in memory."""

GROUP_PHOTOS = 4096


def write(dataset: Dataset, dest: Path, log: Log) -> Written:
    """Write the new file `dest`.

    Raises:
        DataError: a name is not valid Unicode.
        MissingPartError: pyarrow is not installed.
        StorageError: `dest` exists or cannot be written.
    """
    require_extra("parquet")
    warnings: list[Message] = []
    excluded: list[Message] = []
    with atomic_file(dest, replace=False) as file:
        _write(dataset, photo_files(dataset, warnings, excluded, log), file)
    return warnings, excluded


def _write(dataset: Dataset, contents: Iterable[tuple[int, bytes]], path: BinaryIO) -> None:
    """Write the samples whose index and file's bytes come from `contents`, in that order."""
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
    """All columns but the photos', with the metadata that reading needs; and the name of the photos' column."""
    import pyarrow as pa

    taken = {target.name for target in dataset.targets}

    def free_name(name: str) -> str:
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    names = {name: free_name(name) for name in ("id", "image", "split", "group", "product", "role")}
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
    optional = {"split": dataset.parts, "group": dataset.groups, "product": dataset.products, "role": dataset.roles}
    for name, values in optional.items():
        if values is not None:
            columns[names[name]] = pa.array(map(str, values), pa.string())
            metadata[name] = names[name]
    if isinstance(dataset.images, PixelImages):
        metadata["pixels"] = dataset.images.pixels.shape[1:]
    content = json_text(metadata).encode()
    return pa.table(columns).replace_schema_metadata({SCHEMA_KEY: content}), names["image"]
