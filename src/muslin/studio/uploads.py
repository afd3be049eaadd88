"""The images that a person has given to the page: kept in memory while the studio runs, and nowhere else."""

import hashlib
import threading
from collections import OrderedDict

from muslin.errors import DataError
from muslin.images import DecodedImage, decode

MOST_BYTES = 20_000_000  # of one image
MOST_IMAGES = 64
MOST_BYTES_KEPT = 200_000_000


class UploadCache:
    """Files as they were sent, found again by the start of their SHA-256. The oldest go first."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, content: bytes) -> tuple[str, DecodedImage]:
        """Keep a file; its key, and what it decodes to.

        Raises:
            ImageError: it is no image that is read; nothing is kept.
        """
        decoded = decode(content, name="your image", max_bytes=MOST_BYTES)
        key = hashlib.sha256(content).hexdigest()[:24]
        with self._lock:
            self._files[key] = content
            self._files.move_to_end(key)
            while len(self._files) > MOST_IMAGES or sum(map(len, self._files.values())) > MOST_BYTES_KEPT:
                self._files.popitem(last=False)
        return key, decoded

    def get(self, key: str) -> bytes:
        """The content of an image that was sent.

        Raises:
            DataError: it was sent to another studio, or too many have come since.
        """
        with self._lock:
            if key not in self._files:
                raise DataError("This image was given to an earlier studio, in memory only. Give it again.")
            self._files.move_to_end(key)
            return self._files[key]
