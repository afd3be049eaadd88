"""How many pairs of images are compared value by value during a test."""

from typing import Any

import pytest

from muslin.data.audit import near_duplicates


def noted_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of pairs that the search for near-duplicates compares over all values from now on."""
    counts: list[int] = []
    squared_distances = near_duplicates._squared_distances

    def noting(flat: Any, pairs: Any) -> Any:
        counts.append(len(pairs))
        return squared_distances(flat, pairs)

    monkeypatch.setattr(near_duplicates, "_squared_distances", noting)
    return counts
