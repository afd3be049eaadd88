"""Features of photos by an executor's workers: processes of this machine, or other machines.

The head reads files, keeps the cache, and sends the other photos as bytes in the same batches as it would run itself; a
worker decodes them and runs the backbone's ONNX graph, for which it needs no torch. What it sends back is what the
cache holds of a photo, so the features are those of one machine, bit for bit.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import ExecutionError, ImageError
from muslin.execution import Executor, Params, Shard, ShardResult, content_of, task_threads
from muslin.messages import Message
from muslin.models import runtime
from muslin.models.seen_images import IMAGE_DIGEST_BYTES, digest_images

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TASK = f"{__name__}:extract_shard"

SHARD_PHOTOS = 64
"""Most photos in a shard: one or two seconds of work."""

SHARD_BYTES = 16 * 2**20
"""Photos fill a shard with so many bytes."""

ExtractedBatch = tuple[dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]], dict[int, Message]]
"""By a photo's index its image's digest and its features; and the problem of each that cannot be read."""


def batch_extractor(images: ResizedPhotos, session: "InferenceSession") -> Callable[[Sequence[int]], ExtractedBatch]:
    """A function of photos' indices, which runs the backbone on them together. Safe in threads."""

    def extract_batch(indices: Sequence[int]) -> ExtractedBatch:
        decoded, problems = {}, {}
        for index in indices:
            try:
                decoded[index] = images[index]
            except ImageError as error:
                problems[index] = error.message
        if not decoded:
            return {}, problems
        rows = session.run(None, {"pixels": np.stack(list(decoded.values()))})[0]
        digested_rows = zip(digest_images(decoded.values()), rows, strict=True)
        return dict(zip(decoded, digested_rows, strict=True)), problems

    return extract_batch


def extract_by_workers(
    images: ResizedPhotos, batches: Sequence[Sequence[int]], graph: bytes, executor: Executor
) -> Iterator[ExtractedBatch]:
    """What `batch_extractor` gives for the batches, in their order, several of them together.

    Raises:
        ExecutionError: as of `Executor.map`.
    """
    waiting: deque[_Part] = deque()

    def shards() -> Iterator[Shard]:
        for part in _parts(images, batches):
            waiting.append(part)
            yield part.shard(images)

    for result in executor.map(TASK, shards(), {"graph": graph}):
        part = waiting.popleft()
        rows, problems = _result_of(result, part)
        yield rows, problems | part.unreadable


@dataclass(frozen=True)
class _Part:
    """Batches of photos that go into one shard.

    Attributes:
        batches: indices of the photos whose files were read.
        photos: these.
        unreadable: by their indices, why the others were not.
    """

    batches: list[list[int]]
    photos: dict[int, PhotoContent]
    unreadable: dict[int, Message]

    def shard(self, images: ResizedPhotos) -> Shard:
        content = {index: content_of(photo.data) for index, photo in self.photos.items()}
        photos = [[index, self.photos[index].name, *content[index], self.photos[index].box] for index in self.photos]
        params: Params = {
            "name": photos[0][1] if photos else "",
            "size": list(images.size),
            "transform": images.transform,
            "batches": self.batches,
            "photos": photos,
        }
        return Shard(params, {digest: data for each in content.values() for digest, data in each.items()})


def _parts(images: ResizedPhotos, batches: Sequence[Sequence[int]]) -> Iterator[_Part]:
    part, size = _Part([], {}, {}), 0
    for batch in batches:
        read: list[int] = []
        for index in batch:
            photo = images.photos[index]
            if (content := read_photo(photo.name, photo)) is None:
                part.unreadable[index] = problem_of(images, index)
            else:
                part.photos[index] = content
                read.append(index)
                size += len(content.data)
        part.batches.append(read)
        if len(part.photos) >= SHARD_PHOTOS or size >= SHARD_BYTES:
            yield part
            part, size = _Part([], {}, {}), 0
    if part.batches:
        yield part


def problem_of(images: ResizedPhotos, index: int) -> Message:
    """The reason why a photo cannot be read, with its own name: identical files have one row."""
    try:
        images[index]
    except ImageError as error:
        return error.message
    return Message("photo_readable_only_later", path=images.photos[index].name)


def extract_shard(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """A Task: the features of photos, or why they cannot be read."""
    rows: list[tuple[int, NDArray[np.uint8], NDArray[np.float32]]] = []
    problems: list[list[Any]] = []
    photos = [PhotoContent(name, content[digest], box and tuple(box)) for _, name, digest, box in params["photos"]]
    place = {index: place for place, (index, *_) in enumerate(params["photos"])}
    images = ResizedPhotos(tuple(photos), size=tuple(params["size"]), transform=params["transform"])
    extract_batch = batch_extractor(images, _session(shared["graph"]))
    places = [[place[index] for index in batch] for batch in params["batches"]]
    index_of = list(place)
    for found, unreadable in parallel_map(lambda i: extract_batch(places[i]), len(places), task_threads()):
        rows += [(index_of[each], digest, row) for each, (digest, row) in found.items()]
        problems += [[index_of[each], problem] for each, problem in unreadable.items()]
    digests = b"".join(digest.tobytes() for _, digest, _ in rows)
    features = b"".join(row.astype("<f4").tobytes() for _, _, row in rows)
    return ShardResult(
        {"indices": [index for index, _, _ in rows], "problems": problems}, {"digests": digests, "features": features}
    )


@lru_cache(1)
def _session(graph: bytes) -> "InferenceSession":
    return runtime.session(graph)


def _result_of(result: ShardResult, part: _Part) -> ExtractedBatch:
    """What a worker found.

    Raises:
        ExecutionError: it is not of these photos.
    """
    indices = result.params["indices"]
    problems = dict(result.params["problems"])
    if sorted([*indices, *problems]) != sorted(part.photos):
        raise ExecutionError("content_damaged", name=next((photo.name for photo in part.photos.values()), None))
    digests = np.frombuffer(result.content["digests"], np.uint8).reshape(len(indices), IMAGE_DIGEST_BYTES)
    width = len(result.content["features"]) // max(len(indices), 1) // 4
    features = np.frombuffer(result.content["features"], "<f4").reshape(len(indices), width)
    return {index: (digests[i], features[i]) for i, index in enumerate(indices)}, problems
