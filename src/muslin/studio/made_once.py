"""Values by a key, each made once however many threads ask for it at the same time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class MadeOnce(Generic[K, V]):
    """Values by a key. Where they exceed `max_size`, the least recently used are dropped. Safe to use from threads.

    Args:
        size: of a value.
    """

    def __init__(self, max_size: int | None = None, size: Callable[[V], int] = lambda value: 1) -> None:
        self._max_size, self._size_of, self._size = max_size, size, 0
        self._values: OrderedDict[K, Future[V]] = OrderedDict()
        self._lock = threading.Lock()  # never held while a value is made

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of `key`, made where there is none; threads that ask meanwhile wait for it.

        An exception of `make` is raised for all of them, and is not kept.
        """
        with self._lock:
            is_new = key not in self._values
            future = self._values.setdefault(key, Future())
            self._values.move_to_end(key)
        if is_new:
            try:
                value = make()
            except BaseException as error:
                with self._lock:
                    self._values.pop(key, None)
                future.set_exception(error)
            else:
                future.set_result(value)
                self._count(value)
        return future.result()

    def known(self, key: K) -> V | None:
        """The value of `key`, if it is made already."""
        with self._lock:
            future = self._values.get(key)
            if future:
                self._values.move_to_end(key)
        return future.result() if future and future.done() and not future.exception() else None

    def take(self, is_wanted: Callable[[K], bool] = lambda key: True) -> list[V]:
        """Remove the values of these keys, and return those that were made."""
        with self._lock:
            futures = [self._values.pop(key) for key in list(self._values) if is_wanted(key)]
            taken = [future.result() for future in futures if future.done() and not future.exception()]
            self._size -= sum(map(self._size_of, taken))
        return taken

    def _count(self, value: V) -> None:
        with self._lock:
            self._size += self._size_of(value)
            while self._max_size is not None and self._size > self._max_size and len(self._values) > 1:
                _, oldest = self._values.popitem(last=False)
                if oldest.done() and not oldest.exception():
                    self._size -= self._size_of(oldest.result())
