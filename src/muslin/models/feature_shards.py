"""Features of photos by an executor's workers: processes of this machine, or other machines.

The head sends photos as bytes, in the same batches as it would run itself; a worker decodes them and runs the network,
for which it needs no torch. So the features are those of one machine, bit for bit.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from muslin.data.photo_content import PhotoContent
from muslin.data.photos import parallel_map
from muslin.errors import ExecutionError
from muslin.execution import Executor, Params, Shard, ShardResult, content_of, task_threads
from muslin.messages import Message
from muslin.models import runtime
from muslin.models.bundle import Preprocessing
from muslin.models.feature_cache import CachedFeatures
from muslin.models.feature_graph import FeatureGraph
from muslin.models.seen_images import IMAGE_DIGEST_BYTES

TASK = f"{__name__}:extract_shard"

SHARD_PHOTOS = 64
"""Most photos in a shard: one or two seconds of work."""

SHARD_BYTES = 16 * 2**20
"""Bytes of photos that fill a shard."""

MAX_BATCHES = 64
"""Most batches in a shard, also where nothing is to be done for them, so that progress is steady."""

Found = CachedFeatures | Message
"""A photo's features, or why it cannot be read."""


def features_by_workers(
    graph: FeatureGraph, batches: Iterable[Sequence[PhotoContent]], executor: Executor
) -> Iterator[list[Found]]:
    """What `graph.features_of` gives for each batch, in their order. Batches can be empty.

    Raises:
        ExecutionError: as of `Executor.map`.
    """
    parts = _parts(batches)
    for part in parts:
        if part.photos:  # no worker starts where nothing is to be done
            break
        yield from ([] for _ in part.sizes)
    else:
        return
    waiting: deque[_PhotoBatches] = deque()

    def shards() -> Iterator[Shard]:
        for each in chain([part], parts):
            waiting.append(each)
            yield each.shard(graph)

    for result in executor.map(TASK, shards(), {"graph": graph.model}):
        part = waiting.popleft()
        found = _result_of(result, part)
        for size in part.sizes:
            yield [next(found) for _ in range(size)]


@dataclass(eq=False)
class _PhotoBatches:
    """Batches that go into one shard: their sizes, and the photos of all of them."""

    sizes: list[int] = field(default_factory=list)
    photos: list[PhotoContent] = field(default_factory=list)
    n_bytes: int = 0

    def add(self, batch: Sequence[PhotoContent]) -> None:
        self.sizes.append(len(batch))
        self.photos += batch
        self.n_bytes += sum(len(photo.data) for photo in batch)

    @property
    def is_full(self) -> bool:
        return len(self.photos) >= SHARD_PHOTOS or self.n_bytes >= SHARD_BYTES or len(self.sizes) >= MAX_BATCHES

    def shard(self, graph: FeatureGraph) -> Shard:
        content = [content_of(photo.data) for photo in self.photos]
        params: Params = {
            "name": self.photos[0].name if self.photos else "",
            "preprocessing": list(astuple(graph.preprocessing)),
            "output": graph.output,
            "sizes": self.sizes,
            "photos": [[photo.name, *each, photo.box] for photo, each in zip(self.photos, content, strict=True)],
        }
        return Shard(params, {digest: data for each in content for digest, data in each.items()})


def _parts(batches: Iterable[Sequence[PhotoContent]]) -> Iterator[_PhotoBatches]:
    part = _PhotoBatches()
    for batch in batches:
        part.add(batch)
        if part.is_full:
            yield part
            part = _PhotoBatches()
    if part.sizes:
        yield part


def _result_of(result: ShardResult, part: _PhotoBatches) -> Iterator[Found]:
    """What a worker found of each photo.

    Raises:
        ExecutionError: it is not of these photos.
    """
    problems, digests = result.params["problems"], result.content["digests"]
    count = problems.count(None)
    if len(problems) != len(part.photos) or len(digests) != count * IMAGE_DIGEST_BYTES:
        raise ExecutionError("content_damaged", name=part.photos[0].name if part.photos else None)
    rows = iter(np.frombuffer(result.content["features"], "<f4").reshape(count, result.params["width"]))
    starts = iter(range(0, len(digests), IMAGE_DIGEST_BYTES))
    for problem in problems:
        if problem is not None:
            yield problem
        else:
            start = next(starts)
            yield CachedFeatures(digests[start : start + IMAGE_DIGEST_BYTES], next(rows))


# ── In a worker ──────────────────────────────────────────────────────────────────────────────────────────


def extract_shard(params: Params, content: Mapping[str, bytes], shared: Mapping[str, bytes]) -> ShardResult:
    """The Task: the features of photos, or why they cannot be read."""
    graph = FeatureGraph("", "", Preprocessing(*params["preprocessing"]), shared["graph"], params["output"])
    session = _session(graph.model)
    photos = [PhotoContent(name, content[digest], box and tuple(box)) for name, digest, box in params["photos"]]
    ends = np.cumsum(params["sizes"], dtype=int).tolist()
    batches = [photos[end - size : end] for size, end in zip(params["sizes"], ends, strict=True)]

    def extract(place: int) -> list[Found]:
        return graph.features_of(session, [graph.read(photo.name, photo) for photo in batches[place]])

    found = list(chain.from_iterable(parallel_map(extract, len(batches), task_threads())))
    rows = [each for each in found if isinstance(each, CachedFeatures)]
    return ShardResult(
        {
            "problems": [each if isinstance(each, Message) else None for each in found],
            "width": len(rows[0].features) if rows else 0,
        },
        {
            "digests": b"".join(row.image_digest for row in rows),
            "features": b"".join(row.features.astype("<f4").tobytes() for row in rows),
        },
    )


@lru_cache(1)
def _session(graph: bytes) -> Any:
    return runtime.session(graph)  # of one thread: the threads are outside
