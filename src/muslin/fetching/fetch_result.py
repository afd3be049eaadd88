"""What a fetch came to, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.messages import Message


@dataclass(frozen=True)
class FetchResult:
    """What a fetch came to.

    Attributes:
        out: the table with the column `column` of photos.
        failed: the table of addresses without a photo.
        addresses: different ones in the table.
        photos: of them, those whose photo is in the folder.
        fetched, kept: photos that this run fetched, and those that were there or have not changed.
        bytes: of the photos that were fetched.
        files: different photos.
        rows, rows_with_photo: of the table.
        failures: per code of a failure the number of addresses, and what the first one's message is.
    """

    out: Path
    failed: Path
    column: str
    columns: tuple[str, ...]
    addresses: int
    photos: int
    fetched: int
    kept: int
    bytes: int
    files: int
    rows: int
    rows_with_photo: int
    failures: Mapping[str, tuple[int, Message]]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        failures = {code: {"count": n, "example": str(message)} for code, (n, message) in self.failures.items()}
        return {
            "out": str(self.out),
            "failed": str(self.failed),
            "column": self.column,
            "columns": list(self.columns),
            "addresses": self.addresses,
            "photos": self.photos,
            "fetched": self.fetched,
            "kept": self.kept,
            "bytes": self.bytes,
            "files": self.files,
            "rows": self.rows,
            "rows_with_photo": self.rows_with_photo,
            "failures": failures,
            "notes": [str(note) for note in self.notes],
        }
