"""What `muslin review status` says: from real stores with a real model, of which people decided some spot checks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muslin.data.dataset import Target
from muslin.models.bundle import Bundle, seal
from muslin.reporting.terminal.review import print_store_status
from muslin.review.store import Store
from muslin.review.values import Item, NewPrediction, NewProduct, StoreSettings, value_of
from muslin.workflows.review_statistics import TargetStatistics, review_statistics
from muslin.workflows.review_status import store_status
from review_stores import decision_on
from small_models import LABEL, small_bundle, with_calibration, with_ood_detector

N = 500
TAGS = Target("tags", ("striped", "long", "wool"), "multilabel")


def store_of(
    folder: Path, decisions: Sequence[str], bundle: Bundle | None = None, photos: int = 1, **settings: object
) -> Store:
    """A store of products with these decisions of the model; of calibrated predictions, as `with_calibration` has."""
    path, bundle = folder / "model.muslin", bundle or with_calibration(small_bundle())
    seal(bundle, path)
    store = Store.create(
        folder / "shop.db", path, who="Ada", settings=StoreSettings(**{"spot_checks": 0.5, "precision": 0.9} | settings)
    )
    random, target = np.random.default_rng(5), bundle.targets[0]
    data = bundle.calibration_data[target.name]
    rows = random.integers(len(data), size=len(decisions))
    products = []
    for number, (row, decision) in enumerate(zip(rows.tolist(), decisions, strict=True)):
        labels = [target.classes[max(int(data.predicted[row]), 0)]]
        value = value_of(target, labels if target.kind == "multiclass" else [target.classes[0], target.classes[1]])
        predictions = {target.name: NewPrediction(value, float(data.confidence[row]), decision, ())}
        names = tuple(f"{number}-{place}.jpg" for place in range(photos))
        products.append(NewProduct(f"{number}", f"f{number}", names, "", predictions))
    store.put_products(store.add_catalogue("/shop/catalogue.csv", {}), products, store.active.digest)
    return store


def decide_sample(store: Store, count: int, wrong: int = 0, not_sure: int = 0, target: str = "label") -> list[Item]:
    """Decide the first spot checks by rank; the first ones are wrong, the next ones not sure."""
    ranks = {product.id: product.rank for product in store.products()}
    items = [item for item in store.items(target, count=10_000) if item.drawn == "spot_check"]
    items = sorted(items, key=lambda item: ranks[item.product])[:count]
    other = {name: next(each for each in LABEL.classes if each != name) for name in LABEL.classes}
    decided = [decision_on(item, other[item.value]) for item in items[:wrong]]
    decided += [decision_on(item, kind="not_sure") for item in items[wrong : wrong + not_sure]]
    store.decide([*decided, *map(decision_on, items[wrong + not_sure :])], "Ada")
    return items


def codes(statistics: TargetStatistics) -> list[str]:
    return [message.code for message in statistics.messages]


def test_precision_holds_after_enough_correct_checks(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N) as store:
        sampled = sum(item.drawn == "spot_check" for item in store.items("label", count=10_000))
        decide_sample(store, 120, wrong=1)
        found = review_statistics(store)["label"]
    check = found.precision
    assert (check.verdict, check.n, check.correct, check.more, check.left) == ("holds", 120, 119, 0, sampled - 120)
    assert check.left > 0
    assert 0.9 <= check.interval[0] < 119 / 120 < check.interval[1] <= 1
    assert codes(found)[0] == "review_precision_holds"


def test_checks_needed_do_hold(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N) as store:
        decide_sample(store, 20, wrong=1)
        check = review_statistics(store)["label"].precision
        assert check.verdict == "unknown"
        assert check.more is not None
        decide_sample(store, 20 + check.more)
        after = review_statistics(store)["label"].precision
    assert (after.verdict, after.n) == ("holds", 20 + check.more)


def test_broken_precision_names_the_incorrect_products(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N) as store:
        items = decide_sample(store, 60, wrong=25, not_sure=3)
        found = review_statistics(store)["label"]
    assert found.precision.verdict == "broken"
    assert found.precision.unclear == 3
    assert set(found.precision.incorrect) == {item.product for item in items[:28]}
    assert codes(found)[:2] == ["review_precision_broken", "review_unclear_checks"]


def test_only_the_first_decided_members_of_the_sample_count(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N) as store:
        items = decide_sample(store, 40)
        store.undo(next(store.decided("label")).id, "Ada", "undo-1")
        undone = next(item.product for item in items if store.item(item.product, "label").decided is None)
        check = review_statistics(store)["label"].precision
    assert check.n == [item.product for item in items].index(undone)


def test_too_small_sample_says_the_share_that_suffices(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N, spot_checks=0.02, precision=0.95) as store:
        found = review_statistics(store)["label"]
        check = found.precision
        assert check.share_needed is not None
        assert found.messages[0].code == "review_no_spot_checks"
        assert found.messages[0].hint_code == "share"
        store.raise_spot_checks(check.share_needed)
        assert check.more is not None
        assert store.spot_checks("label").size >= 0.8 * check.more  # the size of the sample is random


def test_few_products_are_all_to_be_checked(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * 19 + ["review"] * 10, spot_checks=0.2, precision=0.98) as store:
        found = review_statistics(store)["label"]
    assert found.precision.more == found.precision.accepted == 19
    assert found.precision.share_needed == 1


def test_nothing_accepted_and_nothing_there(tmp_path: Path) -> None:
    with store_of(tmp_path, ["review"] * 20) as store:
        found = review_statistics(store)["label"]
    assert codes(found)[0] == "review_none_accepted"
    (tmp_path / "empty").mkdir()
    with store_of(tmp_path / "empty", []) as store:
        assert codes(review_statistics(store)["label"]) == ["review_none_accepted"]


def promote_learned(store: Store, folder: Path) -> None:
    """Promote a model that learned from decisions of the store."""
    path = folder / "candidate.muslin"
    seal(with_calibration(small_bundle(count=4)), path)
    digest = store.add_model(path, {"spot_checks": store.info.spot_checks})
    here = {item.product: {"label": NewPrediction(item.value, item.probability, "accept", ())}
            for item in store.items("label", count=N)}  # fmt: skip
    store.put_predictions(digest, here.items())
    store.promote(digest, "Ada", {})


def test_model_that_learned_here_is_judged_by_the_sealed_half(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N, spot_checks=0.2) as store:
        promote_learned(store, tmp_path)
        store.raise_spot_checks(0.6)
        items = decide_sample(store, 150)
        sealed = {product.id for product in store.products() if product.in_test and product.rank < 0.2}
        check = review_statistics(store)["label"].precision
    assert check.sealed_only
    assert check.n == len(sealed & {item.product for item in items})
    assert 20 < check.n < 80


def test_no_larger_sample_is_advised_where_it_does_not_count(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N, spot_checks=0.02, precision=0.95) as store:
        promote_learned(store, tmp_path)
        before = review_statistics(store)["label"]
        store.raise_spot_checks(0.9)
        after = review_statistics(store)["label"]
    assert (before.precision.share_needed, before.messages[0].hint_code) == (None, "sealed")
    assert (after.precision, after.messages[0].hint_code) == (before.precision, "sealed")


def test_several_labels_are_checked_by_one_at_random(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * N, with_calibration(small_bundle(TAGS))) as store:
        items = [item for item in store.items("tags", count=N) if item.drawn == "spot_check"]
        store.decide([decision_on(item, value_of(TAGS, ["striped"])) for item in items], "Ada")
        check = review_statistics(store)["tags"].precision
    assert check.n == len(items)
    assert check.correct / check.n == pytest.approx(0.5, abs=0.12)


def test_shift_of_the_share_out_of_scope(tmp_path: Path) -> None:
    bundle = with_ood_detector(with_calibration(small_bundle()), 0.2, 0.8)
    with store_of(tmp_path, ["accept"] * 460 + ["out of scope"] * 40, bundle) as store:
        found = review_statistics(store)["label"]
    assert found.shift.out_of_scope is not None
    assert found.shift.out_of_scope.is_shifted
    assert "review_shift_out_of_scope" in codes(found)


def test_products_like_the_calibration_images_are_not_shifted(tmp_path: Path) -> None:
    bundle = with_ood_detector(with_calibration(small_bundle()), 0.2, 0.8)
    with store_of(tmp_path, ["accept"] * 494 + ["out of scope"] * 6, bundle) as store:
        found = review_statistics(store)["label"]
    assert not found.shift.is_shifted
    assert (found.shift.n, found.shift.n_calibration) == (N, 2000)
    assert codes(found)[-1] == "review_no_shift"


def test_products_of_several_photos_are_not_compared_with_photos(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * 100, photos=3) as store:
        shift = review_statistics(store)["label"].shift
    assert shift.classes == ()
    assert shift.confidence is None


def test_time_left_goes_by_the_persons_pace(tmp_path: Path) -> None:
    with store_of(tmp_path, ["review"] * 50) as store:
        items = store.items("label", count=10)
        store.decide([decision_on(item, seconds=2.0) for item in items], "Ada")
        assert review_statistics(store, "Ada")["label"].left_s == 80
        assert review_statistics(store, "Bo")["label"].left_s is None
        assert review_statistics(store)["label"].pace is None


def test_status_says_it_in_six_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with store_of(tmp_path, ["accept"] * 480 + ["review"] * 20) as store:
        decide_sample(store, 7)
        status = store_status(store, "Ada")
    print_store_status(status)
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert status.targets["label"].precision.correct == status.messages[0].params["correct"] == 7


def test_sentences_name_a_target_only_among_several(tmp_path: Path) -> None:
    with store_of(tmp_path, ["accept"] * 20) as store:
        found = review_statistics(store)["label"]
    assert [message.params["target"] for message in found.messages] == [None] * len(found.messages)
    assert {message.params["target"] for message in replace(found, is_only=False).messages} == {"label"}
