"""The result of tagging a catalogue."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from muslin.evaluation.intervals import Interval
from muslin.evaluation.precision_bound import CONFIDENCE_LEVEL
from muslin.evaluation.precision_choice import Acceptance
from muslin.evaluation.selective import DEFAULT_PRECISION
from muslin.messages import plain


@dataclass(frozen=True)
class PrecisionGuarantee:
    """How many of the accepted tags of one target are correct.

    Attributes:
        n, correct: the model's calibration images or products whose tags it would accept, and the correct ones of them.
        precision, interval: their share, with its 95 % interval.
        min_precision: the precision at least, with confidence `confidence_level`.
        scope: `overall` or `per-class`.
        unit: what is counted, and of what the guarantee holds: `photo` or `product`.
        confidence_level: 0.95.
    """

    n: int
    correct: int
    precision: float
    interval: Interval
    min_precision: float
    scope: str
    unit: str = "photo"
    confidence_level: float = CONFIDENCE_LEVEL


@dataclass(frozen=True)
class TaggingResult:
    """A tagged catalogue.

    Attributes:
        out: the file written.
        products: number of products.
        unreadable: number of products without tags because none of their photos could be read.
        decisions: per target the number of products for each decision.
        guarantees: per target the guarantee for the accepted tags; absent where there is none.
        columns: the columns added.
        notes: what was guessed, noticed or chosen, one sentence each.
        resumed: number of products tagged before this call.
        precision: the precision target.
        acceptance: how much of its calibration images or products the model accepts at which precision.
        rows: number of rows; more than products where a product has several.
        kept: number of products that already had values and were not predicted (`only_empty`).
        copied: number of products whose tags come from the previous output (`update`).
        contradictions: per target with an own column the number of products whose value the tags contradict.
        unit: what the numbers of products count: `product`, or `photo` where nothing tells which products there are.
        is_per_product: whether `acceptance` and the guarantees are those of products, for every target.
    """

    out: Path
    products: int
    unreadable: int
    decisions: Mapping[str, Mapping[str, int]]
    guarantees: Mapping[str, PrecisionGuarantee]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    resumed: int = 0
    precision: float = DEFAULT_PRECISION
    acceptance: Acceptance = field(default_factory=dict)
    rows: int = 0
    is_per_product: bool = False
    kept: int = 0
    copied: int = 0
    contradictions: Mapping[str, int] = field(default_factory=dict)
    unit: str = "product"

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        values: dict[str, Any] = plain(asdict(self))
        return values
