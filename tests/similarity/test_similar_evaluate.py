"""Recall of products on DeepFashion's lists, in their true format, and on a shop's own products."""

from pathlib import Path

import pytest

from command_line import invoke
from muslin.data.formats.deepfashion_items import retrieval_sets
from muslin.models.bundle import seal
from similar_shop import feature_bundle, pattern, similar_shop, view, write_photo

Capture = pytest.CaptureFixture[str]

MISSING = "img/WOMEN/Dresses/id_00000007/00_1_front.jpg"


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    seal(feature_bundle(), tmp_path / "model.muslin")


def write_list(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(rows)), header, *rows]) + "\n")


def in_shop(root: Path) -> Path:
    """30 training items, and 20 items of which the second photo is looked up among the first ones and a stranger's."""
    rows = []
    for item in range(50):
        for place, status in enumerate(("train", "train") if item < 30 else ("gallery", "query")):
            name = f"img/WOMEN/Dresses/id_{item:08}/0{place}_1_front.jpg"
            write_photo(root / name, view(pattern(item), 10 * item + place))
            rows.append(f"{name} id_{item:08} {status}")
    write_list(root / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", rows)
    return root


def consumer_to_shop(root: Path) -> Path:
    """Pairs of 10 training, 5 validation and 15 test items; the customers' photos are the darker ones."""
    rows = []
    for item in range(30):
        folder = f"img/CLOTHING/Blouse/id_{item:08}"
        status = "train" if item < 10 else "val" if item < 15 else "test"
        for customer in (1, 2):
            write_photo(
                root / folder / f"comsumer_0{customer}.jpg", view(pattern(item), 10 * item + customer) // 2 + 60
            )
            rows.append(f"{folder}/comsumer_0{customer}.jpg {folder}/shop_01.jpg id_{item:08} {status}")
        write_photo(root / folder / "shop_01.jpg", view(pattern(item), 10 * item))
    header = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    write_list(root / "Eval/list_eval_partition.txt", header, rows)
    return root


def test_in_shop_is_evaluated_by_its_own_protocol(tmp_path: Path, capfd: Capture) -> None:
    root = in_shop(tmp_path / "In-shop")
    result = invoke(capfd, "similar", "evaluate", root, "--model", "model.muslin", "--json").json
    assert (result["protocol"], result["queries"], result["gallery"], result["products"]) == ("In-shop", 20, 20, 20)
    assert [row["k"] for row in result["recall"]] == [1, 10, 20, 50]
    assert result["recall"][0]["value"] == 1
    assert 0.8 < result["recall"][0]["interval"][0] < 1
    write_photo(root / "img/WOMEN/Dresses/id_00000030/01_1_front.jpg", pattern(31))  # looks like another item
    result = invoke(capfd, "similar", "evaluate", root, "--model", "model.muslin", "--json").json
    first, _, *all_of_20 = (row["value"] for row in result["recall"])
    assert (first, all_of_20) == (0.95, [1, 1])


def test_customers_photos_are_looked_up_among_all_shops_photos(tmp_path: Path, capfd: Capture) -> None:
    root = consumer_to_shop(tmp_path / "Consumer-to-shop")
    sets = retrieval_sets(root)
    assert (len(sets.train), len(sets.query), len(sets.gallery)) == (30, 30, 20)
    assert all("comsumer" in name for name in sets.query)
    assert all("shop_01" in name for name in sets.gallery)
    done = invoke(capfd, "similar", "evaluate", root, "--model", "model.muslin")
    assert done.out.splitlines()[0] == "Consumer-to-shop: 30 photos of 15 products, looked up among 20"
    assert "Recall@1" in done.out


def test_a_shop_s_own_products_are_looked_up_among_all_others(tmp_path: Path, capfd: Capture) -> None:
    similar_shop(tmp_path, products=25, views=2)
    shop = ("similar", "evaluate", "products.csv", "--images", "photos", "--model", "model.muslin")
    result = invoke(capfd, *shop, "--product", "sku", "--json").json
    assert (result["protocol"], result["queries"], result["gallery"]) == ("own products", 50, 49)
    assert result["recall"][0]["value"] == 1
    failed = invoke(capfd, *shop, "--product", "none", "--json")
    assert failed.json["error"]["code"] == "retrieval_without_pairs"


def test_lists_without_a_photo_to_look_up_are_refused(tmp_path: Path, capfd: Capture) -> None:
    root = in_shop(tmp_path / "In-shop")
    for photo in root.glob("img/WOMEN/Dresses/*/01_1_front.jpg"):
        photo.unlink()
    failed = invoke(capfd, "similar", "evaluate", root, "--model", "model.muslin", "--json")
    assert failed.json["error"]["code"] == "retrieval_without_queries"


def test_missing_photos_are_named_once(tmp_path: Path, capfd: Capture) -> None:
    shop = similar_shop(tmp_path, products=8)
    lists = in_shop(tmp_path / "In-shop")
    for data, folder, name in ((shop / "products.csv", "photos", "3-1.png"), (lists, "", MISSING)):
        (data.parent if data.is_file() else data).joinpath(folder, name).unlink()
        done = invoke(capfd, "similar", "evaluate", data, "--model", "model.muslin")
        assert done.code == 0
        assert done.err.count(name) == 1, done.err
