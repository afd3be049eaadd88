"""Files and folders that muslin names after data sets, whose names can be as long as a file system allows."""

from pathlib import Path

import pytest

from muslin.storage.atomic import write_atomically
from muslin.storage.file_names import MAX_STEM_BYTES, file_stem
from muslin.workflows.run_folder import new_run_folder

LONGEST = ("x" * 255, "衣" * 85, "👕" * 63)


@pytest.mark.parametrize("name", LONGEST)
def test_the_longest_names_leave_room_for_an_ending(tmp_path: Path, name: str) -> None:
    stem = file_stem(name)
    assert stem.startswith(name[0])
    assert len(stem.encode()) <= MAX_STEM_BYTES
    assert stem != file_stem(f"{name[:-1]}y"), "another name has another file"
    write_atomically(tmp_path / f"{stem}.excluded.csv", b"")


@pytest.mark.parametrize("name", LONGEST)
def test_data_of_the_longest_names_have_runs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {new_run_folder(None, f"{name}-quick") for _ in range(2)}
    assert len(folders) == 2
    assert all((tmp_path / folder).is_dir() for folder in folders)
