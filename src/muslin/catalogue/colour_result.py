"""The result of naming the colours of a catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.messages import plain


@dataclass(frozen=True)
class ColourResult:
    """The colours of a catalogue.

    Attributes:
        out: the new table.
        products: in it; `unit` is what one of them is called, `product` or `photo`.
        counts: per main colour the number of products, the most frequent first.
        unclear: products where garment and background have similar colours.
        unreadable: products without a readable photo.
        columns: the names of the new columns.
        notes: what was guessed or found, one sentence each.
        resumed: products that an interrupted job had finished.
    """

    out: Path
    products: int
    unit: str
    counts: Mapping[str, int]
    unclear: int
    unreadable: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    resumed: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "out": str(self.out), "products": self.products, "unit": self.unit, "colours": dict(self.counts),
            "unclear": self.unclear, "unreadable": self.unreadable, "columns": list(self.columns),
            "notes": plain(self.notes), "resumed": self.resumed,
        }  # fmt: skip
