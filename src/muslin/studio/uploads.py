"""The images that a person uploads to the page: kept in memory while the studio runs, and nowhere else."""

import hashlib
import threading
from collections import OrderedDict

from muslin.errors import DataError
from muslin.images import DecodedImage
from muslin.images.decode_worker import decode_in_worker
from muslin.images.decoder import MAX_BYTES

MAX_UPLOAD_BYTES = MAX_BYTES
MAX_UPLOADS = 64  # more than a person compares in one sitting
MAX_CACHE_BYTES = 200_000_000  # of all uploads: a small part of the memory that a model needs anyway


class UploadCache:
    """Uploaded files, found again by the start of their SHA-256. The least recently used are dropped first."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, content: bytes) -> tuple[str, DecodedImage]:
        """Keep a file; its key, and its decoded image.

        Raises:
            ImageError: it cannot be decoded; nothing is kept.
        """
        decoded = decode_in_worker(content, name="upload")
        key = hashlib.sha256(content).hexdigest()[:24]
        with self._lock:
            self._files[key] = content
            self._files.move_to_end(key)
            while len(self._files) > MAX_UPLOADS or sum(map(len, self._files.values())) > MAX_CACHE_BYTES:
                self._files.popitem(last=False)
        return key, decoded

    def get(self, key: str) -> bytes:
        """The content of an uploaded file.

        Raises:
            DataError: it was uploaded to another studio, or too many were uploaded since.
        """
        with self._lock:
            if key not in self._files:
                raise DataError("upload_missing")
            self._files.move_to_end(key)
            return self._files[key]
