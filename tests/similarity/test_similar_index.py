"""The index of a catalogue's photos: built, looked up, updated, decided on, and refused where it is not whole."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from command_line import error_object, invoke, refusal
from muslin.errors import DataError
from muslin.models.bundle import seal
from muslin.similarity.index import NOT_SAME, open_index
from muslin.similarity.sealed_arrays import SealedArrays, write_sealed
from muslin.storage.outputs import Output
from muslin.workflows.similar import BuildOptions, build
from similar_shop import feature_bundle, pattern, similar_shop, view, write_photo, write_table
from small_models import small_bundle

Capture = pytest.CaptureFixture[str]


BUILD = ("similar", "build", "products.csv", "--images", "photos")


@pytest.fixture(scope="module")
def built_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 60 products with three photos each, with its index."""
    folder = similar_shop(tmp_path_factory.mktemp("shop"))
    options = BuildOptions(folder / "model.muslin", read_options={"images": folder / "photos"})
    built = build(folder / "products.csv", folder / "shop.index", options)
    assert (len(built.index.products), len(built.index.photos), built.unreadable) == (60, 180, {})
    return folder


@pytest.fixture
def index(built_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The index of a copy of the shop, which is the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(built_shop, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop/shop.index"


@pytest.fixture
def shop(index: Path) -> Path:
    """The shop without an index."""
    index.unlink()
    return index.parent


def test_another_photo_of_a_product_finds_it(index: Path, capfd: Capture) -> None:
    write_photo(Path("new.png"), view(pattern(7), 9999))
    found = invoke(capfd, "similar", "find", index, "new.png", "-k", 3, "--json").json
    first, *others = found["products"]
    assert (first["product"], first["same"], first["reason"]) == ("P7", True, "guarantee")
    assert len(others) == 2
    assert not any(other["same"] for other in others)
    assert found["same_product"]["precision"] == 0.9, "30 of the 60 products are looked up as known ones"
    text = invoke(capfd, "similar", "find", index, "new.png")
    assert text.out.splitlines()[2].split("  ")[-1].strip() == "the same product"


def test_a_photo_of_no_product_is_only_similar(index: Path, capfd: Capture) -> None:
    write_photo(Path("strange.png"), pattern(5000))
    found = invoke(capfd, "similar", "find", index, "strange.png", "--json").json
    assert len(found["products"]) == 20
    unused = invoke(capfd, "similar", "find", index, "P1", "--precision", 0.9, "--json")
    assert error_object(unused)["code"] == "option_needs", "of a product, the same product is never said"
    assert not any(product["same"] for product in found["products"])


def test_the_very_file_is_named_the_same_photo(index: Path, capfd: Capture) -> None:
    found = invoke(capfd, "similar", "find", index, "photos/4-1.png", "-k", 1, "--json").json
    assert found["products"][0] == {
        "product": "P4", "photo": "4-1.png", "similarity": pytest.approx(1, abs=2e-3), "same": True, "reason": "file",
        "decision": "",
    }  # fmt: skip


def test_a_query_that_is_nothing_is_refused_with_the_nearest(index: Path, capfd: Capture) -> None:
    error = error_object(invoke(capfd, "similar", "find", index, "P6O", "--json"))
    assert error["code"] == "similar_query_unknown"
    assert error["params"]["nearest"] in open_index(index).products


def test_an_unreadable_query_says_why(index: Path, capfd: Capture) -> None:
    Path("page.jpg").write_text("<html>")
    assert error_object(invoke(capfd, "similar", "find", index, "page.jpg", "--json"))["code"] == "image_format"


def test_an_update_computes_only_what_is_new(index: Path, capfd: Capture) -> None:
    for _ in range(2):
        before = index.read_bytes()
        again = invoke(capfd, *BUILD, "-o", "shop.index", "--update", "--json").json
        assert again["kept"] == 180
    assert index.read_bytes() == before, "equal data, equal bytes"
    write_photo(Path("photos/0-0.png"), pattern(777))
    write_photo(Path("photos/new.png"), pattern(778))
    rows = [(f"P{number}", f"{number}-{each}.png") for number in range(59) for each in range(3)]
    write_table(Path("products.csv"), [*rows, ("New", "new.png")])
    changed = invoke(capfd, *BUILD, "-o", "shop.index", "--update", "--json").json
    assert (changed["products"], changed["photos"], changed["kept"]) == (60, 178, 176)
    write_photo(Path("query.png"), view(pattern(777), 3))
    found = invoke(capfd, "similar", "find", index, "query.png", "-k", 1, "--json").json
    assert found["products"][0]["product"] == "P0"


def test_pairs_decided_not_the_same_stay_so_after_rebuilding(index: Path, capfd: Capture) -> None:
    assert invoke(capfd, "similar", "not-same", index, "P3", "P5").code == 0
    assert invoke(capfd, "similar", "not-same", index, "P59", "P5").code == 0
    rows = [(f"P{number}", f"{number}-0.png") for number in range(58, -1, -1)]  # without P59, in another order
    write_table(Path("products.csv"), rows)
    assert invoke(capfd, *BUILD, "-o", "shop.index", "--update").code == 0
    opened = open_index(index)
    assert {tuple(sorted(opened.products[i] for i in pair)) for pair in opened.decisions} == {("P3", "P5")}
    write_table(Path("products.csv"), [*rows, ("P59", "59-0.png")])
    assert invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "shop.index", "--overwrite").code == 0
    assert set(open_index(index).named_decisions().values()) == {NOT_SAME}
    assert len(open_index(index).decisions) == 2
    found = invoke(capfd, "similar", "find", index, "P5", "-k", 60, "--json").json
    assert {p["product"] for p in found["products"] if p["decision"] == "not the same"} == {"P3", "P59"}


def test_decisions_on_one_product_or_an_unknown_one_are_refused(index: Path, capfd: Capture) -> None:
    assert error_object(invoke(capfd, "similar", "not-same", index, "P1", "P1", "--json"))["code"] == (
        "pair_of_one_product"
    )
    assert error_object(invoke(capfd, "similar", "not-same", index, "P1", "P1x", "--json"))["params"]["nearest"] == "P1"


def test_unreadable_and_missing_photos_are_counted(shop: Path, capfd: Capture) -> None:
    Path("photos/0-0.png").write_bytes(b"")
    Path("photos/1-1.png").unlink()
    for each in range(3):
        Path(f"photos/2-{each}.png").write_bytes(Path(f"photos/2-{each}.png").read_bytes()[:60])
    built = invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "shop.index", "--json").json
    assert (built["products"], built["photos"], built["without_photo"]) == (59, 175, ["P2"])
    told = invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "again.index").err
    assert told.count("1-1.png") == 1, "a missing photo is named once"
    assert built["unreadable"].keys() == {"0-0.png", "1-1.png", "2-0.png", "2-1.png", "2-2.png"}


def test_nothing_is_like_the_only_product(tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(similar_shop(tmp_path, products=1, views=1))
    assert invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "one.index").code == 0
    done = invoke(capfd, "similar", "find", "one.index", "P0", "-o", "one.html")
    assert done.out.splitlines() == ["no other product than P0 is in the index", "wrote one.html"]
    assert "No other product than P0 is in the index" in Path("one.html").read_text()


def test_data_without_a_readable_photo_write_nothing(shop: Path, capfd: Capture) -> None:
    for photo in Path("photos").iterdir():
        photo.write_bytes(b"")
    failed = invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "shop.index", "--json")
    assert failed.json["error"]["code"] == "no_photo_indexed"
    assert not Path("shop.index").exists()


def test_an_index_of_another_model_is_not_updated(index: Path, capfd: Capture) -> None:
    seal(small_bundle(), Path("other.muslin"))
    failed = invoke(capfd, *BUILD, "--model", "other.muslin", "-o", "shop.index", "--update", "--json")
    assert failed.json["error"]["code"] == "model_without_features"
    other = feature_bundle()
    seal(type(other)(**{**vars(other), "model": other.model + b""}), Path("same.muslin"))
    assert invoke(capfd, *BUILD, "--model", "same.muslin", "-o", "shop.index", "--update").code == 0
    changed = other.model.replace(b"brightness", b"brighter  ")
    seal(type(other)(**{**vars(other), "model": changed}), Path("changed.muslin"))
    failed = invoke(capfd, *BUILD, "--model", "changed.muslin", "-o", "shop.index", "--update", "--json")
    assert failed.json["error"]["code"] == "index_other_model"


def test_an_index_that_is_there_is_not_replaced_in_silence(index: Path, capfd: Capture) -> None:
    assert "shop.index already exists" in refusal(invoke(capfd, *BUILD, "--model", "model.muslin", "-o", "shop.index"))
    own = ("similar", "build", "photos", "--model", "model.muslin", "-o")
    assert invoke(capfd, *own, "photos/index", "--json").json["error"]["code"] == "output_in_data"
    assert invoke(capfd, *own, "model.muslin", "--overwrite", "--json").json["error"]["code"] == "output_is_input"


def test_a_changed_byte_anywhere_is_noticed(index: Path) -> None:
    whole = index.read_bytes()
    random = np.random.default_rng(0)
    for place in [*random.integers(0, len(whole), 60).tolist(), 0, 9, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        index.write_bytes(damaged)
        with pytest.raises(DataError) as refused:
            open_index(index)
        assert refused.value.code in {"index_damaged", "index_foreign", "index_newer"}, place


@pytest.mark.parametrize("size", [0, 7, 8, 200, -1])
def test_a_cut_off_index_is_refused(index: Path, size: int) -> None:
    index.write_bytes(index.read_bytes()[:size])
    with pytest.raises(DataError) as refused:
        open_index(index, for_search=True)
    assert refused.value.code in {"index_damaged", "index_foreign"}


def test_other_files_are_no_index(shop: Path, capfd: Capture) -> None:
    for name in ("model.muslin", "products.csv"):
        failed = invoke(capfd, "similar", "find", name, "P1", "--json")
        assert failed.json["error"]["code"] == "index_foreign"
    assert invoke(capfd, "similar", "find", "none.index", "P1", "--json").json["error"]["code"] == "index_unreadable"


def test_arrays_that_do_not_fit_each_other_are_refused(index: Path) -> None:
    file = SealedArrays(index, "muslin similar index")
    arrays = {name: file.map(name, file.kind_of(name)[0], *file.kind_of(name)[1]) for name in file.names}
    metadata = {name: value for name, value in file.metadata.items() if name in ("format", "format_version")}
    for name, wrong in (
        ("products", arrays["products"][::-1]),
        ("vectors", arrays["vectors"][:-1]),
        ("photo_names_ends", arrays["photo_names_ends"] + 1),
        ("verdicts", np.array([9], np.uint8)),
        ("calibration_group", arrays["calibration_group"] - 5),
        ("graph", arrays["graph"].astype(np.int32)),
    ):
        write_sealed(Output(Path("wrong.index"), overwrite=True), metadata, {**arrays, name: wrong})
        with pytest.raises(DataError) as refused:
            open_index(Path("wrong.index"))
        assert refused.value.code == "index_damaged", name
