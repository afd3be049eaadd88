"""Both releases of DeepFashion's lists, in their own layout, for photos of another source."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import make_photos
from PIL import Image

from muslin.data import read
from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError, ImageError

CATEGORIES = [("Anorak", 1), ("Blazer", 1), ("Skirt", 2), ("Jumpsuit", 3)]
ATTRIBUTES = [("a-line", 3), ("animal print", 1), ("denim", 2)]
ROWS = [
    ("img/Sheer Pleated-Front_Blouse/img_00000001.jpg", 2, (1, -1, 0), (5, 6, 30, 50), "train"),
    ("img/Sheer Pleated-Front_Blouse/img_00000002.jpg", 2, (-1, -1, -1), (0, 0, 20, 20), "train"),
    ("img/Denim_Skirt/img_00000001.jpg", 3, (0, 0, 1), (1, 2, 33, 44), "val"),
    ("img/Denim_Skirt/img_00000002.jpg", 3, (0, 0, 0), (1, 2, 900, 944), "test"),
]


def photos(root: Path) -> None:
    for (name, *_), (_, _, image) in zip(ROWS, make_photos(2), strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name, quality=95)


def write_list(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(rows)), header, *rows]) + "\n")


@pytest.fixture
def coarse(tmp_path: Path) -> Path:
    root = tmp_path / "DeepFashion"
    photos(root)
    anno = root / "Anno"
    write_list(anno / "list_category_cloth.txt", "category_name  category_type", [f"{n}   {t}" for n, t in CATEGORIES])
    write_list(anno / "list_attr_cloth.txt", "attribute_name  attribute_type", [f"{n}   {t}" for n, t in ATTRIBUTES])
    write_list(anno / "list_category_img.txt", "image_name  category_label", [f"{r[0]}    {r[1]}" for r in ROWS])
    flags = [f"{r[0]}   " + " ".join(f"{v:2}" for v in r[2]) + " " for r in ROWS]
    write_list(anno / "list_attr_img.txt", "image_name  attribute_labels", flags)
    boxes = [f"{r[0]}  " + " ".join(f"{v:03}" for v in r[3]) for r in ROWS]
    write_list(anno / "list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", boxes)
    parts = [f"{r[0]}   {r[4]}" for r in ROWS]
    write_list(root / "Eval/list_eval_partition.txt", "image_name  evaluation_status", parts)
    return root


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    root = tmp_path / "DeepFashion"
    photos(root)
    anno = root / "Anno_fine"
    write_list(anno / "list_category_cloth.txt", "category_name  category_type", [f"{n}   {t}" for n, t in CATEGORIES])
    write_list(anno / "list_attr_cloth.txt", "attribute_name  attribute_type", [f"{n}   {t}" for n, t in ATTRIBUTES])
    for part in ("train", "val", "test"):
        rows = [r for r in ROWS if r[4] == part]
        lists = {
            "": [r[0] for r in rows],
            "_cate": [str(r[1]) for r in rows],
            "_attr": [" ".join(str(max(v, 0)) for v in r[2]) for r in rows],
            "_bbox": [" ".join(map(str, r[3])) for r in rows],
        }
        for kind, lines in lists.items():
            (anno / f"{part}{kind}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_a_list_of_attributes_without_names_gives_no_class(coarse: Path) -> None:
    (coarse / "Anno/list_attr_cloth.txt").write_text("0\nattribute_name attribute_type\n")
    (coarse / "Anno/list_attr_img.txt").write_text(f"1\nimage_name attribute_labels\n{ROWS[0][0]}\n")
    assert read(coarse, target="attributes").labels["attributes"].shape == (1, 0)


def test_first_release_has_categories_attributes_parts_and_groups(coarse: Path) -> None:
    data = read(coarse)
    assert data.format == "deepfashion"
    assert "DeepFashion's lists, with Anno/list_category_img.txt" in data.origin
    assert [(t.name, t.kind) for t in data.targets] == [("category", "multiclass"), ("attributes", "multilabel")]
    assert data.targets[0].classes == ("Anorak", "Blazer", "Skirt", "Jumpsuit")
    assert data.targets[1].classes == ("a-line", "animal print", "denim")
    assert data.labels["category"].tolist() == [1, 1, 2, 2]
    assert data.labels["attributes"].tolist() == [[1, 0, UNKNOWN], [0, 0, 0], [UNKNOWN, UNKNOWN, 1], [UNKNOWN] * 3]
    assert data.labels["attributes"].dtype == np.int8
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "train", "validation", "test"]
    assert data.groups is not None
    assert len(set(data.groups)) == 2
    assert data.ids[0] == ROWS[0][0]
    assert read(coarse / "Anno", target="category").fingerprint == read(coarse, target="category").fingerprint
    assert [t.name for t in read(coarse, target="attributes").targets] == ["attributes"]


def test_targets_of_a_model_are_read_where_they_exist(coarse: Path) -> None:
    assert [target.name for target in read(coarse, model_targets=["category", "colour"]).targets] == ["category"]
    both = ["category", "attributes"]
    assert [target.name for target in read(coarse, model_targets=["colour"]).targets] == both
    chosen = read(coarse, target=("attributes",), model_targets=["category"])
    assert [target.name for target in chosen.targets] == ["attributes"]


@pytest.mark.parametrize("generation", ["coarse", "fine"])
def test_crop_option_crops_photos_to_their_boxes(generation: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(generation)
    whole, cut = read(root), read(root, crop_to_boxes=True)
    left, top, right, bottom = ROWS[0][3]
    assert (cut.images[0] == whole.images[0][top:bottom, left:right]).all()
    assert cut.images[3].shape[0] == whole.images[3].shape[0] - 2  # the box ends where the photo does
    assert cut.fingerprint != whole.fingerprint
    assert cut.images.take(np.array([1]))[0].shape == (20, 20, 3)


def test_fine_lists_are_joined_by_row_number(fine: Path) -> None:
    data = read(fine)
    assert data.format == "deepfashion-fine"
    assert data.labels["category"].tolist() == [1, 1, 2, 2]
    assert data.labels["attributes"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "train", "validation", "test"]
    (fine / "Anno_fine/test_attr.txt").unlink()
    assert read(fine).labels["attributes"][3].tolist() == [UNKNOWN] * 3
    whole = data.part("test").targets
    assert whole == data.targets


def test_reordered_lists_and_missing_photos(coarse: Path) -> None:
    lines = (coarse / "Anno/list_attr_img.txt").read_text().splitlines()
    lines[0] = "3"
    (coarse / "Anno/list_attr_img.txt").write_text("\n".join([*lines[:2], *reversed(lines[2:5])]))
    data = read(coarse)
    assert data.labels["attributes"].tolist() == [[1, 0, UNKNOWN], [0, 0, 0], [UNKNOWN, UNKNOWN, 1], [UNKNOWN] * 3]
    fix, unlabelled, shared = data.fixes
    assert (fix.code, fix.params["name"]) == ("photos_not_in_list", "list_attr_img.txt")
    assert (unlabelled.code, unlabelled.params["target"]) == ("images_without_label", "attributes")
    assert (shared.code, shared.params["names"]) == ("groups_in_two_parts", ["img/Denim_Skirt"])
    (coarse / ROWS[1][0]).unlink()
    fewer = read(coarse)
    assert len(fewer) == 3
    assert fewer.targets == data.targets
    assert fewer.fixes[1].code == "photos_missing"
    assert fewer.fixes[1].params["names"] == [ROWS[1][0]]


def test_photos_can_be_in_another_folder(coarse: Path, tmp_path: Path) -> None:
    whole = read(coarse).fingerprint
    (coarse / "Img").mkdir()
    (coarse / "img").rename(coarse / "Img/img")
    assert read(coarse).fingerprint == whole
    (coarse / "Img/img").rename(tmp_path / "images")
    with pytest.raises(DataError) as error:
        read(coarse)
    assert (error.value.code, error.value.params["count"]) == ("no_photo_found", 4)
    assert read(coarse, images=tmp_path / "images").fingerprint == whole


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "params"),
    [
        ("list_category_img.txt", "4\n", "5\n", "list_row_count", {"found": 4, "expected": 5}),
        ("list_attr_img.txt", "4\n", "5\n", "list_row_count", {"found": 4, "expected": 5}),
        ("list_attr_img.txt", "4\n", "3\n", "list_row_count", {"found": 4, "expected": 3}),
        ("list_category_img.txt", "    3\n", "    9\n", "category_number", {"line": 5, "found": "9", "count": 4}),
        ("list_attr_img.txt", "-1 -1 -1", "-1 2 -1", "attribute_values", {"name": ROWS[1][0], "count": 3}),
        ("list_attr_img.txt", "-1 -1 -1", "-1", "row_length", {"line": 4, "expected": 4}),
        ("list_category_cloth.txt", "4\n", "category\n", "list_row_count_missing", {}),
        ("list_bbox.txt", "005 006", "x y", "box_values", {"line": 3}),
    ],
)
def test_invalid_list_is_refused(
    coarse: Path, name: str, old: str, new: str, code: str, params: dict[str, Any]
) -> None:
    path = coarse / "Anno" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as error:
        read(coarse, crop_to_boxes=True)
    assert error.value.code == code
    assert error.value.params.items() >= {"path": str(path), **params}.items()


def test_lists_of_a_part_with_different_lengths_are_refused(fine: Path) -> None:
    (fine / "Anno_fine/train_cate.txt").write_text("2\n")
    with pytest.raises(DataError) as error:
        read(fine)
    assert error.value.code == "list_lengths"
    assert error.value.params == {
        "path": str(fine / "Anno_fine/train.txt"), "other": "train_cate.txt", "expected": 2, "found": 1
    }  # fmt: skip


def test_format_chooses_between_both_releases_in_one_folder(coarse: Path, fine: Path) -> None:
    assert read(coarse).format == "deepfashion"
    fine_grained = read(coarse, format="deepfashion-fine")
    assert "read as deepfashion-fine because of --format" in fine_grained.origin
    assert read(coarse / "Anno_fine").format == "deepfashion-fine"


def test_box_outside_its_photo_is_refused_when_read(coarse: Path) -> None:
    Image.new("RGB", (4, 5)).save(coarse / ROWS[0][0])
    with pytest.raises(ImageError) as error:
        read(coarse, crop_to_boxes=True).images[0]
    assert error.value.code == "box_outside"


IN_SHOP = [
    ("WOMEN/Dresses/id_00000002/02_1_front.jpg", "train"),
    ("WOMEN/Dresses/id_00000002/02_2_side.jpg", "train"),
    ("MEN/Denim/id_00000080/01_1_front.jpg", "query"),
    ("MEN/Denim/id_00000080/01_7_additional.jpg", "gallery"),
    ("WOMEN/Denim/id_00000090/01_1_front.jpg", "train"),
]
PAIRS = [
    ("CLOTHING/Blouse/id_00000001/comsumer_01.jpg", "CLOTHING/Blouse/id_00000001/shop_01.jpg", "train"),
    ("CLOTHING/Blouse/id_00000001/comsumer_02.jpg", "CLOTHING/Blouse/id_00000001/shop_01.jpg", "train"),
    ("DRESSES/Skirt/id_00003684/comsumer_01.jpg", "DRESSES/Skirt/id_00003684/shop_01.jpg", "val"),
    ("TROUSERS/Pants/id_00003690/comsumer_01.jpg", "TROUSERS/Pants/id_00003690/shop_01.jpg", "test"),
]


def item(name: str) -> str:
    return name.split("/")[-2]


def save_photos(root: Path, names: list[str]) -> None:
    for name, (_, _, image) in zip(names, make_photos(3), strict=False):
        (root / "img" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / "img" / name, quality=95)


@pytest.fixture
def in_shop(tmp_path: Path) -> Path:
    root = tmp_path / "In-shop Clothes Retrieval Benchmark"
    save_photos(root / "Img", [name for name, _ in IN_SHOP])
    rows = [f"img/{name}    {item(name)} {status}" for name, status in IN_SHOP]
    write_list(root / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", rows)
    boxes = [f"img/{name}  1 1 004 005 030 040" for name, _ in IN_SHOP]
    write_list(root / "Anno/list_bbox_inshop.txt", "image_name  clothes_type  pose_type  x_1  y_1  x_2  y_2", boxes)
    (root / "Anno/list_item_inshop.txt").write_text("3\nid_00000002\nid_00000080\nid_00000090\n")
    return root


@pytest.fixture
def consumer_to_shop(tmp_path: Path) -> Path:
    root = tmp_path / "Consumer-to-shop Clothes Retrieval Benchmark"
    save_photos(root, list(dict.fromkeys(name for pair in PAIRS for name in pair[:2])))
    rows = [f"img/{one}\timg/{other}\t{item(one)}\t{status}" for one, other, status in PAIRS]
    header = "image_pair_name_1 image_pair_name_2 item_id evaluation_status"
    write_list(root / "Eval/list_eval_partition.txt", header, rows)
    boxes = [f"img/{name} 1 2 004 005 030 040" for pair in PAIRS for name in pair[:2]]
    write_list(root / "Anno/list_bbox_consumer2shop.txt", "image_name clothes_type source_type x_1 y_1 x_2 y_2", boxes)
    return root


def test_in_shop_has_categories_genders_items_and_parts(in_shop: Path) -> None:
    data = read(in_shop)
    assert data.format == "deepfashion-items"
    assert [(t.name, t.classes) for t in data.targets] == [
        ("category", ("Denim", "Dresses")),
        ("gender", ("MEN", "WOMEN")),
    ]
    assert data.labels["category"].tolist() == [1, 1, 0, 0, 0]
    assert data.labels["gender"].tolist() == [1, 1, 0, 0, 1]
    assert data.parts is not None
    assert data.parts.tolist() == ["train", "train", "test", "test", "train"]
    assert data.products is not None
    assert data.products.tolist() == ["id_00000002", "id_00000002", "id_00000080", "id_00000080", "id_00000090"]
    assert data.groups is None
    assert data.roles is not None
    assert data.roles.tolist()[:2] == ["front", "side"]
    assert data.fixes == ()
    assert read(in_shop, product="none").products is None
    assert read(in_shop / "Anno", target="category").labels.keys() == {"category"}


def test_consumer_to_shop_has_each_photo_once(consumer_to_shop: Path) -> None:
    data = read(consumer_to_shop)
    assert [(t.name, t.classes) for t in data.targets] == [("category", ("Blouse", "Pants", "Skirt"))]
    assert len(data) == 7
    assert data.parts is not None
    assert data.parts.tolist() == ["train"] * 3 + ["validation"] * 2 + ["test"] * 2
    assert data.products is not None
    assert len(set(data.products)) == 3


def test_high_resolution_photos_are_found_where_only_they_are(in_shop: Path) -> None:
    before = read(in_shop).fingerprint
    (in_shop / "Img/img").rename(in_shop / "Img/img_highres")
    assert read(in_shop).fingerprint == before


@pytest.mark.parametrize("benchmark", ["in_shop", "consumer_to_shop"])
def test_boxes_of_both_item_lists_crop_photos(benchmark: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(benchmark)
    assert (read(root, crop_to_boxes=True).images[0] == read(root).images[0][5:40, 4:30]).all()


def test_item_in_two_parts_is_named(in_shop: Path, consumer_to_shop: Path) -> None:
    path = in_shop / "Eval/list_eval_partition.txt"
    path.write_text(
        path.read_text().replace("02_2_side.jpg    id_00000002 train", "02_2_side.jpg    id_00000002 query")
    )
    [fix] = read(in_shop).fixes
    assert (fix.code, fix.params["names"]) == ("products_in_two_parts", ["id_00000002"])
    path = consumer_to_shop / "Eval/list_eval_partition.txt"
    path.write_text(path.read_text().replace("train", "test", 1))
    codes = {fix.code: fix.params["names"] for fix in read(consumer_to_shop).fixes}
    assert codes == {"photos_in_two_parts": [f"img/{PAIRS[0][1]}"], "products_in_two_parts": ["id_00000001"]}


def test_item_photos_without_lists_have_products(in_shop: Path) -> None:
    data = read(in_shop / "Img")
    assert data.format == "folders"
    assert data.targets[0].classes == ("MEN/Denim", "WOMEN/Denim", "WOMEN/Dresses")
    assert data.products is not None
    assert set(data.products) == {"id_00000002", "id_00000080", "id_00000090"}
    assert [fix.code for fix in data.fixes] == ["products_grouped"]
    assert read(in_shop / "Img", levels=1).targets[0].classes == ("MEN", "WOMEN")


@pytest.mark.parametrize(
    ("old", "new", "code", "params"),
    [
        ("5\n", "6\n", "list_row_count", {"found": 5, "expected": 6}),
        (" query", " probe", "split_value_unknown", {"row": 5, "name": "probe"}),
        (" id_00000002 train", "", "row_length", {"line": 3, "expected": 3}),
    ],
)
def test_invalid_list_of_items_is_refused(in_shop: Path, old: str, new: str, code: str, params: dict[str, Any]) -> None:
    path = in_shop / "Eval/list_eval_partition.txt"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError) as error:
        read(in_shop)
    assert error.value.code == code
    assert error.value.params.items() >= {"path": str(path), **params}.items()
