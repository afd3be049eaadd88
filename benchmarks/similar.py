"""Are second views of a product found, and is "the same product" correct as often as guaranteed?

    python benchmarks/similar.py PHOTOS --features FILE.npz [--draws N] [--note SENTENCE]

PHOTOS is the folder of clothing-small; each of its photos counts as a product. How second views are made stands in
`similar_views.py`. Features are kept in FILE.npz.

Recall: made views are looked up among all photos, by muslin's vectors, which are fitted to the photos alone, and by the
cosine of the features as the network gives them.

The same product: each draw is a shop, of whose products most have two photos (the photo and a view, without another
background) and the others one. The index is fitted as `muslin similar build` does; then another view of some of its
products and of as many others is looked up: of the photo and its two views it is drawn which one. In other draws it is
always a view, which the shop's photos are not (`changed`), although the guarantee is for photos like the shop's. A draw
is below the target if less than that of what is said is correct.
The 320 principal directions of the features stand for all 1,280, so that a draw takes a second. The synthetic draws
have products and views of known normal noise. The guarantee allows at most 5 % of draws to be below the target.
Results go to benchmarks/results/.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result
from similar_views import KINDS, TOGETHER, features_of_views, photos_of

GALLERY, OF_KIND, OF_MOST, OF_ALL = 900, 60, 300, 900
"""Photos among which views are looked up, and those with a view of each kind, of all but the background, and of all."""

PHOTOS, SYNTHETIC = (200, 150, 100), (500, 400, 400)
"""Of a shop: its products, those with two photos, and how many of them, and of others, are looked up."""

TARGETS = (0.9, 0.95)
DIRECTIONS = 320

SYNTHETIC_WIDTH = 48
NOISE = (0.5, 0.8)
"""Of a view, in standard deviations of what tells products apart; drawn for each shop."""

COUNTS = (1, 20)


def recall(photos: list[Path], kept: Path) -> list[dict[str, Any]]:
    from muslin.evaluation.ood import normalize_rows
    from muslin.evaluation.retrieval import ranks_of_own, recalls
    from muslin.similarity.projection import fit_projection

    photos = photos[:GALLERY]
    gallery = features_of_views(kept, [(photo, "original", 0) for photo in photos])
    projection = fit_projection(gallery)
    ways = {"muslin": projection, "features as they are": normalize_rows}
    vectors = {name: way(gallery) for name, way in ways.items()}
    rows = []
    for kind in (*KINDS, *TOGETHER):
        count = {"all but background": OF_MOST, "all": OF_ALL}.get(kind, OF_KIND)
        queries = features_of_views(kept, [(photo, kind, 1) for photo in photos[:count]])
        own = np.arange(count)
        for name, way in ways.items():
            looked_up = way(queries)
            ranks = ranks_of_own(looked_up, own, vectors[name], np.arange(len(photos)))
            found = [{"k": r.k, "value": r.value, "interval": r.interval} for r in recalls(ranks, own, COUNTS)]
            row: dict[str, Any] = {"view": kind, "way": name, "queries": count, "gallery": len(photos), "recall": found}
            if name == "muslin":
                cosines = looked_up @ vectors[name].T
                row["own_cosine"] = quantiles(cosines[own, own])
                cosines[own, own] = -1
                row["nearest_other_cosine"] = quantiles(cosines.max(axis=1))
            print(row, flush=True)
            rows.append(row)
    return rows


def quantiles(values: NDArray[np.floating[Any]]) -> list[float]:
    """The 5 %, 50 % and 95 % quantile."""
    return [round(float(value), 3) for value in np.quantile(values, (0.05, 0.5, 0.95))]


def realised(
    several: int, indexed: NDArray[np.float16], known: NDArray[np.float16], unknown: NDArray[np.float16]
) -> list[dict[str, Any] | None]:
    """For each of TARGETS what is said of new photos of the first products, and of as many of others.

    `indexed` has a photo of each product, then another one of the last `several`.
    """
    from muslin.similarity.fitting import fit_vectors
    from muslin.similarity.same_product import same_product_rule
    from muslin.similarity.search import Search, maxima

    count = len(indexed) - several
    products = np.concatenate([np.arange(count), np.arange(count - several, count)])
    order = np.argsort(products, kind="stable")
    indexed, products = indexed[order], products[order]
    fitted = fit_vectors(indexed, products)
    search = Search(fitted.vectors, products)
    cosines = np.concatenate([search.cosines(fitted.projection(part)) for part in (known, unknown)]).T
    of_product = maxima(np.ascontiguousarray(cosines), search.starts)
    rows: list[dict[str, Any] | None] = []
    for target in TARGETS:
        rule = same_product_rule(fitted.calibration, target)
        is_said = of_product >= rule.threshold
        said, correct = int(is_said.sum()), int(is_said[np.arange(len(known)), np.arange(len(known))].sum())
        rows.append({"said": said, "correct": correct, "found": correct / len(known)} if rule.precision else None)
    return rows


def real_draw(views: NDArray[np.float16], random: np.random.Generator, is_mixed: bool) -> list[dict[str, Any] | None]:
    """`views`: (photo and its two views, photos, features), which take turns at random where `is_mixed`."""
    count, several, looked_up = PHOTOS
    if is_mixed:
        views = np.take_along_axis(views, random.permuted(np.indices(views.shape[:2])[0], axis=0)[:, :, None], axis=0)
    chosen = random.permutation(views.shape[1])
    inside, outside = chosen[:count], chosen[count : count + looked_up]
    features = np.concatenate([views[0, inside], views[1, inside[-several:]]])
    return realised(several, features, views[2, inside[:looked_up]], views[2, outside])


def synthetic_draw(random: np.random.Generator) -> list[dict[str, Any] | None]:
    count, several, looked_up = SYNTHETIC
    centres = random.normal(0, 1, (count + looked_up, SYNTHETIC_WIDTH))
    noise = random.uniform(*NOISE)

    def view(of: NDArray[np.float64]) -> NDArray[np.float16]:
        return (of + random.normal(0, noise, of.shape)).astype(np.float16)

    inside, outside = centres[:count], centres[count:]
    features = np.concatenate([view(inside), view(inside[-several:])])
    return realised(several, features, view(inside[:looked_up]), view(outside))


def summary(draws: list[list[dict[str, Any] | None]]) -> list[dict[str, Any]]:
    from muslin.evaluation.intervals import wilson_interval

    rows = []
    for place, target in enumerate(TARGETS):
        given = [row for draw in draws if (row := draw[place]) is not None and row["said"]]
        broken = sum(row["correct"] < target * row["said"] for row in given)
        rows.append(
            {
                "target": target,
                "draws": len(draws),
                "guaranteed": len(given),
                "below_target": broken,
                "below_target_interval": wilson_interval(broken, len(draws)),
                "precision": quantiles(np.array([row["correct"] / row["said"] for row in given])) if given else None,
                "found": quantiles(np.array([row["found"] for row in given])) if given else None,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    head = start_result(str(__doc__).splitlines()[0], arguments.note)
    photos = photos_of(arguments.photos)
    random = np.random.default_rng(0)
    synthetic = summary([synthetic_draw(random) for _ in range(arguments.draws)])
    print(synthetic, flush=True)
    found = recall(photos, arguments.features)
    some = photos[:OF_MOST]
    views = np.stack([
        features_of_views(arguments.features, [(photo, kind, seed) for photo in some])
        for kind, seed in (("original", 0), ("all but background", 1), ("all but background", 2))
    ])  # fmt: skip
    unit = views[0].astype(np.float32)
    values, directions = np.linalg.eigh(np.cov(unit, rowvar=False))
    held = float(values[-DIRECTIONS:].sum() / values.sum())
    views = (views.astype(np.float32) @ directions[:, -DIRECTIONS:]).astype(np.float16)
    real = {
        name: summary([real_draw(views, random, is_mixed) for _ in range(arguments.draws)])
        for name, is_mixed in (("photos", True), ("changed", False))
    }
    print(real, flush=True)
    measured = {"recall": found, "variance_in_directions": held, "same_product": {**real, "synthetic": synthetic}}
    write_result(head, measured)


if __name__ == "__main__":
    main()
