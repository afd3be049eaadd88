"""What a user may say about how to read a data set, over what the reader would find out by itself."""

from collections.abc import Callable
from dataclasses import dataclass, fields

Log = Callable[[str], None]
"""Called with a sentence about how far something is."""


def silent(sentence: str) -> None:
    """A Tell that tells nobody."""


@dataclass(frozen=True)
class ReadOptions:
    """None means: find it out.

    Attributes:
        shape: (height, width, channels) of an image whose pixels are in a row.
        target: the column that holds the label: its name, or `first` or `last` where columns have no names.
        targets: several such columns.
        images: the folder, zip or tar with the photos.
        image_column, group, split_column: a table's columns that name the photo, the group and the part.
        separator: what separates labels in a table's cells: `|`, `;`, `,` or `none`, for all targets or, as
            `COLUMN=,`, for one.
        crop: cut photos to the boxes that come with them.
        every_target: of a table, take every column that could be the label, where otherwise an error lists them.
    """

    shape: tuple[int, int, int] | None = None
    target: str | None = None
    targets: tuple[str, ...] | None = None
    images: str | None = None
    image_column: str | None = None
    group: str | None = None
    split_column: str | None = None
    separator: tuple[str, ...] | None = None
    crop: bool | None = None
    every_target: bool = False

    def given(self) -> list[str]:
        """The names of the options that the user set."""
        return [
            field.name
            for field in fields(self)
            if field.name != "every_target" and getattr(self, field.name) is not None
        ]

    @property
    def named_targets(self) -> tuple[str, ...]:
        """The names of the targets that are wanted; none where all are."""
        return self.targets or ((self.target,) if self.target else ())
