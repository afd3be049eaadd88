"""Colours: CIELAB, the garment apart from its background, and names."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from muslin.colour import NamedColours, builtin_table, colour_shares, product_colours, read_named_colours
from muslin.colour.cielab import srgb_to_lab
from muslin.colour.garment_mask import garment_mask
from muslin.colour.named_colours import MAX_SHADES
from muslin.errors import DataError
from refusals import refuses

Pixels = NDArray[np.uint8]


def garment(colour: tuple[int, ...], background: tuple[int, ...], side: int = 200, seed: int = 0) -> Pixels:
    """A shirt without sleeves on cloth, both with some noise."""
    image = np.full((side, side, 3), background, np.float32)
    image[side // 5 : -side // 5, side // 4 : -side // 4] = colour
    noise = np.random.default_rng(seed).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def colours() -> NamedColours:
    return read_named_colours()


def test_cielab_of_known_colours() -> None:
    # Bruce Lindbloom's calculator, sRGB under D65
    known = {
        (255, 255, 255): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 255, 0): (87.73, -86.18, 83.18),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (119, 119, 119): (50.03, 0, 0),
    }
    lab = srgb_to_lab(np.array(list(known), np.uint8))
    assert lab.dtype == np.float32
    assert np.allclose(lab, list(known.values()), atol=0.05)


@pytest.mark.parametrize(
    ("colour", "name"),
    [((20, 20, 22), "black"), ((200, 30, 40), "red"), ((28, 36, 64), "navy"), ((230, 200, 60), "yellow"),
     ((40, 130, 65), "green"), ((235, 145, 170), "pink")],
)  # fmt: skip
@pytest.mark.parametrize("background", [(250, 250, 250), (150, 110, 80), (200, 60, 120)])
def test_background_does_not_count(colour, name, background, colours: NamedColours) -> None:
    found = product_colours([colour_shares(garment(colour, background), colours)], colours)
    assert found.names == (name,)
    assert found.shares[0] > 0.95
    assert not found.is_unclear


def test_stripes_have_two_colours(colours: NamedColours) -> None:
    image = garment((240, 240, 240), (150, 110, 80))
    for top in range(40, 160, 20):
        image[top : top + 10, 50:150] = (28, 36, 64)
    found = product_colours([colour_shares(image, colours)], colours)
    assert set(found.names) == {"white", "navy"}
    assert all(0.4 < share < 0.6 for share in found.shares)


def test_garment_like_its_background_is_unclear(colours: NamedColours) -> None:
    image = garment((238, 238, 238), (242, 242, 242))
    found = product_colours([colour_shares(image, colours)], colours)
    assert found.names == ("white",)
    assert found.is_unclear


def test_unclear_photos_count_only_where_all_are(colours: NamedColours) -> None:
    red, white = np.zeros(len(colours.names)), np.zeros(len(colours.names))
    red[colours.names.index("red")] = white[colours.names.index("white")] = 1
    assert product_colours([(white, True), (red, False)], colours).names == ("red",)
    both = product_colours([(white, True), (red, True)], colours)
    assert (set(both.names), both.shares, both.is_unclear) == ({"red", "white"}, (0.5, 0.5), True)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (2, 3, 1), (28, 28, 1), (500, 7, 3)])
def test_images_of_any_size_have_colours(shape, colours: NamedColours) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    shares, _ = colour_shares(image, colours)
    assert shares.sum() == pytest.approx(1)


def test_mask_of_one_colour_is_a_probability() -> None:
    mask = garment_mask(np.full((40, 30, 3), 50, np.float32))
    assert ((mask.probability >= 0) & (mask.probability <= 1)).all()
    assert mask.overlap > 0.9


def test_nearest_shade_is_that_of_the_smallest_distance(colours: NamedColours) -> None:
    lab = srgb_to_lab(np.random.default_rng(0).integers(0, 256, (5000, 3)).astype(np.uint8))
    weights = np.array([0.5, 1, 1])
    distances = np.linalg.norm((lab[:, np.newaxis] - colours.shades) * weights, axis=2)
    expected = colours.colour_of_shade[distances.argmin(axis=1)]
    assert (colours.nearest(lab) == expected).mean() > 0.999  # float32 against float64


def test_a_shop_names_its_own_colours(tmp_path: Path) -> None:
    table = tmp_path / "colours.csv"
    table.write_text("name;hex;de\nmidnight;#10142a;Mitternacht\nmidnight;1C2440;\nsnow;#ffffff;Schnee\n")
    assert read_named_colours(table).names == ("midnight", "snow")
    german = read_named_colours(table, "de")
    assert german.names == ("Mitternacht", "midnight", "Schnee")
    found = product_colours([colour_shares(garment((16, 20, 42), (250, 250, 250)), german)], german)
    assert found.names == ("Mitternacht",)


def test_the_table_that_comes_with_muslin_has_both_languages(tmp_path: Path) -> None:
    table = tmp_path / "colours.csv"
    table.write_bytes(builtin_table())
    english, chinese = read_named_colours(table), read_named_colours(None, "zh")
    assert len(english.names) == len(chinese.names) == 17
    assert all(not name.isascii() for name in chinese.names)
    assert (english.colour_of_shade == chinese.colour_of_shade).all()


def test_faulty_tables_of_colours_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "colours.csv"
    cases = {
        "name,hex\nnavy,blue\n": ("colour_code_invalid", {"row": 2, "value": "blue"}),
        "name,hex\nnavy,#1c24\n": ("colour_code_invalid", {"row": 2}),
        "name,hex\n,#1c2440\n": ("colour_name_unsafe", {"row": 2}),
        "name,colour\nnavy,#1c2440\n": ("colour_column_missing", {"column": "hex"}),
        "name,hex\n": ("no_rows", {}),
        "name,hex\n" + "navy,#1c2440\n" * (MAX_SHADES + 1): ("too_many_shades", {"maximum": MAX_SHADES}),
    }
    for content, (code, params) in cases.items():
        table.write_text(content)
        with refuses(code, DataError, **params):
            read_named_colours(table)
    with refuses("colour_language_unknown", DataError, choices=["zh"], path="named_colours.csv"):
        read_named_colours(None, "hz")
