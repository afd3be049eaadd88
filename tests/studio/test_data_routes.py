"""The paths of the data room: what a page sees of a data set, and decides."""

import io
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

from asgi_client import ask
from muslin.data.audit.corrections import read_corrections
from muslin.errors import MuslinError
from muslin.studio.data_findings import audit_folder
from muslin.studio.data_room import DataRoom
from muslin.studio.data_routes import data_routes
from muslin.studio.data_sets import DataSets
from muslin.studio.routes import routes
from muslin.studio.similarity_map import SimilarityMap

N = 4
"""Photos of each class."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes in two parts, from dark to bright."""
    root = tmp_path_factory.mktemp("room").resolve()
    for part in ("train", "test"):
        for number, name in enumerate(("bag", "shoe")):
            folder = root / "shop" / part / name
            folder.mkdir(parents=True)
            for i in range(N):
                Image.new("RGB", (60, 30), (40 * i, 40 * i, 200 * number)).save(folder / f"{name}{i}.png")
    return root


@pytest.fixture(scope="module")
def room(root: Path) -> Iterator[DataRoom]:
    found = DataRoom(DataSets(root))
    yield found
    found.data.close()


class Page:
    """What a page asks for."""

    def __init__(self, room: DataRoom) -> None:
        self.app = Starlette(routes=data_routes(room))

    def ask(self, path: str, **body: Any) -> Any:
        status, content = ask(self.app, "POST", f"/api/data/{path}", {"data": "shop", **body})
        assert status == 200, content
        return json.loads(content)

    def order(self, **body: Any) -> list[int]:
        _, content = ask(self.app, "POST", "/api/data/list", {"data": "shop", **body})
        header, start = _header(content)
        assert header["dtype"] == "int32"
        return np.frombuffer(content, "<i4", offset=start).tolist()


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    [length] = struct.unpack_from("<I", content)
    return json.loads(content[4 : 4 + length]), 4 + length


def test_a_data_set_says_what_it_holds(room: DataRoom, root: Path) -> None:
    found = Page(room).ask("open")
    assert found["n"] == 4 * N
    assert found["targets"][0]["classes"] == ["bag", "shoe"]
    assert found["parts"] == ["train", "test"]
    assert found["corrections"] == "corrections/shop.csv"
    assert found["origin"].startswith("shop, ")
    assert str(root) not in str(found)


def test_filters_choose_by_class_part_text_and_state(room: DataRoom) -> None:
    page = Page(room)
    rows = page.ask("rows", images=list(range(4 * N)))["rows"]
    of = {row["index"]: row for row in rows}
    shoes = page.order(filters={"classes": ["shoe"], "parts": ["test"]})
    assert len(shoes) == N
    assert all(of[i]["part"] == "test" and of[i]["label"] == 1 for i in shoes)
    assert sorted(of[i]["id"].split("/")[-1] for i in page.order(filters={"text": "BAG2"})) == ["bag2.png"] * 2
    assert page.order(filters={"state": "unlabelled"}) == []
    assert page.order(descending=True) == list(reversed(range(4 * N)))
    assert sorted(page.order(sort="random")) == list(range(4 * N))


def test_a_sheet_holds_thumbnails_in_the_asked_order(room: DataRoom) -> None:
    page = Page(room)
    first = page.order(filters={"text": "train/shoe/shoe3"})[0]
    query = f"data=shop&side=32&images={first},0"
    status, content = ask(page.app, "GET", "/api/data/sheet", query=query)
    assert status == 200
    header, start = _header(content)
    assert [(tile["width"], tile["height"]) for tile in header["tiles"]] == [(32, 16), (32, 16)]
    image = np.asarray(Image.open(io.BytesIO(content[start:])))
    assert image[8, 8].tolist() == [120, 120, 200]


def test_a_decision_changes_label_count_and_file(room: DataRoom, root: Path) -> None:
    page = Page(room)
    index = page.order(filters={"classes": ["bag"]})[0]
    new = {"request": "r1", "index": index, "kind": "label", "label": "shoe"}
    [receipt] = page.ask("decide", who="Li", decisions=[new])["receipts"]
    [row] = page.ask("rows", images=[index])["rows"]
    assert (row["label"], row["given"]) == (1, 0)
    assert row["decisions"][0]["who"] == "Li"
    assert page.order(filters={"state": "decided"}) == [index]
    assert read_corrections(root / "corrections" / "shop.csv")[0].label == "shoe"
    undo = {"request": "r2", "index": index, "kind": "undo", "undoes": receipt["number"], "after": receipt["number"]}
    page.ask("decide", who="Li", decisions=[undo])
    assert page.order(filters={"state": "decided"}) == []
    assert [each["is_undone"] for each in page.ask("history")["decisions"]] == [False, True]


@pytest.mark.parametrize(
    "body", [{"label": "dress"}, {"kind": "drop"}, {"index": 4 * N}, {"index": -1}, {"request": ""}, {"kind": "undo"}]
)
def test_a_wrong_decision_is_refused_before_writing(room: DataRoom, root: Path, body: dict[str, Any]) -> None:
    app = Starlette(routes=routes(root))
    new = {"request": "r", "index": 0, "kind": "label", "label": "shoe"} | body
    before = Page(room).ask("history")["n"]
    with pytest.raises(MuslinError):
        ask(app, "POST", "/api/data/decide", {"data": "shop", "who": "Li", "decisions": [new]})
    assert Page(room).ask("history")["n"] == before


def test_the_map_is_kept_and_sorts_by_similarity(
    room: DataRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened, page = room.data.open("shop"), Page(room)
    assert room.map(opened) is None
    first: list[SimilarityMap | None] = []
    made = room.make_map(opened, "", lambda done: None, lambda: first.append(room.map(opened)))
    (seen,) = first
    assert seen is not None
    assert seen.is_first
    assert seen.method == "pca"
    assert seen.points.shape == made.points.shape
    kept = room.map(opened)
    assert kept is not None
    assert not kept.is_first
    assert (kept.method, kept.points.tolist()) == ("t-sne", made.points.tolist())
    assert made.by == "pixels"
    assert made.points.shape == (4 * N, 2)
    like = page.order(filters={"text": "test/shoe/shoe3"})[0]
    nearest = page.order(sort="similarity", descending=True, like=like)[:2]
    assert like in nearest
    assert sorted(str(opened.ids[i]).split("/")[-1] for i in nearest) == ["shoe3.png"] * 2


@pytest.mark.parametrize("run", [5, ["x"], "gone", "shop", "../x"])
@pytest.mark.parametrize("path", ["list", "rows", "map"])
def test_a_wrong_run_is_refused(room: DataRoom, path: str, run: Any) -> None:
    with pytest.raises(MuslinError):
        ask(Page(room).app, "POST", f"/api/data/{path}", {"data": "shop", "images": [0], "run": run})


def test_without_an_audit_there_are_no_findings(room: DataRoom) -> None:
    assert Page(room).ask("findings") == {"audit": None, "counts": {}, "skipped": {}, "findings": []}


def test_findings_name_images_by_their_index(room: DataRoom, root: Path) -> None:
    from muslin.workflows.audit import audit

    audit(root / "shop", out=root / "audits" / "shop", checks=["identical", "small_class"])
    found = Page(room).ask("findings")
    assert found["counts"]["identical"] == len([each for each in found["findings"] if each["kind"] == "identical"]) > 0
    ids = room.data.open("shop").ids
    first = next(each for each in found["findings"] if each["kind"] == "identical")
    assert len({str(ids[i]).split("/")[-1] for i in first["images"]}) == 1


def test_data_sets_of_one_name_have_audits_of_their_own(room: DataRoom, root: Path) -> None:
    from muslin.workflows.audit import audit

    for place, copies in (("first", 2), ("second", 3)):
        folder = root / place / "same" / "bag"
        folder.mkdir(parents=True)
        for i in range(copies):
            Image.new("RGB", (60, 30), (200, 0, 40)).save(folder / f"{i}.png")
        (root / place / "same" / "shoe").mkdir()
        Image.new("RGB", (60, 30), (0, 90, 40)).save(root / place / "same" / "shoe" / "0.png")
    page = Page(room)
    audit(root / "second/same", out=root / "audits/same", checks=["identical"])  # as the command line names it
    assert page.ask("findings", data="first/same")["audit"] is None
    assert page.ask("findings", data="second/same")["audit"]["folder"] == "audits/same"
    audit(root / "first/same", out=root / "audits/first/same", checks=["identical"])
    found = {name: page.ask("findings", data=f"{name}/same")["findings"][0]["images"] for name in ("first", "second")}
    assert {name: len(images) for name, images in found.items()} == {"first": 2, "second": 3}


def test_data_sets_within_each_other_have_audits_of_their_own(room: DataRoom, root: Path) -> None:
    from muslin.storage.outputs import Output
    from muslin.workflows.audit import audit

    names = ("shop/train", "shop", "shop/train")  # again, after the one around it
    for name in names:
        audit(root / name, out=Output(root / audit_folder(name), overwrite=True), checks=["identical"])
    page = Page(room)
    for name in names:
        found = page.ask("findings", data=name)
        assert found["audit"] == {"folder": f"audits/{name}.audit", "is_old": False}
    place = root / audit_folder("shop") / "audit.json"
    place.unlink()
    os.mkfifo(place)  # which would be waited for
    with pytest.raises(MuslinError) as refused:
        page.ask("findings")
    assert refused.value.code == "audit_damaged"
    place.unlink()


def test_files_left_out_are_counted_and_named_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    for name in ("bag", "shoe"):
        (root / "shop" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(root / "shop" / name / "1.png")
    for name in ("IMG_1.HEIC", "IMG_2.HEIC", "clip.mp4", "notes.txt", ".DS_Store"):
        (root / "shop/bag" / name).write_bytes(b"x")
    room = DataRoom(DataSets(root))
    found = Page(room).ask("open")
    room.data.close()
    assert (found["n"], found["left_out"]) == (2, 4)
    told = {fix["params"].get("kind"): fix for fix in found["fixes"] if fix["code"] == "photos_unsupported"}
    assert told["HEIC"]["params"]["names"] == ["bag/IMG_1.HEIC", "bag/IMG_2.HEIC"]
    assert all(fix["hint"] for fix in told.values())


def test_a_damaged_journal_is_told_and_decisions_go_on(tmp_path: Path, root: Path) -> None:
    shutil.copytree(root / "shop", tmp_path / "shop")
    room = DataRoom(DataSets(tmp_path.resolve()))
    page = Page(room)
    assert page.ask("open")["damaged_decisions"] == 0
    for number in range(3):
        page.ask("decide", who="Li", decisions=[{"request": f"{number}", "index": number, "kind": "exclude"}])
    journal = tmp_path / "corrections/shop.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"request": "1"', b'"request": "?"', 1))
    again = DataRoom(DataSets(tmp_path.resolve()))
    assert Page(again).ask("open")["damaged_decisions"] == 1
    assert Page(again).ask("history")["n"] == 2
    for each in (room, again):
        each.data.close()
