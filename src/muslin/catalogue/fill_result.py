"""What filling a column of a shop's table came to, as a value."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass
class FillResult:
    """Of the rows of a table with a tag: those that were filled, those that had this value, those whose own value was
    kept, and those whose tag was not accepted."""

    out: Path
    column: str
    rows: int = 0
    filled: int = 0
    equal: int = 0
    kept: int = 0
    not_accepted: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "out": str(self.out)}
