"""Images of several requests in one run of a model.

A model that is idle runs what comes in one turn of the event loop, unless other images are on their way: then it waits
for them, but not longer than `max_wait_ms`. While it runs, what comes gathers, and goes together when the run ends.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from muslin.models.graph_runner import Pixels
from muslin.models.model_output import Values, concat_values
from muslin.server.work_threads import WorkThreads

ALONE, AFTER_RUN, FULL, ALL_THERE, WAITED = REASONS = ("idle", "after_run", "full", "all_there", "waited")
"""Why a batch was released: the model was idle and nothing else on its way; a run had ended; it was as large as
allowed; all that was on its way had come; or its oldest image had waited as long as allowed."""


class BatchRun(NamedTuple):
    """One run of a model.

    Attributes:
        images, requests: how many it had.
        reason: of REASONS.
        waited_s: seconds that its oldest image waited for the run to begin.
        run_s: seconds that the model took.
    """

    images: int
    requests: int
    reason: str
    waited_s: float
    run_s: float


class Arrival:
    """A context in which the images of a request are on their way, until they are submitted.

    Attributes:
        has_come: whether they have been.
    """

    __slots__ = ("_gone", "has_come")

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone, self.has_come = gone, False

    def __enter__(self) -> "Arrival":
        return self

    def __exit__(self, *error: object) -> None:
        if not self.has_come:  # the request was refused
            self._gone()


class _Piece:
    """Images of one request that go into one run; a request of more images than a batch has several."""

    __slots__ = ("arrived", "done", "error", "pixels", "values")

    def __init__(self, pixels: Pixels, arrived: float, done: "asyncio.Future[Values]") -> None:
        self.pixels, self.arrived, self.done = pixels, arrived, done
        self.values: Values = {}
        self.error: Exception | None = None


class _Run(NamedTuple):
    """Pieces that go to the model together."""

    pieces: Sequence[_Piece]
    images: int
    reason: str
    began: float


def _run_nothing(pixels: Pixels) -> Values:
    """The model of a batcher that is closed."""
    return {}


class Batcher:
    """Runs a model for images of several requests at a time. Belongs to one event loop.

    Args:
        run: the model: uint8 (n, height, width, channels) → arrays of n rows by name. Called in one thread.
        max_batch: images in a run.
        max_wait_s: seconds that an image waits for others that are on their way.
        on_run: called in the event loop after each run.
    """

    def __init__(
        self,
        run: Callable[[Pixels], Values],
        max_batch: int,
        max_wait_s: float,
        on_run: Callable[[BatchRun], None] = lambda run: None,
    ) -> None:
        self._run_model, self.max_batch, self._max_wait_s, self.on_run = run, max_batch, max_wait_s, on_run
        self._thread = WorkThreads("model", self._do, self._report)
        self._waiting: deque[_Piece] = deque()
        self._images = 0  # in _waiting
        self._expected = 0
        self._is_running = False
        self._next: asyncio.Handle | None = None  # the next run, which begins at the end of this turn of the loop
        self._timer: asyncio.TimerHandle | None = None

    def expecting(self) -> Arrival:
        """The images of a request are on their way from now on, until they are submitted or the context ends."""
        self._expected += 1
        return Arrival(self._gone)

    def _gone(self) -> None:
        self._expected -= 1
        if not self._expected and self._waiting and not self._is_running:
            self._release_soon(ALL_THERE)

    async def submit(self, pixels: Pixels, arrival: Arrival | None = None) -> Values:
        """What the model gives for the images, in their order.

        Args:
            pixels: uint8 (n, height, width, channels), n ≥ 1.
            arrival: of `expecting`, where the images were expected; it ends with this call.

        Raises:
            BundleError: the model cannot be run.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        pieces = [
            _Piece(pixels[start : start + self.max_batch], now, loop.create_future())
            for start in range(0, len(pixels), self.max_batch)
        ]
        if arrival is not None:
            arrival.has_come = True
            self._expected -= 1
        is_first = not self._waiting
        self._waiting.extend(pieces)
        self._images += len(pixels)
        if not self._is_running:
            self._release_if_due(is_first)
        if len(pieces) == 1:
            return await pieces[0].done
        return concat_values(await asyncio.gather(*(piece.done for piece in pieces)))

    def busy_s(self) -> float:
        """Seconds for which the run lasts that has begun; 0 where there is none."""
        return self._thread.busy_s()

    def close(self) -> None:
        """End the thread, once its run is done, and let go of the model. Nothing is submitted afterwards."""
        self._run_model = _run_nothing
        self._thread.close()

    def _release_if_due(self, is_first: bool) -> None:
        if self._images >= self.max_batch:
            self._release_soon(FULL)
        elif not self._expected or not self._max_wait_s:
            self._release_soon(ALONE if is_first else ALL_THERE)
        elif self._timer is None and self._next is None:
            self._timer = asyncio.get_running_loop().call_later(self._max_wait_s, self._release, WAITED)

    def _release_soon(self, reason: str) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._release, reason)

    def _release(self, reason: str) -> None:
        """Begin a run with the oldest images, as many as it may have."""
        for handle in (self._timer, self._next):
            if handle is not None:
                handle.cancel()
        self._timer = self._next = None
        pieces, count = [], 0
        while self._waiting and count + len(self._waiting[0].pixels) <= self.max_batch:
            piece = self._waiting.popleft()
            self._images -= len(piece.pixels)
            if not piece.done.done():  # else its client has gone
                pieces.append(piece)
                count += len(piece.pixels)
        if pieces:
            run = _Run(pieces, count, reason, asyncio.get_running_loop().time())
            self._is_running = True
            self._thread.add(run)

    def _do(self, run: _Run) -> None:
        """Give each piece its values. Where the model fails for all of them together, each is tried alone, so that an
        image for which it fails costs no other request its prediction.
        """
        pieces = run.pieces
        try:
            if len(pieces) == 1:
                pieces[0].values = self._run_model(pieces[0].pixels)
                return
            values = self._run_model(np.concatenate([piece.pixels for piece in pieces]))
        except Exception as error:
            if len(pieces) == 1:
                pieces[0].error = error  # the event loop raises it in the request
            else:
                for piece in pieces:
                    self._do(run._replace(pieces=[piece]))
            return
        start = 0
        for piece in pieces:
            end = start + len(piece.pixels)
            piece.values = {name: rows[start:end] for name, rows in values.items()}
            start = end

    def _report(self, runs: Sequence[_Run]) -> None:
        for run in runs:
            self._finish(run)

    def _finish(self, run: _Run) -> None:
        self._is_running = False
        for piece in run.pieces:
            if piece.done.done():  # its client has gone
                continue
            if piece.error is None:
                piece.done.set_result(piece.values)
            else:
                piece.done.set_exception(piece.error)
        now = asyncio.get_running_loop().time()
        waited_s = run.began - run.pieces[0].arrived
        self.on_run(BatchRun(run.images, len(run.pieces), run.reason, waited_s, now - run.began))
        if self._waiting:
            self._release_soon(AFTER_RUN)
