"""Python environments like this one, but for a package that is missing or has another version."""

import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path


def make_python(folder: Path, without: str = "", versions: Mapping[str, tuple[str, str, str]] | None = None) -> Path:
    """The folder of programs of an environment whose packages are links to this one's.

    Args:
        folder: is made.
        without: a package that it lacks.
        versions: per package that has another version a file of it, a text in that file, and what stands there instead.
    """
    venv.create(folder, symlinks=True)
    packages = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        is_left_out = found.name.startswith(("__editable__", "pip", without or " "))
        if not is_left_out and found.name not in (versions or {}):
            (packages / found.name).symlink_to(found)
    for package, (file, old, new) in (versions or {}).items():
        original = Path(sys.modules[package].__file__ or "").parent if package in sys.modules else None
        source = original or Path(sysconfig.get_path("purelib")) / package
        (packages / package).mkdir()
        for found in source.iterdir():
            if found.name != "__pycache__":
                (packages / package / found.name).symlink_to(found)
        changed = packages / package / file
        text = changed.read_text("utf-8")
        assert old in text, changed
        changed.unlink()
        changed.write_text(text.replace(old, new), "utf-8")
    return folder / "bin"
