"""A model's first run, in a process with limits."""

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from muslin.errors import BundleError
from muslin.models import first_run
from muslin.models.bundle import Bundle, open_bundle, seal
from refusals import refuses
from small_models import small_bundle


def zip_of(name: str) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr(name, "text")
    return file.getvalue()


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
    seal(small_bundle(), tmp_path / "m.muslin")
    with open(tmp_path / "m.muslin", "r+b") as file, refuses("opening_limits", BundleError, path="clothes", mb=50):
        file.truncate(100_000_000)
        first_run.first_run(file, "clothes")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "part_empty"),
        (b"PK", "bundle_not_zip"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), "bundle_not_zip"),
        (b"PK\x03\x04", "seal_missing"),
        (zip_of("word/document.xml"), "seal_missing"),
    ],
)
def test_what_is_no_model_starts_no_process(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "m.muslin").write_bytes(content)
    before = os.times().children_user
    with open(tmp_path / "m.muslin", "rb") as file, refuses(code, BundleError, path="clothes"):
        first_run.first_run(file, "clothes")
    assert os.times().children_user == before
    with refuses(code, BundleError):
        open_bundle(tmp_path / "m.muslin")


def test_damaged_model_is_refused_as_elsewhere(tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "m.muslin")
    with open(tmp_path / "m.muslin", "r+b") as file, refuses("seal_missing", BundleError, path="clothes"):
        file.truncate(2000)
        first_run.first_run(file, "clothes")
