"""Files → Dataset, by `read`.

The readers are imported on first use, because prediction alone does not need them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muslin.data.reader import read, read_and_log, with_fixes

__all__ = ["read", "read_and_log", "with_fixes"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'muslin.data' has no attribute {name!r}")
    from muslin.data import reader

    return getattr(reader, name)
