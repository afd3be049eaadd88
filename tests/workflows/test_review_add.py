"""A catalogue comes into a review store, again after it has changed, and on after an interruption."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import invoke
from muslin.data.dataset import Target
from muslin.errors import StoppedError
from muslin.models.bundle import seal
from muslin.review import products
from muslin.review.store import Store
from muslin.review.values import Filters
from muslin.workflows.review_add import AddedCatalogue, AddOptions, add_catalogue
from muslin.workflows.review_init import InitOptions, init
from noted_decoding import noted_decoding
from refusals import refuses
from review_stores import confirm
from small_models import LABEL, SIDE, small_bundle, with_ood_detector
from small_shop import calibration_data, small_shop

SHOP = "number,colour,image\n1,red,black.png\n2,blue,gray.png\n3,blue,white.png\n4,,gone.jpg\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = small_shop(tmp_path)
    bundle = replace(small_bundle(), calibration_data={"label": calibration_data()})
    seal(bundle, folder / "model.muslin")
    (folder / "shop.csv").write_text(SHOP)
    return folder


@pytest.fixture
def store(shop: Path) -> Iterator[Store]:
    init(str(shop / "shop.db"), shop / "model.muslin", InitOptions(precision=0.9, spot_checks=0.0), who="Ada")
    with Store.open(shop / "shop.db") as opened:
        yield opened


def add(store: Store, shop: Path, text: str | None = None) -> AddedCatalogue:
    if text is not None:
        (shop / "shop.csv").write_text(text)
    return add_catalogue(store, shop / "shop.csv")


def counted(added: AddedCatalogue) -> dict[str, int]:
    names = ("added", "changed", "returned", "text_changed", "unchanged", "unreadable", "gone")
    return {name: getattr(added, name) for name in names if getattr(added, name)}


def paint(path: Path, brightness: int) -> None:
    Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(path)


def test_products_are_as_tag_predicts_them(store: Store, shop: Path) -> None:
    added = add(store, shop)
    assert counted(added) == {"added": 4, "unreadable": 1}
    items = {item.name: item for item in store.items("label")}
    assert {name: (item.value, item.decision) for name, item in items.items()} == {
        "black.png": ("Trouser", "review"),
        "gray.png": ("Bag", "accept"),
        "white.png": ("Bag", "accept"),
    }
    assert items["black.png"].text == "1 · red"
    assert items["gray.png"].candidates[0] == "Bag"
    assert set(items["gray.png"].candidates) == set(LABEL.classes)
    assert added.decisions == {"label": {"accept": 2, "review": 1}}
    assert [note.params["names"] for note in added.notes if note.code == "review_products_unreadable"] == [["gone.jpg"]]  # type: ignore[attr-defined]


def test_same_catalogue_again_changes_and_decodes_nothing(
    store: Store, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, shop)
    before = list(store.products())
    names = noted_decoding(monkeypatch)
    assert counted(add(store, shop)) == {"unchanged": 4, "unreadable": 1}
    assert list(store.products()) == before
    assert not names
    assert len(store.catalogues()) == 1


def test_another_photo_asks_again_and_the_old_one_counts_again(store: Store, shop: Path) -> None:
    add(store, shop)
    confirm(store, store.items("label", Filters(text="black")))
    shutil.copy(shop / "images/black.png", shop / "kept.png")
    paint(shop / "images/black.png", 250)
    assert counted(add(store, shop)) == {"changed": 1, "unchanged": 3, "unreadable": 1}
    [item] = store.items("label", Filters(text="black"))
    assert (item.value, item.has_changed) == ("Bag", True)
    assert not list(store.decided("label"))
    shutil.copy(shop / "kept.png", shop / "images/black.png")
    assert counted(add(store, shop)) == {"changed": 1, "unchanged": 3, "unreadable": 1}
    [decided] = store.decided("label")
    assert decided.value == "Trouser"


def test_other_cells_keep_the_decision(store: Store, shop: Path) -> None:
    add(store, shop)
    confirm(store, store.items("label", Filters(text="red")))
    assert counted(add(store, shop, SHOP.replace("red", "crimson"))) == {
        "text_changed": 1, "unchanged": 3, "unreadable": 1,
    }  # fmt: skip
    [item] = store.items("label", Filters(text="crimson"))
    assert item.decided is not None
    assert not item.has_changed


def test_photos_and_rows_that_vanish_are_told_and_come_back(store: Store, shop: Path) -> None:
    add(store, shop)
    confirm(store, store.items("label"))
    (shop / "images/gray.png").rename(shop / "gray.bak")
    vanished = add(store, shop, SHOP.replace("3,blue,white.png\n", ""))
    assert counted(vanished) == {"changed": 1, "unchanged": 2, "unreadable": 2, "gone": 1}
    codes = {note.code: note.params for note in vanished.notes}  # type: ignore[attr-defined]
    assert sorted(codes["review_products_unreadable"]["names"]) == ["gone.jpg", "gray.png"]
    assert codes["review_products_gone"]["names"] == ["white.png"]
    assert [item.name for item in store.items("label")] == ["black.png"]
    assert counted(add(store, shop)) == {"unchanged": 3, "unreadable": 2}, "they are told once"
    assert store.counts("label").unreadable == 2
    (shop / "gray.bak").rename(shop / "images/gray.png")
    assert counted(add(store, shop, SHOP)) == {"changed": 1, "returned": 1, "unchanged": 2, "unreadable": 1}
    assert len(list(store.decided("label"))) == 3


def test_numbered_products_keep_decisions_when_files_are_renamed(store: Store, shop: Path) -> None:
    said = [note.code for note in add(store, shop, "SKU,image\n7,black.png\n8,white.png\n").notes]  # type: ignore[attr-defined]
    assert "review_product_column" in said
    [item] = store.items("label", Filters(text="black"))
    assert (item.name, item.photos) == ("7", ("black.png",))
    confirm(store, [item])
    (shop / "images/black.png").rename(shop / "images/dark.png")
    assert counted(add(store, shop, "SKU,image\n7,dark.png\n8,white.png\n")) == {"text_changed": 1, "unchanged": 1}
    assert counted(add(store, shop, "SKU,image\n7,dark.png\n7,gray.png\n8,white.png\n"))["changed"] == 1
    [item] = store.items("label", Filters(text="dark"))
    assert item.photos == ("dark.png", "gray.png")
    assert item.decided is not None


def test_next_months_catalogue_asks_nothing_twice(store: Store, shop: Path) -> None:
    add(store, shop)
    confirm(store, store.items("label"))
    paint(shop / "images/cap.png", 70)
    (shop / "next.csv").write_text(SHOP + "5,green,cap.png\n")
    with refuses("review_catalogue_repeats", other=str(shop / "shop.csv"), count=4, n=5):
        add_catalogue(store, shop / "next.csv")
    instead = AddOptions(instead_of=shop / "shop.csv")
    assert counted(add_catalogue(store, shop / "next.csv", options=instead)) == {
        "added": 1, "unchanged": 4, "unreadable": 1,
    }  # fmt: skip
    assert [item.name for item in store.items("label", Filters(state="open"))] == ["cap.png"]
    assert [row.path for row in store.catalogues()] == [str(shop / "next.csv")]
    (shop / "copy.csv").write_text(SHOP)
    assert counted(add_catalogue(store, shop / "copy.csv", options=AddOptions(is_new=True)))["added"] == 4
    with refuses("review_catalogue_known", path=str(shop / "copy.csv")):
        add_catalogue(store, shop / "copy.csv", options=AddOptions(instead_of=shop / "next.csv"))


def test_interrupted_replacement_continues(store: Store, shop: Path) -> None:
    add_catalogue(store, shop / "shop.csv")
    (shop / "next.csv").write_text(SHOP)
    instead = AddOptions(instead_of=shop / "shop.csv")
    with pytest.raises(StoppedError):
        add_catalogue(store, shop / "next.csv", options=instead, should_stop=lambda: True)
    said: list[str] = []
    again = add_catalogue(store, shop / "next.csv", options=instead, log=said.append)
    assert counted(again) == {"unchanged": 4, "unreadable": 1}
    assert [row.path for row in store.catalogues()] == [str(shop / "next.csv")]
    assert "review_catalogue_moved" in [note.code for note in said]  # type: ignore[attr-defined]
    (shop / "third.csv").write_text(SHOP)
    with refuses("review_catalogue_unknown"):
        add_catalogue(store, shop / "third.csv", options=instead)


def test_a_replaced_catalogue_keeps_its_own_photos(store: Store, shop: Path) -> None:
    for name, brightness in (("june", 0), ("july", 200)):
        (shop / name / "images").mkdir(parents=True)
        paint(shop / name / "images/a.png", brightness)
        (shop / name / "shop.csv").write_text("image\na.png\n")
    june, july = shop / "june/shop.csv", shop / "july/shop.csv"
    add_catalogue(store, june, {"images": str(shop / "june/images")})
    assert counted(add_catalogue(store, july, options=AddOptions(instead_of=june))) == {"changed": 1}
    assert counted(add_catalogue(store, july, {"images": str(shop / "june/images")})) == {"changed": 1}
    assert counted(add_catalogue(store, june, options=AddOptions(instead_of=july))) == {"unchanged": 1}
    assert store.catalogues()[0].read_options == {"images": str(shop / "june/images")}


def test_catalogue_is_read_again_with_the_same_options(store: Store, shop: Path) -> None:
    (shop / "images").rename(shop / "elsewhere")
    given = {"images": str(shop / "elsewhere")}
    assert add_catalogue(store, shop / "shop.csv", given).added == 4
    assert counted(add_catalogue(store, shop / "shop.csv")) == {"unchanged": 4, "unreadable": 1}
    assert store.catalogues()[0].read_options == given


def test_rows_of_one_product_are_one_item(store: Store, shop: Path) -> None:
    added = add(store, shop, "sku,image\n1,black.png\n1,gray.png\n2,white.png\n")
    assert added.products == 2
    assert {item.name: item.photos for item in store.items("label")} == {
        "1": ("black.png", "gray.png"),
        "2": ("white.png",),
    }


def test_rows_with_the_same_photo_are_items_of_their_own(store: Store, shop: Path) -> None:
    add(store, shop, "title,image\nred,black.png\nblue,black.png\nnone,\n")
    assert {product.name: product.text for product in store.products()} == {
        "black.png": "red", "black.png (2)": "blue", "(1)": "none",
    }  # fmt: skip


def test_interrupted_addition_continues(store: Store, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(40):
        paint(shop / f"images/{i:02}.png", 6 * i)
    (shop / "shop.csv").write_text("image\n" + "".join(f"{i:02}.png\n" for i in range(40)))
    monkeypatch.setattr(products, "CHUNK", 4)
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 15

    with pytest.raises(StoppedError) as stopped:
        add_catalogue(store, shop / "shop.csv", should_stop=should_stop)
    assert stopped.value.params["done"] == len(list(store.products())) == 15
    assert counted(add(store, shop)) == {"added": 25, "unchanged": 15}
    assert len({product.name for product in store.products()}) == 40


def test_two_additions_at_once_count_each_product_once(store: Store, shop: Path) -> None:
    others: list[AddedCatalogue] = []

    def add_too(done: int, products: int) -> None:
        with Store.open(shop / "shop.db") as other:
            others.append(add_catalogue(other, shop / "shop.csv"))

    first = add_catalogue(store, shop / "shop.csv", on_progress=add_too)
    assert [counted(other) for other in others] == [{"added": 4, "unreadable": 1}]
    assert counted(first) == {"unchanged": 4, "unreadable": 1}
    assert len(list(store.products())) == 4


def test_several_targets_and_labels_are_kept(shop: Path) -> None:
    targets = Target("kind", LABEL.classes), Target("labels", ("a", "b"), "multilabel")
    seal(small_bundle(*targets), shop / "two.muslin")
    init(str(shop / "two.db"), shop / "two.muslin", who="Ada")
    with Store.open(shop / "two.db") as store:
        add(store, shop)
        [kind] = store.items("kind", Filters(text="black"))
        [labels] = store.items("labels", Filters(text="black"))
    assert kind.value == "Trouser"
    assert json.loads(labels.value) == ["a", "b"], "black has both with a probability of a half"
    assert labels.probability == pytest.approx(0.5)


def test_similar_products_are_found_by_their_features(shop: Path) -> None:
    seal(with_ood_detector(small_bundle(), 0.0, 1.0), shop / "features.muslin")
    for name, brightness in {"dark": 5, "darker": 2, "light": 240}.items():
        paint(shop / f"images/{name}.png", brightness)
    init(str(shop / "features.db"), shop / "features.muslin", who="Ada")
    with Store.open(shop / "features.db") as store:
        add(store, shop, "image\nlight.png\ndark.png\ndarker.png\n")
        products = {product.name: product.id for product in store.products()}
        similar = store.similar(products["dark.png"], "label", 2)
    assert [item.name for item in similar] == ["darker.png", "light.png"]


def test_a_registered_data_set_keeps_its_name(store: Store) -> None:
    store.add_catalogue("fashion-mnist", {})
    assert [row.path for row in store.catalogues()] == ["fashion-mnist"]


# --- init and the command line


def test_data_of_the_model_come_from_its_run(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    made = init(str(shop / "a.db"), shop / "model.muslin", who="Ada", log=said.append)
    assert made.data is None
    assert "review_data_unknown" in [note.code for note in said]  # type: ignore[attr-defined]
    given = InitOptions(data=shop / "shop.csv", read_options={"images": str(shop / "images")})
    assert init(str(shop / "b.db"), shop / "model.muslin", given, who="Ada").data == str(shop / "shop.csv")
    with Store.open(shop / "b.db") as store:
        assert store.info.data["read_options"] == {"images": str(shop / "images")}
    with refuses("path_missing", path="nowhere"):
        init(str(shop / "c.db"), shop / "model.muslin", InitOptions(data="nowhere"), who="Ada")
    with refuses("option_needs", option="--images", needed="--data"):
        init(str(shop / "c.db"), shop / "model.muslin", InitOptions(read_options={"images": "x"}), who="Ada")


def test_init_fixes_the_precision(shop: Path) -> None:
    made = init(str(shop / "a.db"), shop / "model.muslin", who="Ada")
    with Store.open(shop / "a.db") as store:
        assert store.info.precision == made.precision


def test_a_shop_walks_through_the_commands(
    shop: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    assert invoke(capfd, "review", "init", "new.db", "--model", "model.muslin", "--json").json["data"] is None
    assert invoke(capfd, "review", "init", "new.db", "--model", "model.muslin").code == 1
    assert invoke(capfd, "review", "add", "new.db", "shop.csv", "--json").json["added"] == 4
    assert invoke(capfd, "review", "add", "new.db", "shop.csv").code == 0
    assert invoke(capfd, "review", "spot-checks", "new.db", "0.5").code == 0
    assert invoke(capfd, "review", "spot-checks", "new.db", "0.4").code == 1
    status = invoke(capfd, "review", "status", "new.db", "--json").json
    assert status["unreadable"] == 1
    assert sum(each["total"] for each in status["targets"]["label"]["decisions"].values()) == 3
    assert invoke(capfd, "review", "status", "new.db").code == 0
    assert invoke(capfd, "review", "export", "new.db", "-o", "out.csv", "--json").json["products"] == 4
    refused = invoke(capfd, "review", "export", "new.db", "-o", "out.pdf", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "output_kind_differs")
    assert not (shop / "out.pdf").exists()
    assert invoke(capfd, "review", "export", "none.db", "-o", "other.csv").code == 1
    assert not (shop / "none.db").exists()


def test_a_catalogue_without_readable_photos_fails(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (shop / "shop.csv").write_text("image\npage.jpg\n")
    init(str(shop / "a.db"), shop / "model.muslin", who="Ada")
    result = invoke(capfd, "review", "add", shop / "a.db", shop / "shop.csv", "--json")
    assert (result.code, result.json["error"]["code"]) == (1, "all_images_unreadable")
