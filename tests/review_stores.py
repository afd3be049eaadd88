"""Review stores for tests: products to fill them with, and a real PostgreSQL that a test starts and stops."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from muslin.review.store import Store
from muslin.review.values import Filters, Item, NewDecision, NewPrediction, NewProduct

CLASSES = ("Trouser", "Shirt", "Bag")


class PostgreSQL:
    """A cluster of its own in a temporary folder, reached through a socket in it: no port, no password.

    Run by the user postgres where the tests are root's, because PostgreSQL refuses to run as root. It needs 40 MB.

    Args:
        parent: of the folder; all users can list it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="muslin-pg-", dir=parent))
        programs = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(Path(path).parent.name))
        self.programs = Path(programs[-1]) if programs else None
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.data = self.folder / "data"
        options = ("--username", "shop", "--auth", "trust", "--no-sync", "--wal-segsize=1")
        self._run("initdb", "--pgdata", self.data, *options, "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *words: object) -> None:
        assert self.programs is not None, "scripts/services installs PostgreSQL"
        command = [str(self.programs / program), *map(str, words)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        with open(self.folder.with_suffix(".log"), "ab") as log:  # a pipe would be held open by the server
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd="/", timeout=60)

    def start(self) -> None:
        settings = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c shared_buffers=16MB"
        settings += " -c min_wal_size=2MB -c max_wal_size=4MB"
        self._run("pg_ctl", "start", "-w", "-D", self.data, "-o", settings)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", self.data, "-m", mode)

    @property
    def is_running(self) -> bool:
        try:
            self._run("pg_ctl", "status", "-D", self.data)
        except subprocess.CalledProcessError:
            return False
        return True

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)
        self.folder.with_suffix(".log").unlink()

    def create_database(self, name: str, encoding: str) -> None:
        options = ("--host", self.folder, "--username", "shop", "--template", "template0")
        self._run("createdb", *options, "--encoding", encoding, name)

    def url(self, name: str = "postgres") -> str:
        """A place for a new store."""
        return f"postgresql://shop@/{name}?host={self.folder}&schema=shop_{secrets.token_hex(4)}"


def new_product(number: int, fingerprint: str = "f") -> NewProduct:
    """A product whose class and confidence go by its number; of ten, six are accepted and one is out of scope."""
    value = CLASSES[number % 3]
    decision = ("accept",) * 6 + ("review",) * 3 + ("out of scope",)
    prediction = NewPrediction(value, 0.3 + number % 70 / 100, decision[number % 10], (value,))
    name = f"{number}.jpg"
    return NewProduct(name, f"{fingerprint}-{number}", (name,), f"Ärmel {number}", {"label": prediction})


def fill(store: Store, count: int, path: str = "/shop/catalogue.csv") -> int:
    """Add products to a store, and return the catalogue."""
    catalogue = store.add_catalogue(path, {})
    store.put_products(catalogue, map(new_product, range(count)), store.active.digest)
    return catalogue


def decision_on(item: Item, value: str | None = None, kind: str = "value", **more: object) -> NewDecision:
    """A decision as a page sends it; by default it confirms what was predicted."""
    given = {"request": secrets.token_hex(8), "after": item.decided.id if item.decided else None} | more
    shown = value or item.value if kind == "value" else None
    return NewDecision(
        item.product, item.target, kind, fingerprint=item.fingerprint, digest=item.digest, value=shown, **given
    )  # fmt: skip


def confirm(store: Store, items: Sequence[Item], who: str = "Ada") -> None:
    store.decide([decision_on(item) for item in items], who)


def n_items(store: Store, filters: Filters | None = None, target: str = "label") -> int:
    """How many items the filters leave."""
    return len(store.items(target, filters or Filters(), "added", count=1_000_000))


def fingerprints(store: Store) -> dict[str, str]:
    """Of each product, by its name."""
    return {product.name: product.fingerprint for product in store.products()}
