"""The review loop on a studio that is killed at random moments and on a disk that is full: no acknowledged decision is
lost, and nothing is asked twice."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True)
class Length:
    """How much is decided, and how long a studio lives before it is killed: for a random number of further answers, but
    no longer than `wait_s`, and then for a random moment. So it is killed at work on a slow machine too.

    Attributes:
        decisions: all of them.
        answers: at most.
        moment_s: at most.
    """

    decisions: int
    answers: int
    moment_s: float
    wait_s: float = 10


SHORT, LONG = Length(60, 20, 0.1), Length(10_000, 0, 4)

START_S = 1
"""About so long a studio starts."""

FULL_BYTES = 200_000
"""At most so many are free on the full disk."""

FAULTS = ("stop", "full disk")
"""Of the database."""

MAX_S = 1800


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

    @property
    def has_ended(self) -> bool:
        return not self._running or self._running.poll() is not None

    def start(self, limits: Mapping[str, int] | None = None) -> None:
        self._running = self._server.start(Job(self._words, self._folder, limits=limits or {}))

    def wait(self) -> None:
        """Until it accepts requests, or has ended because it cannot open the store."""
        while not self.has_ended:
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


def check(place: str, books: Books) -> None:
    """Every acknowledged decision is in the store once, as it was made; every product was decided once."""
    assert books.faults == []
    with Store.open(place) as store:
        decided = list(store.decided("label"))
        products = range(1, books.products + 1)
        assert Counter(each.product for each in decided) == Counter(products)
        assert sum(len(store.history(product, "label")) for product in products) == books.products
        found = {each.product: each.value for each in decided}
    assert found == dict(books.acknowledged.values())


def let_live(studio: Studio, books: Books, random: Random, length: Length) -> None:
    """Until people have got a random number of further answers, and for a moment more."""
    enough = books.answers + random.randint(0, length.answers)
    end = time.monotonic() + length.wait_s
    while books.answers < enough and not (books.is_done or studio.has_ended or time.monotonic() > end):
        time.sleep(0.002)
    time.sleep(random.uniform(0, length.moment_s))


def disturb(studio: Studio, disk: SmallDisk, random: Random, live: Callable[[], None]) -> None:
    """Let the studio live on a disk with or without room, and kill it: now and then while it starts."""
    is_full = random.random() < 0.3
    studio.start(disk.leave(random.randrange(FULL_BYTES)) if is_full else {})
    if random.random() < 0.9:
        studio.wait()
        live()
    else:
        time.sleep(random.uniform(0, START_S))
    studio.kill()
    disk.make_room()


def disturb_database(
    studio: Studio,
    database: PostgreSQL,
    disk: SmallDisk,
    random: Random,
    live: Callable[[], None],
    books: Books,
    met: Counter[str],
) -> None:
    """The same, but the disk is that of the database, which may be killed too. `met` counts what befell it; each of
    FAULTS comes until it was met, then now and then.
    """
    studio.start()
    studio.wait()
    live()
    faults = FAULTS if disk.mounted else FAULTS[:1]
    fault = next((each for each in faults if not met[each]), None) or random.choice((*faults, "", "", ""))
    if fault == "stop":
        database.stop("immediate")
        met[fault] += 1
    elif fault == "full disk":
        refused = books.refused["disk_full"]
        disk.leave(random.randrange(FULL_BYTES))
        live()
        met[fault] += books.refused["disk_full"] > refused or not database.is_running
        disk.make_room()
    if fault:
        if not database.is_running:
            database.start()
        live()
    studio.kill()


def review(studio: Studio, store: str, books: Books, disturb: Callable[[], None]) -> None:
    """Let people decide everything while somebody disturbs them."""
    people = [Person(books, studio.host, store, *who) for who in PEOPLE]
    for person in people:
        person.start()
    end = time.monotonic() + MAX_S
    try:
        while not books.is_done:
            assert time.monotonic() < end, f"{len(books.decided)} of {books.products} are decided"
            disturb()
    finally:
        studio.end()
    for person in people:
        person.join(MAX_S)
    assert studio.kills


def test_sqlite_keeps_every_acknowledged_decision(
    server: ForkServer, tmp_path: Path, rounds: int, is_long: bool
) -> None:
    length = LONG if is_long else SHORT
    random, books = Random(rounds), Books(length.decisions)
    with small_disk(tmp_path / "disk") as disk:
        place = str(disk.folder / "shop.db")
        fill(place, tmp_path, length.decisions)
        studio = Studio(server, tmp_path, ["studio", str(disk.folder)])
        live = partial(let_live, studio, books, random, length)
        review(studio, "shop.db", books, lambda: disturb(studio, disk, random, live))
        check(place, books)
        assert not is_long or books.refused["disk_full"], "the disk was never full"


def test_postgresql_keeps_every_acknowledged_decision(
    server: ForkServer, tmp_path: Path, rounds: int, is_long: bool
) -> None:
    length = LONG if is_long else SHORT
    random, books = Random(rounds), Books(length.decisions)
    with TemporaryDirectory(prefix="muslin-") as folder:
        Path(folder).chmod(0o755)  # the user postgres goes through it
        with small_disk(Path(folder) / "disk") as disk:
            database = PostgreSQL(disk.folder)
            database.start()
            try:
                place = database.url()
                fill(place, tmp_path, length.decisions)
                studio = Studio(server, tmp_path, ["review", "serve", place])
                store = place.partition("?")[0].replace("shop@", "")
                live = partial(let_live, studio, books, random, length)
                met: Counter[str] = Counter()
                disturb = partial(disturb_database, studio, database, disk, random, live, books, met)
                review(studio, store, books, disturb)
                check(place, books)
                assert not is_long or not disk.mounted or all(met[fault] for fault in FAULTS), met
            finally:
                database.remove()
