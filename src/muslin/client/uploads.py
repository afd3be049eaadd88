"""Images as `muslin.Predictor.predict` takes them → the bytes of files, and requests of a size that servers take."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muslin.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_IMAGES = 16
"""Images of a request. A product with more photos is sent whole."""

MAX_REQUEST_BYTES = 16_000_000
"""Bytes of a request's images, if it has more than one."""

MAX_FILE_BYTES = 2**31
"""Of a file that is read here; the server has a limit of its own, and says it."""


@dataclass(frozen=True)
class Upload:
    """An image on its way to the server.

    Attributes:
        name: as the user gave it, or `images[3]`.
        content: the bytes of its file; None where there is an error.
        error: why it cannot be read.
    """

    name: str
    content: bytes | None
    error: ImageError | None = None

    @property
    def size(self) -> int:
        return len(self.content or b"")


def uploads(images: Any, allow_outside: bool = False) -> Iterator[Upload]:
    """Each of the images.

    Raises:
        DataError: a folder without images.
    """
    from muslin.models.image_inputs import named_images

    for name, source in named_images(images, allow_outside):
        try:
            yield Upload(name, _content(name, source))
        except ImageError as error:
            yield Upload(name, None, error.with_params(path=name))


def _content(name: str, source: Any) -> bytes:
    """The bytes of a file; an array or a PIL image becomes a PNG, which loses nothing."""
    import numpy as np
    from PIL.Image import Image

    from muslin.images import encode_png
    from muslin.images.decoder import read_bytes
    from muslin.models.photo_reading import png_of_pil

    if isinstance(source, ImageError):
        raise source
    if isinstance(source, np.ndarray):
        return encode_png(_checked(source))
    if isinstance(source, Image):
        return png_of_pil(name, source, compress_level=1)
    if hasattr(source, "content"):  # a StoredImage
        return bytes(source.content())
    if isinstance(source, bytes | Path):
        return read_bytes(source, name, MAX_FILE_BYTES)
    raise ImageError("image_type", path=name, found=type(source).__name__)


def _checked(pixels: "NDArray[Any]") -> "NDArray[Any]":
    if pixels.ndim not in (2, 3):
        raise ImageError("image_pixels", dtype=str(pixels.dtype), shape=pixels.shape)
    return pixels


def requests_of(found: Iterable[Upload]) -> Iterator[list[Upload]]:
    """The images in order, as many in one request as MAX_IMAGES and MAX_REQUEST_BYTES allow, and at least one."""
    batch: list[Upload] = []
    size = 0
    for upload in found:
        if batch and (len(batch) == MAX_IMAGES or size + upload.size > MAX_REQUEST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(upload)
        size += upload.size
    if batch:
        yield batch


def product_uploads(products: Mapping[str, Any], allow_outside: bool = False) -> Iterator[tuple[str, list[Upload]]]:
    """Each product's name and images."""
    for name, images in products.items():
        yield name, list(uploads(images, allow_outside))
