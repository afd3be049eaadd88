"""Stores of earlier versions are brought forward when they are opened, or read as they are."""

from pathlib import Path

from sqlalchemy import select, text, update

from mounted_disk import make_read_only, mounted_disk
from muslin.review import migrations
from muslin.review.schema import INFO, ITEMS
from muslin.review.store import Store
from muslin.review.values import Decided
from review_stores import decision_on, fill, new_product

FIRST_VIEW = """
CREATE VIEW current_decisions AS SELECT d.* FROM decisions d
WHERE d.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id)
AND NOT EXISTS (
    SELECT 1 FROM decisions later
    WHERE later.product = d.product AND later.target = d.target AND later.id > d.id AND later.kind <> 'undo'
    AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = later.id)
)
"""


def make_first_version(place: str | Path, model: Path) -> tuple[int, list[Decided]]:
    """A store as the first version left it, with a late decision on former photos; of which product, and what counts.

    That version has its view, and so no decision that counts for the product.
    """
    with Store.create(place, model, who="Ada") as store:
        with store._database.writing() as connection:
            connection.execute(text("DROP VIEW current_decisions"))
            connection.execute(text(FIRST_VIEW))
            connection.execute(update(INFO).where(INFO.c.key == "version").values(value=1))
        catalogue = fill(store, 40)
        former, other = store.items("label", count=2)
        number = int(former.name.removesuffix(".jpg"))
        store.put_products(catalogue, [new_product(number, "new photo")], store.active.digest)
        counting = store.decide([decision_on(store.item(former.product, "label")), decision_on(other)], "Ada")
        numbers = {receipt.id for receipt in counting}
        store.decide([decision_on(former)], "Bo")
        assert [decided.product for decided in store.decided("label")] == [other.product]
        history = [*store.history(former.product, "label"), *store.history(other.product, "label")]
        return former.product, [decided for decided in history if decided.id in numbers]


def test_a_store_of_the_first_version_is_brought_forward(place: str, model: Path) -> None:
    product, counting = make_first_version(place, model)
    with Store.open(place) as store:
        assert {decided.id for decided in store.decided("label")} == {decided.id for decided in counting}
        item = store.item(product, "label")
        assert item.decided is not None
        assert (item.decided.who, item.has_changed) == ("Ada", False)
        with store._database.reading() as connection:
            version = connection.scalar(select(INFO.c.value).where(INFO.c.key == "version"))
            rows = connection.execute(select(ITEMS)).all()
        assert version == len(migrations.MIGRATIONS)
        assert len(rows) == 40
    with Store.open(place) as store:
        assert len(list(store.decided("label"))) == len(counting)


def test_a_store_of_the_first_version_can_be_read_where_it_is(tmp_path: Path, model: Path) -> None:
    with mounted_disk(tmp_path / "disk", "4m") as folder:
        product, counting = make_first_version(folder / "shop.db", model)
        make_read_only(folder)
        with Store.open(folder / "shop.db") as store:
            assert len(list(store.decided("label"))) == len(counting) - 1
            item = store.item(product, "label")
            assert item.decided is not None
            assert (item.decided.who, item.has_changed) == ("Bo", True)
