"""The colours of a garment: apart from its background (`garment_mask`), and by name (`named_colours`)."""

from muslin.colour.main_colours import MainColours, colour_shares, product_colours
from muslin.colour.named_colours import NamedColours, builtin_table, read_named_colours

__all__ = ["MainColours", "NamedColours", "builtin_table", "colour_shares", "product_colours", "read_named_colours"]
