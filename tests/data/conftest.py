"""A small registered data set, for the tests of the registry and of the copies on this computer."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from idx_files import images_file, labels_file
from muslin.data.registry import FASHION_MNIST, RegisteredDataset
from muslin.data.synthetic import SyntheticDataset


@pytest.fixture
def contents(synthetic: SyntheticDataset) -> dict[str, bytes]:
    """The uncompressed files of a small data set in Fashion-MNIST's format."""
    pixels, labels = synthetic.dataset.images.pixels, synthetic.true_labels
    files = {}
    for prefix, part in (("train", slice(0, 150)), ("t10k", slice(150, 200))):
        files[f"{prefix}-images-idx3-ubyte"] = images_file(pixels[part])
        files[f"{prefix}-labels-idx1-ubyte"] = labels_file(labels[part])
    return files


@pytest.fixture
def tiny(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisteredDataset:
    """A registered data set without any copy: no URL, no Debian folder."""
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    folder = tmp_path / "debian" / "tiny"
    return replace(FASHION_MNIST, name="tiny", files=files, urls=(), name_pattern="tiny", debian_folder=folder)
