"""Products that are listed twice are found; those that lie on one background, or that a person decided on, are not."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from command_line import error_object, invoke
from muslin.images.decoder import Pixels
from muslin.models.bundle import seal
from muslin.similarity.duplicates import SAME_PHOTO, equal_files, groups_of
from muslin.similarity.index import open_index
from muslin.similarity.registration import agreement, pyramid
from similar_shop import feature_bundle, similar_shop, write_table

Capture = pytest.CaptureFixture[str]

SIDE = 200
BLANKET = 77
"""Of the random numbers of the background that all photos share."""


def smooth_noise(seed: int, cells: int) -> NDArray[np.float32]:
    """float32 (SIDE, SIDE), 0 to 1: creases of cloth."""
    noise = np.random.default_rng(seed).uniform(0, 255, (cells, cells)).astype(np.uint8)
    image = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / 255


def garment(seed: int) -> Pixels:
    """A garment of one colour with creases of its own, on the same patterned blanket as all others."""
    random = np.random.default_rng([seed, 5])
    blanket = 90 + 120 * (smooth_noise(BLANKET, 26) > 0.5).astype(np.float32)
    photo = np.repeat(blanket[:, :, np.newaxis], 3, axis=2)
    left, top = random.integers(20, 36, 2)
    right, bottom = random.integers(164, 180, 2)
    folds = 90 * smooth_noise(seed + 1000, 20)[top:bottom, left:right, np.newaxis]
    photo[top:bottom, left:right] = random.integers(0, 160, 3) + folds
    return photo.clip(0, 255).astype(np.uint8)


def changed(pixels: Pixels, seed: int) -> Image.Image:
    """The same photo as another shop's export would have it: cropped, mirrored, brighter or darker, smaller."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(pixels)
    left, top, right, bottom = random.integers(0, 16, 4).tolist()
    image = image.crop((left, top, SIDE - right, SIDE - bottom))
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.8, 1.15))
    image = image.resize((random.integers(150, 190), random.integers(150, 190)), Image.Resampling.BICUBIC)
    return ImageOps.mirror(image) if seed % 2 else image


@pytest.fixture(scope="module")
def whole_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 garments; A5 and A6 are also listed as B5 and B6 with changed photos, A7 as B7 with the same file."""
    folder = tmp_path_factory.mktemp("duplicates")
    (folder / "photos").mkdir()
    rows = []
    for number in range(20):
        Image.fromarray(garment(number)).save(folder / "photos" / f"{number}.png")
        rows.append((f"A{number}", f"{number}.png"))
    for number in (5, 6):
        changed(garment(number), number).save(folder / "photos" / f"again{number}.jpg", quality=80)
        rows.append((f"B{number}", f"again{number}.jpg"))
    write_table(folder / "products.csv", [*rows, ("B7", "7.png")])
    seal(feature_bundle(), folder / "model.muslin")
    return folder


@pytest.fixture
def index(whole_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(whole_shop, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return built_index(capfd)


def built_index(capfd: Capture) -> Path:
    """The index of the shop in the working directory."""
    built = invoke(
        capfd, "similar", "build", "products.csv", "--images", "photos", "--model", "model.muslin", "-o", "shop.index"
    )
    assert built.code == 0, built
    return Path("shop.index")


@pytest.mark.parametrize("seed", range(8))
def test_a_changed_photo_agrees_with_its_original(seed: int) -> None:
    one, other = pyramid(garment(seed)), pyramid(np.asarray(changed(garment(seed), seed)))
    assert one is not None
    assert other is not None
    assert agreement(one, other) > SAME_PHOTO


def test_garments_on_one_blanket_do_not_agree() -> None:
    photos = [pyramid(garment(seed)) for seed in range(8)]
    for place, one in enumerate(photos):
        for other in photos[:place]:
            assert one is not None
            assert other is not None
            assert agreement(one, other) < SAME_PHOTO


def test_small_and_plain_photos_have_no_details() -> None:
    assert pyramid(np.zeros((28, 28, 1), np.uint8)) is None
    assert pyramid(np.full((300, 300, 3), 128, np.uint8)) is None


def test_planted_duplicates_are_found_and_no_others(index: Path, capfd: Capture) -> None:
    found = invoke(capfd, "similar", "duplicates", index, "--json").json
    pairs = {(pair["product_a"], pair["product_b"]): pair["why"] for pair in found["pairs"]}
    assert pairs == {("A5", "B5"): "photo", ("A6", "B6"): "photo", ("A7", "B7"): "file"}
    assert (found["products"], len(found["groups"])) == (23, 3)


def test_decided_pairs_are_left_out_also_after_rebuilding(index: Path, capfd: Capture) -> None:
    assert invoke(capfd, "similar", "duplicates", index, "-o", "found.csv").code == 0
    rows = list(csv.reader(io.StringIO(Path("found.csv").read_text())))
    decision = rows[0].index("decision")
    words = {"A5": "not the same", "A7": "Same"}
    for row in rows[1:]:
        row[decision] = words.get(row[1], "")
    with Path("decided.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert invoke(capfd, "similar", "decide", index, "decided.csv").out == "noted 2 decisions in shop.index\n"
    again = ("similar", "build", "products.csv", "--images", "photos", "-o", "shop.index", "--update")
    assert invoke(capfd, *again).code == 0
    found = invoke(capfd, "similar", "duplicates", index, "--json").json
    assert [(pair["product_a"], pair["product_b"]) for pair in found["pairs"]] == [("A6", "B6")]
    assert found["decided"] == 2


def test_equal_files_are_paired_until_each_pair_is_decided() -> None:
    digests = np.zeros((7, 32), np.uint8)
    digests[4:, 31] = 1
    products = np.array([2, 0, 2, 1, 3, 3, 4])  # two photos of 2 and of 3
    assert list(equal_files(digests, products)) == [(0, 1), (0, 3), (4, 6)]
    assert list(equal_files(digests, products, {(0, 2)})) == [(0, 3), (4, 6)]
    assert list(equal_files(digests, products, {(0, 2), (1, 2)})) == [(1, 3), (4, 6)]
    assert list(equal_files(digests, products, {(0, 2), (1, 2), (0, 1), (3, 4)})) == []


def test_an_equal_file_is_shown_after_others_are_decided(index: Path, capfd: Capture) -> None:
    table = Path("products.csv")
    table.write_text(table.read_text() + "C7,7.png\n")
    again = ("similar", "build", "products.csv", "--images", "photos", "-o", "shop.index", "--update")
    assert invoke(capfd, *again).code == 0
    for other in ("B7", "C7"):
        assert invoke(capfd, "similar", "not-same", index, "A7", other).code == 0
    found = invoke(capfd, "similar", "duplicates", index, "--json").json["pairs"]
    assert ("B7", "C7") in {(pair["product_a"], pair["product_b"]) for pair in found}


def test_a_word_that_is_no_decision_is_named_with_its_row(index: Path, capfd: Capture) -> None:
    Path("table.csv").write_text("product_a,product_b,decision\nA1,A2,\nA5,B5,maybe\n")
    error = error_object(invoke(capfd, "similar", "decide", index, "table.csv", "--json"))
    assert (error["code"], error["params"]["row"], error["params"]["found"]) == ("pair_decision_unknown", 3, "maybe")
    Path("table.csv").write_text("product_a,product_b\nA1,A2\n")
    assert error_object(invoke(capfd, "similar", "decide", index, "table.csv", "--json"))["code"] == "column_unknown"
    assert not open_index(index).decisions


def test_the_page_shows_both_photos_and_escapes_names(index: Path, capfd: Capture) -> None:
    table = Path("products.csv")
    table.write_text(table.read_text().replace("B5", "<b>B5</b>"))
    again = ("similar", "build", "products.csv", "--images", "photos", "-o", "shop.index", "--update")
    assert invoke(capfd, *again).code == 0
    Path("photos/again6.jpg").unlink()
    done = invoke(capfd, "similar", "duplicates", index, "-o", "found.html")
    page = Path("found.html").read_text()
    assert ">A6<" not in page, "its other photo is gone, which the page says"
    assert "again6.jpg" in page
    assert "&lt;b&gt;B5&lt;/b&gt;" in page
    assert "<b>B5" not in page
    assert page.count("data:image/jpeg;base64,") + page.count("data:image/png;base64,") == 4
    assert "again6.jpg" in done.out
    pairs = invoke(capfd, "similar", "duplicates", index, "--json").json["pairs"]
    for pair in pairs:
        assert f"agreement {pair['agreement']:.3f}</p>" in page
        assert f" {pair['agreement']:.3f}" in done.out
    assert f"{len(pairs)} groups of duplicates" in page
    assert f"{len(pairs)} groups of duplicates" in done.out


def test_photos_changed_since_are_counted_not_compared(index: Path, capfd: Capture) -> None:
    Image.fromarray(garment(99)).save("photos/again5.jpg")
    found = invoke(capfd, "similar", "duplicates", index, "--json").json
    assert [(pair["product_a"], pair["product_b"]) for pair in found["pairs"]] == [("A7", "B7"), ("A6", "B6")]
    assert found["changed"] == ["again5.jpg"]


def test_photos_too_small_to_compare_are_named_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(similar_shop(tmp_path / "shop", products=12, views=1))
    index = built_index(capfd)
    found = invoke(capfd, "similar", "duplicates", index, "--json").json
    assert (found["compared"], found["pairs"]) == (0, [])
    assert sorted(found["without_details"]) == sorted(f"{number}-0.png" for number in range(12))
    assert "smaller than 96 px" in invoke(capfd, "similar", "duplicates", index, "-o", "found.html").out
    assert "smaller than 96 px" in Path("found.html").read_text()


def test_moved_photos_are_named_with_what_helps(index: Path, capfd: Capture) -> None:
    Path("photos").rename("elsewhere")
    for words in (("duplicates", index), ("find", index, "A5", "-o", "like.html")):
        error = error_object(invoke(capfd, "similar", *words, "--json"))
        assert error["code"] == "index_data_unreadable"
        assert error["params"]["reason"]["code"] == "images_path"
    assert not Path("like.html").exists()


def test_find_writes_a_page_with_the_query_and_what_is_like_it(index: Path, capfd: Capture) -> None:
    assert invoke(capfd, "similar", "find", index, "A5", "-k", 3, "-o", "like.html").code == 0
    page = Path("like.html").read_text()
    assert page.count("data:image/") == 4
    assert "B5" in page
    assert invoke(capfd, "similar", "find", index, "photos/again6.jpg", "-k", 3, "-o", "photo.html").code == 0
    assert Path("photo.html").read_text().count("data:image/") == 4
    error = error_object(invoke(capfd, "similar", "find", index, "A5", "-o", "like.html", "--json"))
    assert error["code"] == "output_exists"
    error = error_object(invoke(capfd, "similar", "duplicates", index, "-o", "found.txt", "--json"))
    assert error["code"] == "duplicates_suffix"


def test_groups_join_pairs_that_share_a_product() -> None:
    assert groups_of([(5, 6), (1, 2), (2, 3), (6, 9)]) == [[1, 2, 3], [5, 6, 9]]
    assert groups_of([]) == []
