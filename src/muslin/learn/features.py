"""What a trunk that stays as it is makes of photos: worked out once, and kept by the photos' content.

The trunk runs in ONNX Runtime, a few photos at a time in each thread, which decodes them as well: so no core waits
for another, and memory is the same however many photos there are. One photo's features do not depend on which
others are in its batch, so it does not matter which of them were kept from an earlier run.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import ImageError, StoppedError, StorageError
from muslin.learn.layer_kinds import Shape
from muslin.learn.networks import Network, output_shapes
from muslin.learn.pretrained import Weights, digest
from muslin.models import runtime
from muslin.storage.atomic import cache_folder, remove_partial_files, write_atomically
from muslin.storage.scratch import ScratchArray

AT_ONCE = 4
"""Photos in a batch. More are no faster on a processor (measured), and take more memory."""

KEPT_TOGETHER = 500
"""Photos whose features are written to the cache together: what a kill costs at most."""

MOST_BYTES = 2 * 10**9
"""Of the cache of features; the oldest go first. 5 kB a photo."""

Log = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Features:
    """Of samples in order; `rows[i]` is the row of sample i in the file, which takes no memory.

    `took_s` says how long it took to have them.
    """

    file: ScratchArray
    rows: NDArray[np.int64]
    took_s: float = 0.0

    @property
    def width(self) -> int:
        return self.file.shape[0]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: NDArray[np.integer[Any]]) -> "Features":
        """Those of the samples at `indices`, in that order."""
        return replace(self, rows=self.rows[indices])

    def blocks(self, size: int = 4096) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All samples, in whatever order is fast to read: (samples, float32 (samples, width)) at a time."""
        order = np.argsort(self.rows, kind="stable")
        for start in range(0, len(order), size):
            samples = order[start : start + size]
            first, last = int(self.rows[samples[0]]), int(self.rows[samples[-1]])
            if last - first < 2 * size:
                yield samples, self.file.read(first, last - first + 1)[self.rows[samples] - first]
            else:
                yield samples, np.concatenate([self.file.read(int(row), 1) for row in self.rows[samples]])


def extract(
    images: ResizedPhotos,
    network: Network,
    weights: Weights,
    *,
    threads: int,
    log: Log = lambda sentence: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Features, dict[int, str]]:
    """The features of every photo, and by its place the problem of each that cannot be read (its row is zero).

    What was worked out before is taken from muslin's cache; what is worked out now is kept there.

    Args:
        network: whose trunk is meant, for images of the photos' size.
        weights: of the trunk.
        tell: called with a sentence every few seconds.
        stop: asked after every few photos.

    Raises:
        Stopped: `stop` said yes. What was worked out by then is in the cache.
        StorageError: the disk has no room for the features.
    """
    started = time.perf_counter()
    cache = Cache(_key(images, network, weights))
    digests = list(images.digests())
    first_with: dict[bytes, int] = {}  # of photos that are alike only the first is looked at
    for place, photo in enumerate(digests):
        first_with.setdefault(photo, place)
    file = ScratchArray(len(digests), output_shapes(network)[-1][:1], np.float32)
    known = set()
    for photo, row in cache.rows(first_with.keys()):
        file.write(first_with[photo], row)
        known.add(photo)
    missing = [place for photo, place in first_with.items() if photo not in known]
    blocks = [missing[start : start + AT_ONCE] for start in range(0, len(missing), AT_ONCE)]
    work = _worker(images, network, weights) if missing else lambda places: ({}, {})
    problems: dict[int, str] = {}
    fresh: list[tuple[bytes, NDArray[np.float32]]] = []
    done, told_at = 0, time.perf_counter()
    try:
        for rows, bad in parallel_map(lambda number: work(blocks[number]), len(blocks), threads):
            problems |= bad
            for place, row in rows.items():
                file.write(place, row)
                fresh.append((digests[place], row))
            if len(fresh) >= KEPT_TOGETHER:
                cache.add(fresh)
                fresh = []
            done += len(rows) + len(bad)
            if time.perf_counter() - told_at > 5:
                told_at = time.perf_counter()
                log(f"{done:,} of {len(missing):,} photos seen by {network.name}")
            if should_stop() and done < len(missing):
                raise StoppedError("extraction_stopped", done=done, n=len(missing))
    finally:
        cache.add(fresh)
        cache.keep_within(MOST_BYTES)
    row_of = np.array([first_with[photo] for photo in digests], dtype=np.int64)
    everywhere = {i: _problem(images, i) for i, row in enumerate(row_of) if int(row) in problems}
    return Features(file, row_of, time.perf_counter() - started), everywhere


def _problem(images: ResizedPhotos, place: int) -> str:
    """Why a photo cannot be read, with its own name: several files may be broken alike."""
    try:
        images[place]
    except ImageError as error:
        return str(error)
    return f"{images.photos.photos[place].name}: could not be read at first. Look again."


Found = tuple[dict[int, NDArray[np.float32]], dict[int, str]]


def _worker(images: ResizedPhotos, network: Network, weights: Weights) -> Callable[[list[int]], Found]:
    """A function of photos' places: their features, and the problems of those that cannot be read. Safe in threads."""
    from muslin.learn.export import onnx_graph

    backbone = replace(network, heads={}, tta_flip=False)
    model = onnx_graph(backbone, weights).SerializeToString(deterministic=True)
    session = runtime.session(model)  # one thread: the threads are outside

    def work(places: list[int]) -> Found:
        pictures, problems = {}, {}
        for place in places:
            try:
                pictures[place] = images[place]
            except ImageError as error:
                problems[place] = str(error)
        if not pictures:
            return {}, problems
        answers = session.run(None, {"pixels": np.stack(list(pictures.values()))})[0]
        return dict(zip(pictures, answers, strict=True)), problems

    return work


def _key(images: ResizedPhotos, network: Network, weights: Weights) -> str:
    """Of everything but the photo itself that its features depend on."""
    from importlib.metadata import version

    before: Shape = network.input_shape
    what = (network.name, before, images.transform, digest(weights), version("muslin"), version("pillow"),
            version("onnxruntime"))  # fmt: skip
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]


# ── The cache ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Cache:
    """Features that were worked out before, in files of some hundred photos each, below muslin's cache folder.

    Every file is whole or not there and none is ever changed, so that several runs can use the cache at once. What
    cannot be read is as if it were not there.
    """

    key: str

    @property
    def folder(self) -> Path:
        return cache_folder() / "features" / self.key

    def rows(self, photos: Collection[bytes]) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
        """The features of those of `photos`, by their digests, that are here; each once."""
        left = set(photos)
        for path in sorted(self.folder.glob("*.safetensors")):
            with suppress(OSError, SafetensorError, ValueError):
                content = load_file(path)
                for photo, row in zip(content["photos"], content["features"], strict=True):
                    if (key := photo.tobytes()) in left:
                        left.remove(key)
                        yield key, row

    def add(self, fresh: list[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Keep these. Where the disk is full or cannot be written they will be worked out again next time."""
        if not fresh:
            return
        photos = np.stack([np.frombuffer(photo, np.uint8) for photo, _ in fresh])
        content = save({"photos": photos, "features": np.stack([row for _, row in fresh])})
        name = hashlib.sha256(photos.tobytes()).hexdigest()[:32]
        with suppress(StorageError):
            write_atomically(self.folder / f"{name}.safetensors", content)

    def keep_within(self, most_bytes: int) -> None:
        """Remove the oldest files of all caches of features until they take no more than `most_bytes`."""
        with suppress(OSError, StorageError):
            if self.folder.is_dir():
                remove_partial_files(self.folder)
            files = []
            for path in self.folder.parent.glob("*/*.safetensors"):
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= most_bytes:
                    break
                path.unlink(missing_ok=True)
                total -= size
