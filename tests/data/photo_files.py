"""Small photos: synthetic garments as JPEG files, and a few real ones where they are available."""

import os
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {"dress": (200, 40, 60), "hat": (40, 160, 60), "shirt": (50, 60, 200)}
SHARED = Path(__file__).parents[2].parent / "shared/data"
REAL = "clothing-dataset-small.tar"


def garment(kind: str, number: int) -> Image.Image:
    """A garment of one colour on a light ground; no two have the same size."""
    height, width = 60 + 3 * number, 48 + 2 * number
    pixels = np.full((height, width, 3), 235, dtype=np.uint8)
    top = {"dress": 6, "hat": height // 2, "shirt": 12}[kind]
    pixels[top : height - 8, width // 4 : -width // 4] = CLASSES[kind]
    return Image.fromarray(pixels)


def make_photos(count: int, first: int = 0) -> list[tuple[str, int, Image.Image]]:
    return [(kind, n, garment(kind, n)) for kind in CLASSES for n in range(first, first + count)]


def write_folders(root: Path, counts: dict[str, int]) -> Path:
    """`root/PART/CLASS/CLASS-N.jpg`; the part "" has no folder."""
    first = 0
    for part, count in counts.items():
        for kind, number, image in make_photos(count, first):
            folder = root / part / kind
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{kind}-{number:02}.jpg", quality=90)
        first += count
    return root


def real_tar() -> Path | None:
    """The real photos' archive, or None where it is not at hand."""
    places = [SHARED, *map(Path, filter(None, [os.environ.get("MUSLIN_DATA")]))]
    return next((place / REAL for place in places if (place / REAL).exists()), None)


def write_real(root: Path, each: int = 3) -> bool:
    """A few real photos of every class and part as folders below `root`; False where there are none."""
    if (path := real_tar()) is None:
        return False
    taken: dict[str, int] = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            folder = entry.name.rpartition("/")[0]
            if entry.isfile() and entry.name.endswith(".jpg") and taken.get(folder, 0) < each:
                taken[folder] = taken.get(folder, 0) + 1
                file = root / entry.name
                file.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(entry)
                assert content
                file.write_bytes(content.read())
    return True
