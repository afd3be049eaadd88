"""A model recognises an image that it has seen, in whatever file without loss it comes back."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from muslin.data import read
from muslin.data.photos import resize_photos
from muslin.images import decode
from muslin.models.seen_images import digest_dataset

HEIGHT, WIDTH = 1250, 1600  # 2 megapixels, as a shop's photos have
ORIENTATION = 0x0112


def photo() -> NDArray[np.uint8]:
    """A smooth image with noise, as a camera takes it."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (25, 32, 3), np.uint8)).resize((WIDTH, HEIGHT))
    return np.clip(np.asarray(coarse) + random.normal(0, 6, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def save_without_loss(image: Image.Image, folder: Path) -> None:
    image.save(folder / "a.png")
    image.save(folder / "b.bmp")
    image.save(folder / "c.tiff", compression="tiff_lzw")
    image.save(folder / "d.webp", lossless=True, quality=0)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_saved_without_loss_is_the_same_image(mode: str, orientation: int, tmp_path: Path) -> None:
    folder = tmp_path / "photos/shirt"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(photo()).convert(mode).save(folder / "original.jpg", quality=90, exif=exif)
    with Image.open(folder / "original.jpg") as original:
        upright = ImageOps.exif_transpose(original)
    upright.info.pop("exif", None)
    save_without_loss(upright, folder)
    if mode == "L":
        upright.convert("RGB").save(folder / "three channels.png")
        upright.convert("P").save(folder / "palette.gif")
    (folder / "again.jpeg").write_bytes((folder / "original.jpg").read_bytes())
    files = sorted(folder.iterdir())
    (tmp_path / "photos/shoe").mkdir()
    Image.new("RGB", (60, 80), "red").save(tmp_path / "photos/shoe/other.png")
    dataset = read(tmp_path / "photos")
    for size in ((96, 96, 3), (96, 96, 1)):
        digests = digest_dataset(resize_photos(dataset, size, "fit"))
        assert len(np.unique(digests[[str(name).startswith("shirt") for name in dataset.ids]], axis=0)) == 1
        assert len(np.unique(digests, axis=0)) == 2
    assert len(files) == (8 if mode == "L" else 6)


def test_a_photo_saved_again_with_loss_is_another_image(tmp_path: Path) -> None:
    for name, quality, scale in (("a", 95, 1), ("b", 80, 1), ("c", 95, 2)):
        (tmp_path / name).mkdir()
        image = Image.fromarray(photo()).resize((WIDTH // scale, HEIGHT // scale))
        image.save(tmp_path / name / "x.jpg", quality=quality)
    dataset = read(tmp_path)
    assert len(np.unique(digest_dataset(resize_photos(dataset, (96, 96, 3), "fit")), axis=0)) == 3


def test_a_jpeg_of_many_pixels_is_decoded_smaller(tmp_path: Path) -> None:
    """What the how-to on evaluations says of photos of more than 2 megapixels."""
    Image.fromarray(np.zeros((1500, 1600, 3), np.uint8)).save(tmp_path / "x.jpg")
    assert decode(tmp_path / "x.jpg", min_side_px=192).pixels.shape == (375, 400, 3)
