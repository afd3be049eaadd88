"""The client that lets others work while it waits for a response."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.to_thread import run_sync as in_thread

from muslin.client.calls import (
    MODELS,
    READY,
    Attempts,
    Call,
    Found,
    Json,
    models_of,
    not_ready,
    parsed,
    predict_call,
    predictions_of,
    product_call,
    product_of,
    query,
    refused,
    refused_product,
    replace_call,
)
from muslin.client.client import ADDRESS, RETRY_S, TIMEOUT_S, http_options
from muslin.client.results import ModelDescription, RefusalError, ServedPrediction, ServedProduct
from muslin.client.retries import Retries
from muslin.client.uploads import Upload, product_uploads, requests_of, uploads
from muslin.extras import require_extra


class AsyncClient:
    """`Client` for asyncio and trio: the same arguments, methods, values and errors, to be awaited.

        async with muslin.AsyncClient("http://127.0.0.1:8000") as client:
            predictions = await client.predict(["shirt.png", "boots.jpg"])

    Files are read, and arrays packed, in a thread.
    """

    def __init__(
        self, url: str = ADDRESS, *, token: str | None = None, timeout_s: float = TIMEOUT_S, retry_s: float = RETRY_S,
        language: str = "en", **options: Any,
    ) -> None:  # fmt: skip
        require_extra("client")
        import httpx

        self.url, self.retry_s = url.rstrip("/"), retry_s
        self._http = httpx.AsyncClient(**http_options(token, language, timeout_s) | options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, images: Any, *, model: str | None = None, precision: float | None = None, guarantee: str | None = None,
        allow_outside: bool = False,
    ) -> list[ServedPrediction]:  # fmt: skip
        """`Client.predict`."""
        found = self.predict_iter(
            images, model=model, precision=precision, guarantee=guarantee, allow_outside=allow_outside
        )
        return [prediction async for prediction in found]

    async def predict_iter(
        self, images: Any, *, model: str | None = None, precision: float | None = None, guarantee: str | None = None,
        allow_outside: bool = False,
    ) -> AsyncIterator[ServedPrediction]:  # fmt: skip
        """`Client.predict_iter`."""
        params = query(model, precision, guarantee)
        batches = requests_of(uploads(images, allow_outside))
        while batch := await in_thread(next, batches, None):
            for prediction in await self._predict(batch, params):
                yield prediction

    async def predict_products(
        self, products: Mapping[str, Any], *, model: str | None = None, precision: float | None = None,
        guarantee: str | None = None,
    ) -> AsyncIterator[ServedProduct]:  # fmt: skip
        """`Client.predict_products`."""
        params = query(model, precision, guarantee)
        found = product_uploads(products)
        while product := await in_thread(next, found, None):
            yield await self._predict_product(*product, params)

    async def models(self) -> list[ModelDescription]:
        """`Client.models`."""
        return await self._send(MODELS, models_of)

    async def replace(self, name: str, path: str | Path) -> ModelDescription:
        """`Client.replace`."""
        return await self._send(await in_thread(replace_call, name, path), ModelDescription.of)

    async def is_ready(self) -> bool:
        """`Client.is_ready`."""
        import httpx

        try:
            return (await self._http.request(READY.method, self.url + READY.path)).is_success
        except httpx.TransportError:
            return False

    async def wait_until_ready(self, wait_s: float = TIMEOUT_S) -> None:
        """`Client.wait_until_ready`."""
        retries = Retries(wait_s)
        while not await self.is_ready():
            pause_s = retries.wait_s()
            if pause_s is None:
                raise not_ready(self.url, wait_s)
            await anyio.sleep(pause_s)

    async def _predict(self, batch: Sequence[Upload], params: Mapping[str, str]) -> list[ServedPrediction]:
        call = predict_call(batch, params)
        if call is None:
            return predictions_of(batch, None)
        try:
            return await self._send(call, partial(predictions_of, batch))
        except RefusalError as error:
            if found := refused(batch, error):
                return found
        return [found for upload in batch for found in await self._predict([upload], params)]

    async def _predict_product(self, name: str, photos: Sequence[Upload], params: Mapping[str, str]) -> ServedProduct:
        call = product_call(name, photos, params)
        read = partial(product_of, name, photos)
        try:
            return await self._send(call, read) if call else read(None)
        except RefusalError as error:
            return refused_product(name, error)

    async def _send(self, call: Call, read: Callable[[Json], Found]) -> Found:
        import httpx

        attempts = Attempts(self.url, self.retry_s)
        while True:
            try:
                response = await self._http.request(call.method, self.url + call.path, **call.carried)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                pause_s = attempts.after_error(error)
            else:
                if (after_s := attempts.after(response)) is None:
                    return parsed(response, read)
                pause_s = after_s
            await anyio.sleep(pause_s)
