"""The folder a studio works in: what is in it, and nothing beside it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muslin.errors import DataError
from muslin.predictor import MODEL_FILE, SUFFIXES

MOST_MODELS = 200
PICTURES_A_PAGE = 200
MOST_FILES = 200_000  # looked at; a folder with more is searched no further


@dataclass(frozen=True)
class Folder:
    """A folder; names in it are relative, with forward slashes."""

    path: Path

    def inside(self, name: str, suffixes: tuple[str, ...], what: str) -> Path:
        """The file called `name`.

        Raises:
            DataError: there is none in this folder; also where the name leads out of it, by `..` or by a link.
        """
        found = DataError(
            f"there is no {what} {name[:200]!r} in the studio's folder. Choose one from the list."
        )
        try:
            path = (self.path / name).resolve()
            if not name or not path.is_relative_to(self.path.resolve()) or not path.is_file():
                raise found
        except (OSError, ValueError) as error:  # a name that cannot be one, such as with a null in it
            raise found from error
        if path.suffix.lower() not in suffixes:
            raise found
        return path

    def models(self) -> list[dict[str, object]]:
        """Every .muslin file: its path, a name (of its run's folder, or its own), its size."""
        found: list[dict[str, object]] = []
        for name in self._files((".muslin",)):
            path = self.path / name
            called = path.parent.name if path.name == MODEL_FILE and "/" in name else path.stem
            found.append({"path": name, "name": called, "bytes": path.stat().st_size, "problem": None})
            if len(found) == MOST_MODELS:
                break
        return found

    def pictures(self, after: int = 0) -> tuple[list[str], bool]:
        """A page of picture files from number `after` on, and whether there are more."""
        found: list[str] = []
        for number, name in enumerate(self._files(SUFFIXES)):
            if number >= after + PICTURES_A_PAGE:
                return found, True
            if number >= after:
                found.append(name)
        return found, False

    def _files(self, suffixes: tuple[str, ...]) -> Iterator[str]:
        looked_at = 0
        for where, folders, files in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                looked_at += 1
                if looked_at > MOST_FILES:
                    return
                path = Path(where) / name
                if path.suffix.lower() in suffixes and not name.startswith(".") and path.is_file():
                    yield path.relative_to(self.path).as_posix()
