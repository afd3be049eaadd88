"""A finished run and a sealed model, as text on a terminal."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muslin.evaluation.ood import FALSE_OOD_RATE
from muslin.evaluation.precision_choice import acceptance_table
from muslin.evaluation.reliability import PRECISION_TARGETS
from muslin.evaluation.selective import CalibrationData, acceptance_policy
from muslin.models.bundle import Bundle
from muslin.models.graph_variant import INT8
from muslin.models.prediction_digest import prediction_digest
from muslin.reporting.network_stages import LAYER_COLUMNS, layer_cells, network_stages
from muslin.reporting.terminal.acceptance import print_acceptance_rows
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import duration, escape_controls, interval_text, percent, plural

if TYPE_CHECKING:
    from muslin.reporting.terminal.escaping_console import EscapingConsole


def print_run(folder: Path, record: Mapping[str, Any]) -> None:
    """The test metrics of a run's model, and its files."""
    out = console_for()
    for name, test in record["test"].items():
        target = f"{escape_controls(name)}: " if len(record["test"]) > 1 else ""
        out.print(f"{target}{_test_metric(test)}", style="bold", soft_wrap=True)
        if validation := record.get("validation", {}).get(name):
            print_lines(out, f"{target}{_validation_metric(validation)}")
    train_s, images_seen = record["train_s"], record["images_seen"]  # a linear probe sees features, no images
    speed = f" ({images_seen / train_s:,.0f} images/s)" if images_seen else ""
    epochs = images_seen / record["data"]["split_sizes"]["train"] if images_seen else record["epochs"]
    recipe, parameters = record["recipe"]["name"], record["parameters"]
    print_lines(
        out,
        f"recipe {recipe}, {parameters:,} parameters, trained for {epochs:.4g} epochs in {duration(train_s)}{speed}",
        f"model   {folder / 'model.muslin'}",
        f"report  {folder / 'report.html'}  (open it in a browser)",
    )


def model_summary(bundle: Bundle) -> dict[str, Any]:
    """The content of a model, as JSON values."""
    return {
        "digest": prediction_digest(bundle),
        "targets": {t.name: {"kind": t.kind, "classes": list(t.classes)} for t in bundle.targets},
        "input": {name: getattr(bundle.preprocessing, name) for name in ("height", "width", "channels")},
        "transform": bundle.preprocessing.transform,
        "network": bundle.network,
        "provenance": bundle.provenance,
        "thresholds": {name: list(values) for name, values in bundle.thresholds.items()},
        "calibration": {name: _calibration_summary(bundle, name, of) for name, of in bundle.calibration_data.items()},
        "product_calibration": {
            name: _calibration_summary(bundle, name, of) for name, of in bundle.product_calibration.items()
        },
        "golden_images": len(bundle.golden_pixels),
        "seen_images": bundle.seen_images and bundle.seen_images.counts(),
        "bytes": {"model": len(bundle.model), "weights": len(bundle.weights)},
        "int8": bundle.int8
        and {
            "bytes": len(bundle.int8.model),
            "calibration": {
                name: _calibration_summary(bundle.with_graph(INT8), name, of)
                for name, of in bundle.int8.calibration_data.items()
            },
        },
    }


def _int8_lines(bundle: Bundle) -> list[str]:
    """A line on the int8 graph, where there is one."""
    cost = bundle.provenance.get("int8", {}) if bundle.int8 else None
    if cost is None:
        return []
    of_targets = ", ".join(
        f"accuracy {100 * each['difference']:+.1f} points against float32 on {each['n']:,} images"
        for each in cost.get("targets", {}).values()
        if {"difference", "n"} <= each.keys()
    )
    faster = f", {cost['speedup']:.1f} times as fast on the processor where it was made" if "speedup" in cost else ""
    return [f"has a second graph in int8{faster}{f'; {of_targets}' if of_targets else ''}"]


def print_model(bundle: Bundle) -> None:
    """The content of a model: its targets, its input, its layers, and its provenance."""
    out, size = console_for(), bundle.preprocessing
    for target in bundle.targets:
        which = "any" if target.kind == "multilabel" else "one"
        out.print(f"target {escape_controls(target.name)}: {which} of {len(target.classes)} classes", style="bold")
        out.print(f"  {escape_controls(', '.join(target.classes))}")
        if thresholds := bundle.thresholds.get(target.name):
            names = target.classes if len(thresholds) > 1 else target.classes[-1:]
            values = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, thresholds, strict=True))
            out.print(f"  minimum probability: {escape_controls(values)}")
        if target.name not in bundle.calibration_data:
            print_lines(out, "  has no calibration data: every prediction goes to review")
            continue
        for unit, calibration in (("image", bundle.calibration_data), ("product", bundle.product_calibration)):
            if data := calibration.get(target.name):
                title = f"predictions that can be accepted of {plural(len(data), f'calibration {unit}')}"
                out.print(f"\n{title}", style="bold")
                print_acceptance_rows(acceptance_table(target, data, "overall", thresholds), out)
        out.print()
    if bundle.ood_detector is not None:
        print_lines(
            out,
            f"detects images out of scope by comparing them with {len(bundle.ood_detector.reference_features):,} "
            f"training images; wrongly for {100 * FALSE_OOD_RATE:g} % of images in scope",
        )
    colours = "gray" if size.channels == 1 else "colour"
    print_lines(
        out,
        f"input: {colours} images of {size.height}×{size.width} px; transform of photos: {size.transform}",
        f"digest: {prediction_digest(bundle)}",
        f"{len(bundle.golden_pixels)} golden images are predicted and compared each time it is opened",
        *_int8_lines(bundle),
        _seen_images_line(bundle),
        "",
    )
    _print_layers(bundle.network.get("layers", ()), out)
    for key, unit in (("parameters", "parameters"), ("multiply_adds", "multiply-adds an image")):
        if (count := bundle.network.get(key)) is not None:
            print_lines(out, f"{count:,} {unit}")
    print_lines(out, "", *_provenance_lines(bundle))


def _seen_images_line(bundle: Bundle) -> str:
    if bundle.seen_images is None:
        return "does not say which images it was trained on, so an evaluation cannot leave them out"
    counts = {name: f"{n:,}" for name, n in bundle.seen_images.counts().items()}
    return f"recognises its {counts['train']} training and {counts['validation']} validation images"


def _print_layers(layers: Sequence[Mapping[str, Any]], out: "EscapingConsole") -> None:
    stages = network_stages(layers)
    print_table(out, "fffrr", LAYER_COLUMNS, [layer_cells(stage.row) for stage in stages])
    if len(stages) < len(layers):
        print_lines(out, f"{len(layers)} layers in {len(stages)} rows; muslin inspect --json lists every layer")


def _provenance_lines(bundle: Bundle) -> list[str]:
    made = bundle.provenance
    recipe, data, train_s = made.get("recipe"), made.get("data", {}), made.get("train_s")
    rows = {
        "recipe": recipe.get("name", recipe) if isinstance(recipe, Mapping) else recipe,
        "seed": made.get("seed"),
        "data": data.get("name"),
        "fingerprint": data.get("fingerprint"),
        "split": data.get("split"),
        "started": made.get("started"),
        "training": None if train_s is None else duration(train_s),
        "machine": made.get("machine", {}).get("processor"),
        "versions": ", ".join(f"{name} {number}" for name, number in made.get("versions", {}).items()),
        "command": made.get("command"),
    }
    for target in bundle.targets:
        with suppress(KeyError):  # the schema of a model's JSON requires none of its keys
            rows[f"test ({target.name})"] = _test_metric(made["test"][target.name])
    return [f"{name:<12} {value}" for name, value in rows.items() if value not in (None, "")]


def _calibration_summary(bundle: Bundle, name: str, data: CalibrationData) -> dict[str, Any]:
    """The number of calibration images or products, the temperature, and by precision target the number and share of
    those that are accepted, with its 95 % interval."""
    target = next(target for target in bundle.targets if target.name == name)
    policies = [acceptance_policy(target, data, precision, explain=False) for precision in PRECISION_TARGETS]
    by_target = {f"{policy.precision_target:g}": policy for policy in policies}
    return {
        "n": len(data),
        "temperature": data.temperature.tolist(),
        "accepted": {precision: policy.accepted for precision, policy in by_target.items()},
        "coverage": {precision: policy.expected_coverage for precision, policy in by_target.items()},
        "coverage_interval": {p: list(policy.coverage_interval) for p, policy in by_target.items()},
    }


def _validation_metric(metric: Mapping[str, Any]) -> str:
    if not metric.get("out_of_fold"):
        return _metric_on(metric, "validation image")
    return f"{_metric_on(metric, 'image')}, out of fold: each predicted by a model that was not trained on it"


def _metric_on(metric: Mapping[str, Any], noun: str) -> str:
    name = "accuracy" if "accuracy" in metric else "f1"
    interval = f"{interval_text(metric['interval'])} with 95 % confidence"
    return f"{name.replace('f1', 'F1')} {percent(metric[name])} on {plural(metric['n'], noun)} ({interval})"


def _test_metric(test: Mapping[str, Any]) -> str:
    text = _metric_on(test, "test image")
    if products := test.get("products"):
        share, count = percent(products["accuracy"]), plural(products["n"], "product")
        text += f"; {share} on {count} ({interval_text(products['interval'])})"
    return text
