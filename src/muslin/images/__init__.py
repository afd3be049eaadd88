"""Images: bytes to pixels within limits (`decoder`), and pixels to what a model takes (`transforms`)."""

from muslin.images.decoder import READ, Decoded, decode, encode_png, header
from muslin.images.transforms import CONVERSIONS, Step, Way, convert, cut_to, fit_inside

__all__ = [
    "CONVERSIONS",
    "READ",
    "Decoded",
    "Step",
    "Way",
    "convert",
    "cut_to",
    "decode",
    "encode_png",
    "fit_inside",
    "header",
]
