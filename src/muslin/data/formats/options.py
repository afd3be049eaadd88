"""What a user may say about how to read a data set, over what the reader would find out by itself."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ReadOptions:
    """None means: find it out.

    Attributes:
        shape: (height, width, channels) of a picture whose pixels are in a row.
        target: the column that holds the label: its name, or `first` or `last` where columns have no names.
        targets: several such columns.
        images: the folder, zip or tar with a table's photos.
        image_column, group, split_column: a table's columns that name the photo, the group and the part.
    """

    shape: tuple[int, int, int] | None = None
    target: str | None = None
    targets: tuple[str, ...] | None = None
    images: str | None = None
    image_column: str | None = None
    group: str | None = None
    split_column: str | None = None

    def given(self) -> list[str]:
        """The names of the options that the user set."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]
