"""Within `opening_once`, a file that several formats try is opened, unpacked and listed only once."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from muslin.errors import MuslinError

T = TypeVar("T")

_OPENED: ContextVar[dict[Hashable, Any] | None] = ContextVar("opened files", default=None)


@dataclass(frozen=True)
class _Refused:
    error: MuslinError


@contextmanager
def opening_once() -> Iterator[None]:
    """Within it, `opened_once` remembers what was opened, and why something was refused."""
    token = _OPENED.set({})
    try:
        yield
    finally:
        _OPENED.reset(token)


def opened_once(key: Hashable, open_: Callable[[], T]) -> T:
    """The result of `open_`, called once for each key within `opening_once`, else each time."""
    opened = _OPENED.get()
    if opened is None:
        return open_()
    if key not in opened:
        try:
            opened[key] = open_()
        except MuslinError as error:
            opened[key] = _Refused(error.with_params())  # a copy, without the frames that hold open files
            raise
    found = opened[key]
    if isinstance(found, _Refused):
        raise found.error.with_params()
    result: T = found
    return result
