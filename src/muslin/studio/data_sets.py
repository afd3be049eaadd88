"""The data sets of the studio's folder: read in processes with limits, once as long as their files stay the same.

A name is a path below the folder (a folder, a zip, a table …) or that of a registered data set.
"""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Target
from muslin.data.dataset_cache import local_copies
from muslin.data.photos import IMAGE_SUFFIXES
from muslin.data.registry import DATASETS
from muslin.errors import DataError, ImageError, MuslinError, unknown
from muslin.images import crop_to_box
from muslin.images.decode_worker import decode_in_worker
from muslin.images.decoder import Pixels
from muslin.messages import Message
from muslin.studio.model_files import MAX_DEPTH, MAX_ENTRIES, path_within
from muslin.studio.thumbnail_worker import PROCESSES, small_pixels, small_pixels_of_file
from muslin.workers import WorkerEnded, WorkerPool

MAX_OPEN = 3
"""Open data sets; each has a process, which holds its table or its pixels."""

MAX_READING_S = 300
MAX_READING_MB = 4000

TABLE_ENTRIES = 200
"""Files of a folder, other than images, whose time of change counts."""


@dataclass(frozen=True)
class SampleImage:
    """One image of a data set: the bytes of its file, or its pixels.

    Attributes:
        content: a photo's file; None of other images.
        pixels: uint8 (height, width, channels); None of a photo.
        box: (left, top, right, bottom) to which a photo is cropped.
    """

    name: str
    content: bytes | None = None
    pixels: Pixels | None = None
    box: tuple[int, int, int, int] | None = None

    def full_pixels(self) -> Pixels:
        """The pixels in full size, cropped to the box: uint8 (height, width, channels).

        Raises:
            ImageError: the photo cannot be decoded.
        """
        if self.pixels is not None:
            return self.pixels
        assert self.content is not None
        pixels = decode_in_worker(self.content, name=self.name).pixels
        if self.box is None:
            return pixels
        return crop_to_box(pixels, self.box, self.name)


class OpenData:
    """A data set of the studio. Its labels are those of the files; `muslin.studio.corrections` changes them.

    Attributes:
        name: as pages and requests name it.
        version: changes with the files.
        title: the data set's own name.
        ids: object (count,) of str.
        parts: object (count,) of names in PARTS; None where the data are not divided.
        groups: object (count,) of str; None where there are none.
        shape: (height, width, channels) of every image of a set of pixels; None for photos.
        fixes: what was repaired while reading.
    """

    def __init__(self, name: str, version: str, params: Mapping[str, Any]) -> None:
        self.name, self.version = name, version
        self._params = dict(params)
        self._pool = _SPARE.pop() if _SPARE else _new_pool()
        try:
            found, content = self._run(None)
        except BaseException:
            self._pool.close()
            raise
        self.title, self.origin = str(found["name"]), str(found["origin"])
        if params["path"]:
            self.origin = self.origin.replace(params["path"], name)  # not a folder of this machine
        self.format, self.transform = str(found["format"]), str(found["transform"])
        self.shape = tuple(found["shape"]) if found["shape"] else None
        self.fixes: tuple[Message | str, ...] = tuple(found["fixes"])
        self.targets = tuple(Target(each["name"], tuple(each["classes"]), each["kind"]) for each in found["targets"])
        self._labels, start = _unpack_labels(found["targets"], content, found["n"])
        self._indices: dict[str, int] | None = None
        self.parts: NDArray[np.object_] | None = None
        if found["has_parts"]:
            names = np.array([*PARTS, ""], dtype=object)
            self.parts = names[np.frombuffer(content, np.uint8, found["n"], start)]
            start += found["n"]
        texts = json.loads(bytes(memoryview(content)[start:]))
        self.ids: NDArray[np.object_] = np.array(texts["ids"], dtype=object)
        self.groups: NDArray[np.object_] | None = _objects(texts["groups"])

    def __len__(self) -> int:
        return len(self.ids)

    def index_of(self, sample: str) -> int | None:
        """The index of the image with this id; None where there is none."""
        if self._indices is None:
            self._indices = {str(each): index for index, each in enumerate(self.ids)}
        return self._indices.get(sample)

    def target(self, name: str | None) -> Target | None:
        """The target called `name`, or the first; None where the data have no labels.

        Raises:
            DataError: there is no such target.
        """
        if not name:
            return self.targets[0] if self.targets else None
        for target in self.targets:
            if target.name == name:
                return target
        raise DataError("target_unknown", **unknown(name, (each.name for each in self.targets)), dataset=self.title)

    def labels(self, target: str) -> NDArray[np.integer[Any]]:
        """The labels as the files have them, as in `muslin.data.dataset.Dataset.labels`. Not to be changed."""
        return self._labels[target]

    def images(self, indices: Sequence[int]) -> list[SampleImage | MuslinError]:
        """The images at `indices`; the error of one that cannot be read.

        Raises:
            DataError: the data set could not be read within the limits.
        """
        self._check(indices)
        found, content = self._run(list(indices))
        images: list[SampleImage | MuslinError] = []
        start, view = 0, memoryview(content)
        for index, row in zip(indices, found["images"], strict=True):
            name = str(self.ids[index])
            if "error" in row:
                images.append(_error_of(row["error"], name))
            elif "shape" in row:
                size = int(np.prod(row["shape"]))
                pixels = np.frombuffer(view[start : start + size], np.uint8).reshape(row["shape"])
                images.append(SampleImage(name, pixels=pixels))
                start += size
            else:
                box = tuple(row["box"]) if row["box"] else None
                images.append(SampleImage(name, bytes(view[start : start + row["bytes"]]), box=box))
                start += row["bytes"]
        return images

    def image(self, index: int) -> SampleImage:
        """The image at `index`.

        Raises:
            DataError: there is no such image, or the data set could not be read within the limits.
            ImageError: it cannot be read.
        """
        found = self.images([index])[0]
        if isinstance(found, MuslinError):
            raise found
        return found

    def thumbnails(self, indices: Sequence[int], side: int) -> list[Pixels | MuslinError]:
        """The images at `indices`, uint8 (height, width, channels) with no edge over `side` px; or their errors."""
        images = self.images(indices)
        if self.shape is not None:
            return [_small(image, side) for image in images]
        with ThreadPoolExecutor(PROCESSES) as threads:  # each waits for a process that decodes
            return list(threads.map(lambda image: _small(image, side), images))

    def close(self) -> None:
        """End the process."""
        self._pool.close()

    def _run(self, indices: list[int] | None) -> tuple[dict[str, Any], bytearray]:
        try:
            return self._pool.run(self._params | {"indices": indices})
        except WorkerEnded as error:
            raise DataError("data_reading_limits", name=self.name, seconds=MAX_READING_S, mb=MAX_READING_MB) from error

    def _check(self, indices: Sequence[int]) -> None:
        for index in indices:
            if not 0 <= index < len(self):
                raise DataError("sample_missing", name=self.title, index=index, n=len(self))


class DataSets:
    """The data sets of one folder. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: OrderedDict[tuple[str, str], Future[OpenData]] = OrderedDict()
        self._lock = threading.Lock()  # never held while a data set is read

    def open(self, name: str) -> OpenData:
        """The data set called `name`, read once as long as its files stay the same.

        Raises:
            DataError: there is none in the folder, a registered one is not on this computer, or it cannot be read.
        """
        path = data_path(self.root, name)
        key = name, fingerprint(name, path)
        with self._lock:
            is_new = key not in self._open
            opened = self._open.setdefault(key, Future())
            self._open.move_to_end(key)
        if is_new:
            self._finish_opening(opened, key, path)
        return opened.result()

    def _finish_opening(self, opened: Future[OpenData], key: tuple[str, str], path: Path | None) -> None:
        name, version = key
        try:
            opened.set_result(OpenData(name, version, {"name": name, "path": path and str(path), "version": version}))
        except BaseException as error:
            with self._lock:
                self._open.pop(key, None)
            opened.set_exception(error)
        self._close_others()

    def _close_others(self) -> None:
        """Close the data sets beyond MAX_OPEN that were not used for the longest time, and those of changed files."""
        with self._lock:
            newest = dict(self._open.keys())  # the last one of each name
            old = [key for key in self._open if newest[key[0]] != key[1]]
            kept = [key for key in self._open if key not in old]
            dropped = [self._open.pop(key) for key in (*old, *kept[: max(0, len(kept) - MAX_OPEN)])]
        for future in dropped:
            future.add_done_callback(lambda done: None if done.exception() else done.result().close())

    def close(self) -> None:
        """End all processes, at the studio's end."""
        with self._lock:
            futures = list(self._open.values())
            self._open.clear()
        for future in futures:
            if future.done() and not future.exception():
                future.result().close()


def _new_pool() -> WorkerPool:
    return WorkerPool("muslin.studio.data_worker:work", 1, MAX_READING_S, MAX_READING_MB)


_SPARE: list[WorkerPool] = []
"""A process for the next data set, which has imported what it needs."""


def start_spare_process() -> None:
    """Start the process of the first data set that a person will open."""
    _SPARE.append(_new_pool())
    _SPARE[-1].start()


def data_path(root: Path, name: str) -> Path | None:
    """The path of the data set called `name`, relative to `root` and with /; None of a registered one.

    Raises:
        DataError: it leads out of the folder (also through a link), is hidden or absent.
    """
    if name in DATASETS:
        return None
    try:
        path = path_within(root, name)
    except DataError as error:
        raise DataError("data_not_in_folder", name=name[:200]) from error
    if path == root or not (path.is_dir() or path.is_file()):  # reading a named pipe would wait for ever
        raise DataError("data_not_in_folder", name=name[:200])
    return path


def fingerprint(name: str, path: Path | None) -> str:
    """What changes when files of a data set are added, removed, renamed, or are tables and written anew.

    Raises:
        DataError: a registered data set is not on this computer.
    """
    paths = [path] if path else local_copies(name)
    if not paths:
        raise DataError("data_not_downloaded", name=name)
    found: list[tuple[str, int, int]] = []
    for each in paths[:1]:
        found += _times(each)
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def _times(path: Path) -> list[tuple[str, int, int]]:
    """Times of change and sizes: of a file, or of a folder's folders and of its files that are no images."""
    times, n_tables, level = [_time(path)], 0, [path] if path.is_dir() else []
    for _ in range(MAX_DEPTH):
        below: list[Path] = []
        for folder in level:
            times.append(_time(folder))
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    below.append(Path(entry.path))
                elif n_tables < TABLE_ENTRIES and os.path.splitext(entry.name)[1].lower() not in IMAGE_SUFFIXES:
                    n_tables += 1
                    times.append(_time(Path(entry.path)))
            if len(times) + len(below) > MAX_ENTRIES:
                return times
        level = below
    return times


def _time(path: Path) -> tuple[str, int, int]:
    try:
        status = path.lstat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_mtime_ns, status.st_size


def _small(image: SampleImage | MuslinError, side: int) -> Pixels | MuslinError:
    if isinstance(image, MuslinError):
        return image
    if image.pixels is not None:
        return small_pixels(image.pixels, side)
    assert image.content is not None
    try:
        return small_pixels_of_file(image.content, side, image.name, image.box)
    except ImageError as error:
        return error


def _error_of(message: Message, name: str) -> ImageError:
    """The error with the image's id in place of its path on this machine."""
    return ImageError(message.code, message.hint_code, **{**message.params, "name": name})


def _objects(values: list[str] | None) -> NDArray[np.object_] | None:
    return None if values is None else np.array(values, dtype=object)


def _unpack_labels(
    targets: Sequence[Mapping[str, Any]], content: bytearray, count: int
) -> tuple[dict[str, NDArray[np.integer[Any]]], int]:
    """Per target its labels; and the byte at which they end."""
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    start = 0
    for each in targets:
        shape = (count,) if each["kind"] == "multiclass" else (count, len(each["classes"]))
        dtype = np.dtype(each["dtype"])
        values = np.frombuffer(content, dtype, int(np.prod(shape)), start).reshape(shape)
        labels[each["name"]] = values
        start += values.nbytes
    return labels, start
