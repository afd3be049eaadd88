"""The network after each epoch, beside the run whose training it does not change."""

from pathlib import Path

import numpy as np
import pytest

import muslin
from muslin.data.synthetic import make_garments
from muslin.errors import StoppedError
from muslin.explain.inspection import InspectedModel
from muslin.models.bundle import open_bundle
from muslin.workflows.run_folder import Run, run_of_snapshot
from muslin.workflows.snapshots import MAX_SNAPSHOTS, is_kept

SETTINGS = {"epochs": 3, "batch_size": 20, "max_steps": 12}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("plain") / "run"
    return muslin.train(make_garments(120, seed=3).dataset, recipe="quick", settings=SETTINGS, out=out)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with snapshots, interrupted after its first epoch."""
    data, out = make_garments(120, seed=3).dataset, tmp_path_factory.mktemp("kept") / "run"
    with pytest.raises(StoppedError):
        muslin.train(
            data, recipe="quick", settings=SETTINGS, out=out, snapshots=True, should_stop=lambda: bool(Run(out).history)
        )
    return muslin.workflows.train.resume(out, data)


def test_snapshots_leave_the_weights_as_they_are(plain: Run, resumed: Run) -> None:
    assert resumed.snapshots == [1, 2, 3]
    assert plain.snapshots == []
    weights = open_bundle(plain.model).weights
    assert open_bundle(resumed.model).weights == weights
    assert open_bundle(resumed.snapshot(3)).weights == weights
    assert open_bundle(resumed.snapshot(1)).weights != weights


def test_a_snapshot_opens_like_any_model(resumed: Run) -> None:
    model = InspectedModel.open(resumed.snapshot(2))  # which compares its predictions with the sealed ones
    assert model.has_layers
    snapshot = model.bundle.provenance["snapshot"]
    assert (snapshot["epoch"], snapshot["epochs"]) == (2, 3)
    assert snapshot["row"] == resumed.history[1]
    assert len(snapshot["labels"]["label"]) == len(model.bundle.golden_pixels)


def test_all_snapshots_show_the_same_validation_images(resumed: Run) -> None:
    first, last = (open_bundle(resumed.snapshot(epoch)) for epoch in (1, 3))
    assert np.array_equal(first.golden_pixels, last.golden_pixels)
    trained_on = {image.tobytes() for image in open_bundle(resumed.model).golden_pixels}
    assert not trained_on & {image.tobytes() for image in first.golden_pixels}


def test_a_long_training_keeps_some_snapshots() -> None:
    for epochs in (1, 2, MAX_SNAPSHOTS, MAX_SNAPSHOTS + 1, 1_000):
        kept = [epoch for epoch in range(1, epochs + 1) if is_kept(epoch, epochs)]
        assert {1, epochs} <= set(kept)
        assert len(kept) <= MAX_SNAPSHOTS + 1


def test_only_a_file_of_a_run_is_a_snapshot(resumed: Run, tmp_path: Path) -> None:
    assert run_of_snapshot(resumed.snapshot(1)) == resumed.folder
    assert run_of_snapshot(resumed.model) is None
    assert run_of_snapshot(tmp_path / "snapshots" / "0001.muslin") is None
