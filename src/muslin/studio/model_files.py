"""The folder that the studio serves: its models, its images, and no way out of it."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from muslin.data.photos import IMAGE_SUFFIXES
from muslin.errors import DataError
from muslin.workflows.run_folder import run_of_snapshot

MODEL_SUFFIXES = (".muslin",)
MAX_ENTRIES = 20_000  # files per listing; a home folder has more, and takes minutes
MAX_MODELS = 200  # models per listing
MAX_IMAGES = 200  # images per page of a listing
MAX_DEPTH = 6  # folders below the served one


def file_within(root: Path, name: str, suffixes: Collection[str]) -> Path:
    """The file called `name`, relative to `root` and with /.

    Args:
        root: absolute, with links resolved.

    Raises:
        DataError: it leads out of the folder (also through a link), is hidden, is absent, or has none of `suffixes`.
    """
    path = path_within(root, name)
    if not path.is_file() or path.suffix.lower() not in suffixes:
        raise DataError("file_not_in_folder", name=name[:200])
    return path


def path_within(root: Path, name: str) -> Path:
    """The file or folder called `name`, relative to `root` and with /.

    Args:
        root: absolute, with links resolved.

    Raises:
        DataError: it leads out of the folder (also through a link), is hidden, or is absent.
    """
    missing = DataError("file_not_in_folder", name=name[:200])
    if "\0" in name or "\\" in name or any(part == "" or part.startswith(".") for part in name.split("/")):
        raise missing
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise missing from error
    if not path.is_relative_to(root):
        raise missing
    return path


def model_rows(root: Path) -> list[dict[str, Any]]:
    """For each model below `root` its path, its name (of its run's folder, or its own) and its size in bytes.

    Newest first, at most MAX_MODELS. Snapshots belong to their run, and are not listed.
    """
    paths = [path for path in files_below(root) if path.suffix.lower() in MODEL_SUFFIXES and is_utf_8(str(path))]
    paths = [path for path in paths if not run_of_snapshot(path)]
    newest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:MAX_MODELS]
    return [
        {
            "path": path.relative_to(root).as_posix(),
            "name": path.parent.name if path.stem == "model" and path.parent != root else path.stem,
            "bytes": path.stat().st_size,
        }
        for path in newest
    ]


def image_page(root: Path, start: int = 0) -> dict[str, Any]:
    """MAX_IMAGES images below `root` from number `start` on, ordered by their paths, and whether there are more.

    `unnamable` counts images left out because their path is not UTF-8, so that no link can name them. The charts that a
    run has drawn are no images to predict.
    """
    files = list(files_below(root))
    runs = {path.parent for path in files if path.name == "run.json"}
    paths = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES and path.parent not in runs)
    names = [name for path in paths if is_utf_8(name := path.relative_to(root).as_posix())]
    end = start + MAX_IMAGES
    return {"images": names[start:end], "more": len(names) > end, "unnamable": len(paths) - len(names)}


def is_utf_8(name: str) -> bool:
    """Whether a link can name a file of this name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def files_below(root: Path) -> Iterator[Path]:
    """Files in and below `root`, nearest first, without hidden ones; links are not followed."""
    count, level = 0, [root]
    for _ in range(MAX_DEPTH):
        below: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue  # an unreadable folder is no reason to show nothing
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                count += 1
                if count > MAX_ENTRIES:
                    return
                if entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
        level = below
