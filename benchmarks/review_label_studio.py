# /// script
# requires-python = ">=3.11"
# dependencies = ["label-studio==1.23.2"]
# ///
"""How quick is the review of photos through muslin's server, beside Label Studio's on the same photos?

    python -m venv .venv-label-studio
    .venv-label-studio/bin/pip install label-studio==1.23.2
    python benchmarks/review_label_studio.py PHOTOS --label-studio .venv-label-studio/bin/label-studio

Without `--label-studio`, muslin alone. PHOTOS is a .tar or a folder whose innermost folders name the classes; with more
`--products` than photos, photos occur again. Both get the same products, all to be reviewed, with the same predictions:
the class, wrong for one in ten, and a confidence drawn at random. Both servers run at once on this machine, with their
defaults: SQLite, and Label Studio as `label-studio start` runs it, but without its analytics. The caller has one
connection to each, and takes turns between them, request by request. Label Studio lives in an environment of its own:
it is a peer to measure, never a dependency. Per round:

- `open`: what a page asks for until it shows the first products of a project. muslin: the stores, the store, its first
  page of 48. Label Studio: the project, the Data Manager's project, columns and views, and its first page of 48 tasks.
- `page_photos`: the page's photos as its grid shows them, over 6 connections as in a browser, right after the page.
  muslin makes thumbnails; Label Studio serves the files as they are.
- `page_decided`: that page confirmed. muslin: one request. Label Studio has a request for each annotation: all of them.
- `page`: the next undecided products, at most 48, with their predictions, those of low confidence first; and
  `page_photos` again. muslin: `/api/review/next`, which keeps a page to one predicted class and reserves it for the
  caller. Label Studio: `/api/tasks`, of those without annotations.
- `decision`: one decision until it is acknowledged.
- `next_one`: the next product alone, as one at a time needs it, in the server's own order.
- `counts`: how many are decided. Label Studio: the project.

At the end both must hold as many decisions as they acknowledged.
"""

import argparse
import csv
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from results_file import start_result, write_result

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from muslin.data.dataset import Target
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct
from small_models import small_bundle
from studio_server import running_studio

PAGE = 48
CONNECTIONS = 6  # of a browser to one server
PHOTOS = (".jpg", ".jpeg", ".png")
START_S = 1200  # Label Studio first makes its tables, in 250 migrations
REQUEST_S = 300
IDLE_S = 1.0
TARGET = "label"

Headers = dict[str, str]


@dataclass(frozen=True)
class Product:
    """A product of the shop: its photo is below the shop's folder `images`."""

    name: str
    photo: str
    value: str
    probability: float


class Connection:
    """A connection to a server that is kept open, and opened again after IDLE_S, because servers close idle ones."""

    def __init__(self, address: str, headers: Headers) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=REQUEST_S)
        self._headers = headers
        self._used = time.monotonic()

    def content(self, path: str, body: Any = None, method: str | None = None) -> bytes:
        headers = {**self._headers, **({} if body is None else {"Content-Type": "application/json"})}
        sent = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()
        self._connection.request(method or ("GET" if body is None else "POST"), path, sent, headers)
        response = self._connection.getresponse()
        content = response.read()
        self._used = time.monotonic()
        if response.status >= 300:
            raise RuntimeError(f"{path}: {response.status} {content[:500]!r}")
        return content

    def json(self, path: str, body: Any = None, method: str | None = None) -> Any:
        return json.loads(self.content(path, body, method))

    def close(self) -> None:
        self._connection.close()


class Server(ABC):
    """A server with the shop's project. Its items are its own JSON; each method is a step that is measured."""

    def __init__(self, address: str, headers: Headers) -> None:
        self._address, self._headers = address, headers
        self._connection = Connection(address, headers)

    @abstractmethod
    def open(self) -> list[Any]: ...
    @abstractmethod
    def page(self) -> list[Any]: ...
    @abstractmethod
    def next_one(self) -> Any: ...
    @abstractmethod
    def decision(self, item: Any) -> None: ...
    @abstractmethod
    def page_decided(self, items: list[Any]) -> None: ...
    @abstractmethod
    def counts(self) -> int: ...
    @abstractmethod
    def photo_path(self, item: Any) -> str: ...

    def page_photos(self, items: list[Any]) -> None:
        connections = [Connection(self._address, self._headers) for _ in range(CONNECTIONS)]

        def fetch(number: int) -> None:
            for item in items[number::CONNECTIONS]:
                assert connections[number].content(self.photo_path(item))

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(fetch, range(CONNECTIONS)))
        for connection in connections:
            connection.close()


class Muslin(Server):
    """`muslin review serve` on a store of the shop."""

    def __init__(self, address: str) -> None:
        token = re.search(rb'muslin-token" content="([^"]+)"', Connection(address, {}).content("/"))
        assert token
        super().__init__(address, {"X-Muslin-Token": token[1].decode()})

    def _post(self, path: str, **body: Any) -> Any:
        return self._connection.json(f"/api/review/{path}", {"store": "shop.db", "target": TARGET} | body)

    def open(self) -> list[Any]:
        self._connection.json("/api/review/stores")
        self._post("open")
        return self.page()

    def page(self) -> list[Any]:
        items: list[Any] = self._post("next", who="Ada", count=PAGE)["items"]
        return items

    def next_one(self) -> Any:
        return self._post("next", who="Ada", count=1)["items"][0]

    def photo_path(self, item: Any) -> str:
        query = {"store": "shop.db", "product": item["product"], "fingerprint": item["fingerprint"]}
        return f"/api/review/photo?{urlencode(query)}"

    def decision(self, item: Any) -> None:
        self.page_decided([item])

    def page_decided(self, items: list[Any]) -> None:
        names = ("product", "target", "value", "fingerprint", "digest")
        decisions = [{"request": secrets.token_hex(8), **{name: item[name] for name in names}} for item in items]
        assert len(self._post("decide", who="Ada", decisions=decisions)["receipts"]) == len(items)

    def counts(self) -> int:
        return int(self._post("counts")["counts"][TARGET]["queue"]["decided"])


@contextmanager
def running_muslin(shop: Path, products: list[Product], classes: tuple[str, ...]) -> Iterator[Muslin]:
    """The server of a store of the products."""
    seal(small_bundle(Target(TARGET, classes)), shop / "model.muslin")
    with open(shop / "catalogue.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["image", "title"], *([each.photo, each.name] for each in products)])
    with Store.create(shop / "shop.db", shop / "model.muslin", who="Ada") as store:
        catalogue = store.add_catalogue(shop / "catalogue.csv", {"images": str(shop / "images")})
        store.put_products(catalogue, map(new_product, products), store.active.digest)
    with running_studio(shop, "review", "serve", str(shop / "shop.db")) as address:
        yield Muslin(address)


def new_product(product: Product) -> NewProduct:
    prediction = NewPrediction(product.value, product.probability, "review", (product.value,))
    return NewProduct(product.name, f"of {product.name}", (product.photo,), product.name, {TARGET: prediction})


class LabelStudio(Server):
    """`label-studio start`, with a project of the shop."""

    def __init__(self, address: str, headers: Headers, project: int, view: int) -> None:
        super().__init__(address, headers)
        self._project, self._view = project, view

    def open(self) -> list[Any]:
        self._connection.json(f"/api/projects/{self._project}/")
        for path in ("project", "columns", "views"):
            self._connection.json(f"/api/dm/{path}/?project={self._project}")
        return self.page()

    def page(self) -> list[Any]:
        query = {"page": 1, "page_size": PAGE, "view": self._view, "project": self._project}
        tasks: list[Any] = self._connection.json(f"/api/tasks?{urlencode(query)}")["tasks"]
        return tasks

    def next_one(self) -> Any:
        return self._connection.json(f"/api/projects/{self._project}/next")

    def photo_path(self, item: Any) -> str:
        return str(item["data"]["image"])

    def decision(self, item: Any) -> None:
        body = {"result": [choice(item["data"]["value"])], "lead_time": 1.0, "was_cancelled": False}
        self._connection.json(f"/api/tasks/{item['id']}/annotations/?project={self._project}", body)

    def page_decided(self, items: list[Any]) -> None:
        for item in items:
            self.decision(item)

    def counts(self) -> int:
        return int(self._connection.json(f"/api/projects/{self._project}/")["num_tasks_with_annotations"])


def choice(value: str) -> dict[str, Any]:
    """A class as a result in Label Studio's JSON."""
    return {"from_name": TARGET, "to_name": "image", "type": "choices", "value": {"choices": [value]}}


@contextmanager
def running_label_studio(
    command: Path, shop: Path, products: list[Product], classes: tuple[str, ...]
) -> Iterator[LabelStudio]:
    """Label Studio on a free port of this machine, with the products as the tasks of a project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, token = shop.parent / "label-studio", secrets.token_hex(20)
    data.mkdir()
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", str(data)]
    words += ["--username", "ada@example.com", "--password", secrets.token_hex(8), "--user-token", token]
    with open(data / "server.log", "wb") as log:
        process = subprocess.Popen(
            [str(command), *words], stdout=log, stderr=log, env=environment(shop), start_new_session=True
        )
    address, headers = f"http://127.0.0.1:{port}", {"Authorization": f"Token {token}"}
    try:
        wait_for(address, process, data / "server.log")
        project, view = make_project(Connection(address, headers), shop, products, classes)
        yield LabelStudio(address, headers, project, view)
    finally:
        process.terminate()
        process.wait(60)


def environment(shop: Path) -> dict[str, str]:
    """Serves the shop's photos, accepts the token, and sends nothing to anybody."""
    names = {
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(shop),
    }
    names["XDG_DATA_HOME"] = str(shop.parent)  # it makes a folder there even with --data-dir
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | names


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            Connection(address, {}).content("/health")
            return
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.5)
    sys.exit(f"Label Studio did not start:\n{log.read_text(errors='replace')[-3000:]}")


def make_project(
    connection: Connection, shop: Path, products: list[Product], classes: tuple[str, ...]
) -> tuple[int, int]:
    """Import the products with their predictions; the project, and its view of what nobody has annotated."""
    choices = "".join(f'<Choice value="{name}"/>' for name in classes)
    config = (
        f'<View><Image name="image" value="$image"/>'
        f'<Choices name="{TARGET}" toName="image" choice="single">{choices}</Choices></View>'
    )
    project = connection.json("/api/projects/", {"title": "shop", "label_config": config})["id"]
    storage = {"project": project, "path": str(shop / "images"), "use_blob_urls": True, "regex_filter": ".*"}
    connection.json("/api/storages/localfiles/", storage)
    for start in range(0, len(products), 1000):
        tasks = [task_of(each) for each in products[start : start + 1000]]
        connection.json(f"/api/projects/{project}/import?return_task_ids=false", tasks)
    undecided = {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0}
    shown = {
        "type": "list", "title": "undecided", "ordering": ["tasks:predictions_score"],
        "filters": {"conjunction": "and", "items": [undecided]},
    }  # fmt: skip
    view = connection.json("/api/dm/views/", {"project": project, "data": shown})["id"]
    return project, view


def task_of(product: Product) -> dict[str, Any]:
    data = {"image": f"/data/local-files/?d=images/{quote(product.photo)}", "value": product.value}
    prediction = {"model_version": "shop", "score": product.probability, "result": [choice(product.value)]}
    return {"data": data | {"name": product.name}, "predictions": [prediction]}


# ── What is measured ─────────────────────────────────────────────────────────────────────────────────────


class Turns:
    """The servers take turns at each step, and who is first is drawn.

    Attributes:
        seconds: per server and step, of each time.
        decided: per server, how many decisions it has acknowledged.
    """

    def __init__(self, servers: dict[str, Server]) -> None:
        self._servers = servers
        self.seconds: dict[str, dict[str, list[float]]] = {name: {} for name in servers}
        self.decided = dict.fromkeys(servers, 0)

    def take(self, step: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
        """Per server, what it answers to the step; `given` has what the step takes."""
        names = list(self._servers)
        results = {}
        for name in names if secrets.randbelow(2) else names[::-1]:
            words = [given[name]] if given else []
            begin = time.perf_counter()
            results[name] = getattr(self._servers[name], step)(*words)
            self.seconds[name].setdefault(step, []).append(time.perf_counter() - begin)
            if step in ("decision", "page_decided"):
                self.decided[name] += len(words[0]) if step == "page_decided" else 1
        return results

    def round(self, singles: int) -> None:
        """Each step once, and a few decisions of their own."""
        pages = self.take("open")
        self.take("page_photos", pages)  # nobody decides before there are photos
        self.take("page_decided", pages)
        pages = self.take("page")
        self.take("page_photos", pages)
        for index in range(singles):
            self.take("decision", {name: page[index] for name, page in pages.items()})
            self.take("next_one")
        self.take("counts")


def measure(servers: dict[str, Server], rounds: int, singles: int) -> Turns:
    """All rounds, after one that is not timed."""
    turns = Turns(servers)
    turns.round(singles=1)
    for steps in turns.seconds.values():
        steps.clear()
    for _ in range(rounds):
        turns.round(singles)
    for name, server in servers.items():
        held = server.counts()
        assert held == turns.decided[name], f"{name} acknowledged {turns.decided[name]} decisions and has {held}"
    return turns


def spread(seconds: list[float]) -> dict[str, Any]:
    """Median, 95th percentile and maximum, in milliseconds."""
    median, high = np.percentile(seconds, [50, 95])
    shown = {"median_ms": 1000 * median, "p95_ms": 1000 * high, "max_ms": 1000 * max(seconds)}
    return {name: round(value, 2) for name, value in shown.items()} | {"n": len(seconds)}


# ── The shop ─────────────────────────────────────────────────────────────────────────────────────────────


def lay_out(photos: Path, shop: Path, count: int) -> tuple[list[Product], tuple[str, ...]]:
    """Copy the photos into the shop's folder; its products, and their classes."""
    (shop / "images").mkdir(parents=True)
    if photos.is_file():
        with tarfile.open(photos) as archive:
            archive.extractall(shop.parent / "unpacked", filter="data")
        photos = shop.parent / "unpacked"
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in PHOTOS)
    classes = tuple(sorted({path.parent.name for path in found}))
    draw = np.random.default_rng(0)
    probabilities, wrong = 1 - draw.beta(0.5, 2, count), draw.random(count) < 0.1
    products = []
    for number, index in enumerate(draw.permutation(np.arange(count) % len(found))):
        path = found[index]
        name = f"{index}{path.suffix.lower()}"
        if not (shop / "images" / name).exists():
            shutil.copy(path, shop / "images" / name)
        value = classes[draw.integers(len(classes))] if wrong[number] else path.parent.name
        products.append(Product(f"sku-{number:06d}", name, value, float(probabilities[number])))
    return products, classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--label-studio", type=Path, help="the program in Label Studio's own environment")
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--singles", type=int, default=10, help="decisions of their own in each round")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result(__doc__.splitlines()[0], arguments.note)
    head |= {"products": arguments.products, "rounds": arguments.rounds}
    with ExitStack() as stack:
        shop = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "shop"
        products, classes = lay_out(arguments.photos, shop, arguments.products)
        servers: dict[str, Server] = {"muslin": stack.enter_context(running_muslin(shop, products, classes))}
        if arguments.label_studio:
            program = arguments.label_studio
            peer = running_label_studio(program.absolute(), shop, products, classes)
            servers["label_studio"] = stack.enter_context(peer)
            head["label_studio"] = version_of(program)
        turns = measure(servers, arguments.rounds, arguments.singles)
    seconds = turns.seconds.items()
    measured = {name: {step: spread(each) for step, each in steps.items()} for name, steps in seconds}
    for name, steps in measured.items():
        for step, value in steps.items():
            print(f"{name} {step}: median {value['median_ms']:.1f} ms, p95 {value['p95_ms']:.1f} ms")
    write_result(head, measured | {"decided": turns.decided})


def version_of(program: Path) -> str:
    """Of the package label-studio in the environment of its program."""
    code = "from importlib.metadata import version; print(version('label-studio'))"
    python = program.absolute().parent / "python"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
