"""Which images share a run of a model, and whose prediction is whose."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from muslin.errors import BundleError
from muslin.models.bundle import open_bundle
from muslin.models.predictor import Predictor
from muslin.server.batcher import Batcher, BatchRun
from muslin.server.models import open_model
from muslin.server.settings import Settings

POISON = 255
"""An image of this value cannot be run."""


class Model:
    """Doubles the first pixel; a run waits while `may_run` is not set.

    Attributes:
        sizes: of the runs.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.may_run = threading.Event()
        self.may_run.set()

    def __call__(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        self.may_run.wait(10)
        self.sizes.append(len(pixels))
        first = pixels[:, 0, 0, 0].astype(np.float32)
        if POISON in first:
            raise BundleError("prediction_range", name="label", path="model")
        return {"label": 2 * first[:, None]}


def images(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)[:, None, None, None]


def run(test: Callable[[Model, Batcher, list[BatchRun]], Coroutine[Any, Any, None]], max_batch: int = 8) -> None:
    async def main() -> None:
        model, runs = Model(), list[BatchRun]()
        batcher = Batcher(model, max_batch, max_wait_s=5.0, on_run=runs.append)
        try:
            await asyncio.wait_for(test(model, batcher, runs), 20)
        finally:
            batcher.close()

    asyncio.run(main())


async def submit(batcher: Batcher, *values: int) -> list[float]:
    return [float(each) for each in (await batcher.submit(images(*values)))["label"][:, 0]]


def test_images_that_come_during_a_run_go_together_after_it() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        model.may_run.clear()
        first = asyncio.create_task(submit(batcher, 1))
        await asyncio.sleep(0)
        others = [asyncio.create_task(submit(batcher, value, value + 1)) for value in (10, 20, 30)]
        await asyncio.sleep(0)
        model.may_run.set()
        assert await first == [2]
        assert await asyncio.gather(*others) == [[20, 22], [40, 42], [60, 62]]
        assert model.sizes == [1, 6]
        assert [(each.images, each.requests, each.reason) for each in runs] == [(1, 1, "idle"), (6, 3, "after_run")]

    run(test)


def test_run_is_never_larger_than_the_limit() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        found = await asyncio.gather(submit(batcher, *range(20)), submit(batcher, *range(100, 105)))
        assert found == [[2.0 * value for value in range(20)], [2.0 * value for value in range(100, 105)]]
        assert max(model.sizes) <= 8
        assert sum(model.sizes) == 25

    run(test)


def test_idle_model_waits_for_what_is_on_its_way() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        with batcher.expecting() as arrival:
            early = asyncio.create_task(submit(batcher, 1))
            await asyncio.sleep(0.01)
            assert model.sizes == []
            late = await batcher.submit(images(2), arrival)
        assert (await early, float(late["label"][0, 0])) == ([2], 4)
        assert [(each.images, each.reason) for each in runs] == [(2, "all_there")]
        assert runs[0].waited_s >= 0.009

    run(test)


def test_refused_request_lets_those_go_that_waited_for_it() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        with batcher.expecting():
            early = asyncio.create_task(submit(batcher, 1))
            await asyncio.sleep(0)
        assert await early == [2]

    run(test)


def test_run_that_lasts_is_noticed() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        assert batcher.busy_s() == 0
        model.may_run.clear()
        task = asyncio.create_task(submit(batcher, 1))
        while batcher.busy_s() < 0.05:
            await asyncio.sleep(0.001)
        model.may_run.set()
        assert await task == [2]
        assert batcher.busy_s() == 0

    run(test)


def test_wait_is_bounded() -> None:
    async def main() -> list[BatchRun]:
        runs: list[BatchRun] = []
        batcher = Batcher(Model(), 8, max_wait_s=0.002, on_run=runs.append)
        with batcher.expecting():  # something that never comes
            assert await submit(batcher, 3) == [6]
        batcher.close()
        return runs

    assert [each.reason for each in asyncio.run(main())] == ["waited"]


def test_image_that_fails_costs_no_other_request_its_prediction() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        model.may_run.clear()
        tasks = [asyncio.create_task(submit(batcher, value)) for value in (1, 2, POISON, 3)]
        await asyncio.sleep(0)
        model.may_run.set()
        assert [await tasks[place] for place in (0, 1, 3)] == [[2], [4], [6]]
        with pytest.raises(BundleError):
            await tasks[2]

    run(test)


def test_images_whose_client_has_gone_are_not_run() -> None:
    async def test(model: Model, batcher: Batcher, runs: list[BatchRun]) -> None:
        model.may_run.clear()
        tasks = [asyncio.create_task(submit(batcher, value)) for value in (1, 2, 3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        model.may_run.set()
        assert [await tasks[0], await tasks[2]] == [[2], [6]]
        assert sum(model.sizes) == 2

    run(test)


def test_batch_limit_is_the_users_within_the_memory(small_model: Path) -> None:
    def limit(max_batch: int | None) -> int:
        model = open_model("small", small_model, Settings({"small": small_model}, max_batch=max_batch))
        model.batcher.close()
        assert model.predictor.bundle.weights != open_bundle(small_model).weights, "serving needs none"
        return model.batcher.max_batch

    predictor = Predictor.open(small_model)
    assert limit(None) == predictor.batch_size
    assert limit(7) == 7
    assert limit(2 * predictor.batch_size) == 2 * predictor.batch_size
    assert limit(10**12) == predictor.max_batch_size
