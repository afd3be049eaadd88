"""The integers of a large array in JSON, without a Python object each.

`json.loads` takes a second for the pixels of a hundred photos, in which no other request is answered: it holds Python's
lock. NumPy reads the same digits in parts, without the lock.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_BYTES = 100_000
"""A shorter JSON is read faster as it is."""

_BLANK = b" \t\r\n"
_ARRAY = b"0123456789,[]" + _BLANK
_SEARCHED_BYTES, _PART_BYTES = 1_000_000, 60_000
_ZERO = ord("0")
_IS_BLANK = np.isin(np.arange(256), list(_BLANK))
"""bool (256,): by a byte."""


class ArrayText(bytes):
    """An array in JSON that is not parsed yet."""


class CutJson(NamedTuple):
    """A JSON whose array was taken out.

    Attributes:
        text: the JSON, with the text `mark` in place of the array.
        array: the array's text.
    """

    text: bytes
    mark: str
    array: ArrayText


def cut_array(text: bytes, key: str = "data") -> CutJson | None:
    """Take out the first value of `key`, if that is an array of integers, or of such arrays, without a sign."""
    start = text.find(f'"{key}"'.encode())
    if start < 0:
        return None
    start = _skip(text, start + len(key) + 2, b":" + _BLANK)
    end = _skip(text, start, _ARRAY)
    while end > start and text[end - 1] in b"," + _BLANK:
        end -= 1
    if text[start : start + 1] != b"[":
        return None
    mark, array = uuid.uuid4().hex, ArrayText(memoryview(text)[start:end])
    return CutJson(b'%s"%s"%s' % (text[:start], mark.encode(), text[end:]), mark, array)


def read_array(array: bytes, shape: Sequence[int]) -> NDArray[np.uint8] | None:
    """The integers of an array as uint8 of `shape`.

    Args:
        array: JSON: a flat list, or lists nested as `shape`.

    Returns:
        None where it is anything else; `tensors.read_pixels` then finds what is wrong.
    """
    count = math.prod(shape)
    if len(array) < 2 * count:  # so that a small text with a large shape is little work
        return None
    parts = list(map(_read_part, _parts(array)))
    if b"".join(part.frame for part in parts) not in (_frame([count]), _frame(shape)):
        return None
    if not all(part.are_bytes for part in parts):
        return None
    return np.concatenate([part.values for part in parts]).reshape(shape)


class _ArrayPart(NamedTuple):
    """A part of an array.

    Attributes:
        frame: its text without blanks, in which each number is `0`.
        values: uint8, where `are_bytes`.
        are_bytes: whether all numbers are written as JSON has them, and are at most 255.
    """

    frame: bytes
    values: NDArray[np.uint8]
    are_bytes: bool


def _parts(array: bytes) -> Iterator[bytes]:
    """Parts that fit the processor's caches, none of which begins within a number."""
    start = 0
    while start < len(array):
        end = array.find(b",", start + _PART_BYTES)
        end = len(array) if end < 0 else end
        yield array[start:end]
        start = end


def _read_part(part: bytes) -> _ArrayPart:
    codes = np.frombuffer(part, np.uint8)
    digits = codes - np.uint8(_ZERO)
    is_digit = digits < 10  # other codes are larger, as uint8 has no numbers below 0
    is_later = np.zeros(len(codes), bool)  # a digit that is not the first of its number
    np.logical_and(is_digit[1:], is_digit[:-1], out=is_later[1:])
    frame = np.where(is_digit, np.uint8(_ZERO), codes)[~(is_later | _IS_BLANK[codes])]
    has_zero_first = (digits[:-1] == 0) & ~is_later[:-1] & is_later[1:]  # 07 is not JSON
    has_four_digits = is_later[1:-2] & is_later[2:-1] & is_later[3:]
    values = np.where(is_digit, digits, 0).astype(np.uint16)
    before = np.where(is_later[1:], values[:-1], 0)  # the digit before each
    values[1:] += 10 * before
    values[2:] += 100 * np.where(is_later[2:], before[:-1], 0)
    is_last = is_digit.copy()
    is_last[:-1] &= ~is_digit[1:]
    found = values[is_last]
    are_bytes = not (has_zero_first.any() or has_four_digits.any()) and found.max(initial=0) <= 255
    return _ArrayPart(frame.tobytes(), found.astype(np.uint8), bool(are_bytes))


def _skip(text: bytes, start: int, codes: bytes) -> int:
    """The first place from `start` on whose byte is none of `codes`."""
    while part := text[start : start + _SEARCHED_BYTES]:
        length = len(part) - len(part.lstrip(codes))
        start += length
        if length < len(part):
            break
    return start


def _frame(shape: Sequence[int]) -> bytes:
    """JSON of zeros, nested as `shape`, without blanks."""
    text = b"0"
    for size in reversed(shape):
        text = b"[%s]" % ((text + b",") * size)[:-1]
    return text
