"""A bundle keeps what was sealed, and refuses everything else in one line."""

from pathlib import Path

from small_models import small_bundle

from muslin.bundle import open_bundle, seal


def test_what_was_sealed_is_what_is_opened(tmp_path: Path) -> None:
    bundle = small_bundle()
    seal(bundle, tmp_path / "m.muslin")
    assert open_bundle(tmp_path / "m.muslin") == bundle
