"""Photos through a network with all cores busy: each thread decodes a few photos, then runs the network on them.

No core waits for another: while one thread decodes, the others decode or compute, and each run of the network uses the
one thread that calls it. The threads stay a few batches ahead of the consumer, so memory does not grow with the number
of photos.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.photos import ordered_map
from muslin.models.photo_reading import ReadImage

Values = Mapping[str, NDArray[np.float32]]
"""What the network gives for one image, as in `muslin.models.output_cache.PhotoOutput`."""

BATCH = 4
"""Photos that a thread decodes and predicts at a time. More are no faster for EfficientNet (measured: 20.5 ms of
processor time a photo at 1, 21.7 at 4, 22.2 at 16), and take more memory."""

MAX_AHEAD = 32
"""Images that are read ahead of the consumer, unless there are many threads."""

AHEAD_PER_THREAD = 2


def batch_size(usual: int, threads: int) -> int:
    """Images that a thread predicts at a time, of which a run of the network usually takes `usual`."""
    return max(BATCH, min(usual, MAX_AHEAD // (AHEAD_PER_THREAD * threads)))


def infer_stream(
    images: Iterable[tuple[str, Any]],
    read: Callable[[str, Any], ReadImage],
    infer: Callable[[Sequence[ReadImage], bool], list[ReadImage]],
    *,
    threads: int,
    batch_size: int,
) -> Iterator[list[ReadImage]]:
    """The images with their output or error, in order, a batch at a time.

    Args:
        images: pairs of a name and an image; read as the batches are asked for.
        read: safe in threads.
        infer: completes the images of a batch with the network's output; safe in threads. The second argument says
            whether other threads run the network too: if not, it can use all cores.
    """
    remaining = iter(images)
    first = list(islice(remaining, batch_size))
    second = list(islice(remaining, batch_size))
    if not second:  # decode in all threads, then predict with all
        if first:
            yield infer(list(ordered_map(lambda named: read(*named), first, min(threads, len(first)))), False)
        return

    def work(batch: Sequence[tuple[str, Any]]) -> list[ReadImage]:
        return infer([read(*named) for named in batch], True)

    batches = chain([first, second], iter(lambda: list(islice(remaining, batch_size)), []))
    yield from ordered_map(work, batches, threads, AHEAD_PER_THREAD)
