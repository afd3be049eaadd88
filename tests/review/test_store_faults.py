"""Locked, full, damaged, restarted, at another time: each is said in a sentence, and nothing acknowledged is lost."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from command_line import environment
from mounted_disk import make_read_only, mounted_disk
from muslin.errors import DataError, MuslinError, StorageError
from muslin.models.bundle import seal
from muslin.review import database
from muslin.review.schema import INFO
from muslin.review.store import Store
from muslin.review.values import StoreSettings
from refusals import refuses
from review_stores import PostgreSQL, confirm, decision_on, fill, n_items, new_product
from small_models import small_bundle

DECIDE = """
import json, sys
from muslin.review.store import Store
from muslin.workflows.review_status import store_status
from review_stores import decision_on
with Store.open(sys.argv[1]) as store:
    for item in store.next_items("label", "Ada", 3):
        store.decide([decision_on(item)], "Ada")
    print(json.dumps([message.code for message in store_status(store).messages]))
"""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that waits for other processes for a quarter of a second only."""
    monkeypatch.setattr(database, "BUSY_S", 0.25)


def test_a_locked_store_is_told_and_can_be_read(impatient: None, place: str, model: Path) -> None:
    with Store.create(place, model, who="Ada") as store, Store.open(place) as other:
        fill(store, 30)
        items = store.next_items("label", "Ada", 2)
        with other._database.writing():
            with refuses("store_locked", StorageError, path=store.name):
                confirm(store, items)
            assert store.counts("label").queue.decided == 0
        confirm(store, items)
        assert store.counts("label").queue.decided == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB, in memory."""
    with mounted_disk(tmp_path / "disk", "4m") as folder:
        yield folder


def test_a_full_disk_keeps_what_was_acknowledged(small_disk: Path, model: Path) -> None:
    place = small_disk / "shop.db"
    acknowledged: list[int] = []
    with Store.create(place, model, who="Ada") as store:
        fill(store, 200)
        (small_disk / "ballast").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - 300_000))
        item = store.items("label", count=1)[0]
        with refuses("disk_full", StorageError, path=str(place)):
            while True:
                acknowledged.append(store.decide([decision_on(item, note="x" * 2000)], "Ada")[0].id)
        assert acknowledged
        assert [decided.id for decided in store.history(item.product, "label")] == acknowledged
        (small_disk / "ballast").unlink()
        acknowledged.append(store.decide([decision_on(item)], "Ada")[0].id)
    with Store.open(place) as store:
        assert [decided.id for decided in store.history(item.product, "label")] == acknowledged


def test_a_full_disk_while_adding_leaves_whole_pieces(small_disk: Path, model: Path) -> None:
    place = small_disk / "shop.db"
    with Store.create(place, model, who="Ada") as store:
        with refuses("disk_full", StorageError, path=str(place)):
            fill(store, 20_000)
        n_added = sum(1 for _ in store.products())
        assert n_added == n_items(store) > 0


def test_a_store_on_a_read_only_disk_can_be_read(small_disk: Path, model: Path) -> None:
    place = small_disk / "shop ?#%20.db"
    with Store.create(place, model, who="Ada") as store:
        fill(store, 20)
        confirm(store, store.next_items("label", "Ada", 2))
    make_read_only(small_disk)
    with Store.open(place) as store:
        assert store.counts("label").queue.decided == 2
        with refuses("write_denied", StorageError, path=str(place)):
            confirm(store, store.items("label", count=1))
        assert len(store.items("label")) == 20


PROMOTE = """
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from muslin.review import products
from muslin.review.store import Store
from review_stores import new_product
products.CHUNK, left = 10, int(sys.argv[3])
@event.listens_for(Engine, "commit")
def commit(connection):
    global left
    left -= connection.get_execution_options().get("is_writer", False)
    if left < 0:
        os.kill(os.getpid(), 9)
with Store.open(sys.argv[1]) as store:
    digest, predicted = sys.argv[2], new_product(1).predictions
    store.put_predictions(digest, ((each, predicted) for each in store.without_predictions(digest)))
    store.promote(digest, "Ada", {})
"""


def _with_tests() -> str:
    """A search path of Python's with the helpers of the tests."""
    return os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize(("commits", "is_active"), [(4, False), (6, True)])
def test_a_killed_promotion_is_whole_or_not_there(tmp_path: Path, model: Path, commits: int, is_active: bool) -> None:
    for side in (13, 14):
        seal(small_bundle(side=side), tmp_path / f"{side}.muslin")
    with Store.create(tmp_path / "shop.db", model, who="Ada") as store:
        fill(store, 40)
        second, third = (store.add_model(tmp_path / f"{side}.muslin", {}) for side in (13, 14))
        store.put_predictions(second, ((p.id, new_product(0).predictions) for p in store.products()))
        store.promote(second, "Ada", {})

    def promote(commits: int) -> int:
        command = [sys.executable, "-c", PROMOTE, str(tmp_path / "shop.db"), third, str(commits)]
        return subprocess.run(command, env=environment(PYTHONPATH=_with_tests()), check=False).returncode

    assert promote(commits) == -9
    with Store.open(tmp_path / "shop.db") as store:
        assert store.active.digest == (third if is_active else second)
        shown = {item.value for item in store.items("label", count=100)}
        assert shown == {(new_product(1) if is_active else new_product(0)).predictions["label"].value}
        assert n_items(store) == 40
    assert promote(99) == 0
    with Store.open(tmp_path / "shop.db") as store:
        assert store.active.digest == third


def test_a_promotion_goes_on_after_postgresql_was_down(postgresql: PostgreSQL, model: Path, tmp_path: Path) -> None:
    seal(small_bundle(side=13), tmp_path / "next.muslin")
    with Store.create(postgresql.url(), model, who="Ada") as store:
        fill(store, 1100)
        digest, predicted = store.add_model(tmp_path / "next.muslin", {}), new_product(1).predictions

        def predictions(stop: bool) -> Iterator[tuple[int, Any]]:
            for n, product in enumerate(store.without_predictions(digest)):
                if n == 600:  # when 500 are on disk
                    postgresql.stop()
                    if not stop:
                        postgresql.start()
                yield product, predicted

        with refuses("store_unreachable", StorageError):
            store.put_predictions(digest, predictions(stop=True))
        postgresql.start()
        assert len(store.without_predictions(digest)) == 600
        with refuses("review_predictions_missing", count=600):
            store.promote(digest, "Ada", {})
        store.put_predictions(digest, predictions(stop=False))
        store.promote(digest, "Ada", {})
        assert store.active.digest == digest


def test_postgresql_restarted_under_load_loses_nothing(postgresql: PostgreSQL, model: Path) -> None:
    with Store.create(postgresql.url(), model, who="Ada") as store:
        fill(store, 400)
        codes: Counter[str] = Counter()
        acknowledged: dict[int, int] = {}
        is_over = threading.Event()

        def work(who: str) -> None:
            while not is_over.is_set():
                try:
                    page = store.next_items("label", who, 4)
                except StorageError as error:
                    codes[error.code] += 1
                    continue
                sent = [decision_on(item) for item in page]
                while sent:
                    try:
                        for decision, receipt in zip(sent, store.decide(sent, who), strict=True):
                            acknowledged[decision.product] = receipt.id
                        sent = []
                    except StorageError as error:
                        codes[error.code] += 1
                        time.sleep(0.05)

        people = [threading.Thread(target=work, args=(who,)) for who in ("Ada", "Bo")]
        for person in people:
            person.start()
        for mode in ("immediate", "fast"):
            time.sleep(0.5)
            postgresql.stop(mode)
            time.sleep(0.2)
            postgresql.start()
        time.sleep(0.5)
        is_over.set()
        for person in people:
            person.join()
        assert set(codes) == {"store_unreachable"}
        found = {decided.product: decided.id for decided in store.decided("label")}
        assert acknowledged.items() == found.items()
        assert found
        assert all(len(store.history(product, "label")) == 1 for product in found)


@pytest.mark.skipif(FAKETIME is None, reason="needs Debian's package libfaketime")
def test_a_clock_set_back_is_told_and_changes_no_order(place: str, model: Path) -> None:
    with Store.create(place, model, who="Ada", settings=StoreSettings(spot_checks=0)) as store:
        fill(store, 60)
        confirm(store, store.next_items("label", "Ada", 2))
        store.next_items("label", "Bo", 2)  # whose locks seem to last for longer than any, once the clock is back
        assert store.notes() == []
    set_back = environment(
        LD_PRELOAD=str(FAKETIME), FAKETIME="-2h", FAKETIME_DONT_FAKE_MONOTONIC="1", PYTHONPATH=_with_tests()
    )
    command = [sys.executable, "-c", DECIDE, place]
    done = subprocess.run(command, env=set_back, capture_output=True, text=True, check=True)
    assert "review_clock_behind" in json.loads(done.stdout)
    with Store.open(place) as store:
        decided = sorted(store.decided("label"), key=lambda decision: decision.id)
        assert len(decided) == 5
        assert decided[2].at < decided[1].at


def test_a_file_that_is_no_store_is_refused_and_kept(tmp_path: Path, model: Path) -> None:
    (tmp_path / "shop.csv").write_text("sku,photo\n" + "1,a.jpg\n" * 1000)
    (tmp_path / "empty.db").touch()
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE products (sku TEXT)").connection.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    codes = dict.fromkeys(("shop.csv", "empty.db", "other.db"), "not_a_store") | {"none.db": "store_missing"}
    for name, code in codes.items():
        with refuses(code, path=str(tmp_path / name)):
            Store.open(tmp_path / name)
    for name in ("shop.csv", "other.db"):
        with refuses("already_exists", path=str(tmp_path / name)):
            Store.create(tmp_path / name, model, who="Ada")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_store_is_told(tmp_path: Path, model: Path) -> None:
    place = tmp_path / "shop.db"
    with Store.create(place, model, who="Ada") as store:
        fill(store, 500)
    content = bytearray(place.read_bytes())
    for start in range(8 * 4096, len(content), 4096):
        content[start : start + 100] = secrets.token_bytes(100)
    place.write_bytes(content)
    with refuses("store_damaged", path=str(place)), Store.open(place) as store:
        list(store.products())


def test_a_text_that_is_not_utf_8_is_told_as_damage(tmp_path: Path, model: Path) -> None:
    place = tmp_path / "shop.db"
    with Store.create(place, model, who="Ada") as store:
        fill(store, 2)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("UPDATE products SET photos = CAST(x'22ff22' AS TEXT)")
        connection.commit()
    with refuses("store_damaged", path=str(place)), Store.open(place) as store:
        list(store.products())


def test_a_store_of_a_later_muslin_is_refused(place: str, model: Path) -> None:
    with Store.create(place, model, who="Ada") as store, store._database.writing() as connection:
        connection.execute(update(INFO).where(INFO.c.key == "version").values(value=99))
    with refuses("store_from_future", version=99):
        Store.open(place)


@pytest.mark.parametrize("url", ["mysql://db/shop", "sqlite:///shop.db", "postgresql://db/shop?schema=a-b"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with refuses("store_url"):
        Store.open(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://shop:secret@127.0.0.1:1/shop", "postgresql://shop:***@127.0.0.1:1/shop"),
        ("postgresql://127.0.0.1:1/shop?user=shop&password=secret", "postgresql://127.0.0.1:1/shop"),
        ("mysql://127.0.0.1:1/shop?password=secret", "mysql://127.0.0.1:1/shop"),
        ("postgresql://shop:secret@[::1/shop", "postgresql://…"),
        ("postgresql://shop:secret@127.0.0.1:port/shop", "postgresql://…"),
        ("postgresql://shop:1@secret@127.0.0.1:1/shop", "postgresql://…"),
        ("postgresql://shop:1/secret@127.0.0.1:1/shop", "postgresql://shop:***@127.0.0.1:1/shop"),
    ],
)
def test_a_password_is_in_no_message(impatient: None, url: str, shown: str) -> None:
    with pytest.raises(MuslinError) as error:
        Store.open(url)
    assert error.value.params["path"] == shown
    assert "secret" not in str(error.value)


def test_a_failed_creation_can_be_tried_again(place: str, tmp_path: Path, model: Path) -> None:
    (tmp_path / "broken.muslin").write_bytes(model.read_bytes()[:-100])
    with refuses("seal_missing"):
        Store.create(place, tmp_path / "broken.muslin", who="Ada")
    with Store.create(place, model, who="Ada") as store:
        assert len(store.models()) == 1


DAMAGES = [
    "DELETE FROM info WHERE key = 'seed'",
    "UPDATE info SET value = '\"much\"' WHERE key = 'spot_checks'",
    "UPDATE info SET value = '{' WHERE key = 'version'",
    "UPDATE info SET value = '7' WHERE key = 'spot_checks'",
    "UPDATE info SET value = 'true' WHERE key = 'seed'",
    "UPDATE info SET value = '0.1' WHERE key = 'precision'",
    "UPDATE info SET value = '\"mostly\"' WHERE key = 'guarantee'",
    "UPDATE models SET targets = '[{}]'",
    "UPDATE models SET targets = '[]'",
    "UPDATE models SET targets = replace(targets, 'multiclass', 'regression')",
    "UPDATE promotions SET kind = 'bribed'",
    "UPDATE products SET rank = 4",
    "UPDATE items SET probability = 'high'",
    "UPDATE items SET probability = -1",
    "UPDATE items SET decision = 'perhaps'",
    "UPDATE products SET photos = '['",
    "UPDATE products SET photos = '[5]'",
    "UPDATE predictions SET candidates = '5'",
    "DELETE FROM promotions",
    "DROP VIEW current_decisions",
    "DROP TABLE items",
    "ALTER TABLE items RENAME COLUMN rank TO place",
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    path = tmp_path_factory.mktemp("sound") / "shop.db"
    with Store.create(path, model, who="Ada") as store:
        fill(store, 20)
    return path


@pytest.mark.parametrize("damage", DAMAGES)
def test_content_that_muslin_did_not_write_is_damage(tmp_path: Path, sound: Path, damage: str) -> None:
    path = shutil.copy(sound, tmp_path / "changed.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
    with refuses("store_damaged", DataError, path=str(path)), Store.open(path) as store:
        assert store.info
        assert store.targets
        assert store.promotions()
        assert list(store.products())
        store.next_items("label", "Ada")


def test_tables_of_another_program_are_no_store(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("CREATE TABLE info (a); CREATE TABLE models (a); CREATE TABLE decisions (a)")
    with refuses("not_a_store", DataError, path=str(path)):
        Store.open(path)


def test_a_store_without_a_name_is_refused(model: Path) -> None:
    with refuses("store_name_empty"):
        Store.create("", model, who="Ada")
    with refuses("store_name_empty"):
        Store.open("")


def test_names_that_no_file_can_have_are_refused(tmp_path: Path, model: Path) -> None:
    for name in ("x" * 5000, "nul\0"):
        with refuses("store_missing", DataError, path=name):
            Store.open(name)
        with pytest.raises(StorageError) as error:
            Store.create(name, model, who="Ada")
        assert error.value.code == "write_failed"
