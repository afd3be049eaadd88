"""The names of a graph's outputs, apart from the targets."""

from collections.abc import Iterable, Sequence

from muslin.data.dataset import Target

OOD_SCORE = "\1OOD score"
"""A name that no target and no tensor in a file can have, because of the control character."""

FEATURES = "penultimate_features"
"""Name of the graph's output that `Bundle.ood_detector` reads: float32 (n, features), the input of the heads."""

SPACED_FEATURES = "penultimate features"
"""Its name in bundles of before, whose targets can have the name FEATURES."""


def features_output(outputs: Iterable[str], targets: Sequence[Target]) -> str | None:
    """The output with the features, of the names of a graph's outputs; None where the graph has none."""
    names = set(outputs)
    if SPACED_FEATURES in names:
        return SPACED_FEATURES
    return FEATURES if FEATURES in names - {target.name for target in targets} else None
