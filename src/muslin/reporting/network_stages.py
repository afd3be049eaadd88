"""A deep network's layers, folded into stages, so that a page or a terminal has a row for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from muslin.learn.layer_kinds import kind_words, layer_detail
from muslin.text import plural

MAX_LAYERS = 40
"""A network of more layers is folded."""

LAYER_COLUMNS = ("layer", "kind", "what it does", "output", "parameters")

Layer = Mapping[str, Any]
"""A row of `muslin.learn.networks.describe`; one of a model can lack any key."""


@dataclass(frozen=True)
class Stage:
    """Consecutive layers: a single one, or those of blocks whose results have the same size."""

    layers: tuple[Layer, ...]

    @property
    def title(self) -> str:
        """`blocks 2–4`, or the names of the first and the last layer; of a single layer its name."""
        first, last = self.layers[0], self.layers[-1]
        if len(self.layers) == 1:
            return str(first.get("name", ""))
        if first.get("block") and last.get("block"):
            blocks = first["block"], last["block"]
            return f"block {blocks[0]}" if blocks[0] == blocks[1] else f"blocks {blocks[0]}–{blocks[1]}"
        return f"{first.get('name', '')} to {last.get('name', '')}"

    @property
    def output(self) -> Sequence[int]:
        """The shape of its result."""
        return tuple(self.layers[-1].get("output") or ())

    @property
    def parameters(self) -> int:
        return sum(int(layer.get("parameters") or 0) for layer in self.layers)

    @property
    def row(self) -> Layer:
        """A row as of one layer: the layer itself, or one of the kind that the title names."""
        if len(self.layers) == 1:
            return self.layers[0]
        adds = sum(int(layer.get("multiply_adds") or 0) for layer in self.layers)
        return {
            "kind": self.title,
            "name": plural(len(self.layers), "layer"),
            "output": self.output,
            "parameters": self.parameters,
            "multiply_adds": adds,
        }


def network_stages(layers: Sequence[Layer]) -> list[Stage]:
    """One stage per layer, or fewer where there are more than MAX_LAYERS."""
    if len(layers) <= MAX_LAYERS:
        return [Stage((layer,)) for layer in layers]
    by_block = _group(layers, lambda i, layer: layer.get("block") or f"layer {i}")
    stages = [Stage(tuple(layer for block in blocks for layer in block)) for blocks in _same_results(by_block)]
    if len(stages) <= MAX_LAYERS:
        return stages
    return [Stage(group) for group in _group(layers, lambda i, layer: tuple(layer.get("output") or ())[:-1])]


def layer_cells(layer: Layer) -> tuple[str, ...]:
    """A cell for each of LAYER_COLUMNS."""
    parameters = layer.get("parameters")
    return (
        str(layer.get("name", "")),
        kind_words(str(layer.get("kind", ""))).name,
        layer_detail(layer),
        "×".join(map(str, layer.get("output", ()))),
        f"{parameters:,}" if parameters else "",
    )


def _group(layers: Sequence[Layer], key: Any) -> list[tuple[Layer, ...]]:
    """Runs of layers with an equal key, which is made from a layer's index and the layer."""
    groups = groupby(enumerate(layers), key=lambda pair: key(*pair))
    return [tuple(layer for _, layer in pairs) for _, pairs in groups]


def _same_results(blocks: Sequence[tuple[Layer, ...]]) -> list[list[tuple[Layer, ...]]]:
    """Runs of blocks whose results have the same size; layers outside of blocks stay alone."""
    runs: list[list[tuple[Layer, ...]]] = []
    for block in blocks:
        before = runs[-1][-1][-1] if runs else {}
        is_next = before.get("block") and block[-1].get("block")
        if is_next and list(before.get("output") or ()) == list(block[-1].get("output") or ()):
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs
