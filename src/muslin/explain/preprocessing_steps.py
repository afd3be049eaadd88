"""The preprocessing of an image, step by step: from the file to the input of the first layer.

The steps are made by `muslin.images` while it decodes and transforms, the same code that predicts, so they cannot
differ from it. Most steps can be skipped, to see what difference they make to the prediction.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.explain.layers import WEIGHTED, LayeredModel, Trace
from muslin.images import DecodedImage, TransformTrace, decode, decoding_side, transform_decoded
from muslin.messages import Message
from muslin.models.bundle import Bundle

Pixels = NDArray[np.uint8]

STEPS: dict[str, tuple[str, str]] = {
    "decoded": ("step_decoded", "step_decoded_text"),
    "exif_rotated": ("step_exif_rotated", "step_exif_rotated_text"),
    "colour": ("step_colour", "step_colour_text"),
    "gray": ("step_gray", "step_gray_text"),
    "trimmed": ("step_trimmed", "step_trimmed_text"),
    "subsampled": ("step_subsampled", "step_subsampled_text"),
    "scaled": ("step_scaled", "step_scaled_text"),
    "sharpened": ("step_sharpened", "step_sharpened_text"),
    "padded": ("step_padded", "step_padded_text"),
    "inverted": ("step_inverted", "step_inverted_text"),
    "model_input": ("step_model_input", "step_model_input_text"),
    "edited": ("step_edited", "step_edited_text"),
    "flipped": ("step_flipped", "step_flipped_text"),
    "normalised": ("step_normalised", "step_normalised_text"),
}
"""Per step the messages with its title and with what it does."""

NORMALISED = "normalised"


@dataclass(frozen=True, eq=False)
class PreprocessingStep:
    """One step.

    Attributes:
        name: a key of STEPS.
        pixels: uint8 (height, width, channels); for the last step float32 (channels, height, width).
        optional: whether it can be skipped.
        skipped: whether it is.
        params: what its text says of this image.
    """

    name: str
    pixels: NDArray[Any]
    optional: bool = False
    skipped: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> Message:
        return Message(STEPS[self.name][0])

    @property
    def text(self) -> Message:
        """What was done."""
        return Message(STEPS[self.name][1], **self.params)


def trace_preprocessing(
    bundle: Bundle,
    source: bytes | Path | Pixels,
    skip: Collection[str] = (),
    name: str | None = None,
    decode: Callable[..., DecodedImage] = decode,
) -> tuple[list[PreprocessingStep], Pixels, tuple[str, ...]]:
    """The steps from a file, or from pixels, to what `bundle` takes.

    Args:
        source: a file's bytes or path, or uint8 (height, width, 1 or 3).
        skip: names of steps to skip.
        name: what to call the image in messages.
        decode: `muslin.images.decode`, or one like it.

    Returns:
        The steps; the image as the graph takes it; and the notes that a prediction of it has.

    Raises:
        ImageError: the image cannot be read.
    """
    notes: tuple[str, ...] = ()
    preprocessing, trace = bundle.preprocessing, TransformTrace(skip)
    is_rotated = False
    if isinstance(source, np.ndarray):
        decoded = sent = DecodedImage(source, (), source.shape[:2])
    else:
        side = decoding_side(preprocessing.transform, preprocessing.shape)
        decoded = decode(source, name=name, min_side_px=side)
        notes = decoded.notes
        has_orientation = any(note.code == "exif_orientation" for note in notes)
        sent = decode(source, name=name, min_side_px=side, upright=False) if has_orientation else decoded
        is_rotated = decoded.notes != sent.notes
    height, width = sent.full_size
    size = {"height": height, "width": width, "channels": sent.pixels.shape[2]}
    steps = [PreprocessingStep("decoded", sent.pixels, params=size)]
    if is_rotated:
        skipped = "exif_rotated" in skip
        decoded = sent if skipped else decoded
        steps.append(PreprocessingStep("exif_rotated", decoded.pixels, optional=True, skipped=skipped))
    model_input, note = transform_decoded(decoded, preprocessing.transform, preprocessing.shape, trace)
    steps += [
        PreprocessingStep(step.name, step.pixels, step.optional, step.optional and step.name in trace.skip)
        for step in trace.steps
    ]
    steps.append(PreprocessingStep("model_input", model_input, params={"note": note}))
    return steps, model_input, (*notes, note) if note else notes


def first_layer_input(trace: Trace) -> NDArray[Any] | None:
    """The input of the first layer with weights, (channels, height, width); None if there is none."""
    layered = trace.layered
    name = next((layer.inputs[0] for layer in layered.layers if layer.op in WEIGHTED), "")
    return trace.of(name) if name in layered.by_name and len(layered.layer(name).shape) == 3 else None


def scaling_layers(layered: LayeredModel) -> tuple[str, ...]:
    """The layers before the first one with weights that scale the pixels and can be switched off."""
    before = takewhile(lambda layer: layer.op not in WEIGHTED, layered.layers)
    return tuple(layer.name for layer in before if layer.op in ("Sub", "Div", "Mul") and "layer_off" in layer.edits)
