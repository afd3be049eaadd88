"""What a person or a catalogue puts into a store is there, whoever asks, in SQLite as in PostgreSQL."""

from muslin.review.store import Store
from review_stores import confirm, fill


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
