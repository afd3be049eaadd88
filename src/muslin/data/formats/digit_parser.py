"""Lines of small whole numbers → uint8, by whole-array operations on the bytes.

A CSV parser finds the type of each cell and builds columns; here every cell has one to three digits, which takes a
dozen passes over the bytes. `benchmarks/read_csv.py` measures the difference.
"""

import numpy as np
from numpy.typing import NDArray

NEWLINE = ord("\n")


class DigitParser:
    """Parses blocks of text of at most `max_bytes`.

    Reuses its memory from block to block, because a dozen new arrays per block cost more than the arithmetic.
    """

    def __init__(self, columns: int, delimiter: str, max_bytes: int) -> None:
        self.columns = columns
        self.max_bytes = max_bytes
        self._delimiter = ord(delimiter)
        self._scratch = np.empty((6, max_bytes + 1), dtype=np.uint8)

    def parse(self, text: bytes) -> NDArray[np.uint8] | None:
        """uint8 (lines, columns), or None where `text` has another form.

        The form: lines that each end with a newline and hold `columns` numbers of 0–255, of one to three digits,
        with one delimiter between them and nothing else.
        """
        size = len(text)
        if not 3 < size <= self.max_bytes:
            return None
        characters = np.frombuffer(text, dtype=np.uint8)
        newline, end, digit, hundreds, scratch, _ = self._scratch[:, :size]
        before = self._scratch[5, : size + 1]
        value = before[1:]  # value[i] belongs to character i, before[i] to the one before it

        # Ends of numbers: 1 at delimiters and newlines, never two in a row.
        np.equal(characters, NEWLINE, out=newline.view(np.bool_))
        np.equal(characters, self._delimiter, out=end.view(np.bool_))
        np.bitwise_or(end, newline, out=end)
        np.bitwise_and(end[1:], end[:-1], out=scratch[1:])
        if end[0] or not newline[-1] or scratch[1:].any():
            return None

        # Each character's own value, 0 at the end of a number.
        np.bitwise_xor(end, 1, out=digit)
        np.subtract(characters, ord("0"), out=value)
        np.multiply(value, digit, out=value)
        if value.max() > 9:
            return None

        # The first of three digits in a row, noted at the third; four in a row are too many.
        np.bitwise_and(digit[2:], digit[1:-1], out=hundreds[2:])
        np.bitwise_and(hundreds[2:], digit[:-2], out=hundreds[2:])
        np.bitwise_and(hundreds[3:], digit[:-3], out=scratch[3:])
        if scratch[3:].any():
            return None
        np.multiply(value[:-2], hundreds[2:], out=hundreds[2:])

        # The number of the last one or two digits; after the end of a number, the tens are 0.
        np.multiply(value[:-1], 10, out=scratch[1:])
        np.add(value[1:], scratch[1:], out=value[1:])

        # Hundreds up to 2, and up to 55 after a 2, so that nothing overflows.
        if hundreds[2:].max() > 2:
            return None
        np.equal(hundreds[2:], 2, out=scratch[2:].view(np.bool_))
        np.multiply(scratch[2:], value[2:], out=scratch[2:])
        if scratch[2:].max() > 55:
            return None
        np.multiply(hundreds[2:], 100, out=hundreds[2:])
        np.add(value[2:], hundreds[2:], out=value[2:])

        # A number is before each end; every line has one per column.
        ends = np.flatnonzero(end.view(np.bool_))
        lines, rest = divmod(len(ends), self.columns)
        if rest or np.count_nonzero(newline) != lines or not newline.take(ends[self.columns - 1 :: self.columns]).all():
            return None
        numbers: NDArray[np.uint8] = before.take(ends).reshape(lines, self.columns)
        return numbers
