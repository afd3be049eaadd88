"""What do reviewed products bring, drawn by the review loop and at random, and does the guarantee hold afterwards?

    python benchmarks/review_loop.py features FEATURES.npz [--data fashion-mnist]
    python benchmarks/review_loop.py loop FEATURES.npz [--seeds 10] [--precision 0.98] [--spot-checks 0.05]
    python benchmarks/review_loop.py sealed FEATURES.npz [--seeds 10] [--precision 0.98]
    python benchmarks/review_loop.py guarantee FEATURES.npz [--draws 200] [--precision 0.98] [--spot-checks 0.05]

A simulated shop: some labelled images make the first model, others are its catalogue, and the rest play the future. An
oracle decides what the store's queue asks for, page by page. The store, its queue and random sample, which decisions
calibrate, the folds, the linear probe, the calibration and the accept threshold are muslin's own; only photos and their
backbone are replaced by kept features, reduced to their 64 principal components so that a training takes a second.

`loop`: accuracy and accepted share on the future after 250, 500, 1,000 and 2,000 decisions, against a model from as
many decisions on products drawn at random. Half of the loop's random sample is sealed for the test part, and so does
not train; the other method uses all of its own. `sealed` is the other method with half of its products sealed, as a
store with `--spot-checks 1` has them. `guarantee`: two rounds of 500 decisions, each with a promotion; the precision of
what is accepted then, of the future and of the products of the catalogue that are still open, and how often it is below
the target. `features` writes the features of a data set: for photos those of the recipe `photo`; otherwise of a network
trained on its first 20,000 images, which are left out.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results_file import start_result, write_result

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.evaluation.intervals import percentile_interval, wilson_interval
from muslin.review.store import Store
from muslin.review.values import NewDecision, NewPrediction, NewProduct, StoreSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # scripts, not a package

COMPONENTS = 64
FIRST_IMAGES = 500
CATALOGUE = 4_000
FUTURE_IMAGES = 10_000
STEPS = (250, 500, 1_000, 2_000)
ROUNDS = (500, 1_000)
"""Decisions after which a model is promoted in `guarantee`."""
PAGE = 48
BACKBONE_IMAGES = 20_000

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=["features", "loop", "sealed", "guarantee"])
    parser.add_argument("features")
    parser.add_argument("--data", default="fashion-mnist", help="of `features`")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--precision", type=float, default=0.98)
    parser.add_argument("--first", type=int, default=FIRST_IMAGES, help="labelled images of the first model")
    parser.add_argument("--spot-checks", type=float, default=0.05, help="share of the random sample")
    parser.add_argument("--catalogue", type=int, default=CATALOGUE, help="products, at most")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    if arguments.question == "features":
        write_features(arguments.data, Path(arguments.features))
        return
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    population = read_population(Path(arguments.features))
    names = ("first", "catalogue", "precision", "spot_checks")
    settings = {name: getattr(arguments, name) for name in names}
    measure, count = {
        "loop": (measure_loop, arguments.seeds),
        "sealed": (measure_sealed, arguments.seeds),
        "guarantee": (measure_guarantee, arguments.draws),
    }[arguments.question]
    measured = measure(population, settings, count)
    name = f"review_{arguments.question}_{Path(arguments.features).stem}"
    if arguments.question != "sealed":  # which has no random sample
        name += f"_{100 * arguments.spot_checks:g}"
    write_result(head, {"features": Path(arguments.features).name, **settings, **measured}, name=name)


@dataclass(frozen=True)
class Population:
    """Kept features float32 (n, COMPONENTS), the true classes (n,), and their target."""

    features: Floats
    labels: Indices
    target: Target


def read_population(path: Path) -> Population:
    stored = np.load(path)
    rows = stored["x"].astype(np.float64)
    rows -= rows.mean(axis=0)
    _, directions = np.linalg.eigh(rows.T @ rows)
    components = rows @ directions[:, -COMPONENTS:]
    components /= components.std(axis=0)
    target = Target("label", tuple(map(str, stored["classes"])))
    return Population(components.astype(np.float32), stored["y"].astype(np.int64), target)


def write_features(data: str, path: Path) -> None:
    """The features of all photos of `data`; of pixels those after BACKBONE_IMAGES, by a network trained on these."""
    import muslin
    from muslin import machine
    from muslin.data import photos, read
    from muslin.data.dataset import pixel_array
    from muslin.learn.recipes import LinearProbeRecipe, recipe
    from muslin.learn.train import extract_features
    from muslin.models.predictor import Predictor

    dataset = read(data)
    if isinstance(dataset.images, PixelImages):
        with tempfile.TemporaryDirectory() as folder:
            own = replace(dataset.take(np.arange(BACKBONE_IMAGES)), parts=None)
            run = muslin.train(own, recipe="quick", out=Path(folder) / "run", log=print)
            kept = np.arange(BACKBONE_IMAGES, len(dataset))
            pixels, predictor = pixel_array(dataset), Predictor.open(run.model, graph="float32")
            blocks = [predictor.infer_raw(pixels[block])[1] for block in np.array_split(kept, 100)]
        rows = np.concatenate([block for block in blocks if block is not None])
    else:
        probe = recipe("photo")
        assert isinstance(probe, LinearProbeRecipe)
        resized = photos.resize_photos(dataset, (probe.image_size, probe.image_size, 3))
        features, _ = extract_features(resized, probe, seed=0, threads=machine.physical_cores(), log=print)
        rows, kept = np.empty((len(features), features.width), np.float32), np.arange(len(features))
        for samples, block in features.blocks():
            rows[samples] = block
    target = dataset.targets[0]
    np.savez(path, x=rows, y=dataset.labels[target.name][kept], classes=np.array(target.classes))


class Shop:
    """A shop with a store: labelled images of the first model, the products of its catalogue, the future.

    Attributes:
        first, catalogue, future: indices in the population, drawn with `seed`.
        probabilities: calibrated, of the catalogue and of the future, by the last trained model.
    """

    def __init__(self, population: Population, folder: Path, seed: int, settings: dict[str, Any]) -> None:
        from muslin.models.bundle import seal
        from small_models import small_bundle

        self.population, self.seed, self.precision, self.folder = population, seed, settings["precision"], folder
        order = np.random.default_rng(seed).permutation(len(population.labels))
        n_first, n_catalogue = settings["first"], settings["catalogue"]
        self.first = order[:n_first]
        self.catalogue = order[n_first : n_first + n_catalogue]
        self.future = order[n_first + n_catalogue :][:FUTURE_IMAGES]
        self.bundle = small_bundle(population.target)
        seal(self.bundle, folder / "0.muslin")
        of_store = StoreSettings(seed, settings["spot_checks"])
        self.store = Store.create(folder / "shop.db", folder / "0.muslin", who="shop", settings=of_store)
        self.number_of: dict[int, int] = {}  # of a product → its index in the population

    def open(self) -> None:
        """Train the first model, and add the catalogue as it predicts it."""
        model = self.train(*self.samples([]))
        products = (
            NewProduct(str(index), "same", (), "", {self.population.target.name: prediction})
            for index, prediction in zip(self.catalogue.tolist(), self.predictions(model), strict=True)
        )
        number = self.store.add_catalogue(self.folder / "catalogue", {})
        self.store.put_products(number, products, self.store.active.digest)
        self.number_of = {product.id: int(product.name) for product in self.store.products()}

    def review(self, count: int) -> int:
        """Decide what the queue asks for, until `count` are decided or nothing is left; how many were."""
        store, name, done = self.store, self.population.target.name, 0
        while done < count:
            items = store.next_items(name, "oracle", min(PAGE, count - done))
            if not items:
                break
            store.decide([self._decision(item.product, item.digest) for item in items], "oracle")
            done += len(items)
        return done

    def _decision(self, product: int, digest: str) -> NewDecision:
        target, index = self.population.target, self.number_of[product]
        value = target.classes[self.population.labels[index]]
        return NewDecision(product, target.name, "value", f"{product} {digest}", "same", digest, value)

    def decided(self) -> tuple[Dataset, Indices]:
        """Everything decided and the first images, as `muslin review train` puts them together."""
        from muslin.workflows.review_decisions import TRAIN, decided_products

        return self.samples([each for each in decided_products(self.store) if each.use == TRAIN])

    def samples(self, products: Sequence[Any]) -> tuple[Dataset, Indices]:
        """The first images and these DecidedProducts; and their indices in the population."""
        from muslin.workflows.review_decisions import labels_and_mask

        target = self.population.target
        indices = np.array([self.number_of[each.product.id] for each in products], dtype=np.int64)
        labels, no_class = labels_and_mask(target, [each.decided[target.name] for each in products])
        is_random = np.array([each.is_random for each in products], dtype=bool)
        assert not no_class.any()
        return self.dataset(indices, labels, is_random)

    def dataset(self, indices: Indices, labels: Any, is_random: Any) -> tuple[Dataset, Indices]:
        """The first images and others, of which `is_random` may calibrate."""
        everything = np.concatenate([self.first, indices])
        target, true = self.population.target, self.population.labels[self.first]
        dataset = Dataset(
            name="shop",
            format="features",
            images=PixelImages(everything.astype("<u4").view(np.uint8).reshape(-1, 1, 4, 1)),  # all different
            targets=(target,),
            labels={target.name: np.concatenate([true, labels])},
            ids=everything.astype(str).astype(object),
            drawn_at_random=np.concatenate([np.ones(len(true), dtype=bool), is_random]),
        )
        return dataset, everything

    def train(self, dataset: Dataset, indices: Indices) -> "Trained":
        """Fit the head and calibrate it, as `muslin train` does with the recipe `photo`."""
        from muslin.data.dataset import Split
        from muslin.evaluation.selective import fit_calibration_data
        from muslin.learn.recipes import LinearProbeRecipe, recipe
        from muslin.workflows.run_results import cross_fit
        from muslin.workflows.training_data import Callbacks, TrainingData

        probe, target = recipe("photo"), self.population.target
        assert isinstance(probe, LinearProbeRecipe)
        features, nothing = kept_features(self.population.features[indices]), np.array([], dtype=np.int64)
        split = Split(np.arange(len(dataset)), nothing, nothing)
        data = TrainingData(dataset, split, features.image_digests, {}, features)
        net = head_alone(target, self.population.features.shape[1])
        out_of_fold = cross_fit(net, data, probe, self.seed, Callbacks())
        labels = dataset.labels[target.name][out_of_fold.indices]
        calibration = fit_calibration_data(target, labels, out_of_fold.probabilities[target.name], seed=self.seed)
        return Trained(net, calibration, self.population, self.precision)

    def predictions(self, model: "Trained") -> list[NewPrediction]:
        """Of each product of the catalogue."""
        from muslin.evaluation.selective import DECISIONS

        decided, classes = model.triage(self.catalogue), self.population.target.classes
        rows = zip(decided.predicted.tolist(), decided.confidence.tolist(), decided.decisions.tolist(), strict=True)
        return [NewPrediction(classes[p], c, DECISIONS[d], (classes[p],)) for p, c, d in rows]

    def promote(self, model: "Trained", name: str) -> None:
        """Make a model the active one, whose file stands for it."""
        from muslin.models.bundle import seal

        path = self.folder / f"{name}.muslin"
        seal(replace(self.bundle, provenance={**self.bundle.provenance, "name": name}), path)
        digest = self.store.add_model(path, {})
        of_index = dict(zip(self.catalogue.tolist(), self.predictions(model), strict=True))
        target = self.population.target.name
        self.store.put_predictions(
            digest, ((number, {target: of_index[index]}) for number, index in self.number_of.items())
        )
        self.store.promote(digest, "shop", {})

    def open_products(self) -> Indices:
        """The products on which nobody has decided."""
        decided = {self.number_of[each.product] for each in self.store.decided(self.population.target.name)}
        return np.setdiff1d(self.catalogue, sorted(decided))


@dataclass(frozen=True)
class Trained:
    """A fitted head with its calibration data."""

    net: Any
    calibration: Any
    population: Population
    precision: float

    def triage(self, indices: Indices) -> Any:
        from muslin.evaluation.selective import acceptance_policy, calibrate_probabilities, triage
        from muslin.learn.linear_probe import predict_from_features

        target, features = self.population.target, kept_features(self.population.features[indices])
        raw = predict_from_features(self.net, features, np.arange(len(indices)))[0][target.name]
        policy = acceptance_policy(target, self.calibration, self.precision, explain=False)
        return triage(target, calibrate_probabilities(target, raw, self.calibration), policy)

    def measure(self, indices: Indices) -> dict[str, float]:
        """Accuracy, accepted share and precision of what is accepted (1 for nothing)."""
        decided = self.triage(indices)
        correct = decided.predicted == self.population.labels[indices]
        accepted = decided.accepted
        precision = float(correct[accepted].mean()) if accepted.any() else 1.0
        measured = {"accuracy": float(correct.mean()), "accepted": float(accepted.mean()), "precision": precision}
        return {**measured, "n_accepted": int(accepted.sum())}


def kept_features(rows: Floats) -> Any:
    from muslin.learn.features import Features
    from muslin.models.seen_images import IMAGE_DIGEST_BYTES
    from muslin.storage.scratch import ScratchArray

    file = ScratchArray(len(rows), (rows.shape[1],), np.float32)
    file.write(0, rows)
    return Features(file, np.arange(len(rows)), np.zeros((len(rows), IMAGE_DIGEST_BYTES), np.uint8))


def head_alone(target: Target, width: int) -> Any:
    """A network whose features are its input, with a head for the target."""
    from muslin.learn.layer_kinds import LayerSpec
    from muslin.learn.modules import Net
    from muslin.learn.networks import Network

    flatten, head = LayerSpec("flatten", "flatten"), LayerSpec("dense", target.name, len(target.classes), bias=True)
    return Net(Network("tutorial", (1, width, 1), (flatten,), {target.name: head}, "softmax"), 0)


def measure_loop(population: Population, settings: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Per number of decisions both methods' metrics, and the mean paired difference with its interval over seeds."""
    each: list[dict[str, Any]] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            shop = Shop(population, Path(folder), seed, settings)
            shop.open()
            random = np.random.default_rng([seed, 1]).permutation(shop.catalogue)
            row: dict[str, Any] = {"seed": seed, "before": shop.train(*shop.samples([])).measure(shop.future)}
            done = 0
            for step in (n for n in STEPS if n <= len(shop.catalogue)):
                done += shop.review(step - done)
                model = shop.train(*shop.decided())
                shop.promote(model, f"loop-{step}")
                drawn = random[:done]
                labels = population.labels[drawn]
                plain = shop.train(*shop.dataset(drawn, labels, np.ones(len(drawn), dtype=bool)))
                row[str(step)] = {
                    "done": done,
                    "loop": model.measure(shop.future),
                    "random": plain.measure(shop.future),
                }
                shown = {name: row[str(step)][name] for name in ("loop", "random")}
                print(seed, step, done, {k: {m: round(v, 3) for m, v in each.items()} for k, each in shown.items()})
            shop.store.close()
        each.append(row)
    return {"each": each, "rows": [_loop_row(each, step) for step in STEPS if str(step) in each[0]]}


def measure_sealed(population: Population, settings: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Per number of random decisions, of which every second one is sealed for testing, the means over seeds."""
    each: list[dict[str, Any]] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            shop = Shop(population, Path(folder), seed, settings)
            random, row = np.random.default_rng([seed, 1]).permutation(shop.catalogue), {"seed": seed}
            for step in (n for n in STEPS if n <= len(random)):
                drawn = random[:step:2]
                labels = population.labels[drawn]
                model = shop.train(*shop.dataset(drawn, labels, np.ones(len(drawn), dtype=bool)))
                row[str(step)] = model.measure(shop.future)
            shop.store.close()
        print(row)
        each.append(row)
    names = ("accuracy", "accepted", "precision")
    steps = [step for step in STEPS if str(step) in each[0]]
    means = ({name: float(np.mean([row[str(step)][name] for row in each])) for name in names} for step in steps)
    return {"each": each, "rows": [{"decisions": step, **mean} for step, mean in zip(steps, means, strict=True)]}


def _loop_row(each: list[dict[str, Any]], step: int) -> dict[str, Any]:
    row: dict[str, Any] = {"decisions": step}
    for metric in ("accuracy", "accepted", "precision"):
        loop, random = (np.array([one[str(step)][name][metric] for one in each]) for name in ("loop", "random"))
        drawn = np.random.default_rng(0).integers(0, len(loop), (10_000, len(loop)))
        interval = percentile_interval((loop - random)[drawn].mean(axis=1))
        row[metric] = {"loop": loop.mean(), "random": random.mean(), "difference_interval": interval}
        low, high = (100 * end for end in interval)
        print(f"{step} | {metric} | {100 * loop.mean():.1f} % | {100 * random.mean():.1f} % | {low:.1f} to {high:.1f}")
    return row


def measure_guarantee(population: Population, settings: dict[str, Any], draws: int) -> dict[str, Any]:
    """Of models after two rounds: how often what they accept misses the precision target."""
    each = []
    for seed in range(draws):
        with tempfile.TemporaryDirectory() as folder:
            shop = Shop(population, Path(folder), seed, settings)
            shop.open()
            done = 0
            for number, step in enumerate(ROUNDS):
                done += shop.review(step - done)
                model = shop.train(*shop.decided())
                shop.promote(model, str(number + 1))
            row = {"seed": seed, "future": model.measure(shop.future), "open": model.measure(shop.open_products())}
            # what a review of the queue alone would promise: everything decided calibrates, as if drawn at random
            dataset, indices = shop.decided()
            naive = shop.train(replace(dataset, drawn_at_random=None), indices)
            row["naive"] = naive.measure(shop.future)
            shop.store.close()
        each.append(row)
        if (seed + 1) % 10 == 0:
            print(seed + 1, [_guarantee_row(each, name, settings["precision"]) for name in ("future", "naive")])
    names = ("future", "open", "naive")
    return {"draws": draws, "rows": [_guarantee_row(each, name, settings["precision"]) for name in names], "each": each}


def _guarantee_row(each: list[dict[str, Any]], name: str, target: float) -> dict[str, Any]:
    rows = [one[name] for one in each]
    below = sum(row["precision"] < target for row in rows)
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("accepted", "precision", "accuracy")}
    return {"of": name, "below": below / len(rows), "interval": wilson_interval(below, len(rows)), **mean}


if __name__ == "__main__":
    main()
