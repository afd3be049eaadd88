"""What a person or a catalogue puts into a store is there, whoever asks, in SQLite as in PostgreSQL."""

import os
import random
import string
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, func, select, update

from muslin.data.dataset import Target
from muslin.models.bundle import seal
from muslin.review.items import make_items
from muslin.review.queue import LOCK_S
from muslin.review.sampling import is_in_test, rank_of
from muslin.review.schema import ITEMS, LOCKS, VECTORS
from muslin.review.store import Store
from muslin.review.values import Filters, NewPrediction, NewProduct, StoreSettings, value_of
from refusals import refuses
from review_stores import CLASSES, PostgreSQL, confirm, decision_on, fill, fingerprints, n_items, new_product
from small_models import small_bundle


def test_products_are_asked_until_none_is_left(store: Store) -> None:
    fill(store, 300)
    asked: list[int] = []
    while page := store.next_items("label", "Ada", count=20):
        assert len({item.value for item in page}) == 1
        assert [item.probability for item in page] == sorted(item.probability for item in page)
        asked += [item.product for item in page]
        confirm(store, page)
    counts = store.counts("label")
    assert len(asked) == len(set(asked)) == counts.queue.total == counts.queue.decided
    assert counts.prefix == counts.sample.total > 0
    assert counts.decisions["review"].left == counts.decisions["out of scope"].left == 0
    assert store.spot_checks("label").correct.all()


def test_random_sample_and_the_rest_end_together(store: Store) -> None:
    fill(store, 600)
    while store.counts("label").queue.left > 60:
        confirm(store, store.next_items("label", "Ada", count=20))
    counts = store.counts("label")
    share = counts.sample.decided / counts.sample.total
    assert abs(share - counts.queue.decided / counts.queue.total) < 0.15


def test_the_random_sample_counts_as_the_work_goes_on(store: Store) -> None:
    """Statistics use the sample up to the first product that is not decided: it must not wait until the end."""
    fill(store, 600)
    while store.counts("label").queue.left > store.counts("label").queue.total / 2:
        confirm(store, store.next_items("label", "Ada", count=20))
    counts = store.counts("label")
    assert counts.prefix > 0.3 * counts.sample.total


def test_four_people_at_once_never_get_the_same_item(store: Store) -> None:
    fill(store, 200)

    def work(who: str) -> list[int]:
        mine = []
        while page := store.next_items("label", who, count=7):
            mine += [item.product for item in page]
            confirm(store, page, who)
        return mine

    with ThreadPoolExecutor(4) as people:
        asked = [product for mine in people.map(work, ["Ada", "Bo", "Cy", "Di"]) for product in mine]
    assert max(Counter(asked).values()) == 1
    assert len(asked) == store.counts("label").queue.total


def test_two_tabs_of_one_person_get_different_items(store: Store) -> None:
    fill(store, 100)
    one, other = (store.next_items("label", "Ada", 10, page=page) for page in ("1", "2"))
    assert not {item.product for item in one} & {item.product for item in other}
    store.release("Ada", page="1")
    assert [item.product for item in store.next_items("label", "Bo", 10)] == [item.product for item in one]


@pytest.mark.parametrize("left_s", [-1, LOCK_S + 3600], ids=["over", "clock set back"])
def test_items_come_again_when_their_lock_is_over(store: Store, left_s: float) -> None:
    fill(store, 100)
    before = store.next_items("label", "Ada", 10)
    with store._database.writing() as connection:
        connection.execute(update(LOCKS).values(expires=time.time() + left_s))
    assert store.next_items("label", "Bo", 10) == before


def test_a_request_sent_again_adds_nothing(store: Store) -> None:
    fill(store, 30)
    first, second = store.next_items("label", "Ada", 2)
    sent = decision_on(first, "Bag")
    (receipt,) = store.decide([sent], "Ada")
    again, repeated, new = store.decide([sent, sent, decision_on(second)], "Ada")
    assert (again.id, again.is_repeated, repeated.id) == (receipt.id, True, receipt.id)
    assert not new.is_repeated
    assert len(store.history(first.product, "label")) == 1
    with refuses("review_request_reused", request=sent.request):
        store.decide([replace(sent, value="Shirt")], "Ada")


def test_the_later_of_two_decisions_counts_and_is_told(store: Store) -> None:
    fill(store, 30)
    item = store.items("label", count=1)[0]
    (first,) = store.decide([decision_on(item, "Bag")], "Ada")
    sent = decision_on(item, "Shirt")
    (second,) = store.decide([sent], "Bo")
    assert second.earlier is not None
    assert (second.earlier.id, second.earlier.who, second.earlier.value) == (first.id, "Ada", "Bag")
    assert store.decide([sent], "Bo")[0].earlier == second.earlier  # told again, if the first telling was lost
    now = store.item(item.product, "label")
    assert now.decided is not None
    assert (now.decided.id, now.decided.value) == (second.id, "Shirt")
    (seen,) = store.decide([decision_on(now, "Bag")], "Ada")
    assert seen.earlier is None
    (conflict,) = store.conflicts("label")
    assert [(d.who, d.value) for d in conflict.decided] == [("Bo", "Shirt"), ("Ada", "Bag")]


def test_people_who_differ_are_a_conflict_until_they_agree(store: Store) -> None:
    fill(store, 30)
    one, other = store.items("label", count=2)
    store.decide([decision_on(one, "Bag"), decision_on(other)], "Ada")
    store.decide([decision_on(one, kind="not_sure"), decision_on(other)], "Bo")
    (conflict,) = store.conflicts("label")
    assert (conflict.product, conflict.name) == (one.product, one.name)
    assert [(d.who, d.kind, d.value) for d in conflict.decided] == [("Ada", "value", "Bag"), ("Bo", "not_sure", None)]
    store.decide([decision_on(one, "Bag")], "Bo")
    assert store.conflicts("label") == []


def test_undo_brings_back_what_counted_before(store: Store) -> None:
    fill(store, 30)
    item = store.next_items("label", "Ada", 1)[0]
    (first,) = store.decide([decision_on(item, "Bag")], "Ada")
    (second,) = store.decide([decision_on(item, "Shirt", after=first.id)], "Ada")
    undone = store.undo(second.id, "Bo", "undo-1")
    assert store.undo(second.id, "Bo", "undo-1") == replace(undone, is_repeated=True)
    assert store.undo(second.id, "Cy", "undo-2").id == undone.id
    assert [d.value for d in store.decided("label")] == ["Bag"]
    store.undo(first.id, "Bo", "undo-3")
    assert list(store.decided("label")) == []
    assert store.next_items("label", "Ada", 1)[0].product == item.product
    told = [(d.kind, d.who, d.is_undone, d.undoes) for d in store.history(item.product, "label")]
    assert told == [
        ("value", "Ada", True, None), ("value", "Ada", True, None),
        ("undo", "Bo", False, second.id), ("undo", "Bo", False, first.id),
    ]  # fmt: skip
    with refuses("review_decision_missing", decision=undone.id):
        store.undo(undone.id, "Bo", "undo-4")


def test_a_changed_product_is_asked_again(store: Store) -> None:
    catalogue = fill(store, 40)
    item = store.next_items("label", "Ada", 1)[0]
    store.decide([decision_on(item, "Bag")], "Ada")
    number = int(item.name.removesuffix(".jpg"))
    counts = store.put_products(catalogue, [new_product(number, "new photo")], store.active.digest)
    assert (counts.added, counts.changed, counts.unchanged) == (0, 1, 0)
    again = store.item(item.product, "label")
    assert again.has_changed
    assert again.decided is not None
    assert [i.product for i in store.items("label", Filters(state="changed"))] == [item.product]
    assert list(store.decided("label")) == []
    (receipt,) = store.decide([decision_on(item, "Shirt")], "Bo")  # a page from before
    assert receipt.has_changed
    assert list(store.decided("label")) == []
    store.decide([decision_on(store.item(item.product, "label"), "Bag")], "Ada")
    assert [d.value for d in store.decided("label")] == ["Bag"]


def test_a_late_decision_on_former_photos_counts_for_these(store: Store) -> None:
    catalogue = fill(store, 40)
    former = store.next_items("label", "Ada", 1)[0]
    number = int(former.name.removesuffix(".jpg"))
    store.put_products(catalogue, [new_product(number, "new photo")], store.active.digest)
    (first,) = store.decide([decision_on(store.item(former.product, "label"), "Bag")], "Ada")
    sent = decision_on(former, "Shirt")  # from a page that had no connection meanwhile
    (late,) = store.decide([sent], "Bo")
    assert (late.has_changed, late.earlier) == (True, None)
    assert store.decide([sent], "Bo") == [replace(late, is_repeated=True)]
    assert [d.who for d in store.decided("label")] == ["Ada"]
    now = store.item(former.product, "label")
    assert now.decided is not None
    assert (now.decided.id, now.has_changed, store.counts("label").queue.decided) == (first.id, False, 1)
    store.put_products(catalogue, [new_product(number)], store.active.digest)
    assert [d.who for d in store.decided("label")] == ["Bo"], "the decision on these photos counts again"
    store.put_products(catalogue, [new_product(number, "third photo")], store.active.digest)
    changed = store.item(former.product, "label")
    assert changed.decided is not None
    assert (changed.decided.id, changed.has_changed) == (late.id, True)


def test_a_page_with_an_unknown_value_adds_nothing(store: Store) -> None:
    fill(store, 30)
    one, other = store.items("label", count=2)
    with refuses("review_value_unknown", name="Scarf", target="label"):
        store.decide([decision_on(one), decision_on(other, "Scarf")], "Ada")
    assert list(store.decided("label")) == []
    store.add_class("label", "Scarf", "Ada")
    store.add_class("label", "Scarf", "Bo")
    assert store.classes("label") == (*CLASSES, "Scarf")
    store.decide([decision_on(one), decision_on(other, "Scarf")], "Ada")
    assert {d.value for d in store.decided("label")} == {one.value, "Scarf"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "maybe"}, "review_kind_unknown"),
        ({"kind": "undo", "value": None}, "review_kind_unknown"),
        ({"kind": "not_sure"}, "review_decision_incomplete"),
        ({"value": None}, "review_decision_incomplete"),
        ({"request": ""}, "review_decision_incomplete"),
        ({"product": 10**6}, "review_product_missing"),
        ({"product": 10**30}, "review_number_range"),
        ({"target": "colour"}, "review_target_unknown"),
    ],
)
def test_an_odd_decision_is_refused(store: Store, change: dict[str, object], code: str) -> None:
    fill(store, 10)
    sent = replace(decision_on(store.items("label", count=1)[0]), **change)  # type: ignore[arg-type]
    with refuses(code):
        store.decide([sent], "Ada")


def test_adding_goes_on_where_it_was_killed(store: Store) -> None:
    catalogue = store.add_catalogue("/shop/catalogue.csv", {"product": "sku"})

    def until_killed() -> Iterator[NewProduct]:
        yield from map(new_product, range(700))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put_products(catalogue, until_killed(), store.active.digest)
    before = fingerprints(store)
    assert before
    assert store.add_catalogue("/shop/catalogue.csv", {"product": "sku"}) == catalogue
    ids = {product.name: product.id for product in store.products()}
    counts = store.put_products(catalogue, map(new_product, range(900)), store.active.digest)
    assert (counts.added, counts.unchanged) == (900 - len(before), len(before))
    after = {product.name: product.id for product in store.products(catalogue)}
    assert {name: after[name] for name in ids} == ids
    assert len(after) == 900


def test_a_name_twice_and_an_unreadable_photo_are_counted(store: Store) -> None:
    catalogue = fill(store, 10)
    odd = NewProduct("odd.jpg", "", ("odd.jpg",), "", {}, error="not found")
    counts = store.put_products(catalogue, [odd, new_product(3), new_product(3)], store.active.digest)
    assert (counts.added, counts.unchanged, counts.repeated, counts.unreadable) == (1, 1, 1, 1)
    assert store.counts("label").unreadable == 1
    assert n_items(store) == 10


def test_ranks_are_uniform_and_independent_of_the_test_part() -> None:
    names = [f"{i}.jpg" for i in range(4000)]
    ranks = np.array([rank_of(7, "/shop.csv", name) for name in names])
    in_test = np.array([is_in_test(7, "/shop.csv", name) for name in names])
    assert np.abs(np.sort(ranks) - (np.arange(4000) + 0.5) / 4000).max() < 1.63 / 4000**0.5  # Kolmogorov, 1 %
    assert abs(in_test.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(ranks, in_test)[0, 1]) < 0.05
    assert rank_of(8, "/shop.csv", names[0]) != ranks[0] != rank_of(7, "/other.csv", names[0])


def test_spot_checks_end_before_the_first_open_one(store: Store) -> None:
    fill(store, 300)
    ranked = {product.id: product.rank for product in store.products()}
    drawn = store.items("label", Filters(drawn=("spot_check",)), count=1000)
    drawn.sort(key=lambda item: ranked[item.product])
    store.decide([decision_on(drawn[0]), decision_on(drawn[1], kind="not_sure"), decision_on(drawn[2], "Bag")], "Ada")
    store.decide([decision_on(item) for item in drawn[4:]], "Ada")
    checks = store.spot_checks("label")
    assert checks.products.tolist() == [item.product for item in drawn[:3]]
    assert checks.correct.tolist() == [True, False, drawn[2].value == "Bag"]
    assert (checks.kinds, checks.size, checks.population) == (("value", "not_sure", "value"), len(drawn), 180)
    store.decide([decision_on(drawn[3])], "Ada")
    assert store.spot_checks("label").products.tolist() == [item.product for item in drawn]


def test_the_random_sample_can_only_grow(store: Store) -> None:
    fill(store, 300)
    before = set(store.items("label", Filters(drawn=("spot_check", "random")), count=1000))
    with refuses("spot_checks_lowered", share=0.1, old=0.2):
        store.raise_spot_checks(0.1)
    store.raise_spot_checks(0.4)
    after = set(store.items("label", Filters(drawn=("spot_check", "random")), count=1000))
    assert {item.product for item in before} < {item.product for item in after}


def test_search_finds_by_each_filter(store: Store) -> None:
    fill(store, 60)
    some = store.items("label", Filters(values=("Bag",), decisions=("review",)))
    assert some
    assert {(item.value, item.decision) for item in some} == {("Bag", "review")}
    assert [item.name for item in store.items("label", Filters(text="ÄRMEL 17"))] == ["17.jpg"]
    assert [item.name for item in store.items("label", Filters(text="7.JPG"), "-name")][:2] == ["7.jpg", "57.jpg"]
    assert store.items("label", Filters(text="%")) == []
    sure = store.items("label", Filters(min_confidence=0.8), "-confidence")
    assert [item.probability for item in sure] == sorted((i.probability for i in sure), reverse=True)
    store.decide([decision_on(some[0], "Shirt")], "Ada")
    store.decide([decision_on(some[1], kind="not_ours")], "Bo")
    for filters, expected in (
        (Filters(who=("Ada",)), some[:1]), (Filters(decided_values=("Shirt",)), some[:1]),
        (Filters(kinds=("not_ours",)), some[1:2]), (Filters(state="decided"), some[:2]),
        (Filters(since="2020-01-01", until="2100-01-01"), some[:2]), (Filters(since="2100-01-01"), []),
    ):  # fmt: skip
        assert [i.product for i in store.items("label", filters, "date")] == [i.product for i in expected], filters
    assert n_items(store, Filters(state="open")) == 58
    assert len({item.product for start in (0, 20, 40) for item in store.items("label", start=start, count=20)}) == 60


def test_a_promoted_model_shows_its_predictions_and_can_be_undone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fill(store, 40)
    first = store.active
    seal(small_bundle(Target("label", (*CLASSES, "Scarf"))), tmp_path / "next.muslin")
    digest = store.add_model(tmp_path / "next.muslin", {"decisions": 3})
    assert store.add_model(tmp_path / "next.muslin", {}) == digest
    item = store.items("label", count=1)[0]
    store.decide([decision_on(item, "Bag")], "Ada")
    with refuses("review_predictions_missing", count=40):
        store.promote(digest, "Ada", {})
    found = NewPrediction("Scarf", 0.9, "accept", ("Scarf",))
    store.put_predictions(digest, [(product, {"label": found}) for product in store.without_predictions(digest)])
    store.promote(digest, "Ada", {"accuracy": 0.9})
    assert store.active.digest == digest
    assert store.classes("label") == (*CLASSES, "Scarf")
    assert {i.value for i in store.items("label", count=100)} == {"Scarf"}
    decided = store.item(item.product, "label").decided
    assert decided is not None
    assert decided.value == "Bag"
    cached, first_cached = store.open_model(digest), store.open_model(first.digest)
    assert cached.read_bytes() == (tmp_path / "next.muslin").read_bytes()
    cached.write_bytes(b"damaged")
    os.utime(first_cached, (0, 0))
    assert store.open_model(digest).read_bytes() == (tmp_path / "next.muslin").read_bytes()
    assert not first_cached.exists()  # nobody has asked for it since 1970
    assert store.previous == first.digest
    assert store.undo_promotion("Bo") == first.digest
    assert store.item(item.product, "label").value == item.value
    with refuses("review_no_promotion"):
        store.undo_promotion("Bo")
    assert [(p.kind, p.who) for p in store.promotions()] == [("init", "Ada"), ("promote", "Ada"), ("undo", "Bo")]


def add_next_model(store: Store, folder: Path, side: int) -> str:
    """A model that differs by the side of its images, with no predictions."""
    seal(small_bundle(side=side), folder / f"{side}.muslin")
    return store.add_model(folder / f"{side}.muslin", {})


def predict_all(store: Store, digest: str, value: str, count: int | None = None) -> None:
    """Predict the same for each product, or for `count` of them."""
    found = {"label": NewPrediction(value, 0.9, "accept", (value,))}
    products = store.without_predictions(digest)[:count]
    store.put_vectors(digest, dict.fromkeys(products, np.array([0, 1], np.float16).tobytes()))
    store.put_predictions(digest, [(product, found) for product in products])


def test_nothing_shows_a_candidate_before_it_is_active(store: Store, tmp_path: Path) -> None:
    fill(store, 40)
    store.put_vectors(
        store.active.digest, {p.id: np.array([1, p.id / 50], np.float16).tobytes() for p in store.products()}
    )
    product = next(iter(store.products())).id

    def shown() -> tuple[object, ...]:
        return store.counts("label"), store.items("label", count=100), store.similar(product, "label")

    before = shown()
    assert len(before[2]) == 39  # type: ignore[arg-type]
    digest = add_next_model(store, tmp_path, 13)
    predict_all(store, digest, "Bag", 25)
    assert shown() == before
    with refuses("review_predictions_missing", count=15):
        store.promote(digest, "Ada", {})
    predict_all(store, digest, "Bag")
    assert shown() == before
    store.promote(digest, "Ada", {})
    assert {item.value for item in store.items("label", count=100)} == {"Bag"}
    store.undo_promotion("Ada")
    assert shown() == before


def test_a_store_does_not_grow_with_each_promotion(store: Store, tmp_path: Path) -> None:
    fill(store, 40)
    for side in (13, 14, 15):
        digest = add_next_model(store, tmp_path, side)
        predict_all(store, digest, "Bag")
        store.promote(digest, "Ada", {})
    first, second, third, fourth = (model.digest for model in store.models())
    assert [len(store.without_predictions(each)) for each in (first, second, third, fourth)] == [40, 40, 0, 0]
    with store._database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(ITEMS)) == 80
        assert connection.scalar(select(func.count()).select_from(VECTORS)) == 80
    assert store.undo_promotion("Ada") == third
    with refuses("review_predictions_missing", count=40):
        store.undo_promotion("Ada")


def test_a_promotion_in_place_of_a_former_model_is_refused(store: Store, tmp_path: Path) -> None:
    fill(store, 40)
    first, second, third = store.active.digest, *(add_next_model(store, tmp_path, side) for side in (13, 14))
    for digest in (second, third):
        predict_all(store, digest, "Bag")
    store.promote(second, "Ada", {}, instead_of=first)
    with refuses("promotion_model_changed", path=store.name):
        store.promote(third, "Bo", {}, instead_of=first)
    assert store.undo_promotion("Ada", instead_of=second) == first
    with refuses("promotion_model_changed", path=store.name):
        store.undo_promotion("Bo", instead_of=second)


def test_a_model_with_other_targets_is_not_promoted(store: Store, tmp_path: Path) -> None:
    seal(small_bundle(Target("colour", ("red", "blue"))), tmp_path / "other.muslin")
    digest = store.add_model(tmp_path / "other.muslin", {})
    with refuses("review_targets_differ", found=["colour (multiclass)"], expected=["label (multiclass)"]):
        store.promote(digest, "Ada", {})


def test_items_follow_from_predictions_and_decisions(store: Store) -> None:
    catalogue = fill(store, 40)
    draw = np.random.default_rng(3)
    numbers = []
    for step in range(60):
        item = store.items("label", start=int(draw.integers(40)), count=1)[0]
        numbers.append(store.decide([decision_on(item, CLASSES[draw.integers(3)])], "Ada")[0].id)
        if step % 4 == 0:
            store.undo(int(draw.choice(numbers)), "Bo", f"undo-{step}")
        if step % 5 == 0:
            store.put_products(catalogue, [new_product(int(draw.integers(40)), f"v{step}")], store.active.digest)
    with store._database.writing() as connection:
        kept = connection.execute(select(ITEMS).order_by(ITEMS.c.product)).all()
        connection.execute(delete(ITEMS))
        make_items(connection, [product.id for product in store.products()])
        assert connection.execute(select(ITEMS).order_by(ITEMS.c.product)).all() == kept


def test_labels_of_a_multilabel_target_are_decided(place: str, tmp_path: Path) -> None:
    seal(small_bundle(Target("style", ("plain", "striped", "checked"), "multilabel")), tmp_path / "m.muslin")
    with Store.create(place, tmp_path / "m.muslin", who="Ada") as store:
        catalogue = store.add_catalogue("/shop.csv", {})
        predicted = NewPrediction('["plain", "striped"]', 0.6, "review", ("plain", "striped"))
        products = [NewProduct("a.jpg", "f", ("a.jpg",), "", {"style": predicted})]
        store.put_products(catalogue, products, store.active.digest)
        item = store.next_items("style", "Ada")[0]
        for wrong in ('["striped", "plain"]', '["dotted"]', "plain", "[1]", "{"):
            with refuses("review_value_unknown", name=wrong):
                store.decide([decision_on(item, wrong)], "Ada")
        store.decide([decision_on(item, "[]")], "Ada")
        assert [d.value for d in store.decided("style")] == ["[]"]


def test_labels_are_the_same_in_any_order(place: str, tmp_path: Path) -> None:
    for name, classes in (("first", ("plain", "long")), ("next", ("plain", "long", "checked"))):
        seal(small_bundle(Target("style", classes, "multilabel")), tmp_path / f"{name}.muslin")
    with Store.create(place, tmp_path / "first.muslin", who="Ada") as store:
        for name in ("wool", "checked"):
            store.add_class("style", name, "Ada")
        predicted = {"style": NewPrediction('["plain"]', 0.6, "review", ("plain",))}
        catalogue = store.add_catalogue("/shop.csv", {})
        store.put_products(catalogue, [NewProduct("a.jpg", "f", ("a.jpg",), "", predicted)], store.active.digest)
        item = store.items("style")[0]
        written = value_of(store.targets[0], ["wool", "checked"], store.classes("style")[2:])
        sent = decision_on(item, written)
        (receipt,) = store.decide([sent], "Ada")
        digest = store.add_model(tmp_path / "next.muslin", {})
        store.put_predictions(digest, [(item.product, predicted)])
        store.promote(digest, "Ada", {})
        now = value_of(store.targets[0], ["wool", "checked"], store.classes("style")[3:])
        assert (written, now) == ('["wool", "checked"]', '["checked", "wool"]')
        assert store.decide([replace(sent, value=now)], "Ada") == [replace(receipt, is_repeated=True)]
        assert len(store.items("style", Filters(decided_values=(now,)))) == 1
        assert store.items("style", Filters(decided_values=('["wool"]',))) == []
        store.decide([decision_on(item, now)], "Bo")
        assert store.conflicts("style") == []
        store.decide([decision_on(item, '["wool"]')], "Bo")
        assert len(store.conflicts("style")) == 1


def test_what_was_decided_is_there_when_opened_again(place: str, model: Path) -> None:
    with Store.create(
        place, model, who="Ada", settings=StoreSettings(3, precision=0.99, data={"path": "shop"})
    ) as store:
        fill(store, 20)
        confirm(store, store.next_items("label", "Ada", 5))
        info, decided = store.info, list(store.decided("label"))
    with Store.open(place) as store:
        assert (store.info, list(store.decided("label"))) == (info, decided)
        assert (store.info.seed, store.info.precision, store.info.data) == (3, 0.99, {"path": "shop"})
        assert store.active.name == "model.muslin"
    with refuses("already_exists"):
        Store.create(place, model, who="Bo")


@pytest.mark.parametrize("name", ["M\udcfctze.jpg", "a\0b.jpg", "\ufdd0c.jpg", "d'\"%_\\.jpg", "\u202e\x1b[31m\n.jpg"])
def test_any_name_comes_back_as_it_was(store: Store, name: str) -> None:
    catalogue = store.add_catalogue(f"/shop/{name}.csv", {"column": name})
    product = replace(new_product(8), name=name, photos=(name, "b.jpg"), text=name)
    for expected in ((1, 0), (0, 1)):
        counts = store.put_products(catalogue, [product], store.active.digest)
        assert (counts.added, counts.unchanged) == expected
    assert fingerprints(store) == {name: product.fingerprint}
    (item,) = store.items("label", Filters(text=name.upper()))
    assert (item.name, item.photos, item.text) == (name, (name, "b.jpg"), name)
    store.decide([decision_on(item, note=name, shown={"text": name})], name)
    (decided,) = store.decided("label")
    assert (decided.who, decided.note) == (name, name)
    (kept,) = store.catalogues()
    assert (kept.path, kept.read_options) == (f"/shop/{name}.csv", {"column": name})


def test_a_database_without_an_encoding_keeps_names(postgresql: PostgreSQL, model: Path) -> None:
    postgresql.create_database("ascii", "SQL_ASCII")
    with Store.create(postgresql.url("ascii"), model, who="Zoë") as store:
        catalogue = store.add_catalogue("/shop/毛衣.csv", {})
        store.put_products(catalogue, [replace(new_product(8), name="毛衣.jpg")], store.active.digest)
        assert [item.name for item in store.items("label", Filters(text="毛衣"))] == ["毛衣.jpg"]
        assert store.info.who == "Zoë"


@pytest.mark.parametrize("length", [2_000, 2_001])
def test_names_and_values_have_one_limit_in_both_databases(store: Store, length: int) -> None:
    name = "".join(random.Random(0).choices(string.ascii_letters, k=length))  # which PostgreSQL cannot compress

    def add_all() -> None:
        predictions = {"label": NewPrediction(name, 0.5, "review", (name,))}
        catalogue = store.add_catalogue("/shop/catalogue.csv", {})
        store.put_products(catalogue, [NewProduct(name, "f", (), "", predictions)], store.active.digest)

    if length > 2_000:
        with refuses("review_text_too_long", size=length, limit=2_000):
            add_all()
        assert not list(store.products())
    else:
        add_all()
        assert [item.value for item in store.items("label", Filters(values=(name,)))] == [name]


def test_who_decides_has_a_name(store: Store, place: str, model: Path) -> None:
    fill(store, 3)
    (item, *_) = store.items("label")
    calls = [
        lambda who: store.decide([decision_on(item)], who),
        lambda who: store.next_items("label", who),
        lambda who: store.add_class("label", "Scarf", who),
        lambda who: store.promote(store.active.digest, who, {}),
        lambda who: Store.create(f"{place}2", model, who=who),
    ]
    for call in calls:
        with refuses("review_who_empty"):
            call(" ")
    assert store.counts("label").queue.decided == 0
