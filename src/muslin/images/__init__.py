"""Images: bytes → pixels within limits (`decoder`), and pixels → what a model takes (`transforms`)."""

from muslin.images.decoder import MAX_PIXELS, SIGNATURES, DecodedImage, decode, encode_png, read_header
from muslin.images.transforms import (
    TRANSFORMS,
    TransformTrace,
    apply_transform,
    crop_resize,
    crop_to_box,
    decoding_side,
    is_unchanged,
    shrink,
    transform_decoded,
)

__all__ = [
    "MAX_PIXELS", "SIGNATURES", "TRANSFORMS", "DecodedImage", "TransformTrace", "apply_transform", "crop_resize",
    "crop_to_box", "decode", "decoding_side", "encode_png", "is_unchanged", "read_header", "shrink",
    "transform_decoded",
]  # fmt: skip
