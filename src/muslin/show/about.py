"""What the terminal says of a finished run and of a sealed model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from muslin.bundle import Bundle
from muslin.show.terminal import console_for, plain_table, printable
from muslin.show.words import duration, interval_text, percent


def print_run(folder: Path, record: Mapping[str, Any]) -> None:
    """How well a run's model does, and where to look next."""
    out = console_for()
    for name, test in record["tests"].items():
        which = f"{printable(name)}: " if len(record["tests"]) > 1 else ""
        out.print(
            f"{which}right on {percent(test['accuracy'])} of {test['n']:,} test pictures "
            f"({interval_text(test['interval'])} with 95 % confidence)",
            style="bold",
        )
    seen = record["data"]["sizes"]["train"] * record["epochs"]
    out.print(
        f"recipe {record['recipe']['name']}, {record['parameters']:,} parameters, trained in "
        f"{duration(record['train_s'])} ({seen / record['train_s']:,.0f} pictures/s)"
    )
    out.print(f"model   {folder / 'model.muslin'}", soft_wrap=True)
    out.print(f"report  {folder / 'report.html'}  (open it in a browser)", soft_wrap=True)


def model_summary(bundle: Bundle) -> dict[str, Any]:
    """What is inside a model, as JSON values."""
    size = bundle.preprocessing
    return {
        "targets": {t.name: {"kind": t.kind, "classes": list(t.classes)} for t in bundle.targets},
        "input": {"height": size.height, "width": size.width, "channels": size.channels},
        "conversion": size.conversion,
        "network": bundle.network,
        "provenance": bundle.provenance,
        "golden_pictures": len(bundle.golden_pixels),
        "bytes": {"model": len(bundle.model), "weights": len(bundle.weights)},
    }


def print_model(bundle: Bundle) -> None:
    """What is inside a model: what it answers, what it takes, its layers, how it was made."""
    out, size, made = console_for(), bundle.preprocessing, bundle.provenance
    for target in bundle.targets:
        out.print(f"answers {printable(target.name)}: one of {len(target.classes)} classes", style="bold")
        out.print(f"  {printable(', '.join(target.classes))}")
    colours = "gray" if size.channels == 1 else "colour"
    out.print(
        f"takes {colours} pictures of {size.height}×{size.width} px; photos are converted ({size.conversion})"
    )
    out.print(f"checked at opening: {len(bundle.golden_pixels)} golden pictures give the answers sealed in\n")
    rows = plain_table()
    for heading in ("layer", "kind", "what it does"):
        rows.add_column(heading, overflow="fold")
    for heading in ("output", "parameters"):
        rows.add_column(heading, justify="right", no_wrap=True)
    for layer in bundle.network.get("layers", ()):
        output = "×".join(map(str, layer["output"]))
        parameters = f"{layer['parameters']:,}" if layer["parameters"] else ""
        rows.add_row(printable(layer["name"]), layer["kind"], printable(layer["detail"]), output, parameters)
    out.print(rows)
    out.print(
        f"{bundle.network.get('parameters', 0):,} parameters, "
        f"{bundle.network.get('multiply_adds', 0):,} multiply-adds a picture\n"
    )
    recipe = made.get("recipe")
    facts = {
        "recipe": recipe.get("name") if isinstance(recipe, Mapping) else recipe,
        "seed": made.get("seed"),
        "data": made.get("data", {}).get("name"),
        "fingerprint": made.get("data", {}).get("fingerprint"),
        "split": made.get("data", {}).get("split"),
        "started": made.get("started"),
        "training": f"{duration(made['train_s'])} on {made['machine']['processor']}"
        if "train_s" in made
        else None,
        "made with": ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items()),
        "repeat": made.get("command"),
    }
    for name, test in made.get("test", {}).items():
        facts[f"test ({name})"] = (
            f"{percent(test['accuracy'])} of {test['n']:,} right ({interval_text(test['interval'])})"
        )
    for name, value in facts.items():
        if value not in (None, ""):
            out.print(f"{name:<12} {printable(str(value))}", soft_wrap=True)
