"""A round of the review loop: everything decided trains a candidate, which is promoted and brought back."""

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import invoke, refusal
from muslin.data.dataset import UNKNOWN, PixelImages, Target
from muslin.data.split import split
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.errors import DataError, StoppedError, StorageError
from muslin.messages import no_log
from muslin.models.bundle import open_bundle, seal
from muslin.review import database
from muslin.review.store import Store
from muslin.review.values import NewDecision, StoreSettings
from muslin.workflows import review_predict
from muslin.workflows.review_add import AddOptions, add_catalogue
from muslin.workflows.review_dataset import ReviewData, read_review_data, read_sealed_test
from muslin.workflows.review_decisions import decided_products
from muslin.workflows.review_first_data import first_model, read_first_data
from muslin.workflows.review_init import init
from muslin.workflows.review_predict import predict_products
from muslin.workflows.review_promote import PromoteOptions, compare_with_active, find_model, promote, undo_promotion
from muslin.workflows.review_train import Candidate, ReviewTrainOptions, train_candidate
from muslin.workflows.run_folder import Run
from muslin.workflows.training_data import Callbacks
from refusals import refuses
from small_models import small_bundle

N_FIRST, N_CATALOGUE = 120, 90
SETTINGS = {"epochs": 2, "batch_size": 20, "max_steps": 12}
ANY_MARGIN = PromoteOptions(margin=0.99)


def write_photos(garments: SyntheticDataset, folder: Path) -> list[Path]:
    """A PNG for each garment."""
    images, folder = garments.dataset.images, folder
    assert isinstance(images, PixelImages)
    folder.mkdir(parents=True)
    paths = [folder / f"photo_{number:03}.png" for number in range(len(images))]
    for path, pixels in zip(paths, images.pixels, strict=True):
        Image.fromarray(pixels[..., 0]).save(path)
    return paths


def write_table(path: Path, photos: list[Path], **columns: list[str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "image", *columns])
        rows = zip([f"p{number}" for number in range(len(photos))], map(str, photos), *columns.values(), strict=True)
        writer.writerows(rows)
    return path


@dataclass
class Shop:
    """A store with a catalogue, of which all true classes are known by the products' names."""

    store: Store
    truth: dict[str, str]
    photos: list[Path]

    def decide(self, products: list[Any], kind: str = "value", who: str = "Ada", value: str | None = None) -> None:
        target, digest = self.store.targets[0], self.store.active.digest
        new = [
            NewDecision(
                product.id, target.name, kind, f"{product.id} {kind} {who} {digest} {value}", product.fingerprint,
                digest, (value or self.truth[product.name]) if kind == "value" else None,
            )
            for product in products
        ]  # fmt: skip
        self.store.decide(new, who)

    def photo(self, product: Any) -> Path:
        return self.photos[int(product.name.strip("p").removesuffix(".png").split("_")[-1])]

    def sample(self) -> list[Any]:
        """The random sample, in the order of rank."""
        share = self.store.info.spot_checks
        return sorted((each for each in self.store.products() if each.rank < share), key=lambda each: each.rank)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("first")
    garments = make_garments(N_FIRST, seed=3)
    photos = write_photos(garments, folder / "photos")
    names = garments.dataset.targets[0].classes
    table = write_table(folder / "first.csv", photos, label=[names[i] for i in garments.true_labels])
    return muslin.train(table, recipe="quick", out=folder / "run", settings=SETTINGS)


@pytest.fixture
def shop(first_run: Any, tmp_path: Path) -> Iterator[Shop]:
    garments = make_garments(N_CATALOGUE, seed=4)
    photos = write_photos(garments, tmp_path / "photos")
    table = write_table(tmp_path / "catalogue.csv", photos)
    names, source = garments.dataset.targets[0].classes, first_run.record["source"]
    truth = {f"p{number}": names[label] for number, label in enumerate(garments.true_labels)}
    with Store.create(
        tmp_path / "s.db", first_run.model, who="Ada", settings=StoreSettings(data=source, spot_checks=0.5)
    ) as store:
        add_catalogue(store, table)
        names_of = {str(photo): f"p{number}" for number, photo in enumerate(photos)}
        for product in store.products():
            truth.setdefault(product.name, truth[names_of.get(product.name, product.name)])
        yield Shop(store, truth, photos)


def test_first_data_are_read_with_the_runs_own_copy_of_exclusions(
    first_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(shutil.copytree(first_run.folder, tmp_path / "run"))
    run.write_record(run.record | {"exclude": {"path": "exclude.csv", "n": 2}})
    photos = Path(first_run.record["source"]["data"]).parent / "photos"
    run.excluded.write_text(f"part,id\n,{photos / 'photo_000.png'}\n,{photos / 'photo_007.png'}\n")
    monkeypatch.chdir(tmp_path)
    init("s.db", "run", who="Ada")
    monkeypatch.chdir("/")
    with Store.open(tmp_path / "s.db") as store:
        data = read_first_data(store, first_model(store), no_log)
    assert data is not None
    assert len(data) == N_FIRST - 2


def images_of(data: ReviewData, prefix: str = "decided/") -> Any:
    """Whether each image is of a decided product."""
    return np.array([str(name).startswith(prefix) for name in data.dataset.ids])


def test_only_the_complete_random_sample_is_random(shop: Shop) -> None:
    sample = shop.sample()
    others = [each for each in shop.store.products() if each.rank >= shop.store.info.spot_checks]
    shop.decide(sample[:20])
    shop.decide(sample[25:30])  # after a gap: no random sample
    shop.decide(others[:15])
    data = read_review_data(shop.store)
    is_decided, dataset = images_of(data), data.dataset
    assert dataset.is_random[~is_decided].all(), "the first data were all drawn at random"
    numbers = {int(str(name).split("/")[1]) for name in dataset.ids[is_decided & dataset.is_random]}
    assert numbers == {each.id for each in sample[:20]}
    tested = {int(str(name).split("/")[1]) for name in dataset.ids[is_decided & (dataset.parts == "test")]}
    assert tested == {each.id for each in sample[:20] if each.in_test}
    waiting = [each for each in sample[25:30] if each.in_test]
    assert data.record["decided"]["waiting"] == len(waiting)
    assert not {each.id for each in waiting} & {int(str(n).split("/")[1]) for n in dataset.ids[is_decided]}


def test_without_first_data_the_random_sample_comes_first(first_run: Any, tmp_path: Path) -> None:
    photos = write_photos(make_garments(N_CATALOGUE, seed=4), tmp_path / "photos")
    with Store.create(tmp_path / "s.db", first_run.model, who="Ada", settings=StoreSettings(spot_checks=0.5)) as store:
        add_catalogue(store, write_table(tmp_path / "catalogue.csv", photos))
        shop = Shop(store, dict.fromkeys((each.name for each in store.products()), store.targets[0].classes[0]), photos)
        sample = shop.sample()
        others = [each for each in store.products() if each.rank >= store.info.spot_checks]
        shop.decide([*others, *sample[1:]])  # all but the first: no random sample
        with pytest.raises(DataError) as refused:
            read_review_data(store)
        assert (refused.value.code, refused.value.params["left"]) == ("review_sample_undecided", 1)
        shop.decide(sample[:1])
        assert read_review_data(store).dataset.is_random.sum() == len(sample)


def test_the_first_test_set_stays_sealed(shop: Shop, first_run: Any) -> None:
    shop.decide(list(shop.store.products()))
    dataset = read_review_data(shop.store).dataset
    sizes = first_run.record["data"]["split_sizes"]
    first_tests = [name for name, part in zip(dataset.ids, dataset.parts, strict=True) if part == "test"]
    assert sum(not str(name).startswith("decided/") for name in first_tests) == sizes["test"]
    sealed = read_sealed_test(shop.store)
    assert set(sealed.ids) == set(first_tests)


def test_not_sure_counts_as_no_class(shop: Shop) -> None:
    sample = shop.sample()
    shop.decide(sample[:4], kind="not_sure")
    shop.decide(sample[4:30])
    dataset = read_review_data(shop.store).dataset
    no_class = dataset.no_class["label"]
    assert no_class.sum() == 4
    assert (dataset.labels["label"][no_class] == UNKNOWN).all()
    assert dataset.is_random[no_class].all()


def test_a_candidate_of_a_locked_store_is_not_trained_twice(
    shop: Shop, first_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.1)
    shop.decide(list(shop.store.products()))
    logged: list[Any] = []
    options = ReviewTrainOptions(out=tmp_path / "run", settings=SETTINGS | {"epochs": 1})
    with Store.open(tmp_path / "s.db") as other, Store.open(tmp_path / "s.db") as store:
        with other._database.writing(), refuses("store_locked", StorageError):
            train_candidate(store, options, Callbacks(logged.append))
        kept = next(line for line in logged if line.code == "review_candidate_kept").params["run"]
        store.raise_spot_checks(0.7)
        record = record_of(store, Path(kept))
        assert (record["spot_checks"], sum(record["decided"].values())) == (0.5, N_CATALOGUE)
    model = first_run.model
    with Store.create(tmp_path / "other.db", model, who="Ada", settings=StoreSettings(spot_checks=0.3)) as other:
        alone = Path(shutil.copy(Path(kept) / "model.muslin", tmp_path / "alone.muslin"))
        assert record_of(other, alone) == {"path": str(alone), "spot_checks": 0.3}, "nobody knows of which store"
    with Store.create(tmp_path / "third.db", model, who="Ada") as third:
        assert record_of(third, Path(kept)) == {"path": str(Path(kept) / "model.muslin")}, "it knows another store"


def record_of(store: Store, candidate: Path) -> Mapping[str, Any]:
    """What a store records of a candidate that it is given as a file or a run's folder."""
    digest = find_model(store, str(candidate))
    return next(model.record for model in store.models() if model.digest == digest)


@pytest.mark.parametrize("target", [Target("colour", ("red", "blue")), Target("label", ("a", "b"), "multilabel")])
def test_a_model_of_other_targets_is_refused_first(shop: Shop, tmp_path: Path, target: Target) -> None:
    seal(small_bundle(target), tmp_path / "other.muslin")
    with refuses("review_targets_differ"):  # without a test part, and before anything is predicted
        promote(shop.store, str(tmp_path / "other.muslin"), "Ada")


def test_conflicts_are_told_and_the_last_counts(shop: Shop) -> None:
    products = list(shop.store.products())
    shop.decide(products)
    classes = shop.store.targets[0].classes
    product = next(each for each in products if each.rank >= 0.5)
    other = next(name for name in classes if name != shop.truth[product.name])
    shop.decide([product], who="Bea", value=other)
    logged: list[Any] = []
    data = read_review_data(shop.store, logged.append)
    row = next(i for i, name in enumerate(data.dataset.ids) if str(name).startswith(f"decided/{product.id}/"))
    assert data.dataset.targets[0].classes[data.dataset.labels["label"][row]] == other
    conflicts = next(line for line in logged if line.code == "review_conflicts")
    assert (conflicts.params["count"], data.record["conflicts"]) == (1, {"label": 1})


def test_changed_photos_do_not_train(shop: Shop) -> None:
    products = [each for each in shop.store.products() if each.rank >= 0.5]
    shop.decide(products)
    Image.fromarray(np.full((28, 28), 77, np.uint8)).save(shop.photo(products[0]))
    logged: list[Any] = []
    data = read_review_data(shop.store, logged.append)
    assert images_of(data).sum() == len(products) - 1
    assert next(line for line in logged if line.code == "review_products_changed").params["count"] == 1


def test_a_decision_replaces_the_label_of_the_first_data(shop: Shop, first_run: Any) -> None:
    table = Path(first_run.record["source"]["data"])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    add_catalogue(shop.store, write_table(table.with_name("again.csv"), [Path(row["image"]) for row in rows[:20]]))
    added = [each for each in shop.store.products() if each.catalogue == 2]
    target = shop.store.targets[0]
    shop.decide(added, value=target.classes[0])
    logged: list[Any] = []
    data = read_review_data(shop.store, logged.append)
    codes = {line.code: line.params for line in logged}
    replaced, leaked = codes["review_labels_replaced"]["n"], codes.get("review_test_copies", {}).get("n", 0)
    assert replaced > 0
    copies = data.dataset.first_copies
    assert len(np.unique(copies[data.dataset.parts == "train"])) == (data.dataset.parts == "train").sum()
    assert not set(copies[data.dataset.parts == "train"]) & set(copies[data.dataset.parts == "test"])
    assert replaced + leaked >= 20 - sum(each.in_test and each.rank < 0.5 for each in added)


def test_an_added_class_of_a_sealed_photo_alone_does_not_train(shop: Shop, tmp_path: Path) -> None:
    products = list(shop.store.products())
    sealed = next(each for each in products if each.in_test and each.rank < 0.5)
    other = next(each for each in products if each.rank >= 0.5)
    shutil.copy(shop.photo(sealed), shop.photo(other))
    add_catalogue(shop.store, tmp_path / "catalogue.csv")
    products = list(shop.store.products())
    shop.store.add_class("label", "umbrella", "Ada")
    shop.decide(products)
    shop.decide([each for each in products if each.id in (sealed.id, other.id)], value="umbrella")
    dataset = read_review_data(shop.store).dataset
    assert "umbrella" not in dataset.targets[0].classes
    row = next(i for i, name in enumerate(dataset.ids) if str(name).startswith(f"decided/{sealed.id}/"))
    assert (dataset.labels["label"][row], dataset.no_class["label"][row]) == (UNKNOWN, True)
    assert row in split(dataset, validation_fraction=0.2, seed=0).test


def test_nothing_decided_trains_nothing(shop: Shop) -> None:
    with pytest.raises(DataError) as refused:
        train_candidate(shop.store)
    assert refused.value.code == "review_nothing_decided"


@pytest.fixture
def candidate(shop: Shop, tmp_path: Path) -> Candidate:
    shop.store.add_class("label", "umbrella", "Ada")
    products = list(shop.store.products())
    shop.decide(products)
    shop.decide([each for each in products if each.rank >= 0.5][:6], value="umbrella")
    return train_candidate(shop.store, ReviewTrainOptions(out=tmp_path / "run"))


def test_a_round_from_decisions_to_a_promoted_model(shop: Shop, candidate: Candidate) -> None:
    store = shop.store
    first = store.active.digest
    bundle = open_bundle(store.open_model(candidate.digest))
    assert store.active.digest == first, "training alone changes nothing"
    assert "umbrella" in bundle.targets[0].classes
    assert bundle.provenance["recipe"]["max_steps"] == SETTINGS["max_steps"], "the settings of the first model"
    counts = bundle.provenance["data"]["drawn_at_random"]
    sizes = bundle.provenance["data"]["split_sizes"]
    assert counts["validation"] == sizes["validation"]
    assert counts["train"] < sizes["train"]
    assert len(bundle.calibration_data["label"]) == counts["validation"]
    random = sum(each.is_random for each in decided_products(store))
    assert candidate.record["random"] == random == len(shop.sample())

    result = promote(store, candidate.digest[:10], "Bea", ANY_MARGIN)
    assert (result.is_promoted, result.predicted) == (True, N_CATALOGUE)
    assert store.active.digest == candidate.digest
    last = store.promotions()[-1]
    assert (last.kind, last.who, last.metrics["checks"][0]["n"]) == ("promote", "Bea", result.checks[0].n)
    assert store.counts("label").queue.total > 0

    assert undo_promotion(store, "Ada") == (first, 0)
    assert [each.kind for each in store.promotions()] == ["init", "promote", "undo"]


def test_a_candidate_that_may_be_worse_is_refused(shop: Shop, candidate: Candidate) -> None:
    first = shop.store.active.digest
    result = promote(shop.store, candidate.digest, "Ada", PromoteOptions(margin=0))
    assert not result.is_promoted
    assert result.refusals
    assert shop.store.active.digest == first


def stopping_after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_stopped_promotion_goes_on(shop: Shop, candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    store, first = shop.store, shop.store.active.digest
    monkeypatch.setattr(review_predict, "CHUNK", 20)
    with pytest.raises(StoppedError) as stopped:
        promote(store, candidate.digest, "Ada", ANY_MARGIN, should_stop=stopping_after(1))
    assert stopped.value.params["done"] == 40
    assert len(store.without_predictions(candidate.digest)) == N_CATALOGUE - 40
    assert store.active.digest == first
    assert promote(store, candidate.digest, "Ada", ANY_MARGIN).is_promoted
    assert predict_products(store, candidate.digest) == 0


def test_products_added_meanwhile_are_predicted_too(shop: Shop, tmp_path: Path) -> None:
    shop.decide(list(shop.store.products()))
    tables = [write_table(tmp_path / f"{name}.csv", write_photos(make_garments(9, seed=seed), tmp_path / name))
              for name, seed in (("next", 5), ("last", 6))]  # fmt: skip

    def add_too(message: str) -> None:
        if tables:
            add_catalogue(shop.store, tables.pop(), options=AddOptions(is_new=True))

    candidate = train_candidate(shop.store, ReviewTrainOptions(out=tmp_path / "run"), Callbacks(add_too))
    assert len(tables) == 0
    tables.append(write_table(tmp_path / "late.csv", write_photos(make_garments(9, seed=7), tmp_path / "late")))
    result = promote(shop.store, candidate.digest, "Ada", ANY_MARGIN, add_too)
    assert (result.is_promoted, result.predicted) == (True, N_CATALOGUE + 27)
    assert len(shop.store.items("label", count=200)) == N_CATALOGUE + 27


def test_a_model_promoted_meanwhile_stays_active(shop: Shop, first_run: Any, tmp_path: Path) -> None:
    bundle, store = open_bundle(first_run.model), shop.store
    for name in ("one", "other"):
        seal(replace(bundle, provenance={**bundle.provenance, "name": name}), tmp_path / f"{name}.muslin")

    def promote_other(message: Any) -> None:
        if message.code == "review_predicting":
            promote(store, str(tmp_path / "other.muslin"), "Bea", ANY_MARGIN)

    with refuses("promotion_model_changed", path=store.name):
        promote(store, str(tmp_path / "one.muslin"), "Ada", ANY_MARGIN, promote_other)
    assert [each.who for each in store.promotions()] == ["Ada", "Bea"]
    late = write_photos(make_garments(9, seed=7), tmp_path / "late")  # which the first model has not predicted
    add_catalogue(store, write_table(tmp_path / "late.csv", late), options=AddOptions(is_new=True))

    def undo_too(message: Any) -> None:
        if message.code == "review_predicting":
            undo_promotion(store, "Bea")

    with refuses("promotion_model_changed", path=store.name):
        undo_promotion(store, "Ada", undo_too)
    assert [each.kind for each in store.promotions()] == ["init", "promote", "undo"]


def test_vanished_photos_stop_a_promotion(shop: Shop, candidate: Candidate) -> None:
    shop.photos[-1].unlink()
    with pytest.raises(DataError) as refused:
        promote(shop.store, candidate.digest, "Ada", ANY_MARGIN)
    assert (refused.value.code, refused.value.params["count"]) == ("review_photos_changed", 1)


def test_unknown_candidates_are_refused(shop: Shop) -> None:
    active = shop.store.active.digest
    with pytest.raises(DataError) as refused:
        find_model(shop.store, "no such")
    assert (refused.value.code, refused.value.params["choices"]) == ("promotion_candidate", [active[:12]])
    with pytest.raises(DataError) as refused:
        compare_with_active(shop.store, active)
    assert refused.value.code == "promotion_active"
    with pytest.raises(DataError) as refused:
        compare_with_active(shop.store, active, PromoteOptions(margin=1.0))
    assert refused.value.code == "promotion_margin"


def test_the_command_line_trains_promotes_and_undoes(
    shop: Shop, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shop.decide(list(shop.store.products()))
    place = str(tmp_path / "s.db")
    digest = invoke(capfd, "review", "train", place, "--out", tmp_path / "run", "--json").json["digest"]
    refused = invoke(capfd, "review", "promote", place, digest[:12], "--margin", "0", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "promotion_refused")
    assert refused.json["checks"][0]["n"] > 0
    promoted = invoke(capfd, "review", "promote", place, digest[:12], "--margin", "0.99", "--who", "Bea")
    assert (promoted.code, shop.store.active.digest, shop.store.promotions()[-1].who) == (0, digest, "Bea")
    assert digest[:12] in promoted.out
    assert invoke(capfd, "review", "promote", place, "--undo").code == 0
    assert shop.store.active.digest != digest


@pytest.mark.parametrize(
    ("words", "code"),
    [([], 2), (["abc", "--undo"], 1), (["--undo", "--margin", "0.1"], 1)],
    ids=["none", "both", "margin"],
)
def test_promote_needs_a_candidate_or_undo(words: list[str], code: int, capfd: pytest.CaptureFixture[str]) -> None:
    refusal(invoke(capfd, "review", "promote", "no.db", *words), code=code)
