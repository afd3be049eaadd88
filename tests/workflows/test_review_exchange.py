"""Decisions go from a store into a file of a labelling tool, and from such a file into a store, once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import error_object, invoke
from muslin.errors import DataError, StorageError
from muslin.models.bundle import seal
from muslin.review.exchange import EXCHANGE_FORMATS
from muslin.review.store import Store
from muslin.review.values import Decided
from muslin.storage.outputs import Output
from muslin.workflows.review_exchange import ExportedFile, export_for_tool, import_decisions
from refusals import refuses
from review_stores import decision_on, fill, new_product
from small_models import small_bundle

TOOLS = sorted(EXCHANGE_FORMATS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Twelve products, of which people have decided four."""
    with new_store(tmp_path / "shop.db") as made:
        first, second, third, fourth = made.items("label", sort="added", count=4)
        made.decide([decision_on(first, "Bag", note="a clutch"), decision_on(second, kind="not_ours")], "Ada")
        made.decide([decision_on(third, kind="not_sure"), decision_on(fourth)], "Bo")
        yield made


def new_store(path: Path) -> Store:
    model = path.with_suffix(".muslin")
    seal(small_bundle(), model)
    made = Store.create(str(path), model, who="Ada")
    fill(made, 12)
    return made


def export(store: Store, tool: str, path: Path, prefix: str = "") -> ExportedFile:
    return export_for_tool(store, tool, Output(path), photo_prefix=prefix)


def contents(store: Store) -> dict[int, tuple[object, ...]]:
    """Per product what counts, who decided it and when."""
    return {decided.product: content(decided) for decided in store.decided("label")}


def content(decided: Decided) -> tuple[object, ...]:
    return decided.kind, decided.value, decided.note, decided.who, decided.at, decided.fingerprint, decided.digest


@pytest.mark.parametrize("tool", TOOLS)
def test_another_store_gets_the_same_decisions_once(tool: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / f"file{EXCHANGE_FORMATS[tool].suffix}"
    exported = export(store, tool, path, "https://shop.example/")
    assert (exported.products, exported.decisions) == (12, 4)
    with new_store(tmp_path / "other.db") as other:
        first, second = (import_decisions(other, path, "Cy") for _ in range(2))
        assert contents(other) == contents(store)
    assert (first.tool, first.added, first.same, first.notes) == (tool, 4, 0, ())
    assert (second.added, second.same) == (0, 4)


@pytest.mark.parametrize("tool", TOOLS)
def test_products_and_settings_are_written(tool: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / f"file{EXCHANGE_FORMATS[tool].suffix}"
    exported = export(store, tool, path, "https://shop.example/")
    assert path.read_text().count("https://shop.example/") == 12
    if exported.settings:
        assert "Trouser" in Path(exported.settings).read_text()


def test_a_later_decision_in_the_store_stays(store: Store, tmp_path: Path) -> None:
    export(store, "label-studio", tmp_path / "file.json")
    before = contents(store)
    store.decide([decision_on(store.item(1, "label"), "Shirt")], "Cy")
    imported = import_decisions(store, tmp_path / "file.json", "Cy")
    assert (imported.added, imported.same, imported.older) == (0, 3, (1,))
    assert [note.code for note in imported.notes] == ["exchange_older"]  # type: ignore[attr-defined]
    assert contents(store)[1][1] == "Shirt"
    assert contents(store) | {1: before[1]} == before


def test_new_classes_are_added_when_asked_for(store: Store, tmp_path: Path) -> None:
    export(store, "label-studio", tmp_path / "file.json")
    tasks = json.loads((tmp_path / "file.json").read_text())
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["Cape"]
    (tmp_path / "file.json").write_text(json.dumps(tasks))
    before = contents(store)
    with pytest.raises(DataError) as caught:
        import_decisions(store, tmp_path / "file.json", "Cy")
    assert (caught.value.code, caught.value.params["names"]) == ("exchange_new_classes", ["Cape"])
    assert contents(store) == before
    imported = import_decisions(store, tmp_path / "file.json", "Cy", add_classes=True)
    assert (imported.added, imported.classes) == (1, {"label": ["Cape"]})
    assert contents(store)[1][:4] == ("value", "Cape", "a clutch", "Cy")
    assert "Cape" in store.classes("label")


def test_decisions_on_changed_products_are_told(store: Store, tmp_path: Path) -> None:
    export(store, "fiftyone", tmp_path / "file.json")
    with new_store(tmp_path / "other.db") as other:
        catalogue = other.catalogues()[0].id
        other.put_products(catalogue, [new_product(0, fingerprint="new")], other.active.digest)
        imported = import_decisions(other, tmp_path / "file.json", "Cy")
        assert (imported.added, imported.changed) == (4, 1)
        assert 1 not in contents(other)


def test_no_file_is_replaced(store: Store, tmp_path: Path) -> None:
    (tmp_path / "labels.config.xml").write_text("mine")
    with pytest.raises(StorageError) as caught:
        export(store, "label-studio", tmp_path / "labels.json")
    assert caught.value.code == "output_exists"
    assert not (tmp_path / "labels.json").exists()
    with new_store(tmp_path / "store.xml") as odd, pytest.raises(StorageError) as caught:
        export_for_tool(odd, "cvat", Output(tmp_path / "store.xml", overwrite=True))
    assert caught.value.code == "output_is_input"
    with refuses("output_suffix", suffix=".xml"):
        export(store, "cvat", tmp_path / "photo.jpg")


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "model.muslin")
    with (
        Store.create(str(tmp_path / "empty.db"), tmp_path / "model.muslin", who="Ada") as empty,
        pytest.raises(DataError) as caught,
    ):
        export(empty, "cvat", tmp_path / "file.xml")
    assert caught.value.code == "exchange_no_products"


def test_commands_move_decisions_between_stores(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    new_store(tmp_path / "other.db").close()
    done = invoke(capfd, "review", "export", "shop.db", "--as", "label-studio", "-o", "tasks.json")
    assert done.out.splitlines() == [
        "12 products, 4 decisions", "wrote tasks.json", "wrote tasks.config.xml, the settings of the project"
    ]  # fmt: skip
    done = invoke(capfd, "review", "import", "other.db", "tasks.json")
    assert done.out == "label-studio: 4 decisions added\n"
    done = invoke(capfd, "review", "import", "other.db", "tasks.json", "--json")
    assert (json.loads(done.out)["added"], json.loads(done.out)["same"]) == (0, 4)
    done = invoke(capfd, "review", "export", "shop.db", "--photo-prefix", "/photos/", "-o", "new.json", "--json")
    assert error_object(done)["code"] == "option_needs"
