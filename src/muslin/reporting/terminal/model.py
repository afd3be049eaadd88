"""A finished run and a sealed model, as text on a terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muslin.data.dataset import Target
from muslin.evaluation.ood import FALSE_OOD_RATE
from muslin.evaluation.reliability import PRECISION_TARGETS
from muslin.evaluation.selective import acceptance_policy
from muslin.learn.layer_kinds import kind_words, layer_detail
from muslin.models.bundle import Bundle
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import duration, interval_text, percent


def print_run(folder: Path, record: Mapping[str, Any]) -> None:
    """The test metrics of a run's model, and its files."""
    out = console_for()
    for name, test in record["tests"].items():
        target = f"{printable(name)}: " if len(record["tests"]) > 1 else ""
        out.print(f"{target}{_metric(test)}", style="bold")
    images_seen, train_s = record["images_seen"], record["train_s"]
    # a linear probe sees only features
    speed = f" ({images_seen / train_s:,.0f} images/s)" if images_seen else ""
    out.print(
        f"recipe {record['recipe']['name']}, {record['parameters']:,} parameters, trained in {duration(train_s)}{speed}"
    )
    out.print(printable(f"model   {folder / 'model.muslin'}"), soft_wrap=True)
    out.print(printable(f"report  {folder / 'report.html'}  (open it in a browser)"), soft_wrap=True)


def model_summary(bundle: Bundle) -> dict[str, Any]:
    """The content of a model, as JSON values."""
    size = bundle.preprocessing
    return {
        "targets": {t.name: {"kind": t.kind, "classes": list(t.classes)} for t in bundle.targets},
        "input": {"height": size.height, "width": size.width, "channels": size.channels},
        "transform": size.transform,
        "network": bundle.network,
        "provenance": bundle.provenance,
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
        "calibration": {
            t.name: _calibration_summary(bundle, t)
            for t in bundle.targets
            if t.name in bundle.calibration_data
        },
        "golden_images": len(bundle.golden_pixels),
        "bytes": {"model": len(bundle.model), "weights": len(bundle.weights)},
    }


def print_model(bundle: Bundle) -> None:
    """The content of a model: its targets, its input, its layers, and its provenance."""
    out, size = console_for(), bundle.preprocessing
    for target in bundle.targets:
        which = "any" if target.kind == "multilabel" else "one"
        out.print(f"target {printable(target.name)}: {which} of {len(target.classes)} classes", style="bold")
        out.print(f"  {printable(', '.join(target.classes))}")
        if thresholds := bundle.thresholds.get(target.name):
            names = target.classes if len(thresholds) > 1 else target.classes[-1:]
            values = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, thresholds, strict=True))
            out.print(f"  minimum probability: {printable(values)}")
        out.print(f"  {printable(_coverage(bundle, target))}", soft_wrap=True)
    if bundle.ood_detector is not None:
        out.print(
            f"detects images out of scope by comparing them with {len(bundle.ood_detector.reference_features):,} "
            f"training images; wrongly for {100 * FALSE_OOD_RATE:g} % of images in scope",
            soft_wrap=True,
        )
    colours = "gray" if size.channels == 1 else "colour"
    out.print(
        f"input: {colours} images of {size.height}×{size.width} px; transform of photos: {size.transform}"
    )
    out.print(
        f"{len(bundle.golden_pixels)} golden images are predicted and compared each time it is opened\n"
    )
    out.print(_layer_table(bundle.network.get("layers")))
    for key, unit in (("parameters", "parameters"), ("multiply_adds", "multiply-adds an image")):
        if isinstance(count := bundle.network.get(key), int):
            out.print(f"{count:,} {unit}")
    out.print()
    for name, value in _provenance_rows(bundle).items():
        if value not in (None, ""):
            out.print(f"{printable(name):<12} {printable(str(value))}", soft_wrap=True)


def _layer_table(layers: Any) -> Any:
    rows = plain_table()
    for heading in ("layer", "kind", "what it does"):
        rows.add_column(heading, overflow="fold")
    for heading in ("output", "parameters"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for layer in layers if isinstance(layers, list) else ():
        output, parameters = _nested(layer, "output"), _nested(layer, "parameters")
        rows.add_row(
            printable(str(_nested(layer, "name") or "")),
            printable(kind_words(str(_nested(layer, "kind") or "")).name),
            printable(layer_detail(layer) if isinstance(layer, Mapping) else ""),
            printable("×".join(map(str, output)) if isinstance(output, list) else ""),
            f"{parameters:,}" if isinstance(parameters, int) and parameters else "",
        )
    return rows


def _provenance_rows(bundle: Bundle) -> dict[str, Any]:
    made = bundle.provenance
    recipe, train_s, versions = made.get("recipe"), made.get("train_s"), made.get("versions")
    rows = {
        "recipe": _nested(recipe, "name") or recipe,
        "seed": made.get("seed"),
        "data": _nested(made, "data", "name"),
        "fingerprint": _nested(made, "data", "fingerprint"),
        "split": _nested(made, "data", "split"),
        "started": made.get("started"),
        "training": duration(train_s) if isinstance(train_s, int | float) else None,
        "machine": _nested(made, "machine", "processor"),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items())
        if isinstance(versions, Mapping)
        else None,
        "command": made.get("command"),
    }
    for target in bundle.targets:
        try:
            rows[f"test ({target.name})"] = _metric(_nested(made, "test", target.name))
        except (KeyError, TypeError, ValueError):
            continue  # somebody else's provenance
    return rows


def _calibration_summary(bundle: Bundle, target: Target) -> dict[str, Any]:
    """The number of validation images, the temperature, and by precision target the expected coverage."""
    data = bundle.calibration_data[target.name]
    policies = [acceptance_policy(target, data, precision) for precision in PRECISION_TARGETS]
    return {
        "n": len(data),
        "temperature": data.temperature.tolist(),
        "coverage": {f"{policy.precision_target:g}": policy.expected_coverage for policy in policies},
    }


def _coverage(bundle: Bundle, target: Target) -> str:
    if target.name not in bundle.calibration_data:
        return "has no calibration data: every prediction goes to review"
    summary = _calibration_summary(bundle, target)
    shares = ", ".join(
        f"{percent(share)} at {100 * float(precision):g} % precision"
        for precision, share in summary["coverage"].items()
        if share
    )
    on = f"on {summary['n']:,} validation images it can"
    return f"{on} accept {shares}" if shares else f"{on} guarantee no precision"


def _nested(value: Any, *keys: str) -> Any:
    """The value under `keys`, one inside the other; None where it is missing. Somebody else may have made the model."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _metric(test: Mapping[str, Any]) -> str:
    name = "accuracy" if "accuracy" in test else "f1"
    interval = f"{interval_text(test['interval'])} with 95 % confidence"
    return f"{name.replace('f1', 'F1')} {percent(test[name])} on {test['n']:,} test images ({interval})"
