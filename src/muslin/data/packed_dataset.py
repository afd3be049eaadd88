"""A Dataset as bytes by name: what a process on another machine needs to train on it, without the head's files.

Labels, names and notes are kept to the letter, photos as their files' bytes, each content once. So
whatever follows from a Dataset follows from the unpacked one too, bit for bit, errors of unreadable photos included.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.photos import MAX_PHOTO_BYTES, PhotoImages
from muslin.errors import DataError, ImageError
from muslin.messages import Message
from muslin.workers import pack_messages, unpack_messages

MAX_PACKED_BYTES = 2 * 10**9
"""Of all photos, which each worker holds in memory: 20,000 photos of 100 kB."""

PART_BYTES = 64 * 10**6
"""After which the next part begins: many small messages are slow, and a large one takes its memory twice."""

ARRAYS = ("parts", "groups", "products", "roles")
"""Attributes of a Dataset that are None, or object arrays of texts or numbers."""


@dataclass(frozen=True)
class PackedPhoto:
    """A photo in memory: a StoredImage.

    Attributes:
        part, start, size: where its bytes are, by which equal photos are known.
        content_of_part: the part.
        problem: why its file could not be read on the head.
    """

    name: str
    box: tuple[int, int, int, int] | None
    part: str
    start: int
    size: int
    content_of_part: bytes = field(repr=False, compare=False)
    problem: Message | None = None

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        """As of a Photo.

        Raises:
            ImageError: the one that the head got.
        """
        if self.problem:
            raise ImageError(self.problem.code, self.problem.hint_code, **self.problem.params)
        return self.content_of_part[self.start : self.start + min(self.size, max_bytes)]


def pack_dataset(dataset: Dataset, max_bytes: int = MAX_PACKED_BYTES) -> dict[str, bytes]:
    """The parts of `dataset` by their names.

    Raises:
        DataError: its images have more than `max_bytes`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    arrays |= {f"labels-{i}": dataset.labels[target.name] for i, target in enumerate(dataset.targets)}
    arrays |= {f"no-class-{i}": mask for i, mask in enumerate(dataset.no_class.values())}
    if dataset.drawn_at_random is not None:
        arrays["drawn-at-random"] = dataset.drawn_at_random
    header = {
        **{name: getattr(dataset, name) for name in ("name", "format", "origin", "transform", "fixes", "unreadable")},
        **{name: _listed(getattr(dataset, name)) for name in ARRAYS},
        "targets": [[target.name, list(target.classes), target.kind] for target in dataset.targets],
        "no_class": list(dataset.no_class),
        "ids": dataset.ids.tolist(),
    }
    if isinstance(dataset.images, PhotoImages):
        header["photos"], parts = _pack_photos(dataset.images, dataset.name, max_bytes)
    else:
        assert isinstance(dataset.images, PixelImages)
        _check_size(dataset.name, dataset.images.pixels.nbytes, max_bytes)
        parts = {"pixels": _saved({"pixels": dataset.images.pixels})}
    text = json.dumps(pack_messages(header), default=_json_number)
    return {"header": text.encode(), "arrays": _saved(arrays), **parts}


def unpack_dataset(parts: Mapping[str, bytes]) -> Dataset:
    """The Dataset whose parts these are."""
    header = unpack_messages(json.loads(parts["header"]))
    targets = tuple(Target(name, tuple(classes), kind) for name, classes, kind in header.pop("targets"))
    arrays = _loaded(parts["arrays"])
    photos, no_class = header.pop("photos", None), header.pop("no_class")
    images: Any = PixelImages(_loaded(parts["pixels"])["pixels"]) if photos is None else _unpacked_photos(photos, parts)
    header |= {name: None if header[name] is None else np.array(header[name], object) for name in (*ARRAYS, "ids")}
    return Dataset(
        **{**header, "fixes": tuple(header["fixes"])},
        images=images,
        targets=targets,
        labels={target.name: arrays[f"labels-{i}"] for i, target in enumerate(targets)},
        no_class={name: arrays[f"no-class-{i}"] for i, name in enumerate(no_class)},
        drawn_at_random=arrays.get("drawn-at-random"),
    )


def _pack_photos(images: PhotoImages, name: str, max_bytes: int) -> tuple[list[Any], dict[str, bytes]]:
    """Per photo the arguments of PackedPhoto but its part's content; and the parts."""
    rows: list[Any] = []
    places: dict[bytes, tuple[str, int, int]] = {}
    parts: dict[str, bytes] = {}
    blocks: list[bytes] = []
    part_bytes = total = 0
    for photo in images.photos:
        try:
            content = photo.content()
        except ImageError as error:
            rows.append([photo.name, photo.box, "", 0, 0, error.message])
            continue
        key = hashlib.sha256(content).digest()
        if key not in places:
            places[key] = f"photos-{len(parts)}", part_bytes, len(content)
            blocks.append(content)
            part_bytes, total = part_bytes + len(content), total + len(content)
            _check_size(name, total, max_bytes)
        if part_bytes > PART_BYTES:
            parts[f"photos-{len(parts)}"] = b"".join(blocks)
            blocks, part_bytes = [], 0
        rows.append([photo.name, photo.box, *places[key], None])
    return rows, {**parts, f"photos-{len(parts)}": b"".join(blocks)}


def _unpacked_photos(rows: Sequence[Any], parts: Mapping[str, bytes]) -> PhotoImages:
    return PhotoImages(
        tuple(
            PackedPhoto(name, box and tuple(box), part, start, size, parts.get(part, b""), problem)
            for name, box, part, start, size, problem in rows
        )
    )


def _check_size(name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise DataError("data_too_large_to_send", name=name, limit_gb=max_bytes / 1e9)


def _listed(values: NDArray[np.object_] | None) -> list[Any] | None:
    return None if values is None else values.tolist()


def _json_number(value: Any) -> Any:
    """A number or a text of NumPy in the parameters of a message as JSON has it."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _saved(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # a keyword of savez has another type
    return file.getvalue()


def _loaded(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
