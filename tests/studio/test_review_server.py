"""`muslin review serve` as its page finds it, over real connections."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from api_calls import token_of

from command_line import invoke
from review_shop import make_review_shop
from studio_server import WAIT_S, running_studio


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The host of a studio that serves a store by its path."""
    shop = tmp_path_factory.mktemp("review") / "shop"
    make_review_shop(shop, 120)  # at least 20 of each class are for review, whichever are drawn
    with running_studio(shop, "review", "serve", str(shop / "shop.db")) as address:
        yield urlsplit(address).netloc


def ask(host, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(host, timeout=WAIT_S)
    try:
        connection.request(method, path, body and json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def post(host, path, **body):
    headers = {"X-Muslin-Token": token_of(f"http://{host}")}
    status, content, _ = ask(
        host, "POST", f"/api/review/{path}", {"store": "shop.db", "target": "label"} | body, **headers
    )
    assert status == 200, content
    return json.loads(content)


def test_the_served_store_is_the_one_to_begin_with(served):
    assert json.loads(ask(served, "GET", "/api/review/stores")[1]) == {"stores": ["shop.db"], "served": "shop.db"}


def test_a_whole_page_is_shown_and_confirmed(served):
    items = post(served, "next", who="Ada", count=12)["items"]
    for item in items:
        status, content, headers = ask(served, "GET", f"/api/review/photo?store=shop.db&product={item['product']}")
        assert (status, headers["content-type"], content[:2]) == (200, "image/jpeg", b"\xff\xd8")
    shown = [{name: item[name] for name in ("product", "target", "fingerprint", "digest", "value")} for item in items]
    decisions = [each | {"request": f"a {number}"} for number, each in enumerate(shown)]
    assert len(post(served, "decide", who="Ada", decisions=decisions)["receipts"]) == 12


def test_a_photo_is_kept_only_with_its_fingerprint(served):
    item = post(served, "item", product=1)["item"]
    path = "/api/review/photo?store=shop.db&product=1"
    kept = ask(served, "GET", f"{path}&fingerprint={item['fingerprint'].replace(' ', '+')}")[2]["cache-control"]
    asked_again = ask(served, "GET", f"{path}&fingerprint=other")[2]["cache-control"]
    assert "immutable" in kept
    assert asked_again == "no-cache"


def test_decisions_of_other_sites_are_refused(served):
    (item,) = post(served, "next", who="Ada", count=1)["items"]
    decision = {name: item[name] for name in ("product", "target", "fingerprint", "digest", "value")} | {"request": "x"}
    (receipt,) = post(served, "decide", who="Ada", decisions=[decision])["receipts"]
    undoing = {"who": "Mallory", "undos": [{"decision": receipt["id"], "request": "y"}]}
    body = {"store": "shop.db", "target": "label"} | undoing
    assert ask(served, "POST", "/api/review/undo", body)[0] == 403
    assert ask(served, "POST", "/api/review/undo", body, **{"X-Muslin-Token": "guess"})[0] == 403
    assert ask(served, "GET", "/api/review/photo?store=shop.db&product=1", Origin="http://evil.example")[0] == 403
    assert len(post(served, "history", product=item["product"])["history"]) == 1
    post(served, "undo", **undoing)  # with the token it is one that is accepted


def test_a_store_that_is_not_there_is_told(capfd, tmp_path):
    result = invoke(capfd, "review", "serve", tmp_path / "gone.db", "--port", "0")
    assert result.code == 1
    assert "gone.db" in result.err
