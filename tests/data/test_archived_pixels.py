"""Pixels in an archive are refused with the files that a person must unpack."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from idx_files import write_part
from muslin.data import read
from muslin.data.dataset import pixel_array
from muslin.data.synthetic import SyntheticDataset
from muslin.data.writers.csv import write as write_csv
from muslin.errors import DataError
from muslin.messages import no_log


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("content", ["idx", "csv"])
def test_archive_of_pixels_says_what_to_unpack(
    kind: str, content: str, tmp_path: Path, synthetic: SyntheticDataset
) -> None:
    folder, data = tmp_path / "data", synthetic.dataset
    if content == "idx":
        folder.mkdir()
        write_part(folder, "train", pixel_array(data)[:9], data.labels["label"][:9])
    else:
        write_csv(data, folder, no_log)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    archive = tmp_path / f"data.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as written:
            for file in files:
                written.write(file, f"inside/{file.name}")
    else:
        with tarfile.open(archive, "w:gz") as written:
            for file in files:
                written.add(file, f"inside/{file.name}")
    with pytest.raises(DataError) as error:
        read(archive)
    assert error.value.code == "pixels_in_archive"
    assert f"inside/{files[0].name}" in error.value.params["names"]


def test_archive_without_photos_and_pixels_is_refused_as_before(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing to see\n")
        archive.writestr("prices.csv", "sku,price\n1,2\n3,4\n")
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.zip")
    assert error.value.code != "pixels_in_archive"
