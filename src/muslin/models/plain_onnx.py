"""A bundle as a plain ONNX file, which any runtime runs without muslin: the graph with calibrated probabilities, and in
its metadata the classes and the preprocessing. How to use it: docs/how-to/export-onnx.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from muslin.data.dataset import Target
from muslin.evaluation.thresholds import default_thresholds
from muslin.models.bundle import Bundle
from muslin.models.graph_outputs import features_output
from muslin.strict_json import json_text
from muslin.text import escape_controls

if TYPE_CHECKING:
    import onnx

INPUT = "pixels"
FEATURES_OUTPUT = "features"
"""The name of the output with the features in a plain file."""

KEPT = "\u061c\u200e\u200f"
"""Direction marks of Arabic and Hebrew, which names have and which end no line."""

_EPSILON = 1e-12  # as in evaluation.calibration: the logarithm of a probability of 0 must exist


def plain_onnx(bundle: Bundle) -> "onnx.ModelProto":
    """The graph of `bundle` with one output per target, float32 (count, classes): calibrated probabilities.

    Each output has its target's name, where this is an identifier; else its other characters become `_`. The features,
    where the graph gives them, are the output `features`. `metadata_props` has `targets` (JSON: per target `name`,
    `output`, `kind`, `classes`, and `thresholds` where there are any), `preprocessing` (JSON: `input`, `height`,
    `width`, `channels`, `transform`), `name`, and `muslin`, the version that wrote it.
    """
    import onnx

    model: onnx.ModelProto = onnx.ModelProto.FromString(bundle.model)
    names = _output_names(model.graph, bundle.targets)
    calibrated = {name: data.temperature for name, data in bundle.calibration_data.items()}
    used = _tensor_names(model.graph)
    inner = {name: _free_name(f"{output}_raw", used) for name, output in names.items() if name in calibrated}
    for tensor in used & {*names.values()} - {*names}:  # an inner tensor that bears the name of an output
        inner[tensor] = _free_name(f"{tensor}_inner", used)
    _rename(model.graph, {**names, **inner})
    for target in bundle.targets:
        if target.name in calibrated:
            raw, output = inner[target.name], names[target.name]
            _add_calibration(model.graph, target, calibrated[target.name], raw, output)
    for entry in model.graph.output:
        entry.name = names.get(entry.name, entry.name)
    onnx.helper.set_model_props(model, _metadata(bundle, names))
    model.graph.doc_string = _description(bundle, names)
    onnx.checker.check_model(model)
    return model


def labels_text(targets: tuple[Target, ...]) -> str:
    r"""The classes as a text: one a line, in the order of the probabilities; of several targets, target, tab, class.

    A tab or a line end in a name becomes `\t`, `\n` or `\r`, so that each class has one line.
    """
    pairs = [(target.name, name) for target in targets for name in target.classes]
    lines = [pair if len(targets) > 1 else pair[1:] for pair in pairs]
    return "".join("\t".join(escape_controls(name, KEPT) for name in line) + "\n" for line in lines)


def _output_names(graph: Any, targets: Sequence[Target]) -> dict[str, str]:
    """The name of each output in the plain file, by its name in the bundle's graph; unchanged ones first."""
    wanted, features = {}, features_output((entry.name for entry in graph.output), targets)
    for entry in graph.output:
        name = FEATURES_OUTPUT if entry.name == features else re.sub(r"\W", "_", entry.name, flags=re.ASCII)
        wanted[entry.name] = f"_{name}" if name[:1].isdigit() else name
    used = {INPUT}
    by_change = sorted(wanted, key=lambda name: wanted[name] != name)
    return {name: _free_name(wanted[name], used) for name in by_change}


def _add_calibration(graph: Any, target: Target, temperature: Any, raw: str, output: str) -> None:
    """Nodes that scale the probabilities `raw` as `muslin.evaluation.calibration` does, in float32."""
    from onnx import helper, numpy_helper

    def constant(name: str, values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), f"{raw}_{name}"))
        return f"{raw}_{name}"

    def node(op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        result = name if name == output else f"{raw}_{name}"
        own_name = f"{raw}_{name}"  # a node of the bundle's graph can have the name of the output
        graph.node.append(helper.make_node(op, inputs, [result], name=own_name, **attributes))
        return result

    epsilon = constant("epsilon", _EPSILON)
    log = node("Log", [node("Max", [raw, epsilon], "positive")], "log")
    if target.kind == "multilabel":
        rest = node("Max", [node("Sub", [constant("one", 1), raw], "rest"), epsilon], "positive_rest")
        log = node("Sub", [log, node("Log", [rest], "log_rest")], "log_odds")
        scaled = node("Div", [log, constant("temperatures", temperature)], "scaled")
        node("Sigmoid", [scaled], output)
    else:
        scaled = node("Div", [log, constant("temperature", temperature)], "scaled")
        node("Softmax", [scaled], output, axis=1)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give tensors inside the graph other names."""
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
    for entry in (*graph.initializer, *graph.value_info):
        entry.name = names.get(entry.name, entry.name)


def _tensor_names(graph: Any) -> set[str]:
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return names | {entry.name for entry in (*graph.initializer, *graph.input, *graph.output)}


def _free_name(name: str, used: set[str]) -> str:
    """`name`, or the first of name_2, name_3, … that is not in `used`, which gets it."""
    free, number = name, 1
    while free in used:
        number += 1
        free = f"{name}_{number}"
    used.add(free)
    return free


def _metadata(bundle: Bundle, names: Mapping[str, str]) -> dict[str, str]:
    thresholds = default_thresholds(bundle.targets) | dict(bundle.thresholds)
    targets = [
        {"name": target.name, "output": names[target.name], "kind": target.kind, "classes": list(target.classes)}
        | ({"thresholds": list(thresholds[target.name])} if target.name in thresholds else {})
        for target in bundle.targets
    ]
    preprocessing = {"input": INPUT} | asdict(bundle.preprocessing)
    name = bundle.provenance.get("name")
    return {
        "targets": json_text(targets),
        "preprocessing": json_text(preprocessing),
        **({"name": str(name)} if name else {}),
        "muslin": version("muslin"),
    }


def _description(bundle: Bundle, names: Mapping[str, str]) -> str:
    height, width, channels = bundle.preprocessing.shape
    of_targets = ", ".join(names[target.name] for target in bundle.targets)
    return (
        f"Input {INPUT}: uint8 (count, {height}, {width}, {channels}), pixels 0 to 255 of decoded images. "
        f"Outputs {of_targets}: float32 (count, classes), calibrated probabilities. The classes and the preprocessing "
        "are JSON in the metadata."
    )
