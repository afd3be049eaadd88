"""What all HTML pages share: the environment of their templates, and tiles of images with a prediction."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from muslin.images.decoder import Pixels
from muslin.reporting.colours import DARK, LIGHT
from muslin.reporting.image_grids import data_uri, is_small
from muslin.reporting.network_stages import LAYER_COLUMNS, layer_cells
from muslin.reporting.svg.svg import FONT, STYLE, inline_svg
from muslin.text import (
    ORDINARY_CHARACTERS,
    duration,
    escape_controls,
    interval_text,
    percent,
    plural,
    short_count,
    word_list,
)

if TYPE_CHECKING:
    from jinja2 import Environment, Template

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class ImageTile:
    """An image as a page shows it, with a prediction where there is one.

    Attributes:
        label: its class, or the predicted class.
        probability: of the predicted class, as text.
        true: the true class where the prediction is incorrect.
        correct: None without a prediction.
        id: the image's name, where the page shows it.
        address: of the image in the studio, where the page links there; see `muslin.reporting.report.studio_links`.
    """

    pixels: Pixels
    label: str = ""
    probability: str = ""
    true: str = ""
    correct: bool | None = None
    id: str = ""
    address: str = ""

    @property
    def uri(self) -> str:
        return data_uri(self.pixels)

    @property
    def is_small(self) -> bool:
        return is_small(self.pixels)


@cache
def _environment() -> "Environment":
    """What compiles the templates, each of them once, with the filters that all pages share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "interval": interval_text,
        "plural": plural,
        "duration": duration,
        "short": short_count,
        "word_list": word_list,
        "inline": inline_svg,
        "path_pieces": _path_pieces,
        "sha256": _script_hash,
    }
    return environment


def page_template(name: str) -> "Template":
    """The template of that name, with the colours and style sheets that all pages share."""
    shared = {"style": STYLE, "light": LIGHT, "dark": DARK, "font": FONT}
    layers = {"layer_columns": LAYER_COLUMNS, "layer_cells": layer_cells}
    return _environment().get_template(name, globals=shared | layers)


def render_page(template: str, **values: Any) -> str:
    """A page from the template of that name, with control characters of names as text.

    Without line breaks between a number and its unit.
    """
    page = page_template(template).render(**values).replace(" %", "\u00a0%")
    return escape_controls(page, keep=ORDINARY_CHARACTERS)


def _path_pieces(path: str) -> tuple[list[str], str]:
    """The pieces of a path between which a line may break, and its ending, in which none may: `3421.jpg`.

    The ending is empty where the file has no short extension.
    """
    suffix = PurePosixPath(path).suffix
    n_kept = len(suffix) + 4 if 1 < len(suffix) <= 6 else 0
    *folders, name = path.split("/")
    start = max(0, len(name) - n_kept)
    return [*(f"{folder}/" for folder in folders), name[:start]], name[start:]


def _script_hash(script: str) -> str:
    """The hash by which a page's content security policy allows a script to run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
