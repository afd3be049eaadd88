"""A cache of opened files, because several formats try to read the same file: it is unpacked and listed once."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from muslin.errors import MuslinError

T = TypeVar("T")

_OPENED: ContextVar[dict[Hashable, Any] | None] = ContextVar("open cache", default=None)


@dataclass(frozen=True)
class _Refused:
    error: MuslinError


@contextmanager
def open_cache() -> Iterator[None]:
    """During the block, `open_once` keeps what was opened, and the error of what was refused.

    A block within a block shares what is kept, and nothing is dropped before the end of the outer one.
    """
    token = _OPENED.set({} if (outer := _OPENED.get()) is None else outer)
    try:
        yield
    finally:
        _OPENED.reset(token)


def open_once(key: Hashable, open_: Callable[[], T]) -> T:
    """The result of `open_`, which is called once per key during an `open_cache` block, and each time outside of one.

    Raises:
        MuslinError: `open_` raised it, now or earlier in the block.
    """
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


def keep_content(path: Path, content: bytes) -> None:
    """During an `open_cache` block, keep the content of a data file, which `kept_content` gives."""
    if (opened := _OPENED.get()) is not None:
        opened["content", path] = content


def kept_content(path: Path) -> bytes | None:
    """What `keep_content` was called with for this path in this `open_cache` block."""
    content: bytes | None = (_OPENED.get() or {}).get(("content", path))
    return content


def refuse_again(key: Hashable) -> None:
    """During an `open_cache` block, let `is_refused` know that the limits refused what `key` stands for."""
    if (opened := _OPENED.get()) is not None:
        opened["refused", key] = True


def is_refused(key: Hashable) -> bool:
    """Whether `refuse_again` was called with `key` in this `open_cache` block."""
    return ("refused", key) in (_OPENED.get() or {})
