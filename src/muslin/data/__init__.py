"""Files to a Dataset: `read` is the one entry.

Imported when it is first asked for: whoever only answers needs no reader of catalogues, and should not wait for all.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muslin.data.reader import read, read_and_log

__all__ = ["read", "read_and_log"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'muslin.data' has no attribute {name!r}")
    from muslin.data import reader

    return getattr(reader, name)
