"""Decoding in a process of its own gives what decoding here gives, and ends where it exceeds a limit."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muslin.errors import ImageError
from muslin.images import decode, decode_worker
from muslin.images.decode_worker import decode_in_worker
from muslin.workers import WorkerPool
from refusals import refuses


def photo(side: int = 60, kind: str = "JPEG", **options: object) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side + 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo(exif=exif.tobytes())


@pytest.mark.parametrize("options", [{}, {"upright": False}, {"min_side_px": 20}])
@pytest.mark.parametrize("content", [photo(), photo(kind="PNG"), rotated()])
def test_the_worker_decodes_as_decode_does(content: bytes, options: dict[str, bool]) -> None:
    expected = decode(content, name="a photo", **options)
    found = decode_in_worker(content, name="a photo", **options)
    assert np.array_equal(found.pixels, expected.pixels)
    assert found.pixels.shape == expected.pixels.shape
    assert not found.pixels.flags.writeable
    assert found.notes == expected.notes
    assert [note.to_dict("zh") for note in found.notes] == [note.to_dict("zh") for note in expected.notes]


@pytest.mark.parametrize("content", [b"", b"<html>", photo()[:200], b"%PDF-1.7", b"\xff\xd8\xff\xda" * 300])
def test_the_worker_refuses_what_decode_refuses(content: bytes) -> None:
    with pytest.raises(ImageError) as expected:
        decode(content, name="a photo")
    with pytest.raises(ImageError) as found:
        decode_in_worker(content, name="a photo")
    assert found.value.to_dict() == expected.value.to_dict()


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with refuses("image_missing", ImageError, name="gone.png"):
        decode_in_worker(tmp_path / "gone.png", name="gone.png")


def test_many_threads_get_their_own_images() -> None:
    found: dict[int, int] = {}
    sides = range(20, 40)

    def decode_one(side: int) -> None:
        found[side] = len(decode_in_worker(photo(side), name=str(side)).pixels)

    threads = [threading.Thread(target=decode_one, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {side: side for side in sides}


def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text(f"open({os.fspath(tmp_path / 'was_run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    workers = WorkerPool("muslin.images.decode_worker:_decode", processes=1, max_s=10, max_mb=500)
    found, _ = workers.run({"name": "a photo"}, photo())
    assert found["shape"] == [60, 65, 3]
    assert not (tmp_path / "was_run").exists()


def test_a_process_that_ends_costs_one_image_which_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    small = WorkerPool("muslin.images.decode_worker:_decode", processes=1, max_s=10, max_mb=0)
    monkeypatch.setattr(decode_worker, "_WORKERS", small)
    with refuses("decoding_limits", ImageError, name="large.bmp"):
        decode_in_worker(photo(1500, "BMP"), name="large.bmp")  # 7 MB, for which there is no memory
    small.close()
