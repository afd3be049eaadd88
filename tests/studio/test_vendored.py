"""The JavaScript of others is what their npm packages hold, and comes with its licence."""

import hashlib
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[2] / "src/muslin/web/static/vendor"
SHA256 = {
    "preact.js": "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",  # preact 11.2.0: dist/preact.mjs
    "htm.js": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",  # htm 3.1.1: dist/htm.mjs
}


@pytest.mark.parametrize("name", SHA256)
def test_vendored_file_is_unchanged_and_has_its_licence(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == SHA256[name]
    assert "License" in (VENDOR / name).with_suffix(".LICENSE").read_text(encoding="utf-8")


def test_every_vendored_file_is_listed() -> None:
    assert {path.name for path in VENDOR.iterdir() if path.suffix == ".js"} == set(SHA256)
