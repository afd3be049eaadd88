"""What a step sees."""

import numpy as np
import pytest

from muslin.learn.batches import (
    batch_size_for_few,
    epoch_batches,
    images_seen,
    steps_per_epoch,
    total_epochs,
    total_steps,
    with_min_steps,
)
from muslin.learn.recipes import RECIPES, recipe

PIXELS = np.random.default_rng(0).integers(0, 256, (103, 16, 16, 3), dtype=np.uint8)


def plain(**changes):
    return recipe("quick", **{"batch_size": 20, "flip": False, **changes})


def collect(r, **position):
    return list(epoch_batches(PIXELS, r, **{"seed": 1, "epoch": 0, **position}))


def test_every_epoch_has_each_image_once_in_another_order():
    first, second = collect(plain()), collect(plain(), epoch=1)
    for batches in (first, second):
        assert sorted(np.concatenate([indices for _, indices, _ in batches])) == list(range(len(PIXELS)))
    assert not np.array_equal(first[0][1], second[0][1])
    for _, indices, batch in first:
        assert np.array_equal(batch, PIXELS[indices])


def test_epoch_resumed_in_the_middle_gives_the_same_batches():
    r = plain(flip=True, translate_px=2, cutout=0.5)
    whole, rest = collect(r, epoch=3), collect(r, epoch=3, first_step=2)
    for (step, indices, batch), (step2, indices2, batch2) in zip(whole[2:], rest, strict=True):
        assert step == step2
        assert np.array_equal(indices, indices2)
        assert np.array_equal(batch, batch2)


def test_single_remaining_image_joins_the_previous_step():
    r = plain(batch_size=17)  # 103 = 6 · 17 + 1
    assert steps_per_epoch(103, r) == 6
    assert [len(batch) for _, _, batch in collect(r)] == [17, 17, 17, 17, 17, 18]
    assert [len(batch) for _, _, batch in collect(plain())] == [20, 20, 20, 20, 20, 3]


def test_every_image_is_flipped_in_every_other_epoch():
    seen = {}
    for epoch in (0, 1):
        for _, indices, batch in collect(plain(flip=True), epoch=epoch):
            for index, image in zip(indices, batch, strict=True):
                seen.setdefault(index, []).append(np.array_equal(image, PIXELS[index]))
    assert all(sorted(kept) == [False, True] for kept in seen.values())


def test_translate_moves_the_image_and_repeats_its_edge():
    spot = np.zeros((40, 9, 9, 1), dtype=np.uint8)
    spot[:, 4, 4] = 255
    r = plain(translate_px=2)
    places = set()
    for _, _, batch in epoch_batches(spot, r, seed=0, epoch=0):
        for image in batch:
            (row, column, _), *others = np.argwhere(image == 255)
            assert not others
            places.add((int(row), int(column)))
    assert all(2 <= row <= 6 and 2 <= column <= 6 for row, column in places)
    assert len(places) > 10


def test_cutout_blanks_one_square_of_each_image():
    bright = np.full((60, 12, 12, 1), 200, dtype=np.uint8)
    bright[:, :6] = 100  # mean 150
    for _, _, batch in epoch_batches(bright, plain(cutout=0.33), seed=0, epoch=0):
        blank = (batch == 150).sum(axis=(1, 2, 3))
        assert blank.min() >= 1
        assert blank.max() <= 16


@pytest.mark.parametrize("side_px", [28, 64])
def test_cutout_blanks_the_same_share_of_images_of_any_size(side_px):
    bright = np.full((40, side_px, side_px, 1), 200, dtype=np.uint8)
    bright[:, : side_px // 2] = 100
    (_, _, batch), *_ = epoch_batches(bright, plain(cutout=0.2857, batch_size=40), seed=0, epoch=0)
    assert (batch == 150).sum(axis=(1, 2, 3)).max() == round(0.2857 * side_px) ** 2


@pytest.mark.parametrize("seed", [0, 7])
def test_another_seed_gives_another_order(seed):
    assert not np.array_equal(collect(plain(), seed=seed)[0][1], collect(plain(), seed=seed + 1)[0][1])


@pytest.mark.parametrize("max_steps", [0, 3, 7, 12])
def test_images_seen_are_those_of_all_steps(max_steps):
    r = recipe("quick", epochs=3, batch_size=20, max_steps=max_steps)
    images = np.zeros((93, 4, 4, 1), np.uint8)
    counts = [len(indices) for epoch in range(3) for _, indices, _ in epoch_batches(images, r, seed=0, epoch=epoch)]
    assert sum(counts[: total_steps(93, r)]) == images_seen(93, r, total_steps(93, r))
    assert total_epochs(93, r) == len(range(0, total_steps(93, r), steps_per_epoch(93, r)))


@pytest.mark.parametrize("count", [63, 1_000, 3_068])
def test_small_data_get_epochs_for_as_many_steps_as_asked(count):
    fitted = with_min_steps(recipe("quick"), count)
    steps = steps_per_epoch(count, fitted)
    assert fitted.min_steps <= fitted.epochs * steps < fitted.min_steps + steps


def test_many_images_or_given_epochs_get_no_more_epochs():
    assert with_min_steps(recipe("quick"), 55_000).epochs == RECIPES["quick"].epochs
    assert with_min_steps(recipe("quick", epochs=1), 1_000).epochs == 1


@pytest.mark.parametrize(
    ("count", "batch_size"), [(50_000, 256), (10_200, 256), (9_900, 128), (3_068, 64), (1_000, 32), (50, 32)]
)
def test_small_data_get_smaller_batches_unless_a_size_is_given(count, batch_size):
    fitted = with_min_steps(recipe("brisk"), count)
    assert (fitted.batch_size, fitted.micro_batch_size) == (batch_size, min(batch_size // 2, 128))
    assert with_min_steps(recipe("brisk", batch_size=100), count).batch_size == 100
    assert with_min_steps(recipe("tutorial"), count).batch_size == 512


@pytest.mark.parametrize(("count", "batch_size"), [(2, 2), (7, 2), (8, 2), (100, 25)])
def test_few_images_get_batches_of_two_or_more(count, batch_size):
    assert batch_size_for_few(count) == batch_size
