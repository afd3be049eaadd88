"""What the network saw: an image's way from the file to the numbers that the first layer gets, step by step.

The steps are made by `muslin.images` while it decodes and converts, the same code that predicts, so they cannot
disagree with it. Most steps can be left out, to see what difference they make to the answer.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import RecipeError, nearest
from muslin.explain.layers import LayeredModel, Trace
from muslin.images import TransformTrace, apply_transform, decode
from muslin.models.bundle import Bundle

Pixels = NDArray[np.uint8]

WORDS: dict[str, tuple[str, str]] = {
    "as_sent": ("As sent", "the image as it lies in the file"),
    "turned": ("Turned upright", "as the camera noted (EXIF orientation)"),
    "colour": ("Colour", "gray repeated for red, green and blue"),
    "gray": ("Gray", "0.299 red + 0.587 green + 0.114 blue"),
    "trimmed": ("Trimmed", "edges of the corners' colour cut off"),
    "subsampled": ("Subsampled", "rows and columns left out"),
    "scaled": ("Scaled", "the whole image made smaller or larger, smoothly"),
    "sharpened": ("Sharpened", "each pixel against its neighbours"),
    "padded": ("Padded", "extended to the network's size with the colour of the edge; without it, stretched"),
    "negated": ("Negated", "light on dark, as the training images are"),
    "taken": ("What the network takes", "uint8 pixels, 0 to 255"),
    "changed": ("Changed", "by you, to see what would be"),
    "flipped": ("Mirrored", "the network also looks at the mirror image, and the two answers are averaged"),
    "numbers": ("As numbers", "what the first layer gets"),
}
"""Title and text of each step."""

NUMBERS = "numbers"


@dataclass(frozen=True, eq=False)
class PreprocessingStep:
    """One step.

    Attributes:
        name: a key of WORDS.
        pixels: uint8 (height, width, channels); for the last step float32 (channels, height, width).
        optional: whether it can be switched off.
        left_out: whether it is.
        text: what was done.
    """

    name: str
    pixels: NDArray[Any]
    optional: bool
    left_out: bool
    text: str

    @property
    def title(self) -> str:
        return WORDS[self.name][0] if self.name in WORDS else self.name.replace("_", " ").capitalize()


def trace_preprocessing(
    bundle: Bundle, source: bytes | Path | Pixels, without: Collection[str] = (), name: str | None = None
) -> tuple[list[PreprocessingStep], Pixels, tuple[str, ...]]:
    """The steps from a file, or from pixels, to what `bundle` takes.

    Args:
        source: a file's bytes or path, or uint8 (height, width, 1 or 3).
        without: names of steps to leave out.
        name: what to call the image in messages.

    Returns:
        The steps; the image as the graph takes it; and what the predictor notes on it, a sentence each.

    Raises:
        ImageError: the image cannot be read.
    """
    steps: list[PreprocessingStep] = []
    notes: tuple[str, ...] = ()
    if isinstance(source, np.ndarray):
        pixels = source
        steps.append(
            PreprocessingStep("as_sent", pixels, False, False, f"{pixels.shape[1]}×{pixels.shape[0]} pixels")
        )
    else:
        sent = decode(source, name=name, upright=False)
        decoded = decode(source, name=name)
        height, width, channels = sent.pixels.shape
        text = f"{width}×{height} pixels, {'gray' if channels == 1 else 'colour'}"
        steps.append(PreprocessingStep("as_sent", sent.pixels, False, False, "; ".join((text, *sent.notes))))
        pixels, notes = decoded.pixels, decoded.notes
        if decoded.notes != sent.notes:
            off = "turned" in without
            pixels = sent.pixels if off else pixels
            steps.append(PreprocessingStep("turned", pixels, True, off, WORDS["turned"][1]))
    wanted, trace = bundle.preprocessing, TransformTrace(without)
    taken, sentence = apply_transform(pixels, wanted.transform, wanted.shape, trace)
    for step in trace.steps:
        off = step.optional and step.name in trace.skip
        steps.append(
            PreprocessingStep(step.name, step.pixels, step.optional, off, WORDS.get(step.name, ("", ""))[1])
        )
    steps.append(PreprocessingStep("taken", taken, False, False, sentence or "taken as it is"))
    return steps, taken, (*notes, sentence) if sentence else notes


def first_numbers(trace: Trace) -> tuple[str, NDArray[Any]] | None:
    """The layer before the first one with weights, and its values (channels, height, width); None if there is none."""
    layered = trace.layered
    for layer in layered.layers:
        if layer.op in ("Conv", "Gemm", "MatMul") and layer.inputs:
            before = layer.inputs[0]
            if before in layered.by_name and len(layered.layer(before).shape) == 3:
                return before, trace.of(before)
            return None
    return None


def scaling_layers(layered: LayeredModel) -> tuple[str, ...]:
    """The layers before the first one with weights that scale the pixels and can be switched off."""
    found = []
    for layer in layered.layers:
        if layer.op in ("Conv", "Gemm", "MatMul"):
            break
        if layer.op in ("Sub", "Div", "Mul", "Add") and "layer_off" in layer.edits:
            found.append(layer.name)
    return tuple(found)


def check_steps(without: Collection[str]) -> None:
    """Refuses names that are no step.

    Raises:
        RecipeError: such a name.
    """
    for name in without:
        if name not in WORDS:
            raise RecipeError(f"no step {str(name)[:40]!r}. {nearest(str(name)[:40], WORDS)}")


def effect(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """By how much each class's probability differs."""
    return {name: after[name] - before[name] for name in before}
