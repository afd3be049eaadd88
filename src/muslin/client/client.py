"""The client that waits for each response."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from muslin.client.results import ModelDescription, RefusalError, ServedPrediction, ServedProduct
from muslin.client.retries import Retries
from muslin.client.uploads import Upload, product_uploads, requests_of, uploads
from muslin.extras import require_extra

ADDRESS = "http://127.0.0.1:8000"
"""Of `muslin serve` without options."""

TIMEOUT_S = 60.0
RETRY_S = 30.0


def http_options(token: str | None, language: str, timeout_s: float) -> dict[str, Any]:
    """Arguments of httpx's clients. A redirect is not followed, so the token goes nowhere else."""
    import httpx

    headers = {"accept": "application/json", "accept-language": language}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    timeout = httpx.Timeout(timeout_s, pool=None)  # many requests at once wait for a connection as long as it takes
    return {"headers": headers, "timeout": timeout, "follow_redirects": False}


class Client:
    """Predicts with the models of a `muslin serve`. Safe to use from several threads at once.

        with muslin.Client("http://127.0.0.1:8000") as client:
            for prediction in client.predict(["shirt.png", "boots.jpg"]):
                print(prediction.image, prediction.predictions["label"].label)

    A request that meets a full or restarting server is sent again, not before its `Retry-After` has passed.

    Args:
        url: the server's address, with its path prefix where it has one.
        token: of the server; it is sent to no other address.
        timeout_s: seconds within which a connection must open, and a server must go on sending or taking.
        retry_s: seconds after the first attempt within which a request is sent again; 0: never.
        language: of the server's messages, `en` or `zh`.
        options: further arguments of `httpx.Client`, such as `verify` or `proxy`.

    Raises:
        MissingPartError: httpx is not installed.
    """

    def __init__(
        self, url: str = ADDRESS, *, token: str | None = None, timeout_s: float = TIMEOUT_S, retry_s: float = RETRY_S,
        language: str = "en", **options: Any,
    ) -> None:  # fmt: skip
        require_extra("client")
        import httpx

        self.url, self.retry_s = url.rstrip("/"), retry_s
        self._http = httpx.Client(**http_options(token, language, timeout_s) | options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self, images: Any, *, model: str | None = None, precision: float | None = None, guarantee: str | None = None,
        allow_outside: bool = False,
    ) -> list[ServedPrediction]:  # fmt: skip
        """One prediction per image, in order.

        Many images go in several requests; `digest` of each prediction says which model made it. An image that cannot
        be read here has an `error`, and is not sent.

        Args:
            images, allow_outside: as of `muslin.Predictor.predict`: paths, folders, a file's bytes, arrays uint8
                (height, width) or (height, width, channels), PIL images.
            model: name of the model; needed where the server has several.
            precision, guarantee: as of `muslin.Predictor.predict`; by default those of the server.

        Raises:
            DataError: a folder without images.
            ServerError: the server refused a request, or does not respond.
        """
        return list(
            self.predict_iter(
                images, model=model, precision=precision, guarantee=guarantee, allow_outside=allow_outside
            )
        )

    def predict_iter(
        self, images: Any, *, model: str | None = None, precision: float | None = None, guarantee: str | None = None,
        allow_outside: bool = False,
    ) -> Iterator[ServedPrediction]:  # fmt: skip
        """`predict`, for any number of images: those of one request are in memory at a time."""
        params = query(model, precision, guarantee)
        for batch in requests_of(uploads(images, allow_outside)):
            yield from self._predict(batch, params)

    def predict_products(
        self, products: Mapping[str, Any], *, model: str | None = None, precision: float | None = None,
        guarantee: str | None = None,
    ) -> Iterator[ServedProduct]:  # fmt: skip
        """One prediction per product, in order, from all its photos; each product is a request.

        Args:
            products: per product's name its images, as `predict` takes them.
            model, precision, guarantee: as of `predict`.

        Raises:
            DataError, ServerError: as of `predict`.
        """
        params = query(model, precision, guarantee)
        for name, photos in product_uploads(products):
            yield self._predict_product(name, photos, params)

    def models(self) -> list[ModelDescription]:
        """The server's models, in the order in which it was given them.

        Raises:
            ServerError: as of `predict`.
        """
        return self._send(MODELS, models_of)

    def replace(self, name: str, path: str | Path) -> ModelDescription:
        """Replace a model by a .muslin file, which the server checks first. Needs the token.

        Raises:
            BundleError: the file cannot be read here.
            ServerError: the server refuses it, and goes on with the old one; or as of `predict`.
        """
        return self._send(replace_call(name, path), ModelDescription.of)

    def is_ready(self) -> bool:
        """Whether the server responds and its models are ready."""
        import httpx

        try:
            return self._http.request(READY.method, self.url + READY.path).is_success
        except httpx.TransportError:
            return False

    def wait_until_ready(self, wait_s: float = TIMEOUT_S) -> None:
        """Return once the server is ready.

        Raises:
            ServerError: it is not within `wait_s` seconds.
        """
        retries = Retries(wait_s)
        while not self.is_ready():
            pause_s = retries.wait_s()
            if pause_s is None:
                raise not_ready(self.url, wait_s)
            time.sleep(pause_s)

    def _predict(self, batch: Sequence[Upload], params: Mapping[str, str]) -> list[ServedPrediction]:
        call = predict_call(batch, params)
        if call is None:
            return predictions_of(batch, None)
        try:
            return self._send(call, partial(predictions_of, batch))
        except RefusalError as error:
            if found := refused(batch, error):
                return found
        return [found for upload in batch for found in self._predict([upload], params)]

    def _predict_product(self, name: str, photos: Sequence[Upload], params: Mapping[str, str]) -> ServedProduct:
        call = product_call(name, photos, params)
        read = partial(product_of, name, photos)
        try:
            return self._send(call, read) if call else read(None)
        except RefusalError as error:
            return refused_product(name, error)

    def _send(self, call: Call, read: Callable[[Json], Found]) -> Found:
        import httpx

        attempts = Attempts(self.url, self.retry_s)
        while True:
            try:
                response = self._http.request(call.method, self.url + call.path, **call.carried)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                pause_s = attempts.after_error(error)
            else:
                if (after_s := attempts.after(response)) is None:
                    return parsed(response, read)
                pause_s = after_s
            time.sleep(pause_s)
