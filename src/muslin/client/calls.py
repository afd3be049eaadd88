"""Requests to a server and what their responses say, without sending anything: what both clients share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from muslin.client.results import ModelDescription, RefusalError, ServedMessage, ServedPrediction, ServedProduct
from muslin.client.retries import FULL, Retries
from muslin.client.uploads import MAX_FILE_BYTES, Upload
from muslin.errors import BundleError, ServerError
from muslin.library_errors import reason_of
from muslin.messages import Message, examples

if TYPE_CHECKING:
    import httpx

Json = Mapping[str, Any]
Found = TypeVar("Found")

MAX_PRODUCT_NAME = 100
"""Characters of a product's name in a request, where only messages use it."""

OF_IMAGES = (413, 415)
"""Statuses of a request whose images are too large, too many or unreadable."""


@dataclass(frozen=True)
class Call:
    """A request: a method, a path below the server's address, and what it carries."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    files: list[tuple[str, tuple[str, bytes]]] | None = None
    content: bytes | None = None

    @property
    def carried(self) -> dict[str, Any]:
        """Arguments of httpx's `request`."""
        return {"params": self.params, "files": self.files, "content": self.content}


MODELS = Call("GET", "/v1/models")
READY = Call("GET", "/v2/health/ready")


def query(model: str | None, precision: float | None, guarantee: str | None) -> dict[str, str]:
    """What a prediction asks for beside its images."""
    given = {"model": model, "precision": precision, "guarantee": guarantee}
    return {name: str(value) for name, value in given.items() if value is not None}


def predict_call(batch: Sequence[Upload], params: Mapping[str, str]) -> Call | None:
    """The request for a batch; None where no image of it can be read."""
    files = [("image", (_file_name(upload), upload.content or b"")) for upload in batch if upload.error is None]
    return Call("POST", "/v1/predict", params, files) if files else None


def _file_name(upload: Upload) -> str:
    """Of a path only its last part leaves this machine."""
    return PurePath(upload.name).name or "image"


def predictions_of(batch: Sequence[Upload], answer: Json | None) -> list[ServedPrediction]:
    """One per image of the batch, in order; `answer` is that of its `predict_call`.

    Raises:
        KeyError, TypeError, ValueError: it has other fields.
    """
    sent = [upload for upload in batch if upload.error is None]
    found: Iterator[ServedPrediction] = iter(())
    if answer is not None:
        pairs = zip(sent, answer["results"], strict=True)
        model, digest = str(answer["model"]), str(answer["digest"])
        found = iter([ServedPrediction.of(result, upload.name, model, digest) for upload, result in pairs])
    return [next(found) if one.error is None else ServedPrediction(one.name, error=one.error.message) for one in batch]


def refused(batch: Sequence[Upload], error: RefusalError) -> list[ServedPrediction] | None:
    """The prediction for an image that was refused alone; None for several, of which each can be sent alone.

    Raises:
        RefusalError: it is not one of images.
    """
    if error.status not in OF_IMAGES:
        raise error
    return [ServedPrediction(batch[0].name, error=error.message)] if len(batch) == 1 else None


def product_call(product: str, photos: Sequence[Upload], params: Mapping[str, str]) -> Call | None:
    """The request for a product; None where no photo of it can be read."""
    call = predict_call(photos, params)
    if call is None or call.files is None:
        return None
    field_name = f"product[{product[:MAX_PRODUCT_NAME] or 'product'}]"
    return replace(call, files=[(field_name, file) for _, file in call.files])


def product_of(product: str, photos: Sequence[Upload], answer: Json | None) -> ServedProduct:
    """`answer` is that of its `product_call`; photos that were not sent stand among the others with their errors.

    Raises:
        KeyError, TypeError, ValueError: it has other fields.
    """
    if answer is None:
        unread = predictions_of(photos, None)
        error = unread[0].error if len(unread) == 1 else Message("product_without_photo", **_reasons(photos))
        return ServedProduct(product, tuple(unread), error=error)
    (result,) = answer["results"]
    served = predictions_of(photos, {**answer, "results": result["photos"]})
    found = ServedProduct.of(result, product, served, answer)
    if any(photo.error for photo in photos):
        found = replace(found, reasons=(Message("product_photos_unreadable", **_reasons(photos)), *found.reasons))
    return found


def refused_product(product: str, error: RefusalError) -> ServedProduct:
    """A product of which the server can read no photo.

    Raises:
        RefusalError: it is not one of images.
    """
    if error.status not in OF_IMAGES:
        raise error
    return ServedProduct(product, error=error.message)


def _reasons(photos: Sequence[Upload]) -> dict[str, Any]:
    """Why photos were not sent, for a message."""
    return examples(" ".join(str(photo.error).split()).rstrip(".") for photo in photos if photo.error)


def replace_call(name: str, path: str | Path) -> Call:
    """The request that replaces a model by a file.

    Raises:
        BundleError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise BundleError("bundle_unreadable", path=str(path), reason=reason_of(error)) from error
    return Call("POST", f"/v1/models/{quote(name, safe='')}", content=content)


def not_ready(url: str, wait_s: float) -> ServerError:
    """The error of a server that was waited for."""
    return ServerError("serve_not_ready", url=url, seconds=wait_s)


def models_of(answer: Json) -> list[ModelDescription]:
    """Of the answer to MODELS.

    Raises:
        KeyError, TypeError: it has other fields.
    """
    return [ModelDescription.of(each) for each in answer["models"]]


def parsed(response: "httpx.Response", read: Callable[[Json], Found]) -> Found:
    """What `read` makes of the response's JSON.

    Raises:
        ServerError: the server's own error, or a response that is none of `muslin serve`.
    """
    try:
        answer = response.json()
        if response.is_success:
            return read(answer)
        raise RefusalError(ServedMessage.of(answer["error"]), response.status_code)
    except (KeyError, TypeError, ValueError) as error:
        url = str(response.request.url.copy_with(query=None))
        raise ServerError("serve_response", url=url, status=response.status_code) from error


class Attempts:
    """The attempts of one request to the server at `url`, which may take `retry_s` seconds until the last one."""

    def __init__(self, url: str, retry_s: float) -> None:
        self._url, self._retries = url, Retries(retry_s)

    def after(self, response: "httpx.Response") -> float | None:
        """Seconds until the next attempt; None where the response counts."""
        if response.status_code not in FULL:
            return None
        return self._retries.wait_s(response.headers.get("retry-after"))

    def after_error(self, error: Exception) -> float:
        """Seconds until the next attempt after an error of httpx.

        Raises:
            ServerError: there is none.
        """
        import httpx

        # sent twice, a request does the same
        lost = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
        pause_s = self._retries.wait_s() if isinstance(error, lost) else None
        if pause_s is not None:
            return pause_s
        if isinstance(error, httpx.TimeoutException):
            raise ServerError("serve_timeout", url=self._url) from error
        raise ServerError("serve_unreachable", url=self._url, reason=reason_of(error)) from error
