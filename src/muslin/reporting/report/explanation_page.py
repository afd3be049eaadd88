"""One prediction explained, as a page that works offline: preprocessing, attributions and whether they can be trusted,
the layers with their feature maps, and the arithmetic down to the multiplication.

The page has no script; the studio shows the same for any image and any value.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.explain.attribution import Attribution
from muslin.explain.feature_map_sheets import to_maps
from muslin.explain.inspection import Inspection
from muslin.explain.layers import Layer
from muslin.images.decoder import Pixels
from muslin.reporting.colours import blue_to_orange, viridis
from muslin.reporting.image_grids import data_uri, is_small, png_uri
from muslin.reporting.report.page import render_page
from muslin.reporting.svg.svg import PercentPlot, inline_svg, svg_document, svg_polyline, svg_text
from muslin.text import number_text

Values = NDArray[np.floating[Any]]

STEP_PX = 150  # longer side of a step's image in the page
MAP_PX = 40  # side of a small feature map
MAPS = 6  # of a layer
ATTRIBUTION_PX = 336  # twelve times Fashion-MNIST's 28
HATCH_PX = 6  # between the stripes of negative cells
MAX_OPEN_LAYERS = 40  # with more, blocks are folded
TERMS_SHOWN = 12


class PageImage(NamedTuple):
    """An image for the page: `uri`, its size in the page in px, and whether its pixels are drawn as squares."""

    uri: str
    width: int
    height: int
    is_small: bool = True


def page(explanation: Any) -> str:
    """The page as HTML, for a `muslin.workflows.explain.Explanation`."""
    inspection: Inspection = explanation.inspection
    return render_page(
        "why.html.j2",
        explanation=explanation,
        predictions=inspection.predictions,
        effects=inspection.effects(),
        steps=[(step, _step_image(step.pixels)) for step in inspection.steps],
        explained=[(one, *_target_images(inspection, one)) for one in explanation.targets.values()],
        groups=_layer_groups(inspection) if inspection.model.has_layers else [],
        signed=_number_text,
        max_terms=TERMS_SHOWN,
    )


def _target_images(inspection: Inspection, one: Any) -> tuple[list[Any], dict[str, str]]:
    """Of a target: each attribution with its map and the map over the image; and the curves of the sanity checks."""
    maps = [(each, _attribution_image(each), _overlay(inspection.pixels, each)) for each in one.attributions]
    checks = one.sanity_checks or {}
    names = [name for name in ("deletion", "insertion") if name in checks]
    return maps, {name: inline_svg(_curves(name, checks[name])) for name in names}


def _step_image(pixels: NDArray[Any]) -> PageImage:
    """A step's image; numbers are drawn from their lowest (black) to their highest (white)."""
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.rint((pixels.transpose(1, 2, 0) - low) / ((high - low) or 1) * 255).astype(np.uint8)
        pixels = pixels if pixels.shape[2] in (1, 3) else pixels[:, :, :1]
    height, width = (max(1, round(side * STEP_PX / max(pixels.shape[:2]))) for side in pixels.shape[:2])
    return PageImage(data_uri(pixels, 2 * STEP_PX), width, height, is_small(pixels))


def _coloured(values: Values, low: float, high: float) -> Pixels:
    """Values as colours: blue to orange around zero where the range has negative ones, else viridis from zero up."""
    ramp, position = viridis(), values / (high or 1.0)
    if low < 0:
        ramp, position = blue_to_orange(), (values / max(-low, high) + 1) / 2
    colours: Pixels = ramp[np.rint(255 * position).clip(0, 255).astype(int)]
    return colours


def _map_image(colours: Pixels, scale: int = 1) -> PageImage:
    """Colours as a PNG with a palette, because they are few: a third of the bytes."""
    image = Image.fromarray(colours).quantize(256, dither=Image.Dither.NONE)
    return PageImage(png_uri(image), image.width * scale, image.height * scale)


def _attribution_image(attribution: Attribution) -> PageImage:
    """The map in large cells; negative ones are hatched, so that the sign does not depend on colour alone."""
    side = max(1, ATTRIBUTION_PX // max(attribution.cells.shape))
    cells = attribution.cells.repeat(side, 0).repeat(side, 1)
    limit = float(np.abs(cells).max())
    return _map_image(_hatched(_coloured(cells, -limit, limit), cells))


def _hatched(colours: NDArray[Any], cells: Values) -> Pixels:
    y, x = np.indices(cells.shape)
    stripes = ((x + y) % HATCH_PX == 0) & (cells < -0.02 * np.abs(cells).max())
    return np.where(stripes[..., None], colours // 2, colours).astype(np.uint8)


def _overlay(pixels: Pixels, attribution: Attribution) -> PageImage:
    """The map over the image, which is made paler; the more a cell counts, the less of the image shows."""
    side = max(1, round(ATTRIBUTION_PX / max(pixels.shape[:2])))
    step = -(-max(pixels.shape[:2]) // ATTRIBUTION_PX)
    pixels = pixels[::step, ::step]
    rows, columns = (
        np.arange(length * side) * cells // (length * side)
        for length, cells in zip(pixels.shape, attribution.cells.shape, strict=False)
    )
    cells = attribution.cells[rows][:, columns]
    strength = 0.85 * np.abs(cells)[..., None] / (float(np.abs(cells).max()) or 1.0)
    pale = 120 + 0.5 * np.broadcast_to(pixels, (*pixels.shape[:2], 3)).repeat(side, 0).repeat(side, 1)
    mixed = (1 - strength) * pale + strength * _coloured(np.sign(cells), -1, 1)
    return _map_image(_hatched(np.rint(mixed).astype(np.uint8), cells))


LayerRow = tuple[Layer, PageImage | None, float, float]
"""A layer as it is shown: its first maps, and the lowest and highest value, which their colours span."""


def _layer_groups(inspection: Inspection) -> list[tuple[str, list[LayerRow], bool]]:
    """The layers from the image on, by block, and whether the block is shown unfolded."""
    layers = [layer for layer in inspection.model.layered.layers if not layer.auxiliary]
    return [
        (block, [_layer_row(inspection, layer) for layer in inside], not block or len(layers) <= MAX_OPEN_LAYERS)
        for block, inside in groupby(layers, key=lambda layer: layer.block or "")
    ]


def _layer_row(inspection: Inspection, layer: Layer) -> LayerRow:
    values = inspection.trace.of(layer.name)
    low, high = float(values.min()), float(values.max())
    maps = to_maps(values)
    if maps.shape[1] == 1 and maps.shape[2] > 1:  # features: a square reads better than a line
        side = int(np.ceil(np.sqrt(maps.shape[2])))
        maps = np.pad(maps.reshape(-1), (0, side * side - maps.size)).reshape(1, side, side)
    if not maps.size:
        return layer, None, low, high
    step = max(1, -(-max(maps.shape[1:]) // MAP_PX))  # pixels are dropped, not blurred with others
    tiles = [_coloured(one[::step, ::step], low, high) for one in maps[:MAPS]]
    across = min(3, len(tiles))
    height, width = tiles[0].shape[:2]
    sheet = np.full((-(-len(tiles) // across) * (height + 1) - 1, across * (width + 1) - 1, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // across * (height + 1), place % across * (width + 1)
        sheet[top : top + height, left : left + width] = tile
    return layer, _map_image(sheet, max(1, MAP_PX // max(height, width))), low, high


def _curves(name: str, test: Mapping[str, Any]) -> str:
    """The probability as cells are deleted or inserted: by attribution, and at random with the range of 95 %."""
    plot = PercentPlot(272, 180)
    done = "deleted" if name == "deletion" else "inserted"

    def points(key: str) -> list[tuple[float, float]]:
        return [plot.at(share, value) for share, value in zip(test["fraction"], test[key], strict=True)]

    body = [
        svg_polyline([*points("random_low"), *reversed(points("random_high"))], "cloth"),
        plot.axes(f"share of the cells {done}", "probability"),
        svg_polyline(points("random"), "mid-stroke", dashed=True),
        svg_polyline(points("attribution"), "accent-stroke", 2.5),
        svg_text(plot.left, plot.bottom + 62, "— by attribution", "accent small strong"),
        svg_text(plot.left + 120, plot.bottom + 62, "- - at random", "soft small"),
    ]
    summary = f"area {test['auc']['attribution']:.2f} by attribution, {test['auc']['random']:.2f} at random"
    title = f"The probability as cells are {done}, strongest attribution first"
    return svg_document(plot.left + plot.width + 24, plot.bottom + 72, title, summary, body)


def _number_text(value: Any, digits: int = 4) -> str:
    """With `digits` significant digits."""
    return number_text(float(value), f".{digits}g")
