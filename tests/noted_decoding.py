"""Which photos are decoded during a test."""

from pathlib import Path
from typing import Any

import pytest


def noted_decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file names of the photos that are decoded from now on."""
    import muslin.images

    names: list[str] = []
    decode = muslin.images.decode

    def noting(*args: Any, **options: Any) -> Any:
        names.append(Path(options["name"]).name)
        return decode(*args, **options)

    monkeypatch.setattr(muslin.images, "decode", noting)
    return names
