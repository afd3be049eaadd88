"""Every error muslin raises on purpose: a code, and the parameters that its sentence is made of.

    raise DataError("pixel_count", path=path, row=17, found=783, expected=784)

The sentences are rows of `muslin.messages`, one a code: what is wrong, where, and what to do. The command line prints
the sentence and exits 1 (with `--json` as an object); a traceback is shown only with `--debug`.
"""

import difflib
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any, Self

from muslin.messages import Message, table


class MuslinError(Exception):
    """Base of every error muslin raises on purpose. Its sentence is made when it is first read: a table can have an
    error in each row, and only the first few are shown.

    Attributes:
        code: a row of `muslin.messages`.
        hint_code: which of the row's hints, where it has several.
    """

    STATUS = 500
    """HTTP status of a code that names none of its own."""

    def __init_subclass__(cls, status: int = STATUS) -> None:
        cls.STATUS = status

    def __init__(self, code: str, hint: str | None = None, /, **params: Any) -> None:
        """`params` are what the row's placeholders stand for."""
        super().__init__(code)
        self.code, self.hint_code, self._params = code, hint, params

    def __reduce__(self) -> Any:
        return partial(type(self), self.code, self.hint_code, **self._params), ()

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    @cached_property
    def message(self) -> Message:
        """The sentence with its hint."""
        return Message(self.code, self.hint_code, **self._params)

    @property
    def params(self) -> dict[str, Any]:
        return dict(self._params)

    @property
    def status(self) -> int:
        """The HTTP status that a server answers with."""
        return int(table("en")[self.code].get("status", self.STATUS))

    def with_params(self, **params: Any) -> Self:
        """The same error with parameters that only the caller knows, such as the file; existing ones stay."""
        return type(self)(self.code, self.hint_code, **params | self._params)

    def to_dict(self, language: str = "en", *, on_page: bool = False) -> dict[str, Any]:
        """`code`, `message`, `hint` and `params`; `on_page` for a page or a client, as `Message.to_dict`."""
        return self.message.to_dict(language, on_page=on_page)


class DataError(MuslinError, status=422):
    """A data set's files cannot be read as what they claim to be."""


class ImageError(MuslinError, status=415):
    """One image cannot be decoded."""


class RecipeError(MuslinError, status=400):
    """An unknown recipe or setting, or a value out of its range."""


class TrainingError(MuslinError, status=422):
    """Training cannot start or go on with these data."""


class BundleError(MuslinError, status=422):
    """A .muslin file is damaged, tampered with, or from a future version."""


class ExplanationError(MuslinError, status=400):
    """A model, layer or edit that cannot be explained, found or made."""


class MissingPartError(MuslinError, status=501):
    """A part of muslin that is not installed is needed."""


class StorageError(MuslinError, status=507):
    """The disk is full, or a place cannot be written."""


class ServerError(MuslinError, status=502):
    """A server that a client asked does not respond, or refused the request."""


class ExecutionError(MuslinError, status=503):
    """What was to run a shard of work cannot be opened, is not like the head, or ended again and again."""


class FetchError(MuslinError, status=502):
    """A photo behind an address cannot be fetched, or is not to be."""


class StoppedError(MuslinError, status=503):
    """Work was asked to stop; what is done is kept, and can be gone on with."""


def unknown(name: object, choices: Iterable[object]) -> dict[str, Any]:
    """The parameters of a message about an unknown name: `name`, the nearest known one or None, and all `choices`.

    >>> unknown("quik", ["tutorial", "quick"])
    {'name': 'quik', 'nearest': 'quick', 'choices': ['quick', 'tutorial']}
    """
    known = sorted(map(str, choices))
    close = difflib.get_close_matches(str(name), known, n=1)
    return {"name": str(name), "nearest": close[0] if close else None, "choices": known}
