"""What a person who waits for a training reads: some lines, and what the model will be good for."""

from collections.abc import Callable
from typing import Any

import pytest

from muslin.evaluation.precision_choice import AcceptanceRow
from muslin.learn.training_loop import Progress
from muslin.reporting.terminal.acceptance import print_tag_precision
from muslin.reporting.terminal.progress import MAX_EPOCH_LINES, training_progress

ROW: dict[str, Any] = {
    "train_loss": 0.5, "train_accuracy": 0.8, "train_images": 100, "validation_loss": 0.6, "validation_accuracy": 0.7,
    "validation_images": 50,
}  # fmt: skip


def progress(epoch: int, epochs: int, **changes: Any) -> Progress:
    values: dict[str, Any] = {"images_per_s": 900.0, "left_s": 1.0, "row": ROW, **changes}
    return Progress(epoch, epochs, 4, 4, epoch / epochs, 0.5, 0.8, **values)


@pytest.fixture
def epochs_said(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[int]]:
    def said(epochs: int, **changes: Any) -> list[int]:
        with training_progress() as on_progress:
            for epoch in range(1, epochs + 1):
                on_progress(progress(epoch, epochs, **changes))
        return [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]

    return said


def test_every_epoch_of_few_has_a_line(epochs_said: Callable[..., list[int]]) -> None:
    assert epochs_said(2) == [1, 2]
    assert epochs_said(MAX_EPOCH_LINES) == list(range(1, 11))


@pytest.mark.parametrize("epochs", [11, 16, 50, 99, 1000])
def test_of_many_epochs_the_first_some_and_the_last_are_said(
    epochs_said: Callable[..., list[int]], epochs: int
) -> None:
    said = epochs_said(epochs)
    assert (said[0], said[-1]) == (1, epochs)
    assert MAX_EPOCH_LINES / 2 < len(said) <= MAX_EPOCH_LINES + 2


def test_epochs_of_a_linear_probe_and_of_folds_are_not_said(epochs_said: Callable[..., list[int]]) -> None:
    assert epochs_said(55, images_per_s=None) == []
    assert epochs_said(3, row=None) == []


def acceptance_row(precision: float, accepted: int) -> AcceptanceRow:
    return AcceptanceRow(precision, accepted, 100, accepted / 100, (0.0, 1.0))


def test_training_ends_with_the_precision_that_tag_will_choose(capsys: pytest.CaptureFixture[str]) -> None:
    rows = tuple(acceptance_row(p, n) for p, n in ((0.9, 80), (0.95, 60), (0.98, 10), (0.99, 0)))
    print_tag_precision({"label": rows})
    said = capsys.readouterr().out
    assert "60.0 %" in said
    assert "95.0 %" in said
    assert "label" not in said, "a model of one target needs no name"
    print_tag_precision({"label": tuple(acceptance_row(row.precision, 0) for row in rows)}, of="product")
    assert "no products" in capsys.readouterr().out
    highest = AcceptanceRow(0.774, 48, 100, 0.48, (0.0, 1.0), is_highest=True)
    print_tag_precision({"label": (highest, *(acceptance_row(row.precision, 0) for row in rows))})
    assert "--precision 0.774" in capsys.readouterr().out
    print_tag_precision({})
    assert not capsys.readouterr().out
