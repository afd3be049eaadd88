"""What the terminal says of a finished run and of a sealed model."""

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
    """How well a run's model does, and where to look next."""
    out = console_for()
    for name, test in record["tests"].items():
        which = f"{printable(name)}: " if len(record["tests"]) > 1 else ""
        figure = (
            f"right on {percent(test['accuracy'])} of"
            if "accuracy" in test
            else f"F1 {percent(test['f1'])} on"
        )
        out.print(
            f"{which}{figure} {test['n']:,} test images "
            f"({interval_text(test['interval'])} with 95 % confidence)",
            style="bold",
        )
    seen = record["data"]["sizes"]["train"] * record["epochs"]
    out.print(
        f"recipe {record['recipe']['name']}, {record['parameters']:,} parameters, trained in "
        f"{duration(record['train_s'])} ({seen / record['train_s']:,.0f} images/s)"
    )
    out.print(printable(f"model   {folder / 'model.muslin'}"), soft_wrap=True)
    out.print(printable(f"report  {folder / 'report.html'}  (open it in a browser)"), soft_wrap=True)


def model_summary(bundle: Bundle) -> dict[str, Any]:
    """What is inside a model, as JSON values."""
    size = bundle.preprocessing
    return {
        "targets": {t.name: {"kind": t.kind, "classes": list(t.classes)} for t in bundle.targets},
        "input": {"height": size.height, "width": size.width, "channels": size.channels},
        "transform": size.transform,
        "network": bundle.network,
        "provenance": bundle.provenance,
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
        "deciding": deciding(bundle),
        "golden_images": len(bundle.golden_pixels),
        "bytes": {"model": len(bundle.model), "weights": len(bundle.weights)},
    }


def print_model(bundle: Bundle) -> None:
    """What is inside a model: what it answers, what it takes, its layers, how it was made."""
    out, size, made = console_for(), bundle.preprocessing, bundle.provenance
    for target in bundle.targets:
        which = "any" if target.kind == "multilabel" else "one"
        out.print(f"answers {printable(target.name)}: {which} of {len(target.classes)} classes", style="bold")
        out.print(f"  {printable(', '.join(target.classes))}")
        if from_on := bundle.thresholds.get(target.name):
            named = zip(target.classes if len(from_on) > 1 else target.classes[-1:], from_on, strict=True)
            said = ", ".join(f"{name} {value:.2f}" for name, value in named)
            out.print(f"  from a probability on of: {printable(said)}")
        for sentence in _decides(bundle, target):
            out.print(f"  {printable(sentence)}", soft_wrap=True)
    if bundle.ood_detector is not None:
        out.print(
            f"calls an image out of scope by comparing it with {len(bundle.ood_detector.reference_features):,} "
            f"training images; wrongly for {100 * FALSE_OOD_RATE:g} % of images in scope",
            soft_wrap=True,
        )
    colours = "gray" if size.channels == 1 else "colour"
    out.print(
        f"takes {colours} images of {size.height}×{size.width} px; photos are converted ({size.transform})"
    )
    out.print(f"checked at opening: {len(bundle.golden_pixels)} golden images give the answers sealed in\n")
    rows = plain_table()
    for heading in ("layer", "kind", "what it does"):
        rows.add_column(heading, overflow="fold")
    for heading in ("output", "parameters"):
        rows.add_column(heading, justify="right", no_wrap=True)
    layers = bundle.network.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        output, parameters = _at(layer, "output"), _at(layer, "parameters")
        rows.add_row(
            printable(str(_at(layer, "name") or "")),
            printable(kind_words(str(_at(layer, "kind") or "")).name),
            printable(layer_detail(layer) if isinstance(layer, Mapping) else ""),
            printable("×".join(map(str, output)) if isinstance(output, list) else ""),
            f"{parameters:,}" if isinstance(parameters, int) and parameters else "",
        )
    out.print(rows)
    for key, unit in (("parameters", "parameters"), ("multiply_adds", "multiply-adds an image")):
        if isinstance(count := bundle.network.get(key), int):
            out.print(f"{count:,} {unit}")
    out.print()
    recipe, train_s, versions = made.get("recipe"), made.get("train_s"), made.get("versions")
    facts = {
        "recipe": _at(recipe, "name") or recipe,
        "seed": made.get("seed"),
        "data": _at(made, "data", "name"),
        "fingerprint": _at(made, "data", "fingerprint"),
        "split": _at(made, "data", "split"),
        "started": made.get("started"),
        "training": duration(train_s) if isinstance(train_s, int | float) else None,
        "machine": _at(made, "machine", "processor"),
        "made with": ", ".join(f"{name} {number}" for name, number in versions.items())
        if isinstance(versions, Mapping)
        else None,
        "repeat": made.get("command"),
    }
    for target in bundle.targets:
        if test := _test_figures(_at(made, "test", target.name)):
            facts[f"test ({target.name})"] = test
    for name, value in facts.items():
        if value not in (None, ""):
            out.print(f"{printable(name):<12} {printable(str(value))}", soft_wrap=True)


def deciding(bundle: Bundle) -> dict[str, Any]:
    """Per target that carries held-out answers: how many, and what share of such images each precision accepts."""
    found = {}
    for target in bundle.targets:
        if calibration_data := bundle.calibration_data.get(target.name):
            rules = [
                acceptance_policy(target, calibration_data, precision) for precision in PRECISION_TARGETS
            ]
            found[target.name] = {
                "calibration_data": len(calibration_data),
                "temperature": calibration_data.temperature.tolist(),
                "accepts": {f"{r.precision_target:g}": r.expected_coverage for r in rules},
            }
    return found


def _decides(bundle: Bundle, target: Target) -> list[str]:
    calibration_data = bundle.calibration_data.get(target.name)
    if calibration_data is None:
        return ["carries nothing to decide by: every answer is for review"]
    accepts = deciding(bundle)[target.name]["accepts"]
    said = ", ".join(f"{percent(share)} at {100 * float(p):g} %" for p, share in accepts.items() if share)
    on = f"by {len(calibration_data):,} answers to images it did not learn from"
    return [
        f"{on} it may accept, at the precision you want: {said}"
        if said
        else f"{on} it can promise no precision"
    ]


def _at(value: Any, *keys: str) -> Any:
    """What stands under `keys`, one inside the other; None where that is not there. Models come from others, too."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _test_figures(test: Any) -> str | None:
    try:
        if "f1" in test:
            return f"F1 {percent(test['f1'])} on {test['n']:,} ({interval_text(test['interval'])})"
        return f"{percent(test['accuracy'])} of {test['n']:,} right ({interval_text(test['interval'])})"
    except (KeyError, TypeError, ValueError):
        return None
