"""The review loop on a studio that is killed at random moments and on a disk that is full: no acknowledged decision is
lost, and nothing is asked twice."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fork_server import ForkServer, Job, Running
from review_people import Books, Person
from small_disk import SmallDisk, small_disk

from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct
from review_stores import PostgreSQL
from small_models import LABEL, small_bundle

PEOPLE = (("Ada", "1"), ("Ada", "2"), ("Bo", "1"), ("Cy", "1"))
"""And their pages: Ada has two tabs open."""

LENGTHS = ((60, 2.0), (10_000, 4.0))
"""Decisions, and seconds that a studio lives at most before it is killed: in the short and in the long form."""

FULL_BYTES = 200_000
"""At most so many are free on the full disk."""

MAX_S = 1800
waits = []


def fill(place: str, folder: Path, count: int) -> None:
    """A store of products that are all to be decided."""
    seal(small_bundle(), folder / "model.muslin")

    def product(number: int) -> NewProduct:
        value = LABEL.classes[number % 3]
        prediction = NewPrediction(value, 0.3 + number / count / 2, "review", (value,))
        return NewProduct(f"{number}.jpg", f"f{number}", (f"{number}.jpg",), "", {LABEL.name: prediction})

    with Store.create(place, folder / "model.muslin", who="Ada") as store:
        catalogue = store.add_catalogue(folder / "catalogue.csv", {})
        store.put_products(catalogue, map(product, range(count)), store.active.digest)


class Studio:
    """A studio on a fixed port, which is started again after each kill."""

    def __init__(self, server: ForkServer, folder: Path, words: list[str]) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self._server, self._folder, self._words = server, folder, [*words, "--port", str(self.port)]
        self._running: Running | None = None
        self.kills = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, limits: Mapping[str, int] | None = None) -> None:
        self._running = self._server.start(Job(self._words, self._folder, limits=limits or {}))

    def wait(self) -> None:
        """Until it accepts requests, or has ended because it cannot open the store."""
        while self._running and not self._running.poll():
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill it; one that has ended has said why."""
        assert self._running
        ended = self._running.kill()
        assert ended.was_killed or (ended.code == 1 and "Traceback" not in ended.err), ended
        self.kills += ended.was_killed

    def end(self) -> None:
        """Leave nothing running, also after a failure."""
        if self._running:
            self._running.kill()


def check(place: str, books: Books, count: int) -> None:
    """Every acknowledged decision is in the store once, as it was made; every product was decided once."""
    assert books.faults == []
    with Store.open(place) as store:
        decided = list(store.decided("label"))
        assert Counter(each.product for each in decided) == Counter(range(1, count + 1))
        assert sum(len(store.history(product, "label")) for product in range(1, count + 1)) == count
        found = {each.product: each.value for each in decided}
    assert found == dict(books.acknowledged.values())


def disturb(studio: Studio, disk: SmallDisk, random: Random, longest_s: float) -> None:
    """Let the studio live for a moment on a disk with or without room, and kill it."""
    is_full = random.random() < 0.3
    studio.start(disk.leave(random.randrange(FULL_BYTES)) if is_full else {})
    if random.random() < 0.9:
        studio.wait()
    time.sleep(random.uniform(0, longest_s))
    studio.kill()
    disk.make_room()


def disturb_database(studio: Studio, database: PostgreSQL, disk: SmallDisk, random: Random, longest_s: float) -> None:
    """The same, but the disk is that of the database, which may be killed too."""
    studio.start()
    studio.wait()
    time.sleep(random.uniform(0, longest_s))
    what = random.random()
    if what < 0.2:
        database.stop("immediate")
    elif what < 0.4 and disk.mounted:
        disk.leave(random.randrange(FULL_BYTES))
        time.sleep(random.uniform(0, longest_s))
        disk.make_room()
    if what < 0.4:
        if not database.is_running:
            database.start()
        time.sleep(random.uniform(0, longest_s))
    studio.kill()


def review(studio: Studio, store: str, count: int, disturb: Callable[[], None]) -> Books:
    """Let people decide everything while somebody disturbs them; what they were told."""
    books = Books(count)
    people = [Person(books, studio.host, store, *who) for who in PEOPLE]
    for person in people:
        person.start()
    end = time.monotonic() + MAX_S
    try:
        while not books.is_done:
            assert time.monotonic() < end, f"{len(books.decided)} of {count} are decided"
            disturb()
    finally:
        studio.end()
    for person in people:
        person.join(MAX_S)
    assert studio.kills
    return books


def test_sqlite_keeps_every_acknowledged_decision(
    server: ForkServer, tmp_path: Path, rounds: int, is_long: bool
) -> None:
    count, longest_s = LENGTHS[is_long]
    random = Random(rounds)
    with small_disk(tmp_path / "disk") as disk:
        place = str(disk.folder / "shop.db")
        fill(place, tmp_path, count)
        studio = Studio(server, tmp_path, ["studio", str(disk.folder)])
        books = review(studio, "shop.db", count, lambda: disturb(studio, disk, random, longest_s))
        check(place, books, count)
        assert not is_long or books.refused["disk_full"], "the disk was never full"


def test_postgresql_keeps_every_acknowledged_decision(
    server: ForkServer, tmp_path: Path, rounds: int, is_long: bool
) -> None:
    count, longest_s = LENGTHS[is_long]
    random = Random(rounds)
    with TemporaryDirectory(prefix="muslin-") as folder:
        Path(folder).chmod(0o755)  # the user postgres goes through it
        with small_disk(Path(folder) / "disk") as disk:
            database = PostgreSQL(disk.folder)
            database.start()
            try:
                place = database.url()
                fill(place, tmp_path, count)
                studio = Studio(server, tmp_path, ["review", "serve", place])
                store = place.partition("?")[0].replace("shop@", "")
                books = review(
                    studio, store, count, lambda: disturb_database(studio, database, disk, random, longest_s)
                )
                check(place, books, count)
            finally:
                database.remove()
