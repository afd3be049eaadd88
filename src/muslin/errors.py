"""Every error muslin raises on purpose: what is wrong, where, and what to do.

    MuslinError
     ├─ DataError          a data set's files cannot be read as what they claim to be
     ├─ ImageError         one picture cannot be decoded
     ├─ RecipeError        an unknown recipe or setting, or a value out of its range
     ├─ TrainingError      training cannot start or go on with these data
     ├─ BundleError        a .muslin file is damaged, tampered with, or from the future
     ├─ MissingPartError   a part of muslin that was not installed is needed
     ├─ StorageError       the disk is full, or a place cannot be written
     └─ StoppedError       work was asked to stop; what is done is kept

A message is one line that names the file, row or byte and ends with what the user can do.
The command line prints it and exits 1; a traceback is shown only with `--debug`.
"""

import difflib
from collections.abc import Iterable


class MuslinError(Exception):
    """Base of every error muslin raises on purpose."""


class DataError(MuslinError):
    """A data set's files cannot be read as what they claim to be."""


class ImageError(MuslinError):
    """One picture cannot be decoded."""


class RecipeError(MuslinError):
    """An unknown recipe or setting, or a value out of its range."""


class TrainingError(MuslinError):
    """Training cannot start or go on with these data."""


class BundleError(MuslinError):
    """A .muslin file is damaged, tampered with, or from a future version."""


class MissingPartError(MuslinError):
    """A part of muslin that was not installed is needed."""


class StorageError(MuslinError):
    """The disk is full, or a place cannot be written."""


class StoppedError(MuslinError):
    """Work was asked to stop; what is done is kept, and can be gone on with."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, and all there are.

    >>> nearest("quik", ["tutorial", "quick"])
    'Did you mean quick? Known: quick, tutorial.'
    """
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    return f"{f'Did you mean {close[0]}? ' if close else ''}Known: {', '.join(known)}."
