"""How quick is a review store with 200,000 products: opening, counting, the next page, a search, and a decision?

    python benchmarks/review_store.py                              # SQLite in a temporary folder
    python benchmarks/review_store.py --postgresql                 # a PostgreSQL of its own, as the tests have it
    python benchmarks/review_store.py --place postgresql://…       # a PostgreSQL that runs

Products have the shape of a shop's: 40 classes of uneven sizes, a calibrated confidence, a third left for review. A
decision is timed until it is acknowledged, which is after fsync; so is a whole page of 48. Opening ends when the
targets, their classes and the counts are there. Goals: 95 % of decisions within 50 ms, counts within 100 ms, a page
(without its photos) well within 300 ms, opening within 1 s. Prints the 95th percentiles, and keeps everything in
benchmarks/results/.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from muslin.data.dataset import Target
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import Filters, Item, NewDecision, NewPrediction, NewProduct
from review_stores import PostgreSQL
from small_models import small_bundle

CLASSES = tuple(f"class {i:02d}" for i in range(40))
MAX_WORDS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=200_000)
    parser.add_argument("--decisions", type=int, default=300)
    parser.add_argument("--pages", type=int, default=40)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--place", help="a URL of PostgreSQL (default: a SQLite file in a temporary folder)")
    place.add_argument("--postgresql", action="store_true", help="start a PostgreSQL, and remove it afterwards")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result(__doc__.splitlines()[0], arguments.note)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place = place_of(arguments, folder, stack)
        seal(small_bundle(Target("label", CLASSES)), folder / "model.muslin")
        with Store.create(place, folder / "model.muslin", who="benchmark") as store:
            begin = time.perf_counter()
            catalogue = store.add_catalogue("/shop/catalogue.csv", {})
            store.put_products(catalogue, products(arguments.products), store.active.digest)
            add_s = time.perf_counter() - begin
        opening = spread([seconds_to_open(place) for _ in range(10)])
        with Store.open(place) as store:
            measured = {"add_s": add_s, "open": opening, **measure(store, arguments)}
    head |= {"database": "PostgreSQL" if "://" in place else "SQLite", "products": arguments.products}
    print(f"{head['database']}, {arguments.products} products")
    for name, value in measured.items():
        text = f"p95 {value['p95_ms']:.1f} ms, median {value['median_ms']:.1f} ms" if isinstance(value, dict) else value
        print(f"{name}: {text}")
    write_result(head, measured)


def place_of(arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> str:
    """Where the store is made; a PostgreSQL that is started for it ends with the stack.

    It syncs to disk as PostgreSQL does by default, and has 16 MB of shared buffers, far below its default of 128 MB.
    """
    if not arguments.postgresql:
        return arguments.place or str(folder / "shop.db")
    server = PostgreSQL()
    stack.callback(server.remove)
    server.start()
    return server.url()


def seconds_to_open(place: str) -> float:
    """How long it takes until there is all that a page needs before it shows an item."""
    begin = time.perf_counter()
    with Store.open(place) as store:
        for target in store.targets:
            store.classes(target.name)
            store.counts(target.name)
        return time.perf_counter() - begin


def products(count: int) -> Iterator[NewProduct]:
    draw = np.random.default_rng(0)
    shares = 1 / np.arange(1, len(CLASSES) + 1)
    values = draw.choice(len(CLASSES), count, p=shares / shares.sum())
    probabilities = 1 - draw.beta(0.5, 2, count)
    for i in range(count):
        value, probability = CLASSES[values[i]], float(probabilities[i])
        decision = "accept" if probability > 0.85 else "review" if i % 50 else "out of scope"
        prediction = NewPrediction(value, probability, decision, (value, CLASSES[(values[i] + 1) % len(CLASSES)]))
        words = " ".join(f"word{n}" for n in draw.integers(0, 5000, MAX_WORDS))
        yield NewProduct(f"sku-{i:07d}", secrets.token_hex(8), (f"photos/{i}.jpg",), words, {"label": prediction})


def measure(store: Store, arguments: argparse.Namespace) -> dict[str, Any]:
    store.next_items("label", "warm-up")
    store.release("warm-up")
    pages: list[list[Item]] = []
    page_s = [timed(lambda: pages.append(store.next_items("label", "Ada")))[0] for _ in range(arguments.pages)]
    whole_s = [timed(lambda page=page: store.decide([confirmed(i) for i in page], "Ada"))[0] for page in pages]
    single_s = []
    while len(single_s) < arguments.decisions:
        for item in store.next_items("label", "Ada"):
            single_s.append(timed(lambda item=item: store.decide([confirmed(item)], "Ada"))[0])
    someone = store.history(pages[0][0].product, "label")[0]
    text, rare = Filters(text="word17"), Filters(values=(CLASSES[-1],), state="open")
    return {
        "decision": spread(single_s),
        "page_of_48_decided": spread(whole_s),
        "next_page": spread(page_s),
        "counts": repeated(lambda: store.counts("label")),
        "search_by_text": repeated(lambda: store.items("label", text)),
        "search_by_class": repeated(lambda: store.items("label", rare)),
        "search_by_name": repeated(lambda: store.items("label", sort="name")),
        "search_last_page": repeated(lambda: store.items("label", start=arguments.products - 48)),
        "search_decided": repeated(lambda: store.items("label", Filters(state="decided"), "-date")),
        "spot_checks": repeated(lambda: store.spot_checks("label")),
        "undo": timed(lambda: store.undo(someone.id, "Ada", secrets.token_hex(8)))[0],
        "model_put_again_s": timed(lambda: promote_again(store))[0],
    }


def promote_again(store: Store) -> None:
    """What happens to the table of items when a model with predictions for everything becomes active."""
    store.promote(store.active.digest, "Ada", {})


def confirmed(item: Item) -> NewDecision:
    decision = NewDecision(item.product, item.target, "value", secrets.token_hex(8), item.fingerprint, item.digest)
    return replace(decision, value=item.value)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def repeated(work: Callable[[], Any]) -> dict[str, float]:
    return spread([timed(work)[0] for _ in range(10)])


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and maximum, in milliseconds."""
    median, high = np.percentile(seconds, [50, 95])
    return {"median_ms": 1000 * median, "p95_ms": 1000 * high, "max_ms": 1000 * max(seconds), "n": len(seconds)}


if __name__ == "__main__":
    main()
