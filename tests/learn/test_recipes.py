"""The table of recipes, and changing its numbers."""

import pytest

from muslin.errors import RecipeError
from muslin.learn.recipes import (
    RECIPES,
    Recipe,
    eval_image_size,
    image_scale,
    recipe,
    settings,
    with_min_steps,
)


def test_the_tutorial_is_the_articles_to_the_letter():
    r = recipe("tutorial")
    assert (r.epochs, r.batch_size, r.learning_rate, r.optimizer) == (50, 512, 1e-3, "adam")
    assert (r.widths, r.dropout, r.activation) == ((64, 32, 32), 0.25, "sigmoid")
    assert (r.validation_fraction, r.split_seed, r.stratified) == (0.2, 12345, False)


def test_values_may_be_text_as_from_a_command_line():
    changed = recipe("quick", epochs="3", learning_rate="1e-2", widths="8-16", flip="no", split_seed="none")
    assert (changed.epochs, changed.learning_rate, changed.widths) == (3, 0.01, (8, 16))
    assert changed.flip is False
    assert changed.split_seed is None


def test_all_faults_are_reported_together_with_the_nearest_name():
    with pytest.raises(RecipeError) as caught:
        recipe("quick", epoch=3, batch_size="many", dropout=1.5, schedule="liner")
    message = str(caught.value)
    assert "no setting 'epoch'. Did you mean epochs?" in message
    assert "batch_size: 'many' is not a whole number." in message
    assert "dropout: 1.5 is out of range: 0 to 0.9." in message
    assert "Did you mean linear?" in message


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(RecipeError, match=r"no recipe 'quik'. Did you mean quick\? Known: "):
        recipe("quik")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", ""])
def test_a_learning_rate_that_is_no_step_size_is_refused(value):
    with pytest.raises(RecipeError, match="learning_rate"):
        recipe("quick", learning_rate=value)


def test_small_data_are_gone_through_more_often_unless_epochs_are_named():
    assert with_min_steps(recipe("quick"), 55_000).epochs == RECIPES["quick"].epochs
    small = with_min_steps(recipe("quick"), 1_000)
    assert small.epochs * (1_000 // small.batch_size) >= RECIPES["quick"].min_steps
    assert with_min_steps(recipe("quick", epochs=1), 1_000).epochs == 1


def test_images_are_seen_small_in_the_first_epochs_only():
    r = recipe("quick", epochs=8, low_res_fraction=0.5, low_res_scale=0.7)
    assert [image_scale(r, epoch) for epoch in range(8)] == [0.7] * 4 + [1.0] * 4
    assert [eval_image_size(r, epoch, (28, 28)) for epoch in (0, 3, 4, 7)] == [(20, 20)] * 2 + [(28, 28)] * 2
    only_small = recipe("quick", epochs=8, low_res_fraction=1, low_res_scale=0.7)
    assert eval_image_size(only_small, 0, (28, 28)) == (28, 28), "answers are given at full size"
    assert {image_scale(recipe("tutorial"), epoch) for epoch in range(50)} == {1.0}


def test_a_recipe_keeps_its_name():
    with pytest.raises(RecipeError, match="no setting 'name'"):
        recipe("quick", name="mine")


def test_every_setting_says_what_it_is():
    for name, setting in settings().items():
        assert setting.metadata["help"], name
    for r in RECIPES.values():
        assert isinstance(r, Recipe)
        assert r.summary
