"""The paths below /api/review/: what people decide on, out of a store; and their decisions, into it.

A decision is acknowledged once it is on the disk, which is when `Store.decide` returns. All work is done in threads;
those of photos are apart, so that no photo keeps a decision waiting.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError
from muslin.evaluation.promotion import DEFAULT_MARGIN
from muslin.review.values import SORTS, ModelRow
from muslin.studio.review_photos import GRID_PX, MAX_PHOTO_PX, ReviewPhotos
from muslin.studio.review_stores import OpenStore, ReviewStores
from muslin.studio.review_values import (
    MAX_NUMBER,
    counts_json,
    decided_json,
    decisions_of,
    filters_of,
    item_json,
    listed,
    receipts_json,
    refused_decision,
    short_text,
    target_named,
    undos_of,
)
from muslin.studio.review_work import MAX_MARGIN, ReviewWork
from muslin.studio.room_routes import get_route, post_route
from muslin.studio.work_queue import WorkQueue
from muslin.web.requests import Body, choice_of, integer_of, number_of, text_of
from muslin.web.responses import Handler, photo_caching

if TYPE_CHECKING:
    from muslin.review.store import Store
    from muslin.workflows.review_statistics import TargetStatistics

STORE_THREADS = 8  # for requests that read and write a store
PHOTO_THREADS = 8  # most wait for a process that decodes
MAX_QUEUED = 64  # requests of either kind that are being answered

PAGE = 48
MAX_PAGE = 500
MAX_SIMILAR = 200
MAX_PHOTOS = 10_000  # of one product

Answer = Callable[["Store", Body], Any]


@dataclass(frozen=True)
class ReviewRoom:
    """The stores and the photos that one studio serves, and the trainings that it runs."""

    stores: ReviewStores
    photos: ReviewPhotos
    works: ReviewWork

    @classmethod
    def of(cls, root: Path, served: str | None = None) -> "ReviewRoom":
        """Those of a folder, absolute and with links resolved, and the store `served`."""
        return cls(ReviewStores(root, served), ReviewPhotos(root), ReviewWork(root))

    def close(self) -> None:
        """Close what is open, at the studio's end."""
        self.photos.close()
        self.stores.close()


def review_routes(room: ReviewRoom) -> list[Route]:
    """All paths below /api/review/."""
    stores, photos = room.stores, room.photos
    working, drawing = WorkQueue(STORE_THREADS, MAX_QUEUED), WorkQueue(PHOTO_THREADS, MAX_QUEUED)

    def post(path: str, answer: Callable[[OpenStore, Body], Any]) -> Route:
        return post_route(working, f"/api/review/{path}", lambda body: answer(stores.get(text_of(body, "store")), body))

    return [
        get_route(working, "/api/review/stores", stores.rows),
        Route("/api/review/photo", _photo_handler(stores, photos, drawing), methods=["GET"]),
        *(post(path, partial(_of_store, answer)) for path, answer in STORE_ROUTES.items()),
        *(post(path, partial(_of_page, photos, answer)) for path, answer in PAGE_ROUTES.items()),
        *(post(path, partial(answer, room.works)) for path, answer in WORK_ROUTES.items()),
    ]


def _of_store(answer: Answer, opened: OpenStore, body: Body) -> Any:
    return answer(opened.store, body)


def _of_page(photos: ReviewPhotos, answer: Answer, opened: OpenStore, body: Body) -> Any:
    """Begin to make the thumbnails before the page that gets the items asks for them."""
    found = answer(opened.store, body)
    photos.prepare(opened, [item["product"] for item in found["items"]])
    return found


def _photo_handler(stores: ReviewStores, photos: ReviewPhotos, queue: WorkQueue) -> Handler:
    """A product's photo. With the fingerprint that the page knows of the product, a browser may keep it."""

    async def handle(request: Request) -> Response:
        query = request.query_params
        product, photo = integer_of(query, "product", -1, MAX_NUMBER), integer_of(query, "photo", 0, MAX_PHOTOS)
        side, store = max(16, integer_of(query, "side", GRID_PX, MAX_PHOTO_PX)), text_of(query, "store")
        shown = query.get("fingerprint", "")
        content, fingerprint = await queue.run(lambda: photos.get(stores.get(store), product, photo, side, shown))
        return Response(content, media_type="image/jpeg", headers=photo_caching(shown == fingerprint))

    return handle


# ── One function a path ──────────────────────────────────────────────────────────────────────────────────


def describe(store: "Store", body: Body) -> dict[str, Any]:
    """What a page needs of a store before it shows an item."""
    active = store.active
    return {
        "id": store.info.id,
        "targets": [
            {"name": target.name, "kind": target.kind, "classes": list(store.classes(target.name))}
            for target in store.targets
        ],
        "model": {"digest": active.digest, "name": active.name},
        "counts": {target.name: counts_json(target, store.counts(target.name)) for target in store.targets},
    }


def counts(store: "Store", body: Body) -> dict[str, Any]:
    """The counts of all targets."""
    return {"counts": {target.name: counts_json(target, store.counts(target.name)) for target in store.targets}}


def next_items(store: "Store", body: Body) -> dict[str, Any]:
    """The next page of the queue, which nobody else gets meanwhile."""
    target, who = target_named(store, body), short_text(body, "who")
    page, count = short_text(body, "page", default=""), _count(body, PAGE, MAX_PAGE)
    items = store.next_items(target.name, who, count, filters_of(store, target, body), page=page)
    return {
        "items": [item_json(target, item) for item in items],
        "counts": counts_json(target, store.counts(target.name)),
    }


def found_items(store: "Store", body: Body) -> dict[str, Any]:
    """A page of a search."""
    target, start = target_named(store, body), integer_of(body, "start", 0)
    sort, filters = choice_of(body, "sort", SORTS[0], SORTS), filters_of(store, target, body)
    items = store.items(target.name, filters, sort, start, _count(body, PAGE, MAX_PAGE))
    return {"items": [item_json(target, item) for item in items]}


def similar_items(store: "Store", body: Body) -> dict[str, Any]:
    """The nearest undecided products."""
    target, product = target_named(store, body), integer_of(body, "product", -1, MAX_NUMBER)
    items = store.similar(product, target.name, _count(body, PAGE, MAX_SIMILAR))
    return {"items": [item_json(target, item) for item in items]}


def one_item(store: "Store", body: Body) -> dict[str, Any]:
    """A product, whether or not it is in the queue."""
    target = target_named(store, body)
    return {"item": item_json(target, store.item(integer_of(body, "product", -1, MAX_NUMBER), target.name))}


def decide(store: "Store", body: Body) -> dict[str, Any]:
    """Add decisions: all of them or none. They are on the disk when this returns.

    Raises:
        MuslinError: `index` and `product_name` say of which decision, so that the others can be sent without it.
    """
    who = short_text(body, "who")
    try:
        receipts = store.decide(decisions_of(store, body), who)
    except MuslinError as error:
        raise refused_decision(store, body, error) from error
    return {"receipts": receipts_json(store, receipts)} | counts(store, body)


def undo(store: "Store", body: Body) -> dict[str, Any]:
    """Undo decisions, such as those of a page, by others: all of them or none."""
    receipts = store.undo_all(undos_of(body), short_text(body, "who"))
    return {"receipts": receipts_json(store, receipts)} | counts(store, body)


def release(store: "Store", body: Body) -> dict[str, Any]:
    """Let others have what a person has on the page."""
    products = [integer_of({"product": each}, "product", -1, MAX_NUMBER) for each in listed(body, "products")]
    page = short_text(body, "page", default="") if "page" in body else None
    store.release(short_text(body, "who"), page, products or None)
    return {}


def add_class(store: "Store", body: Body) -> dict[str, Any]:
    """Add a class to a target."""
    target = target_named(store, body)
    store.add_class(target.name, short_text(body, "name"), short_text(body, "who"))
    return {"classes": list(store.classes(target.name))}


def history(store: "Store", body: Body) -> dict[str, Any]:
    """All that people decided on one target of a product."""
    target = target_named(store, body)
    rows = store.history(integer_of(body, "product", -1, MAX_NUMBER), target.name)
    return {"history": [decided_json(target, row) for row in rows]}


def status(store: "Store", body: Body) -> dict[str, Any]:
    """Per target whether the guarantee still holds, whether the products have shifted, and how long the rest takes."""
    from muslin.workflows.review_statistics import review_statistics

    who = short_text(body, "who", default="") or None
    return {"targets": {name: _status_json(found) for name, found in review_statistics(store, who).items()}}


def _status_json(found: "TargetStatistics") -> dict[str, Any]:
    precision = found.precision
    return {
        "messages": list(found.messages),
        "precision": asdict(precision) | {"incorrect": list(precision.incorrect[:MAX_PAGE])},
        "is_shifted": found.shift.is_shifted,
        "pace": found.pace and asdict(found.pace),
        "left_s": found.left_s,
    }


def models(store: "Store", body: Body) -> dict[str, Any]:
    """The models of a store, and which one was promoted when."""
    return {
        "active": store.active.digest,
        "models": [_model_json(model) for model in store.models()],
        "promotions": [asdict(promotion) for promotion in store.promotions()],
    }


def _model_json(model: ModelRow) -> dict[str, Any]:
    classes = {target.name: list(target.classes) for target in model.targets}
    return {name: value for name, value in vars(model).items() if name != "targets"} | {"classes": classes}


def train(works: ReviewWork, opened: OpenStore, body: Body) -> dict[str, Any]:
    """Begin to train a candidate on everything decided."""
    return {"work": works.start(opened, "train", short_text(body, "who"))}


def promote(works: ReviewWork, opened: OpenStore, body: Body) -> dict[str, Any]:
    """Begin to make a candidate the active model, if it is not worse; or, with `undo`, to bring back the one before."""
    if body.get("undo"):
        return {"work": works.start(opened, "undo_promotion", short_text(body, "who"))}
    digest = choice_of(body, "digest", "", [model.digest for model in opened.store.models()])
    margin = number_of({"margin": DEFAULT_MARGIN, **body}, "margin", 0, MAX_MARGIN)
    return {"work": works.start(opened, "promote", short_text(body, "who"), digest=digest, margin=margin)}


def forecast(works: ReviewWork, opened: OpenStore, body: Body) -> dict[str, Any]:
    """Begin to compute what more decided products would bring, of any class or of `class_name`."""
    target = target_named(opened.store, body).name
    class_name = short_text(body, "class_name", default="") or None
    return {"forecast": works.start(opened, "forecast", short_text(body, "who"), target=target, class_name=class_name)}


def work(works: ReviewWork, opened: OpenStore, body: Body) -> dict[str, Any]:
    """How far the last training or promotion is, and the last forecast, and whether this store allows one."""
    return {"work": works.of(opened), "forecast": works.of(opened, "forecast"), "is_allowed": works.is_allowed(opened)}


def stop(works: ReviewWork, opened: OpenStore, body: Body) -> dict[str, Any]:
    """Tell what is running to stop."""
    works.stop(opened)
    return work(works, opened, body)


def _count(body: Body, default: int, maximum: int) -> int:
    return max(1, integer_of(body, "count", default, maximum))


STORE_ROUTES: dict[str, Answer] = {
    "open": describe,
    "counts": counts,
    "item": one_item,
    "decide": decide,
    "undo": undo,
    "release": release,
    "class": add_class,
    "history": history,
    "status": status,
    "models": models,
}
"""The paths that ask one store."""

PAGE_ROUTES: dict[str, Answer] = {"next": next_items, "items": found_items, "similar": similar_items}
"""The paths that ask one store for a page of items."""

WORK_ROUTES: dict[str, Callable[[ReviewWork, OpenStore, Body], Any]] = {
    "train": train,
    "promote": promote,
    "forecast": forecast,
    "work": work,
    "stop": stop,
}
"""The paths that begin long work, and tell how far it is."""
