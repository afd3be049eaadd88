"""Second views of photos, and features of both, for the benchmarks of similar photos.

A view is made of a photo of clothing-small and saved as JPEG with quality 85:

- crop: of each side 70 to 95 % remain, at a random place;
- flip: mirrored;
- brightness: times 0.7 to 1.3;
- rotation: by up to 12 degrees either way, the corners filled with the mean colour of the rim;
- background: what muslin's mask of the garment takes for background gets one random colour;
- all but background: crop, brightness and rotation together, and the flip for one photo in two;
- all: these and the background.

A made view is kinder than a second photo: light, folds and camera stay. Nothing here is tuned to it.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

SIDE_PX = 512
"""Of a photo before it is changed, at most: more than twice what the network takes."""

Random = np.random.Generator


def crop(image: Image.Image, random: Random) -> Image.Image:
    sides = [round(side * random.uniform(0.7, 0.95)) for side in image.size]
    left, top = (int(random.integers(0, whole - side + 1)) for whole, side in zip(image.size, sides, strict=True))
    return image.crop((left, top, left + sides[0], top + sides[1]))


def flip(image: Image.Image, random: Random) -> Image.Image:
    return ImageOps.mirror(image)


def brightness(image: Image.Image, random: Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(random.uniform(0.7, 1.3))


def rotation(image: Image.Image, random: Random) -> Image.Image:
    pixels = np.asarray(image)
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).mean(axis=0)
    colour = tuple(int(value) for value in rim)
    return image.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC, fillcolor=colour)


def background(image: Image.Image, random: Random) -> Image.Image:
    from muslin.colour.cielab import srgb_to_lab
    from muslin.colour.garment_mask import garment_mask

    small = image.copy()
    small.thumbnail((100, 100))
    probability = garment_mask(srgb_to_lab(np.asarray(small))).probability
    mask = Image.fromarray((255 * probability).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    colour = tuple(int(value) for value in random.integers(0, 256, 3))
    return Image.composite(image, Image.new("RGB", image.size, colour), mask)


KINDS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "crop": crop, "flip": flip, "brightness": brightness, "rotation": rotation, "background": background,
}  # fmt: skip


TOGETHER = {
    "all but background": ("rotation", "crop", "brightness"),
    "all": ("background", "rotation", "crop", "brightness"),
}


def changed(image: Image.Image, kind: str, random: Random) -> Image.Image:
    for name in TOGETHER.get(kind, (kind,)):
        image = KINDS[name](image, random)
    return flip(image, random) if kind in TOGETHER and random.random() < 0.5 else image


def made_view(path: Path, kind: str, seed: int) -> NDArray[np.uint8]:
    """The view as decoded again; `original` is the photo as it is."""
    image = opened(path)
    if kind != "original":
        image = changed(image, kind, np.random.default_rng([seed, *kind.encode()]))
    return saved_again(image)


def opened(path: Path) -> Image.Image:
    with Image.open(path) as file:
        file.draft("RGB", (SIDE_PX, SIDE_PX))
        image = ImageOps.exif_transpose(file).convert("RGB")
    image.thumbnail((SIDE_PX, SIDE_PX))
    return image


def saved_again(image: Image.Image, quality: int = 85) -> NDArray[np.uint8]:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


def features_of_views(kept: Path, views: list[tuple[Path, str, int]]) -> NDArray[np.float16]:
    """float16 (views, 1280) of EfficientNet-Lite0 with its ImageNet weights; those in `kept` are not computed again."""
    from muslin.learn.features import imagenet_graph
    from muslin.models.photo_features import photo_features

    names = [f"{path.stem} {kind} {seed}" for path, kind, seed in views]
    known: dict[str, NDArray[np.float16]] = {}
    if kept.exists():
        with np.load(kept) as file:
            known = dict(zip(file["names"].tolist(), file["features"], strict=True))
    missing = [place for place, name in enumerate(names) if name not in known]

    def images() -> Iterator[tuple[str, NDArray[np.uint8]]]:
        for place in missing:
            yield names[place], made_view(*views[place])

    found = photo_features(imagenet_graph("efficientnet-lite0"), images()) if missing else iter(())
    for count, photo in enumerate(found, 1):
        assert photo.features is not None, photo.error
        known[photo.name] = photo.features.astype(np.float16)
        if count % 200 == 0 or count == len(missing):
            print(f"features of {count:,} of {len(missing):,} views", flush=True)
            np.savez(kept, names=np.array(list(known)), features=np.stack(list(known.values())))
    return np.stack([known[name] for name in names])


def photos_of(folder: Path) -> list[Path]:
    """Every photo of clothing-small, in an order that does not depend on the disk or on its class."""
    photos = sorted(folder.rglob("*.jpg"), key=lambda path: path.name)
    return [photos[place] for place in np.random.default_rng(0).permutation(len(photos))]
