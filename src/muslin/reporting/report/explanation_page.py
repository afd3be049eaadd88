"""One prediction explained, as a page that works offline: preprocessing, attributions and whether they can be trusted,
the layers with their feature maps, and the arithmetic down to the multiplication.

The page has no script; the studio shows the same for any image and any value.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from muslin.explain.attribution import Attribution
from muslin.explain.feature_map_sheets import to_maps
from muslin.explain.inspection import Inspection
from muslin.explain.layers import Layer
from muslin.reporting.colours import blue_to_orange, viridis
from muslin.reporting.image_grids import data_uri
from muslin.reporting.report.page import render_page
from muslin.reporting.svg.svg import inline_svg, svg_document, svg_line, svg_text

Values = NDArray[np.floating[Any]]

MAP_PX = 40  # side of a small feature map
MAPS = 6  # of a layer
ATTRIBUTION_PX = 336  # twelve times Fashion-MNIST's 28
HATCH_PX = 6  # between the stripes of negative cells
MAX_OPEN_LAYERS = 40  # with more, blocks are folded
MAX_TERMS = 12


@dataclass(frozen=True)
class PageImage:
    """An image for the page: `uri`, its size in the page in px, and whether its pixels are drawn as squares."""

    uri: str
    width: int
    height: int
    is_small: bool = True


@dataclass(frozen=True)
class LayerRow:
    """A layer as it is shown: its first maps, and the range that their colours span."""

    layer: Layer
    figure: PageImage | None
    low: float
    high: float


def page(explanation: Any) -> str:
    """The page as HTML, for a `muslin.workflows.explain.Explanation`."""
    inspection: Inspection = explanation.inspection
    return render_page(
        "why.html.j2",
        explanation=explanation,
        predictions=inspection.predictions,
        effects=inspection.effects(),
        steps=[(step, _step_image(step.pixels)) for step in inspection.steps],
        explained=[_target_section(inspection, one) for one in explanation.targets.values()],
        groups=_layer_groups(inspection) if inspection.model.has_layers else [],
        signed=_number_text,
        max_terms=MAX_TERMS,
    )


def _target_section(inspection: Inspection, one: Any) -> dict[str, Any]:
    """What the page shows of one target."""
    classes = inspection.predictions[one.target.name]["probabilities"]
    checks = one.sanity_checks or {}
    curves = {
        name: inline_svg(_curves(name, checks[name])) for name in ("deletion", "insertion") if name in checks
    }
    return {
        "name": one.target.name,
        "label": one.label,
        "versus": one.versus,
        "probabilities": sorted(classes.items(), key=lambda item: -item[1]),
        "maps": [
            (attribution, _attribution_image(attribution), _overlay(inspection.pixels, attribution))
            for attribution in one.attributions
        ],
        "sanity_checks": checks,
        "curves": curves,
        "steps": [step for result in reversed(one.score_arithmetic) for step in result["chain"]],
        "problem": one.problem,
    }


def _step_image(pixels: NDArray[Any]) -> PageImage:
    """A step's image; numbers are drawn from their lowest (black) to their highest (white)."""
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = np.rint((pixels.transpose(1, 2, 0) - low) / ((high - low) or 1) * 255).astype(np.uint8)
        pixels = pixels if pixels.shape[2] in (1, 3) else pixels[:, :, :1]
    height, width = pixels.shape[:2]
    scale = 150 / max(height, width)
    return PageImage(
        data_uri(pixels, 300),
        max(1, round(width * scale)),
        max(1, round(height * scale)),
        max(height, width) <= 64,
    )


def _coloured(values: Values, low: float, high: float) -> NDArray[np.uint8]:
    """Values as colours: blue to orange around zero where the range has negative ones, else viridis from zero up."""
    if low < 0:
        limit = max(-low, high)
        return _apply_ramp(blue_to_orange(), (values / limit + 1) / 2)
    return _apply_ramp(viridis(), values / (high or 1.0))


def _apply_ramp(ramp: NDArray[np.uint8], position: Values) -> NDArray[np.uint8]:
    colours: NDArray[np.uint8] = ramp[np.rint(255 * position).clip(0, 255).astype(int)]
    return colours


def _png(colours: NDArray[np.uint8]) -> str:
    """Few colours, so a palette: a third of the bytes."""
    buffer = io.BytesIO()
    Image.fromarray(colours).quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _attribution_image(attribution: Attribution) -> PageImage:
    """The map in large cells; negative ones are hatched, so that the sign does not depend on colour alone."""
    rows, columns = attribution.cells.shape
    side = max(1, ATTRIBUTION_PX // max(rows, columns))
    cells = attribution.cells.repeat(side, 0).repeat(side, 1)
    colours = _hatched(_coloured(cells, -float(np.abs(cells).max()), float(np.abs(cells).max())), cells)
    return PageImage(_png(colours), columns * side, rows * side)


def _hatched(colours: NDArray[np.uint8], cells: Values) -> NDArray[np.uint8]:
    y, x = np.indices(cells.shape)
    stripes = ((x + y) % HATCH_PX == 0) & (cells < -0.02 * np.abs(cells).max())
    return np.where(stripes[..., None], colours // 2, colours).astype(np.uint8)


def _overlay(pixels: NDArray[np.uint8], attribution: Attribution) -> PageImage:
    """The map over the image, which is made paler; the more a cell counts, the less of the image shows."""
    rows, columns = attribution.cells.shape
    height, width = pixels.shape[:2]
    side = max(1, round(ATTRIBUTION_PX / max(height, width)))
    if max(height, width) > ATTRIBUTION_PX:
        step = -(-max(height, width) // ATTRIBUTION_PX)
        pixels = pixels[::step, ::step]
        height, width = pixels.shape[:2]
    cells = attribution.cells[np.arange(height * side) * rows // (height * side)]
    cells = cells[:, np.arange(width * side) * columns // (width * side)]
    limit = float(np.abs(cells).max()) or 1.0
    strength = 0.85 * np.abs(cells)[..., None] / limit
    pale = 120 + 0.5 * np.broadcast_to(pixels, (height, width, 3)).repeat(side, 0).repeat(side, 1)
    mixed = (1 - strength) * pale + strength * _coloured(np.sign(cells), -1, 1)
    return PageImage(_png(_hatched(np.rint(mixed).astype(np.uint8), cells)), width * side, height * side)


def _layer_groups(inspection: Inspection) -> list[tuple[str, list[LayerRow], bool]]:
    """The layers from the image on, by block, and whether the block is shown unfolded."""
    rows = [_layer_row(inspection, layer) for layer in inspection.model.layered.layers if not layer.auxiliary]
    groups: list[tuple[str, list[LayerRow]]] = []
    for row in rows:
        name = row.layer.block or ""
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        groups[-1][1].append(row)
    return [(name, inside, not name or len(rows) <= MAX_OPEN_LAYERS) for name, inside in groups]


def _layer_row(inspection: Inspection, layer: Layer) -> LayerRow:
    values = inspection.trace.of(layer.name)
    low, high = float(values.min()), float(values.max())
    maps = to_maps(values)
    if maps.shape[1] == 1 and maps.shape[2] > 1:  # features: a square reads better than a line
        side = int(np.ceil(np.sqrt(maps.shape[2])))
        square = np.zeros(side * side, np.float32)
        square[: maps.shape[2]] = maps.reshape(-1)
        maps = square.reshape(1, side, side)
    if not maps.size:
        return LayerRow(layer, None, low, high)
    step = max(1, -(-max(maps.shape[1:]) // MAP_PX))  # pixels are dropped, not blurred with others
    tiles = [_coloured(one[::step, ::step], low, high) for one in maps[:MAPS]]
    across = min(3, len(tiles))
    height, width = tiles[0].shape[:2]
    sheet = np.full((-(-len(tiles) // across) * (height + 1) - 1, across * (width + 1) - 1, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // across * (height + 1), place % across * (width + 1)
        sheet[top : top + height, left : left + width] = tile
    scale = max(1, MAP_PX // max(height, width))
    return LayerRow(layer, PageImage(_png(sheet), sheet.shape[1] * scale, sheet.shape[0] * scale), low, high)


def _curves(name: str, test: Mapping[str, Any]) -> str:
    """The probability as cells are deleted or inserted: by attribution, and at random with the range of 95 %."""
    left, right, top, bottom = 44, 316, 16, 196

    def points(values: Sequence[float]) -> Iterator[str]:
        for share, value in zip(test["fraction"], values, strict=True):
            yield f"{left + share * (right - left):.1f},{bottom - value * (bottom - top):.1f}"

    band = [*points(test["random_low"]), *reversed(list(points(test["random_high"])))]
    body = [f'<polygon class="cloth" points="{" ".join(band)}"/>']
    for tick in (0, 0.5, 1):
        y = bottom - tick * (bottom - top)
        body.append(svg_line(left, y, right, y, "rule"))
        body.append(svg_text(left - 8, y + 4, f"{tick:.0%}".replace("%", " %"), "soft tiny number", "end"))
    body.append(
        f'<polyline class="mid-stroke" stroke-width="2" stroke-dasharray="6 4" '
        f'points="{" ".join(points(test["random"]))}"/>'
    )
    body.append(
        f'<polyline class="accent-stroke" stroke-width="2.5" points="{" ".join(points(test["attribution"]))}"/>'
    )
    done = "deleted" if name == "deletion" else "inserted"
    body.append(svg_text(right, bottom + 18, f"share of the cells {done}", "soft small", "end"))
    body.append(svg_text(left, bottom + 38, "— by attribution", "accent small strong"))
    body.append(svg_text(left + 120, bottom + 38, "- - at random", "soft small"))
    summary = f"area {test['area']['attribution']:.2f} by attribution, {test['area']['random']:.2f} at random"
    title = f"The probability as cells are {done}, strongest attribution first"
    return svg_document(right + 20, bottom + 48, title, summary, "".join(body))


def _number_text(value: Any, digits: int = 4) -> str:
    """With a true minus, and `digits` significant digits."""
    return f"{float(value):.{digits}g}".replace("-", "−")
