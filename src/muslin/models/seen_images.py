"""Digests of the images that a model was trained and validated on, by which it recognises each of them again.

An image is recognised by its pixels as the model takes them. So its name, its file, its format, and the order and the
number of the images beside it make no difference.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset
from muslin.data.photos import pixel_batches

IMAGE_DIGEST_BYTES = 16
SALT_BYTES = 16
SEEN_DIGEST_BYTES = 8
"""Of each image in a bundle. With 100,000 seen and 100,000 new images, the odds that any is mistaken are 1 to 10⁹."""

ImageDigests = NDArray[np.uint8]
"""BLAKE2b digests of images as a model takes them, uint8 (n, IMAGE_DIGEST_BYTES)."""


class ImageRole(IntEnum):
    """What a model was given an image for."""

    NEW = 0
    TRAIN = 1
    VALIDATION = 2


@dataclass(frozen=True, eq=False)
class SeenImages:
    """The images that a model has seen, as digests with a salt of its own.

    Attributes:
        salt: uint8 (SALT_BYTES,). Digests of two models cannot be compared with each other.
        train: uint64 (n,), rising, n ≥ 1: a digest of each training image.
        validation: uint64 (m,), rising: of each image that validated or calibrated the model and is no training image.
    """

    salt: NDArray[np.uint8] = field(repr=False)
    train: NDArray[np.uint64] = field(repr=False)
    validation: NDArray[np.uint64] = field(repr=False)

    @classmethod
    def of(
        cls, train: ImageDigests, validation: ImageDigests, weights: bytes, start: "SeenImages | None" = None
    ) -> "SeenImages":
        """The images with these digests; the salt follows from the model's weights, so that equal models are equal.

        Args:
            start: those of the model from which the training started, with its salt. They are seen too.
        """
        if start is not None:
            seen_train = np.union1d(start.train, _salted(start.salt, train))
            seen_validation = np.union1d(start.validation, _salted(start.salt, validation))
            return cls(start.salt, seen_train, np.setdiff1d(seen_validation, seen_train))
        salt = np.frombuffer(hashlib.blake2b(weights, digest_size=SALT_BYTES, person=b"muslin salt").digest(), np.uint8)
        seen_train, seen_validation = (np.unique(_salted(salt, digests)) for digests in (train, validation))
        return cls(salt, seen_train, np.setdiff1d(seen_validation, seen_train))

    def roles(self, digests: ImageDigests) -> NDArray[np.int8]:
        """The ImageRole of each image with these digests, int8 (n,)."""
        salted = _salted(self.salt, digests)
        roles = np.full(len(digests), ImageRole.NEW, dtype=np.int8)
        roles[np.isin(salted, self.validation)] = ImageRole.VALIDATION
        roles[np.isin(salted, self.train)] = ImageRole.TRAIN
        return roles

    def counts(self) -> dict[str, int]:
        """The number of different images in each role, by its name."""
        return {"train": len(self.train), "validation": len(self.validation)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeenImages) and all(
            np.array_equal(mine, other_values)
            for mine, other_values in zip(vars(self).values(), vars(other).values(), strict=True)
        )


def digest_images(images: Iterable[NDArray[np.uint8]]) -> ImageDigests:
    """A digest of each image as a model takes it, uint8 (height, width, channels)."""
    digests = [
        hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=IMAGE_DIGEST_BYTES).digest() for image in images
    ]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, IMAGE_DIGEST_BYTES)


def digest_dataset(dataset: Dataset) -> ImageDigests:
    """As `digest_images`, of a data set whose images are as the model takes them; all photos must be readable."""
    if known := getattr(dataset.images, "image_digests", None):  # photos need not be decoded
        return np.frombuffer(b"".join(known()), np.uint8).reshape(-1, IMAGE_DIGEST_BYTES)
    return np.concatenate([digest_images(batch) for batch in pixel_batches(dataset)])


def _salted(salt: NDArray[np.uint8], digests: ImageDigests) -> NDArray[np.uint64]:
    key = salt.tobytes()
    salted = [hashlib.blake2b(row.data, digest_size=SEEN_DIGEST_BYTES, key=key).digest() for row in digests]
    return np.frombuffer(b"".join(salted), "<u8")
