"""The review loop's API, without a server: decisions into a real store, and items out of it."""

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from sqlalchemy import Engine, event
from starlette.applications import Starlette

from asgi_client import ask
from muslin.errors import DataError, MuslinError
from muslin.review.store import Store
from muslin.studio.review_routes import PAGE_ROUTES, STORE_ROUTES, WORK_ROUTES, ReviewRoom, review_routes
from review_shop import make_review_shop
from small_models import LABEL

COUNT = 60


class Page:
    """What a page does: requests with a person's name."""

    def __init__(self, room: ReviewRoom) -> None:
        self.app = Starlette(routes=review_routes(room))
        self.requests = 0

    def post(self, path: str, **body: Any) -> Any:
        body = {"store": "shop.db", "target": "label", "who": "Ada"} | body
        status, content = ask(self.app, "POST", f"/api/review/{path}", body)
        assert status == 200, content
        return json.loads(content)

    def get(self, path: str, query: str = "") -> tuple[int, bytes]:
        return ask(self.app, "GET", f"/api/review/{path}", query=query)

    def refusal(self, path: str, **body: Any) -> MuslinError:
        with pytest.raises(MuslinError) as error:
            self.post(path, **body)
        return error.value

    def decision(self, item: Any, **more: Any) -> dict[str, Any]:
        """One that confirms what the item shows."""
        self.requests += 1
        shown = {name: item[name] for name in ("product", "target", "fingerprint", "digest", "value")}
        return shown | {"kind": "value", "request": f"request {self.requests}"} | more


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_review_shop(tmp_path / "shop", COUNT)
    return tmp_path / "shop"


@pytest.fixture
def page(shop: Path) -> Iterator[Page]:
    room = ReviewRoom.of(shop)
    yield Page(room)
    room.close()


def reads(work: Callable[[], Any]) -> int:
    """How many SELECT statements databases execute meanwhile."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(seen)


def test_stores_of_the_folder_are_listed(shop, page):
    (shop / "other.db").write_bytes(b"no store")
    with sqlite3.connect(shop / "another.db") as connection:
        connection.execute("CREATE TABLE info (x)")
    connection.close()
    assert json.loads(page.get("stores")[1]) == {"stores": ["shop.db"], "served": None}


def test_a_page_is_decided_with_the_reads_of_one_item(page):
    items = page.post("items", count=21)["items"]
    decisions = [page.decision(item) for item in items]
    again = [page.decision(item) for item in items]  # each is told of the earlier one
    page.post("decide", decisions=decisions[:1])  # the first one also reads which models there are
    one = reads(lambda: page.post("decide", decisions=decisions[1:2]))
    assert reads(lambda: page.post("decide", decisions=decisions[2:])) == one
    assert reads(lambda: page.post("decide", decisions=again)) == one


def test_a_store_tells_its_targets_model_and_counts(page):
    found = page.post("open")
    assert found["targets"] == [{"name": "label", "kind": "multiclass", "classes": list(LABEL.classes)}]
    assert found["model"]["name"] == "model.muslin"
    assert sum(tally["total"] for tally in found["counts"]["label"]["decisions"].values()) == COUNT


def test_a_decision_is_in_the_store_once_it_is_acknowledged(shop, page):
    item = page.post("next", count=1)["items"][0]
    decision = page.decision(item, value="Bag", note="two handles", seconds=1.5)
    found = page.post("decide", decisions=[decision])
    with Store.open(shop / "shop.db") as other:
        (decided,) = other.history(item["product"], "label")
    assert (decided.id, decided.value, decided.note, decided.who) == (
        found["receipts"][0]["id"], "Bag", "two handles", "Ada",
    )  # fmt: skip
    assert found["counts"]["label"]["queue"]["decided"] == 1


def test_a_decision_that_is_sent_again_is_no_second_one(page):
    item = page.post("next", count=1)["items"][0]
    decision = page.decision(item)
    first = page.post("decide", decisions=[decision])["receipts"][0]
    again = page.post("decide", decisions=[decision])["receipts"][0]
    assert (again["id"], first["is_repeated"], again["is_repeated"]) == (first["id"], False, True)
    assert len(page.post("history", product=item["product"])["history"]) == 1


def test_nobody_gets_what_another_has_on_the_page(page):
    first = {item["product"] for item in page.post("next", who="Ada")["items"]}
    second = {item["product"] for item in page.post("next", who="Bo")["items"]}
    assert first
    assert not first & second
    page.post("release", who="Ada")
    assert {item["product"] for item in page.post("next", who="Cy")["items"]} & first


def test_the_later_of_two_decisions_is_told(page):
    item = page.post("next", count=1)["items"][0]
    page.post("decide", decisions=[page.decision(item)], who="Ada")
    receipt = page.post("decide", decisions=[page.decision(item, value="Shirt", after=None)], who="Bo")["receipts"][0]
    assert (receipt["earlier"]["who"], receipt["earlier"]["value"]) == ("Ada", item["value"])


def test_an_undone_decision_does_not_count(page):
    item = page.post("next", count=1)["items"][0]
    number = page.post("decide", decisions=[page.decision(item)])["receipts"][0]["id"]
    found = page.post("undo", undos=[{"decision": number, "request": "undo 1"}])
    assert found["counts"]["label"]["queue"]["decided"] == 0
    history = page.post("history", product=item["product"])["history"]
    assert [(row["kind"], row["is_undone"]) for row in history] == [("value", True), ("undo", False)]


def test_a_page_is_undone_at_once_or_not_at_all(page):
    items = page.post("next", count=3)["items"]
    receipts = page.post("decide", decisions=[page.decision(item) for item in items])["receipts"]
    undos = [{"decision": each["id"], "request": f"undo {each['id']}"} for each in receipts]
    unknown = {"decision": 10**6, "request": "undo none"}
    assert page.refusal("undo", undos=[*undos, unknown]).code == "review_decision_missing"
    assert page.post("counts")["counts"]["label"]["queue"]["decided"] == 3
    for _ in range(2):  # the second time after a lost connection
        assert page.post("undo", undos=undos)["counts"]["label"]["queue"]["decided"] == 0


def test_a_class_of_the_shop_can_be_decided(page):
    assert "Hat" in page.post("class", name="Hat")["classes"]
    item = page.post("next", count=1)["items"][0]
    page.post("decide", decisions=[page.decision(item, value="Hat")])
    assert page.post("item", product=item["product"])["item"]["decided"]["value"] == "Hat"


@pytest.mark.parametrize("path", ["next", "items", "similar"])
def test_thumbnails_of_a_page_are_made_ahead(shop, path):
    room = ReviewRoom.of(shop)
    page = Page(room)
    items = page.post(path, product=1)["items"]
    room.photos._ahead.shutdown()
    for photo in (shop / "images").iterdir():
        photo.unlink()
    for item in items:
        fingerprint = quote(item["fingerprint"])
        query = f"store=shop.db&product={item['product']}&fingerprint={fingerprint}"
        assert page.get("photo", query)[0] == 200
    room.close()


def test_items_are_found_by_class_decision_and_text(page):
    filters = {"values": ["Bag"], "decisions": ["review"], "text": "product 5"}
    found = page.post("items", filters=filters, sort="-confidence")["items"]
    assert {item["name"] for item in found} == {"Product 5", "Product 53", "Product 59"}
    confidences = [item["probability"] for item in found]
    assert confidences == sorted(confidences, reverse=True)


def test_similar_products_are_found_until_they_are_decided(page):
    found = page.post("similar", product=1, count=5)["items"]
    assert [item["name"] for item in found] == [f"Product {number}" for number in (8, 16, 24, 32, 40)]
    page.post("decide", decisions=[page.decision(item) for item in found[:2]])
    names = [item["name"] for item in page.post("similar", product=1, count=5)["items"]]
    assert names == [f"Product {number}" for number in (24, 32, 40, 48, 56)]


def test_the_status_says_whether_the_guarantee_holds(page):
    found = page.post("status")["targets"]["label"]
    assert (found["precision"]["verdict"], found["precision"]["n"]) == ("unknown", 0)
    assert found["messages"][0]["code"] == "review_no_spot_checks"


def test_models_and_promotions_are_listed(page):
    found = page.post("models")
    assert found["active"] == found["models"][0]["digest"] == found["promotions"][0]["digest"]
    assert found["models"][0]["classes"] == {"label": list(LABEL.classes)}


def test_a_photo_comes_small_and_may_be_kept_with_its_fingerprint(page):
    item = page.post("next", count=1)["items"][0]
    status, content = page.get("photo", f"store=shop.db&product={item['product']}&side=32")
    assert status == 200
    assert Image.open(io.BytesIO(content)).size == (32, 16)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("product=1&photo=1", "product_photo_missing"),
        ("product=999", "review_product_missing"),
        ("product=../1", "request_value"),
        ("product=1&side=99999", "request_value"),
        ("", "request_value"),
    ],
)
def test_photos_of_nothing_are_refused(page, query, code):
    with pytest.raises(MuslinError) as error:
        page.get("photo", f"store=shop.db&{query}")
    assert error.value.code == code
    assert 400 <= error.value.status < 500


def test_a_vanished_photo_is_told(shop, page):
    for path in (shop / "images").iterdir():
        path.unlink()
    with pytest.raises(MuslinError) as error:
        page.get("photo", "store=shop.db&product=1")
    assert error.value.code == "no_such_photo"


def test_a_store_of_the_folder_shows_no_photo_from_elsewhere(tmp_path):
    make_review_shop(tmp_path / "private", COUNT)
    (tmp_path / "shop").mkdir()
    (tmp_path / "private/shop.db").rename(tmp_path / "shop/shop.db")
    query = "store=shop.db&product=1"
    found, named = ReviewRoom.of(tmp_path / "shop"), ReviewRoom.of(tmp_path / "shop", str(tmp_path / "shop/shop.db"))
    with pytest.raises(DataError) as error:
        Page(found).get("photo", query)
    assert error.value.code == "catalogue_outside"
    assert Page(named).get("photo", query)[0] == 200
    found.close()
    named.close()


def test_a_catalogues_table_may_not_lead_outside_its_folder(tmp_path):
    shop = tmp_path / "shop"
    make_review_shop(shop, COUNT)
    (shop / "images/1.png").rename(tmp_path / "secret.png")
    (shop / "images/1.png").symlink_to(tmp_path / "secret.png")
    room = ReviewRoom.of(shop, str(shop / "shop.db"))
    with pytest.raises(MuslinError) as error:
        Page(room).get("photo", "store=shop.db&product=2")
    assert error.value.code == "photo_outside"
    room.close()


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"product": -1}, "request_value", "product"),
        ({"product": "one"}, "request_value", "product"),
        ({"target": "colour"}, "request_choice", "target"),
        ({"kind": "undo"}, "request_choice", "kind"),
        ({"value": "Hat"}, "review_value_unknown", "Hat"),
        ({"value": ["Bag"]}, "request_value", "value"),
        ({"value": None}, "request_value", "value"),
        ({"request": " "}, "request_text", "request"),
        ({"request": "x" * 201}, "request_text", "request"),
        ({"note": "\0"}, "request_text", "note"),
        ({"note": "\ud800"}, "request_text", "note"),
        ({"after": -1}, "request_value", "after"),
        ({"seconds": float("nan")}, "request_value", "seconds"),
        ({"shown": []}, None, None),
        ({"shown": {"value": float("inf"), "other": 1}}, None, None),
    ],
)
def test_wrong_decisions_are_refused_and_nothing_is_added(page, change, code, name):
    first, second = page.post("next", count=2)["items"]
    body = {"decisions": [page.decision(first), page.decision(second) | change]}
    if code is None:
        assert len(page.post("decide", **body)["receipts"]) == 2
        return
    error = page.refusal("decide", **body)
    assert (error.code, error.params["name"]) == (code, name)
    assert error.params["index"] == 1
    assert page.post("history", product=first["product"])["history"] == []


@pytest.mark.parametrize(
    ("change", "code", "is_named"),
    [
        ({"value": "Hat"}, "review_value_unknown", True),
        ({"target": "colour"}, "request_choice", True),
        ({"product": 10**6}, "review_product_missing", False),
        ({"request": "taken"}, "review_request_reused", True),
        ({"product": []}, "request_value", False),
    ],
)
def test_a_refusal_says_which_decision_it_is_about(page, change, code, is_named):
    other, *items = page.post("next", count=4)["items"]
    page.post("decide", decisions=[page.decision(other, request="taken")])
    decisions = [page.decision(item) for item in items]
    decisions[1] |= change
    error = page.refusal("decide", decisions=[*decisions[:2], page.decision(items[0]), decisions[2]])
    assert (error.code, error.params["index"]) == (code, 1)
    assert error.params.get("product_name") == (items[1]["name"] if is_named else None)
    again = page.post("decide", decisions=[decisions[0], decisions[2]])
    assert [receipt["is_repeated"] for receipt in again["receipts"]] == [False, False]


def test_a_refusal_of_a_later_part_counts_from_the_first(page):
    first, second = page.post("next", count=2)["items"]
    decisions = [page.decision(first), page.decision(first, value="Bag"), page.decision(second, product=10**6)]
    assert page.refusal("decide", decisions=decisions).params["index"] == 2


@pytest.mark.parametrize("decisions", [None, [], {}, [1], [None]])
def test_requests_without_decisions_are_refused(page, decisions):
    assert page.refusal("decide", decisions=decisions).params["name"] == "decisions"


@pytest.mark.parametrize("filters", [{"colour": 1}, {"values": "Bag"}, {"state": "x"}, {"min_confidence": 2}, [1]])
def test_wrong_filters_are_refused(page, filters):
    assert page.refusal("next", filters=filters).status == 400
    assert page.refusal("items", filters=filters).status == 400


@pytest.mark.parametrize("name", ["gone.db", "../shop.db", "catalogue.csv", "images", "shop.db\0", ".hidden.db"])
def test_other_files_are_no_store(page, name):
    assert page.refusal("open", store=name).code == "file_not_in_folder"


def test_a_store_in_the_place_of_another_is_opened_anew(shop, tmp_path, page):
    item = page.post("next", count=1)["items"][0]
    page.post("decide", decisions=[page.decision(item)])
    make_review_shop(tmp_path / "other", 5)
    (tmp_path / "other/shop.db").replace(shop / "shop.db")
    assert page.post("counts")["counts"]["label"]["sample"]["decided"] == 0
    item = page.post("next", count=1)["items"][0]
    page.post("decide", decisions=[page.decision(item)])
    with Store.open(shop / "shop.db") as store:
        assert len(store.history(item["product"], "label")) == 1


@pytest.mark.parametrize("name", ["decisions", "kinds", "drawn", "values", "decided_values", "who"])
def test_a_filter_with_many_names_is_answered_or_refused(page, name):
    known = {"decisions": "accept", "kinds": "value", "drawn": "random", "who": "Ada"}.get(name, "Bag")
    assert "items" in page.post("items", filters={name: [known] * 4000})
    assert "items" in page.post("next", filters={name: [known] * 4000})
    refused = page.refusal("items", filters={name: [known] * 40_000})
    assert (refused.code, refused.params["name"], refused.status) == ("request_value", name, 400)


def test_many_products_are_given_back_or_refused(page):
    assert page.post("release", products=list(range(5000))) == {}
    assert page.refusal("release", products=[1] * 40_000).code == "request_value"


def test_numbers_that_no_page_shows_are_left_out(shop, page):
    item = page.post("next", count=1)["items"][0]
    shown = {"probability": 10**400, "view": "grid"}
    page.post("decide", decisions=[page.decision(item, shown=shown)])
    with sqlite3.connect(shop / "shop.db") as connection:
        (kept,) = connection.execute("SELECT shown FROM decisions").fetchone()
    connection.close()
    assert json.loads(kept) == {"view": "grid"}


@pytest.mark.parametrize("more", [{"note": "two handles"}, {"value": "Shirt"}, {"kind": "not_sure"}])
def test_a_request_with_other_content_is_refused(page, more):
    item = page.post("items", filters={"values": ["Bag"]}, count=1)["items"][0]
    first = page.decision(item)
    page.post("decide", decisions=[first])
    assert page.refusal("decide", decisions=[first | more]).code == "review_request_reused"
    assert page.refusal("decide", decisions=[first], who="Bo").code == "review_request_reused"
    assert len(page.post("history", product=item["product"])["history"]) == 1


def test_times_of_a_filter_are_compared_in_utc(page):
    item = page.post("next", count=1)["items"][0]
    page.post("decide", decisions=[page.decision(item)])
    now = datetime.now(timezone(timedelta(hours=-11)))
    earlier, later = ((now + timedelta(hours=hours)).isoformat() for hours in (-1, 1))
    assert len(page.post("items", filters={"since": earlier, "until": later})["items"]) == 1
    assert page.post("items", filters={"since": later})["items"] == []
    assert page.refusal("items", filters={"since": "last week"}).params == {"name": "since"}


ODD_VALUES = (None, -1, 10**30, float("nan"), "\ud800", "x" * 3000, [[1]])
FIELDS = ("store", "target", "who", "page", "count", "filters", "sort", "start", "product", "products", "decisions")


@pytest.mark.parametrize("path", [*STORE_ROUTES, *PAGE_ROUTES, *WORK_ROUTES])
def test_odd_values_are_answered_or_refused_everywhere(page, path):
    known = {"product": 1, "name": "Hat", "undos": [{"decision": 1, "request": "undo"}]}
    known["decisions"] = [page.decision(page.post("items", count=1)["items"][0])]
    statuses = set()
    for field in (*FIELDS, "undos", "name", "undo", "digest", "class_name"):
        for value in ODD_VALUES:
            try:
                page.post(path, **known | {field: value})
            except MuslinError as error:
                statuses.add(error.status)
                str(error).encode()
    assert {400} <= statuses <= {400, 403, 404, 409, 413}
