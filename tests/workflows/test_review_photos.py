"""The photos of a store's products are found in every kind of catalogue, as when they were added."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.errors import DataError, ImageError
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.workflows.review_add import add_catalogue
from muslin.workflows.review_photos import FoundPhoto, photo_finder
from small_models import SIDE, small_bundle

SHADES = (0, 100, 200)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seal(small_bundle(), tmp_path / "model.muslin")
    with Store.create(tmp_path / "shop.db", tmp_path / "model.muslin", who="Ada") as store:
        yield store


def png(shade: int) -> bytes:
    Image.fromarray(np.full((SIDE, SIDE), shade, np.uint8)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def shade_of(found: FoundPhoto) -> int:
    assert not isinstance(found, ImageError), found
    if isinstance(found, np.ndarray):
        return int(found.flat[0])
    return int(np.asarray(Image.open(io.BytesIO(found.content()))).flat[0])


def write_folder(path: Path) -> None:
    for kind in ("a", "b"):
        (path / kind).mkdir(parents=True)
    for number, shade in enumerate(SHADES):
        (path / "ab"[number % 2] / f"{number}.png").write_bytes(png(shade))


def folder(path: Path) -> Path:
    write_folder(path / "photos")
    return path / "photos"


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path / "photos.zip", "w") as archive:
        for number, shade in enumerate(SHADES):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", png(shade))
    return path / "photos.zip"


def csv_with_zip(path: Path) -> Path:
    zipped(path)
    (path / "photos.csv").write_text("image,title\n" + "".join(f"{n}.png,{n}\n" for n in range(len(SHADES))))
    return path / "photos.csv"


def parquet(path: Path, names: list[str | None]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": png(shade), "path": name} for shade, name in zip(SHADES, names, strict=True)]
    pq.write_table(pa.table({"image": images, "title": ["x", "y", "z"]}), path / "photos.parquet")
    return path / "photos.parquet"


CATALOGUES = {
    "folder": folder,
    "zip": zipped,
    "table beside a zip": csv_with_zip,
    "parquet": lambda path: parquet(path, ["a.png", "b.png", "c.png"]),
    "parquet with one name": lambda path: parquet(path, ["a.png", "a.png", "a.png"]),
    "parquet without names": lambda path: parquet(path, [None, None, None]),
}


@pytest.mark.parametrize("kind", CATALOGUES)
def test_photos_are_those_that_were_added(kind: str, store: Store, tmp_path: Path) -> None:
    add_catalogue(store, CATALOGUES[kind](tmp_path))
    (catalogue,) = store.catalogues()
    find = photo_finder(catalogue.path, catalogue.read_options)
    products = list(store.products())
    assert len(products) == len(SHADES)
    assert sorted(shade_of(find(product, 0)) for product in products) == sorted(SHADES)


def test_a_photo_that_vanished_is_told_and_the_others_are_found(store: Store, tmp_path: Path) -> None:
    data = csv_with_folder(tmp_path)
    add_catalogue(store, data)
    (catalogue,) = store.catalogues()
    (tmp_path / "images/1.png").unlink()
    find = photo_finder(catalogue.path, catalogue.read_options)
    found = [find(product, 0) for product in store.products()]
    assert [isinstance(each, ImageError) for each in found] == [False, True, False]


def csv_with_folder(path: Path) -> Path:
    (path / "images").mkdir()
    for number, shade in enumerate(SHADES):
        (path / f"images/{number}.png").write_bytes(png(shade))
    (path / "shop.csv").write_text("image,title\n" + "".join(f"{n}.png,{n}\n" for n in range(len(SHADES))))
    return path / "shop.csv"


def test_a_catalogue_that_vanished_is_told(store: Store, tmp_path: Path) -> None:
    data = folder(tmp_path)
    add_catalogue(store, data)
    (catalogue,) = store.catalogues()
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError):
        photo_finder(catalogue.path, catalogue.read_options)


def test_several_photos_of_a_product_keep_their_order(store: Store, tmp_path: Path) -> None:
    data = csv_with_folder(tmp_path)
    data.write_text("image,title\n2.png|0.png|1.png,coat\n")
    add_catalogue(store, data)
    (catalogue,), (product,) = store.catalogues(), store.products()
    find = photo_finder(catalogue.path, catalogue.read_options)
    assert [shade_of(find(product, number)) for number in range(3)] == [SHADES[2], SHADES[0], SHADES[1]]
