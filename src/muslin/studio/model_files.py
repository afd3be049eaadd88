"""The one folder that the studio may look into: its models, its images, and no way out of it."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from muslin.errors import DataError
from muslin.models.predictor import IMAGE_SUFFIXES

MODEL_SUFFIXES = (".muslin",)
MOST_ENTRIES = 20_000  # files looked at for one listing; a home folder has more, and takes minutes
MOST_MODELS = 200
MOST_IMAGES = 200
MOST_DEPTH = 6


def file_within(root: Path, name: str, suffixes: Collection[str]) -> Path:
    """The file that `name`, relative to `root` and with /, stands for.

    Args:
        root: absolute, with links followed.

    Raises:
        DataError: it leads out of the folder (also by way of a link), is hidden, is not there, or ends with none
            of `suffixes`.
    """
    missing = DataError(f"{name[:200]!r}: there is no such file in this folder. Load the page again.")
    if "\0" in name or "\\" in name or any(part == "" or part.startswith(".") for part in name.split("/")):
        raise missing
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise missing from error
    if not path.is_relative_to(root) or not path.is_file() or path.suffix.lower() not in suffixes:
        raise missing
    return path


def model_rows(root: Path) -> list[dict[str, Any]]:
    """Of each model in `root` its path within, what to call it (its run's folder, or its own name) and its size."""
    return [
        {
            "path": path.relative_to(root).as_posix(),
            "name": path.parent.name if path.stem == "model" and path.parent != root else path.stem,
            "bytes": path.stat().st_size,
        }
        for path in models_in(root)
    ]


def models_in(root: Path) -> list[Path]:
    """The .muslin files below `root`, newest first, 200 at most."""
    found = [path for path in _files(root) if path.suffix.lower() in MODEL_SUFFIXES]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:MOST_MODELS]


def images_in(root: Path, after: int = 0) -> tuple[list[str], bool]:
    """200 images below `root` from number `after` on, in order of their paths within, and whether there are more."""
    found = sorted(path for path in _files(root) if path.suffix.lower() in IMAGE_SUFFIXES)
    end = after + MOST_IMAGES
    return [path.relative_to(root).as_posix() for path in found[after:end]], len(found) > end


def _files(root: Path) -> Iterator[Path]:
    """Files in and below `root`, nearest first; hidden ones are passed over, links are not followed."""
    seen, level = 0, [root]
    for _ in range(MOST_DEPTH):
        below: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue  # a folder that may not be read is no reason to show nothing
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                seen += 1
                if seen > MOST_ENTRIES:
                    return
                if entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
        level = below
