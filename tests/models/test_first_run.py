"""A model's first run, in a process with limits."""

from dataclasses import replace
from pathlib import Path

import pytest

from muslin.errors import BundleError
from muslin.models import first_run
from muslin.models.bundle import Bundle, seal
from refusals import refuses
from small_models import small_bundle


def run(bundle: Bundle, folder: Path) -> None:
    seal(bundle, folder / "m.muslin")
    with open(folder / "m.muslin", "rb") as file:
        first_run.first_run(file, "clothes")
        assert file.tell() == 0


def test_good_model_passes_and_other_probabilities_are_refused(tmp_path: Path) -> None:
    bundle = small_bundle()
    run(bundle, tmp_path)
    wrong = {name: values[::-1] for name, values in bundle.golden_probabilities.items()}
    with refuses("golden_mismatch", BundleError):
        run(replace(bundle, golden_probabilities=wrong), tmp_path)


def test_model_beyond_a_limit_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "MAX_OPENING_MB", 50)
    with open(tmp_path / "m.muslin", "w+b") as file, refuses("opening_limits", BundleError, path="clothes", mb=50):
        file.truncate(100_000_000)
        first_run.first_run(file, "clothes")


def test_file_without_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.muslin").touch()
    with open(tmp_path / "m.muslin", "rb") as file, refuses("part_empty", BundleError, path="clothes"):
        first_run.first_run(file, "clothes")
