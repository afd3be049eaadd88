"""How should the photos of a product be combined, and how much more can be accepted per product than per photo?

    python benchmarks/products.py [DATA] [--views FOLDER] [--set SETTING=VALUE …] [--calibration 1000 3000]
        [--draws 200] [--note SENTENCE]

DATA is clothing-small by default, or any data of photos with one label each. Every photo becomes a product of 2 to 4
photos: itself and views of it that are cropped, lit otherwise, mirrored and saved as worse JPEGs; one in four of them
shows a detail. Out-of-fold predictions by the linear probe on EfficientNet features are the population; the folds part
no product. Each draw takes products to calibrate on, fits a temperature and the threshold for 98 % precision, and
applies both to the population. Compared, on the same draws: every photo alone (in groups by product), and ways to
combine a product's photos. Keeps in benchmarks/results/ the accepted shares, the share of draws with a precision below
98 % in the population, and the calibration errors. FOLDER keeps the views; by default they are deleted. --set changes
the recipe `photo`, such as its network.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from results_file import max_coverage, start_result, write_result

PRECISION = 0.98
MIN_VIEWS, MAX_VIEWS = 1, 3  # beside the photo itself
DETAIL_SHARE = 0.25
FOLDS = 5
EACH_PHOTO = "each photo"

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Rule = Callable[[Floats, Numbers], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="clothing-small")
    parser.add_argument("--views", type=Path, help="folder of the views, made where there is none")
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE", help="as with `muslin train --set`")
    parser.add_argument("--calibration", type=int, nargs="+", default=[1000, 3000], help="products to draw")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.views or Path(temporary) / "views"
        if not folder.exists():
            make_views(options.data, folder)
        labels, probabilities, products = predict_views(folder, dict(setting.split("=", 1) for setting in options.set))
    measured: dict[str, Any] = {"data": options.data, "photos": len(labels), "products": int(products.max()) + 1}
    measured["population"] = describe_population(labels, probabilities, products)
    print(json.dumps(measured, indent=1), flush=True)
    rows = []
    for n in options.calibration:
        rows += measure(labels, probabilities, products, n, options.draws)
    write_result(head, measured | {"draws": options.draws, "rows": rows})


def make_views(data: str, folder: Path) -> None:
    """Every photo as CLASS/NUMBER_0.jpg, and views of it as CLASS/NUMBER_1.jpg and so on."""
    from muslin.data import read

    dataset = read(data)
    images: Any = dataset.images
    target = dataset.target()
    for number, label in enumerate(dataset.labels[target.name]):
        random = np.random.default_rng(number)
        with Image.open(BytesIO(images.photos[number].content())) as opened:
            photo = ImageOps.exif_transpose(opened).convert("RGB")
        place = folder / target.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        photo.save(place / f"{number:06}_0.jpg", quality=92)
        for view in range(1, random.integers(MIN_VIEWS, MAX_VIEWS + 1) + 1):
            content = BytesIO()
            quality = int(random.integers(10, 75))
            changed(photo, random).save(content, "JPEG", quality=quality)
            (place / f"{number:06}_{view}.jpg").write_bytes(content.getvalue())


def changed(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """A random crop, in other light, and mirrored or not."""
    area = random.uniform(0.1, 0.3) if random.random() < DETAIL_SHARE else random.uniform(0.4, 1.0)
    width, height = (max(8, round(side * area**0.5)) for side in photo.size)
    left, top = random.integers(0, photo.width - width + 1), random.integers(0, photo.height - height + 1)
    view = photo.crop((int(left), int(top), int(left) + width, int(top) + height))
    if random.random() < 0.5:
        view = ImageOps.mirror(view)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = enhance(view).enhance(float(random.uniform(0.6, 1.4)))
    warmth = random.uniform(0.85, 1.15)
    pixels = np.asarray(view, np.float32) * np.array([warmth, 1, 1 / warmth], np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def predict_views(folder: Path, settings: dict[str, str]) -> tuple[Numbers, Floats, Numbers]:
    """Labels, out-of-fold probabilities (photos, classes) and product numbers of all photos."""
    from muslin.data import read
    from muslin.data.photos import resize_photos
    from muslin.learn.cross_val import cross_val_predict, fit_predict_heads
    from muslin.learn.modules import Net
    from muslin.learn.recipes import recipe, recipe_network
    from muslin.learn.train import extract_features

    probe: Any = recipe("photo", **settings)
    dataset = resize_photos(read(folder), (probe.image_size, probe.image_size, 3))

    def log(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    features, problems = extract_features(dataset, probe, seed=0, threads=1, log=log)
    assert not problems
    products = np.array([int(Path(str(id_)).stem.split("_")[0]) for id_ in dataset.ids])
    fold_of = np.random.default_rng(0).permutation(int(products.max()) + 1) % FOLDS
    target = dataset.target()
    net = Net(recipe_network(probe, dataset.images.size, dataset.targets), 0)
    fit_predict = fit_predict_heads(net, features, dict(dataset.labels), probe)
    predicted = cross_val_predict(fold_of[products], fit_predict)
    return dataset.labels[target.name].astype(np.int64), predicted[target.name].astype(np.float64), products


# --- ways to combine; all give float (products, classes) in rising order of the products


def mean_log(p: Floats, products: Numbers) -> Floats:
    from muslin.evaluation.products import combine

    return combine(p, products).probabilities.astype(np.float64)


def mean_probability(p: Floats, products: Numbers) -> Floats:
    sums = np.zeros((products.max() + 1, p.shape[1]))
    np.add.at(sums, products, p)
    return sums / sums.sum(axis=1, keepdims=True)


def highest(p: Floats, products: Numbers) -> Floats:
    most = np.zeros((products.max() + 1, p.shape[1]))
    np.maximum.at(most, products, p)
    return most / most.sum(axis=1, keepdims=True)


def product_of_all(p: Floats, products: Numbers) -> Floats:
    """As if the photos were independent evidence."""
    from muslin.evaluation.calibration import scale_probabilities

    counts = np.bincount(products)[:, np.newaxis]
    return scale_probabilities(mean_log(p, products), 1 / counts).astype(np.float64)


RULES: dict[str, Rule] = {
    "mean log": mean_log,
    "mean probability": mean_probability,
    "highest": highest,
    "product": product_of_all,
}


def describe_population(labels: Numbers, p: Floats, products: Numbers) -> dict[str, Any]:
    """Accuracies, what a threshold that knows the labels could accept, and what contradictions tell.

    Calibrated by temperatures that know the labels.
    """
    from muslin.evaluation.calibration import fit_temperature, scale_probabilities
    from muslin.evaluation.products import combine

    p = scale_probabilities(p, fit_temperature(labels, p)).astype(np.float64)
    truth = first_of_each(labels, products)
    found: dict[str, Any] = {"photos": row_of(p, labels)}
    for name, rule in RULES.items():
        combined = rule(p, products)
        found[name] = row_of(scale_probabilities(combined, fit_temperature(truth, combined)), truth)
    combined = mean_log(p, products)
    combined = scale_probabilities(combined, fit_temperature(truth, combined)).astype(np.float64)
    correct, confidence = combined.argmax(axis=1) == truth, combined.max(axis=1)
    disagreement = combine(p, products).disagreement
    for level in (0.5, 0.6, 0.7, 0.8):
        rows = disagreement >= level
        found[f"disagreement of {level} or more"] = {
            "products": int(rows.sum()),
            "accuracy": float(correct[rows].mean()),
            "mean_confidence": float(confidence[rows].mean()),
            "products_above_0.95": int((rows & (confidence > 0.95)).sum()),
        }
    return found


def first_of_each(labels: Numbers, products: Numbers) -> Numbers:
    """The label of each product, in rising order of the products."""
    return labels[np.unique(products, return_index=True)[1]]


def row_of(p: NDArray[np.floating[Any]], truth: Numbers) -> dict[str, float]:
    correct, confidence = p.argmax(axis=1) == truth, p.max(axis=1)
    return {"accuracy": float(correct.mean()), "oracle_share": max_coverage(confidence, correct, PRECISION)}


# --- draws


def measure(labels: Numbers, p: Floats, products: Numbers, n: int, draws: int) -> list[dict[str, Any]]:
    """Per method the accepted share of the population, the share of broken guarantees and the calibration error."""
    order = np.argsort(products, kind="stable")
    labels, p, products = labels[order], p[order], products[order]
    starts = np.searchsorted(products, np.arange(products.max() + 2))
    random = np.random.default_rng(1)
    results: dict[str, list[Result]] = {}
    for _ in range(draws):
        drawn = random.integers(0, products.max() + 1, size=n)  # with replacement: the population is the truth
        rows = np.concatenate([np.arange(starts[product], starts[product + 1]) for product in drawn])
        number = np.repeat(np.arange(n), np.diff(starts)[drawn])
        for name, result in one_draw((labels[rows], p[rows], number), (labels, p, products)).items():
            results.setdefault(name, []).append(result)
    measured = []
    of_photos = np.array(results[EACH_PHOTO])[:, 0]
    for name, values in results.items():
        shares, precisions, errors, temperatures = np.array(values).T
        gains = shares - of_photos
        row = {
            "calibration_products": n,
            "method": name,
            "share": round(float(shares.mean()), 4),
            "share_95": interval_of_mean(shares),
            "gain_over_photos": round(float(gains.mean()), 4),
            "gain_95": interval_of_mean(gains),
            "broken": float((precisions < PRECISION).mean()),
            "calibration_error": round(float(errors.mean()), 4),
            "temperature": round(float(temperatures.mean()), 3),
        }
        measured.append(row)
        print(json.dumps(row), flush=True)
    return measured


def interval_of_mean(values: Floats) -> list[float]:
    """The 95 % interval of the mean over the draws."""
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return [round(float(values.mean()) + side * half, 4) for side in (-1, 1)]


Sample = tuple[Numbers, Floats, Numbers]
"""Labels, probabilities and product numbers of photos."""

Result = tuple[float, float, float, float]
"""The accepted share, its precision (1 for none), the expected calibration error and the temperature."""


def one_draw(drawn: Sample, population: Sample) -> dict[str, Result]:
    """Per method its result on the population, of what the products `drawn` calibrate."""
    from muslin.evaluation.calibration import fit_temperature, scale_probabilities
    from muslin.evaluation.products import combine

    temperature = fit_temperature(drawn[0], drawn[1])
    sides = [(t, scale_probabilities(p, temperature).astype(np.float64), k) for t, p, k in (drawn, population)]
    results = {EACH_PHOTO: (*accepted([p for _, p, _ in sides], [t for t, *_ in sides], groups=drawn[2]), temperature)}
    truths = [first_of_each(t, k) for t, _, k in sides]
    vetoes = [combine(p, k).contradictory for _, p, k in sides]
    for name, rule in RULES.items():
        combined = [rule(p, k) for _, p, k in sides]
        results[f"{name}, not calibrated again"] = (*accepted(combined, truths), 1.0)
        again = fit_temperature(truths[0], combined[0])
        scaled = [scale_probabilities(each, again) for each in combined]
        results[name] = (*accepted(scaled, truths), again)
        if rule is mean_log:
            results[f"{name}, contradictions to review"] = (*accepted(scaled, truths, vetoes), again)
            by_count = scale_by_count(combined, [np.bincount(k) for *_, k in sides], truths[0])
            results[f"{name}, a temperature per number of photos"] = (*accepted(by_count, truths), again)
    return results


def scale_by_count(combined: list[Floats], counts: list[Numbers], truth: Numbers) -> list[Any]:
    from muslin.evaluation.calibration import fit_temperature, scale_probabilities

    scaled = [np.zeros_like(each) for each in combined]
    for count in np.unique(counts[0]):
        rows = counts[0] == count
        temperature = fit_temperature(truth[rows], combined[0][rows])
        for place, each in enumerate(combined):
            rows = counts[place] == count
            scaled[place][rows] = scale_probabilities(each[rows], temperature)
    return scaled


def accepted(
    sides: list[Any], truths: list[Numbers], vetoes: list[Any] | None = None, groups: Numbers | None = None
) -> tuple[float, float, float]:
    """The accepted share of the second side at the first one's threshold, its precision and its calibration error."""
    from muslin.evaluation.metrics import calibration_metrics
    from muslin.evaluation.precision_bound import accept_threshold

    confidences = [p.max(axis=1) for p in sides]
    corrects = [p.argmax(axis=1) == truth for p, truth in zip(sides, truths, strict=True)]
    order = np.argsort(-confidences[0], kind="stable")
    if vetoes:
        order = order[~vetoes[0][order]]
    sorted_groups = None if groups is None else np.unique(groups[order], return_inverse=True)[1]
    threshold = accept_threshold(confidences[0][order], corrects[0][order], PRECISION, sorted_groups)
    chosen = confidences[1] >= threshold
    if vetoes:
        chosen &= ~vetoes[1]
    precision = float(corrects[1][chosen].mean()) if chosen.any() else 1.0
    return float(chosen.mean()), precision, calibration_metrics(truths[1], sides[1]).expected_calibration_error


if __name__ == "__main__":
    main()
