"""The last inspections, in limited memory, so that a page's requests about one image share their results."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from muslin.explain.inspection import Inspection

MAX_INSPECTIONS = 6  # a page compares two
MAX_INSPECTION_BYTES = 1_000_000_000  # of all: three photos of 50 megapixels with their steps


class InspectionCache:
    """Inspections by a key. The least recently used are dropped first. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Inspection] = OrderedDict()
        self._lock = threading.Lock()  # never held while an inspection is made

    def get(self, key: Hashable, make: Callable[[], Inspection]) -> Inspection:
        """The inspection of `key`, made where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            made = make()
            with self._lock:
                found = self._kept.setdefault(key, made)
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            self._drop_oldest()
        return found

    def _drop_oldest(self) -> None:
        sizes = [inspection.computed_bytes for inspection in self._kept.values()]  # the newest is still to be computed
        while len(sizes) > MAX_INSPECTIONS or (len(sizes) > 1 and sum(sizes) > MAX_INSPECTION_BYTES):
            self._kept.popitem(last=False)
            sizes.pop(0)
