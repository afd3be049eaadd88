"""Photos of synthetic garments in a folder for each class."""

from pathlib import Path

from PIL import Image

from muslin.data.synthetic import make_garments


def write_garment_folders(folder: Path, count: int, seed: int = 3) -> Path:
    """`count` gray PNG files in `folder`/CLASS/NUMBER.png; returns `folder`."""
    dataset = make_garments(count, seed=seed).dataset
    (target,) = dataset.targets
    for number in range(count):
        place = folder / target.classes[dataset.labels[target.name][number]].replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[number][:, :, 0]).save(place / f"{number}.png")
    return folder
