"""Photos through a network in shards, on whatever an executor has: processes of this machine, or other machines.

The head reads files, looks up and keeps outputs in its cache, and sends the other photos as bytes. A worker decodes
them and runs the network: what it sends back is what the cache holds for a photo, a `PhotoOutput`, or why it cannot be
read.
"""

import hashlib
import platform
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import ordered_map
from muslin.errors import ExecutionError
from muslin.execution import Executor, Params, Shard, ShardResult, task_threads
from muslin.models.bundle import Bundle, read_bundle, to_bytes
from muslin.models.photo_reading import ReadImage, read_image
from muslin.models.prediction import Prediction

if TYPE_CHECKING:
    from muslin.models.predictor import Predictor

SHARD_PHOTOS = 256
"""Most photos in a shard: of small ones, that are some tenths of a second of work, and what a shard costs is a
thousandth of that."""

SHARD_BYTES = 4 * 2**20
"""Bytes of photos that fill a shard: 20 of 200 KB are half a second of work, and little memory for the head, which
has AHEAD_PER_WORKER shards of each worker."""

MAX_SHARD_IMAGES = 4 * SHARD_PHOTOS
"""Most images in a shard with those whose output is cached, so that a job's journal grows steadily."""

CHECKED_IMAGES = 4
"""Golden images whose output by a worker must be that of the head to the bit."""

TASK = "muslin.models.photo_shards:infer_shard"


@dataclass(frozen=True, eq=False)
class _Sent:
    """A photo whose output is to come from a worker."""

    name: str
    content: PhotoContent
    digest: str


@dataclass(eq=False)
class _Part:
    """Images of which some are sent in one shard, in order."""

    images: list[ReadImage | _Sent] = field(default_factory=list)
    sent: list[_Sent] = field(default_factory=list)
    n_bytes: int = 0

    def add(self, image: ReadImage | _Sent) -> None:
        self.images.append(image)
        if isinstance(image, _Sent):
            self.sent.append(image)
            self.n_bytes += len(image.content.data)

    @property
    def is_full(self) -> bool:
        return len(self.sent) >= SHARD_PHOTOS or self.n_bytes >= SHARD_BYTES or len(self.images) >= MAX_SHARD_IMAGES


def infer_in_shards(
    images: Iterable[tuple[str, Any]], executor: Executor, predictor: "Predictor"
) -> Iterator[list[ReadImage]]:
    """Named images with their values or errors, in order, some of which come from the predictor's cache.

    Raises:
        ExecutionError: as of `Executor.map`; `shard_lost` names the first photo of the shard.
    """
    parts = _parts(ordered_map(partial(_read, predictor), images, predictor.threads))
    for part in parts:
        if part.sent:  # no worker starts where all is cached
            break
        yield _completed(part, None, predictor)
    else:
        return
    waiting = deque[_Part]()

    def shards() -> Iterator[Shard]:
        common = {"golden": golden_digest(predictor), "vectors": predictor.has_vectors}
        for each in chain([part], parts):
            waiting.append(each)
            yield _shard(each, common)

    for result in executor.map(TASK, shards(), {"model": _model_bytes(predictor.bundle)}):
        yield _completed(waiting.popleft(), result, predictor)


def _read(predictor: "Predictor", named: tuple[str, Any]) -> ReadImage | _Sent:
    """An image that a worker is to predict, or one with its value or error. Safe in threads."""
    name, source = named
    content = read_photo(name, source)
    if content is None:  # no file, or one that cannot be opened or is too large: reading it again says why
        [image] = predictor.infer_read([read_image(name, source, predictor.bundle.preprocessing, None)], True)
        return image
    if predictor.cache and (cached := predictor.cache.get(content.digest)):
        return ReadImage(Prediction(name, {}, cached.notes), values=cached.values)
    return _Sent(name, content, hashlib.sha256(content.data).hexdigest())


def _parts(images: Iterable[ReadImage | _Sent]) -> Iterator[_Part]:
    part = _Part()
    for image in images:
        part.add(image)
        if part.is_full:
            yield part
            part = _Part()
    if part.images:
        yield part


def _shard(part: _Part, common: Params) -> Shard:
    sent = part.sent
    photos = [[photo.name, photo.digest, photo.content.box] for photo in sent]
    params = {**common, "name": sent[0].name if sent else "", "photos": photos}
    return Shard(params, {photo.digest: photo.content.data for photo in sent})


def _completed(part: _Part, result: ShardResult | None, predictor: "Predictor") -> list[ReadImage]:
    """The images with their values or errors; what came from a worker is cached."""
    found = _images_of(result, [photo.name for photo in part.sent]) if result else iter(())
    images = []
    for image in part.images:
        if isinstance(image, _Sent):
            done = next(found)
            if done.values is None:
                images.append(done)
            else:
                images.append(replace(done, content=image.content).with_values(done.values, predictor.cache))
        else:
            images.append(image)
    return images


def _images_of(result: ShardResult, names: Sequence[str]) -> Iterator[ReadImage]:
    """What a worker found for the photos of a shard, in their order."""
    columns = {
        name: np.frombuffer(result.content[name], "<f4").reshape(-1, width) for name, width in result.params["widths"]
    }
    rows = zip(*columns.values(), strict=True)
    for name, (notes, error) in zip(names, result.params["photos"], strict=True):
        if error is not None:
            yield ReadImage(Prediction(name, {}, error=error))
        else:
            yield ReadImage(Prediction(name, {}, tuple(notes)), values=dict(zip(columns, next(rows), strict=True)))


def _model_bytes(bundle: Bundle) -> bytes:
    """The bundle without what no output depends on."""
    from safetensors.numpy import save

    none: Mapping[str, Any] = {}
    return to_bytes(
        replace(bundle, weights=save({}), calibration_data=none, product_calibration=none, seen_images=None, int8=None)
    )


def golden_digest(predictor: "Predictor") -> str:
    """Of the bits that the network gives here for golden images. Another processor could give others."""
    values = predictor.run_graph(predictor.bundle.golden_pixels[:CHECKED_IMAGES], 1)
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(values[name].astype("<f4").tobytes())
    return digest.hexdigest()


# ── In a worker ──────────────────────────────────────────────────────────────────────────────────────────


def infer_shard(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The Task: what the network gives for the photos of a shard.

    Raises:
        ExecutionError: it gives other bits for the golden images than at the head.
    """
    predictor = _predictor(shared["model"], params["golden"], params["vectors"])
    photos = (
        (name, PhotoContent(name, content[digest], tuple(box) if box else None))
        for name, digest, box in params["photos"]
    )
    images = [image for read in predictor.infer_named(photos) for image in read]
    rows = [image.values for image in images if image.values is not None]
    names = list(rows[0]) if rows else []
    return ShardResult(
        {
            "photos": [[image.prediction.notes, image.prediction.error] for image in images],
            "widths": [[name, len(rows[0][name])] for name in names],
        },
        {name: np.stack([row[name] for row in rows]).astype("<f4").tobytes() for name in names},
    )


@lru_cache(1)
def _predictor(model: bytes, golden: str, vectors: bool) -> "Predictor":
    from muslin.models.predictor import Predictor

    predictor = Predictor(read_bundle(BytesIO(model)), task_threads(), check=False)
    predictor = predictor.with_vectors() if vectors else predictor
    if golden_digest(predictor) != golden:
        raise ExecutionError("worker_output", worker=platform.node())
    return predictor
