"""Pillow's warnings of odd metadata, which do not matter, and of large sizes, which are checked elsewhere."""

import threading
import warnings


class _Suppression:
    """A context without Pillow's warnings, in any number of threads at once.

    All threads share the warning filters: the first one in changes them, the last one out restores them. A server
    stays in it for as long as it runs, because changing them takes a tenth of the time of decoding a small image.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._filters is not None:
                self._filters.__exit__(None, None, None)


without_pillow_warnings = _Suppression()
