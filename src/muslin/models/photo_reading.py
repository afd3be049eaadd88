"""Images as users give them → pixels as a network takes them, or what is cached of the network's output for them."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_content import PhotoContent, read_photo
from muslin.data.photos import PhotoImages
from muslin.errors import ImageError
from muslin.library_errors import reason_of
from muslin.models.bundle import Preprocessing
from muslin.models.output_cache import OutputCache, PhotoOutput
from muslin.models.prediction import Prediction

if TYPE_CHECKING:
    import PIL.Image

    from muslin.images import DecodedImage

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image on its way through the network: a prediction without predictions, which has the error of an unreadable
    one.

    Attributes:
        pixels: as the network takes them; None where there is an error, or the output is known.
        content: by which the output is cached; None where it is not.
        values: the output, as in `PhotoOutput`; None where it is still to come, or there is an error.
    """

    prediction: Prediction
    pixels: Pixels | None = None
    content: PhotoContent | None = None
    values: Mapping[str, NDArray[np.float32]] | None = None

    def with_values(self, values: Mapping[str, NDArray[np.float32]], cache: OutputCache | None) -> "ReadImage":
        """The same with its output, which is cached, and without pixels."""
        if cache and self.content:
            cache.add(self.content.digest, PhotoOutput(values, self.prediction.notes))
        return ReadImage(self.prediction, values=values)


def read_image(name: str, source: Any, preprocessing: Preprocessing, cache: OutputCache | None) -> ReadImage:
    """One image of those that `Predictor.predict_named` takes."""
    from muslin.images import decoding_side, transform_decoded

    content = read_photo(name, source) if cache else None
    if cache and content and (cached := cache.get(content.digest)):
        return ReadImage(Prediction(name, {}, cached.notes), values=cached.values)
    try:
        # what is cached by a content is decoded from the same bytes, even where the file changes now
        decoded = decode_source(name, content or source, decoding_side(preprocessing.transform, preprocessing.shape))
        pixels, note = transform_decoded(decoded, preprocessing.transform, preprocessing.shape)
    except ImageError as error:
        return ReadImage(Prediction(name, {}, error=error.with_params(path=name).message))
    notes = (*decoded.notes, note) if note else decoded.notes
    return ReadImage(Prediction(name, {}, notes), pixels, content)


def decode_source(name: str, source: Any, min_side_px: int | None) -> "DecodedImage":
    """Pixels as `muslin.images.apply_transform` takes (and checks) them, and notes of the decoder.

    Args:
        source: an image as a user gives it: pixels, a PIL image, a file's content or path, a StoredImage, or the
            ImageError that says why there is none.
        min_side_px: as of `muslin.images.decode`.

    Raises:
        ImageError: it cannot be read.
    """
    from PIL.Image import Image

    from muslin.images import DecodedImage, decode

    if isinstance(source, ImageError):
        raise source
    if isinstance(source, np.ndarray):
        return DecodedImage(source[:, :, np.newaxis] if source.ndim == 2 else source, (), source.shape[:2])
    if isinstance(source, Image):
        return decode(png_of_pil(name, source), name=name, max_bytes=2**31)
    if hasattr(source, "content"):  # a StoredImage
        photo = replace(source, name=name)
        if photo.box:
            pixels = PhotoImages((photo,))[0]
            return DecodedImage(pixels, (), pixels.shape[:2])
        return decode(photo.content(), name=name, min_side_px=min_side_px)
    if isinstance(source, bytes | Path):
        return decode(source, name=name, min_side_px=min_side_px)
    raise ImageError("image_type", path=name, found=type(source).__name__)


def png_of_pil(name: str, image: "PIL.Image.Image", compress_level: int = 0) -> bytes:
    """As a file, so that transparency, 16 bits and EXIF orientation are handled in one place.

    Args:
        compress_level: 0 for a large file at once, to 9 for a small one.

    Raises:
        ImageError: it cannot be read.
    """
    file = io.BytesIO()
    try:
        writable = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else image.convert("RGB")
        writable.save(file, "PNG", compress_level=compress_level, exif=image.getexif())
    except Exception as error:  # its file may be read only now, and decoders raise errors of any kind
        raise ImageError("pil_image_unreadable", path=name, reason=reason_of(error)) from error
    return file.getvalue()
