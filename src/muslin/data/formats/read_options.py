"""How to read a data set: options that overrule what a reader detects."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields

from muslin.errors import DataError


@dataclass(frozen=True)
class ReadOptions:
    """None means: detect it.

    Attributes:
        shape: (height, width, channels) of an image whose pixels are in a row.
        targets: the columns that hold labels: their names, or `first` or `last` where columns have no names; empty:
            detect them.
        images: the folder, zip or tar with the photos.
        image_columns: a table's columns with the names of photos; of several, a row's photos show one product.
        group, split_column: a table's columns with the photo's group and its part.
        product: the table's column that names the product of each row.
        guess_products: without `product`, find out which images show one product.
        label_separator: what separates labels in a table's cells: `|`, `;`, `,` or `none`, for all targets or, as
            `COLUMN=,`, for one.
        crop_to_boxes: crop photos to the boxes that come with them.
        levels: how many levels of nested folders, from the top, make the name of a class.
        all_targets: use every column of a table that could be the label; otherwise several are an error.
        model_targets: columns that hold the labels of a model's targets, if there are any and `targets` is empty.
        allow_outside: open files outside the data's folder that cells or links name.
        format_chosen: the user named the format, so that nothing else is asked for.
    """

    shape: tuple[int, int, int] | None = None
    targets: tuple[str, ...] = ()
    images: str | None = None
    image_columns: tuple[str, ...] = ()
    group: str | None = None
    product: str | None = None
    guess_products: bool = True
    split_column: str | None = None
    label_separator: tuple[str, ...] | None = None
    crop_to_boxes: bool | None = None
    levels: int | None = None
    all_targets: bool = False
    model_targets: tuple[str, ...] = ()
    allow_outside: bool = False
    format_chosen: bool = False

    def names_set(self) -> list[str]:
        """The options that the user set, under the names of the arguments of `muslin.read`."""
        chosen = [field.name for field in fields(self) if getattr(self, field.name) not in (None, ())]
        permissions = ("all_targets", "model_targets", "allow_outside", "format_chosen", "guess_products")
        return [_ARGUMENTS.get(name, name) for name in chosen if name not in permissions]


_ARGUMENTS = {"targets": "target", "image_columns": "image_column"}
"""The arguments of `muslin.read` that are called otherwise."""


def by_name(texts: Iterable[str], option: str, names: Collection[str]) -> dict[str, str]:
    """What `NAME=VALUE` gives for each name, and under the name "" what `VALUE` gives for all others of `names`.

    Raises:
        DataError: two of `texts` are for the same name, or for all; or none is left for `VALUE`.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if name in values:
            raise DataError("option_repeated", option=" ".join(filter(None, ["--" + option.replace("_", "-"), name])))
        values[name] = value
    if "" in values and names and not set(names) - values.keys():
        raise DataError("option_repeated", option="--" + option.replace("_", "-"))
    return values
