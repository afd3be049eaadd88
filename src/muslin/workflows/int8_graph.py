"""The second graph of a linear probe's bundle: its backbone in int8, with heads and calibration of its own.

The heads are fitted again to what the quantised backbone gives for each photo, in the same folds. So calibration,
thresholds, guarantees and the OOD detector are those of the graph that predicts, and the accuracy that int8 costs is
measured on the same out-of-fold predictions, paired.
"""

import statistics
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data.dataset import UNKNOWN
from muslin.data.photos import ResizedPhotos
from muslin.evaluation.compare import PairedDifference, paired_difference
from muslin.learn.recipes import LinearProbeRecipe
from muslin.messages import Log, Message
from muslin.models import runtime
from muslin.models.bundle import Bundle
from muslin.models.graph_variant import GraphVariant
from muslin.models.runtime import run_session
from muslin.workflows.calibrate import CalibrationSet, InferRaw, calibrate
from muslin.workflows.training_data import Callbacks, TrainingData

if TYPE_CHECKING:
    from muslin.learn.modules import Net

CALIBRATED_ON = 128
"""Training images whose activations give the ranges of the quantisation."""

MIN_SPEEDUP = 1.2
"""With `int8=auto`, a graph that gains less is left out."""

MAX_COST = 0.02
"""With `int8=auto`, a graph is left out whose loss of accuracy may be larger: by the 95 % interval's far end."""

_RUNS = 5


@dataclass(frozen=True, eq=False)
class FloatProbe:
    """A finished linear probe in float32, of which the second graph is made.

    Attributes:
        bundle: not yet calibrated.
        calibration_set: out-of-fold predictions; None where the validation set calibrates.
        infer_raw: from the photos' features.
    """

    net: "Net"
    data: TrainingData
    recipe: LinearProbeRecipe
    seed: int
    bundle: Bundle
    calibration_set: CalibrationSet | None
    infer_raw: InferRaw


def int8_variant(probe: FloatProbe, log: Log) -> tuple[GraphVariant, dict[str, Any]] | None:
    """The second graph, and what it costs and gains as JSON; None where the recipe or this machine is against it."""
    from muslin.learn.linear_probe import fit_linear_heads, predict_from_features
    from muslin.learn.modules import weights_of
    from muslin.learn.quantization import extract_with, with_weights
    from muslin.workflows.run_results import cross_fit

    data, recipe = probe.data, probe.recipe
    if recipe.int8 == "off" or (recipe.int8 == "auto" and not machine.has_int8_products()):
        return None
    log(Message("int8_making"))
    quantized = _quantized(probe)
    speedup = _speedup(probe.bundle, quantized)
    if recipe.int8 == "auto" and speedup < MIN_SPEEDUP:
        log(Message("int8_slow", speedup=speedup))
        return None
    assert data.features is not None
    assert isinstance(data.dataset.images, ResizedPhotos)
    features = extract_with(quantized, data.dataset.images, data.features, machine.physical_cores())
    net, data = deepcopy(probe.net), replace(data, features=features)
    calibration_set = None
    if probe.calibration_set is None:
        fit_linear_heads(net, features, dict(data.dataset.labels), data.split, recipe)
    else:
        calibration_set = cross_fit(net, data, recipe, probe.seed, Callbacks())
    infer_raw = partial(predict_from_features, net, features)
    costs = _differences(probe, calibration_set, infer_raw)
    _log_costs(probe, costs, speedup, log)
    if recipe.int8 == "auto" and any(cost.interval[0] < -MAX_COST for cost in costs.values()):
        log(Message("int8_costly", allowed=100 * MAX_COST))
        return None
    model = with_weights(quantized, weights_of(net))
    names = [target.name for target in probe.bundle.targets]
    golden = run_session(runtime.session(model), names, {"pixels": probe.bundle.golden_pixels})
    twin = replace(probe.bundle, model=model, golden_probabilities=dict(zip(names, golden, strict=True)))
    twin = calibrate(
        twin, data.dataset, data.split, seed=probe.seed, infer_raw=infer_raw, calibration_set=calibration_set
    )
    targets = {name: {"n": cost.n, "difference": cost.difference, "interval": list(cost.interval)}
               for name, cost in costs.items()}  # fmt: skip
    return GraphVariant.of(twin), {"speedup": round(speedup, 2), "targets": targets}


def _log_costs(probe: FloatProbe, costs: Mapping[str, PairedDifference], speedup: float, log: Log) -> None:
    for name, cost in costs.items():
        of = name if len(probe.bundle.targets) > 1 else None
        log(Message("int8_accuracy", target=of, n=cost.n, difference=100 * cost.difference,
                    low=100 * cost.interval[0], high=100 * cost.interval[1], speedup=speedup))  # fmt: skip


def _quantized(probe: FloatProbe) -> bytes:
    from muslin.learn.quantization import quantize

    images, train = probe.data.dataset.images, probe.data.split.train
    chosen = np.random.default_rng(probe.seed).permutation(train)[:CALIBRATED_ON]
    batches = (np.stack([images[int(i)] for i in chosen[start : start + 4]]) for start in range(0, len(chosen), 4))
    return quantize(probe.bundle.model, batches, reduce_range=not machine.has_int8_products())


def _speedup(bundle: Bundle, quantized: bytes) -> float:
    """How many times as many images a second the second graph predicts on one thread, the median of turns."""
    names = [target.name for target in bundle.targets]
    pixels = np.repeat(bundle.golden_pixels, 4, axis=0)[:4]
    sessions = [runtime.session(model) for model in (bundle.model, quantized)]
    times = []
    for _ in range(_RUNS + 1):
        started = [time.thread_time()]
        for session in sessions:
            run_session(session, names, {"pixels": pixels})
            started.append(time.thread_time())
        times.append(started)
    return statistics.median((b - a) / max(c - b, 1e-9) for a, b, c in times[1:])


def _differences(
    probe: FloatProbe, calibration_set: CalibrationSet | None, infer_raw: InferRaw
) -> Mapping[str, PairedDifference]:
    """Per target of one class an image, int8 accuracy minus float32 accuracy.

    On the out-of-fold predictions that calibrate, and on the test set; without them on the validation and the test set.
    """
    split, dataset = probe.data.split, probe.data.dataset
    parts: list[tuple[NDArray[np.int64], Mapping[str, Any], Mapping[str, Any]]] = []
    if probe.calibration_set and calibration_set:
        parts.append(
            (probe.calibration_set.indices, probe.calibration_set.probabilities, calibration_set.probabilities)
        )
    elif len(split.validation):
        parts.append((split.validation, probe.infer_raw(split.validation)[0], infer_raw(split.validation)[0]))
    if len(split.test):
        parts.append((split.test, probe.infer_raw(split.test)[0], infer_raw(split.test)[0]))
    found = {}
    for target in dataset.targets:
        if target.kind != "multiclass" or not parts:
            continue
        indices = np.concatenate([part for part, _, _ in parts])
        labels = dataset.labels[target.name][indices]
        before = np.concatenate([each[target.name] for _, each, _ in parts])
        after = np.concatenate([each[target.name] for _, _, each in parts])
        is_correct = [probabilities.argmax(1) == labels for probabilities in (before, after)]
        known = labels != UNKNOWN
        if known.any():
            groups = None if dataset.clusters is None else dataset.clusters[indices][known]
            found[target.name] = paired_difference(is_correct[0][known], is_correct[1][known], groups)
    return found
