"""The review loop on a studio that is killed at random moments and on a disk that is full: no acknowledged decision is
lost, and nothing is asked twice."""

import socket
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest
from fork_server import ForkServer, Job, Running
from review_people import Books, Person
from small_disk import SmallDisk, small_disk

from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct
from small_models import LABEL, small_bundle

PEOPLE = (("Ada", "1"), ("Ada", "2"), ("Bo", "1"), ("Cy", "1"))
"""And their pages: Ada has two tabs open."""

SHORT, LONG = 400, 10_000
"""Decisions."""

LIVES_S = (0.0, 0.8)
"""How long a studio that accepts requests lives before it is killed."""

FULL_BYTES = 200_000
"""At most so many are free on the full disk."""

MAX_S = 1800
waits=[]


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
        self._server, self._job = server, Job([*words, "--port", self.port], folder)
        self._running: Running | None = None
        self.kills = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, **limits: int) -> None:
        job = Job(self._job.words, self._job.cwd, limits=limits)
        self._running = self._server.start(job)

    def wait(self) -> None:
        """Until it accepts requests, or has ended."""
        begin=time.monotonic()
        while self._running and not self._running.poll():
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                waits.append(round(time.monotonic()-begin,2))
                return
            time.sleep(0.005)

    def kill(self) -> None:
        assert self._running
        ended = self._running.kill()
        assert ended.was_killed, ended
        self.kills += 1


def check(place: str, books: Books, count: int) -> None:
    """Every acknowledged decision is in the store once, as it was made; every product was decided once."""
    assert books.faults == []
    with Store.open(place) as store:
        decided = list(store.decided("label"))
        assert Counter(each.product for each in decided) == Counter(range(1, count + 1))
        assert sum(len(store.history(product, "label")) for product in range(1, count + 1)) == count
        found = {each.product: each.value for each in decided}
    assert found == dict(books.acknowledged.values())


@pytest.fixture
def disk(tmp_path: Path):
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def disturb(studio: Studio, disk: SmallDisk, random: Random) -> None:
    """Let the studio live for a moment on a disk with or without room, and kill it."""
    is_full = random.random() < 0.3
    studio.start(**(disk.leave(random.randrange(FULL_BYTES)) if is_full else {}))
    if random.random() < 0.9:
        studio.wait()
    time.sleep(random.uniform(*LIVES_S))
    studio.kill()
    disk.make_room()


def test_no_acknowledged_decision_is_lost_in_sqlite(server, disk, tmp_path, rounds):
    count = LONG if rounds >= 10 else SHORT
    place = str(disk.folder / "shop.db")
    fill(place, tmp_path, count)
    studio, books, random = Studio(server, tmp_path, ["studio", str(disk.folder)]), Books(count), Random(0)
    people = [Person(books, studio.host, "shop.db", *who) for who in PEOPLE]
    for person in people:
        person.start()
    end = time.monotonic() + MAX_S
    start = time.monotonic()
    while not books.is_done and time.monotonic() < end:
        disturb(studio, disk, random)
    for person in people:
        person.join(60)
    check(place, books, count)
    print(studio.kills, len(books.acknowledged), time.monotonic() - start, waits)
    assert studio.kills
