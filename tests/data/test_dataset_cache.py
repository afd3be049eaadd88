"""Copies of registered data sets: every place, none trusted. Real servers, real archives, real files."""

import csv
import hashlib
import itertools
import os
import shutil
import socketserver
import tarfile
import threading
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from photo_files import make_photos, real_tar, write_folders

from command_line import invoke
from idx_files import put
from muslin.data import gzip_files, read, registry
from muslin.data.dataset_cache import obtain, photos_digest, read_copy, read_registered, verify
from muslin.data.registry import CATS_DOGS, CLOTHING, CLOTHING_SMALL, RegisteredDataset
from muslin.errors import DataError
from served_files import QuietHandler, serving, serving_folder

NOWHERE = "http://127.0.0.1:9/no.zip"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# ── The places ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zipped", [True, False], ids=["gzipped", "plain"])
@pytest.mark.parametrize("below", ["", "tiny"], ids=["the folder itself", "a folder of its name below"])
def test_a_copy_named_by_muslin_data_comes_first(tiny, contents, cache, tmp_path, monkeypatch, zipped, below):
    put(tmp_path / "mine" / below, contents, zipped=zipped)
    put(tiny.debian_folder, contents)
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))

    obtained = obtain(tiny, cache=cache)

    assert obtained.path == tmp_path / "mine" / below
    assert "MUSLIN_DATA" in obtained.origin
    assert not cache.exists()


def test_debians_folder_is_used(tiny, contents, cache):
    put(tiny.debian_folder, contents)
    obtained = obtain(tiny, cache=cache)
    assert obtained.path == tiny.debian_folder
    assert [reason.code for reason in obtained.tried] == ["muslin_data_unset", "no_copy"]


def test_a_verified_copy_is_verified_again_once_a_file_changes(tiny, contents, tmp_path, monkeypatch):
    from muslin.data import dataset_cache
    from muslin.storage.remembered import remembered_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own cache"))
    put(tmp_path / "copy", contents, zipped=False)
    assert verify(tiny, tmp_path / "copy").code == "checksum_verified"
    assert not remembered_folder().exists(), "the files are so new that they may still change within the clock's tick"

    monkeypatch.setattr(dataset_cache, "SETTLED_S", -1.0)
    for _ in range(2):
        assert verify(tiny, tmp_path / "copy").code == "checksum_verified"
    assert len(list(remembered_folder().iterdir())) == len(tiny.files)
    file = tmp_path / "copy" / next(iter(tiny.files))
    content, times = bytearray(file.read_bytes()), file.stat()
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError) as caught:
        verify(tiny, tmp_path / "copy")
    assert caught.value.code == "file_changed"


def test_each_file_is_unpacked_once_to_be_verified_and_read(tiny, contents, monkeypatch):
    unpacked: Counter[str] = Counter()

    class Counted(gzip_files._Gunzipped):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            unpacked[self._path.name] += count
            return count

    put(tiny.debian_folder, contents)
    monkeypatch.setitem(registry.DATASETS, "tiny", tiny)
    monkeypatch.setattr(gzip_files, "_Gunzipped", Counted)
    dataset = read_registered("tiny", download=False)
    assert unpacked == {f"{name}.gz": len(content) for name, content in contents.items()}
    assert dataset.fingerprint == read(tiny.debian_folder).fingerprint


def test_a_download_is_cached(tiny, contents, cache, tmp_path):
    served, logged = put(tmp_path / "served", contents), []
    with serving_folder(served) as home:
        first = obtain(replace(tiny, urls=(home,)), cache=cache, log=logged.append)
    again = obtain(replace(tiny, urls=(home,)), cache=cache)  # the server is gone

    assert home in first.origin
    assert "muslin's cache" in again.origin
    assert first.path == again.path == cache / "tiny"
    assert read(first.path).fingerprint == read(served).fingerprint
    assert [message.code for message in logged] == ["downloading"]
    assert logged[0].params["licence"] == "MIT"


def test_a_download_says_how_far_it_is(tiny, contents, cache, tmp_path):
    served, shares = put(tmp_path / "served", contents), []
    sizes = [(served / f"{name}.gz").stat().st_size for name in tiny.files]
    with serving_folder(served) as home:
        row = replace(tiny, urls=(home,), download_bytes=sum(sizes))
        obtain(row, cache=cache, on_progress=shares.append)
        assert shares == [pytest.approx(done / sum(sizes)) for done in itertools.accumulate(sizes)]
        (cache / "tiny" / f"{[*tiny.files][-1]}.gz").write_bytes(b"cut off")
        obtain(row, cache=cache, on_progress=shares.append)  # what is there counts
    assert shares[4:] == shares[:4]


def test_the_cache_is_in_xdg_cache_home(tiny, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    put(tmp_path / "xdg" / "muslin" / "tiny", contents)
    assert obtain(tiny).path == tmp_path / "xdg" / "muslin" / "tiny"


def test_the_second_url_is_tried_where_the_first_lacks_it(tiny, contents, cache, tmp_path):
    (tmp_path / "empty").mkdir()
    with serving_folder(tmp_path / "empty") as first, serving_folder(put(tmp_path / "b", contents)) as second:
        assert second in obtain(replace(tiny, urls=(first, second)), cache=cache).origin


def test_without_any_copy_the_error_lists_every_place(tiny, cache):
    with serving_folder(cache.parent) as home, pytest.raises(DataError) as error:
        obtain(replace(tiny, urls=(home,)), cache=cache)
    assert error.value.code == "dataset_unavailable"
    tried = error.value.params["tried"]
    assert [reason.code for reason in tried] == ["muslin_data_unset", "no_copy", "no_copy", "download_refused"]
    assert tried[-1].params["http_status"] == 404
    assert error.value.params["package"] == "dataset-fashion-mnist"
    assert "\n" not in str(error.value)


# ── Every copy is checked ─────────────────────────────────────────────────────────────────────────────────────


def changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("place", ["MUSLIN_DATA", "cache", "Debian's folder"])
def test_a_copy_with_one_changed_bit_is_skipped_and_logged(tiny, contents, cache, tmp_path, monkeypatch, place):
    damaged = contents | {"t10k-images-idx3-ubyte": changed(contents["t10k-images-idx3-ubyte"])}
    folder = {"MUSLIN_DATA": tmp_path / "mine", "cache": cache / "tiny", "Debian's folder": tiny.debian_folder}[place]
    put(folder, damaged, zipped=place != "cache")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))
    logged = []

    with serving_folder(put(tmp_path / "served", contents)) as home:
        obtained = obtain(replace(tiny, urls=(home,)), cache=cache, log=logged.append)

    assert home in obtained.origin
    assert [message.code for message in logged] == ["copy_skipped", "downloading"]
    assert "file_changed" in [reason.code for reason in obtained.tried]
    verify(tiny, obtained.path)


def test_a_changed_file_from_the_net_is_not_cached(tiny, contents, cache, tmp_path):
    served = put(tmp_path / "served", {name: changed(content) for name, content in contents.items()})
    with serving_folder(served) as home, pytest.raises(DataError) as error:
        obtain(replace(tiny, urls=(home,)), cache=cache)
    reason = error.value.params["tried"][-1]
    assert reason.code == "file_changed"
    assert reason.params["path"].startswith(home)
    assert list((cache / "tiny").iterdir()) == []


class BreakingOff(QuietHandler):
    """Sends the first half of every file, and the true length before it."""

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2])
        self.close_connection = True


def test_a_broken_download_is_not_cached_and_repeated_later(tiny, contents, cache, tmp_path):
    served = put(tmp_path / "served", contents)
    with serving(partial(BreakingOff, directory=str(served))) as home, pytest.raises(DataError) as error:
        obtain(replace(tiny, urls=(home,)), cache=cache)
    assert error.value.params["tried"][-1].code == "download_broken"
    assert list((cache / "tiny").iterdir()) == []

    with serving_folder(served) as home:
        verify(tiny, obtain(replace(tiny, urls=(home,)), cache=cache).path)


def test_partial_downloads_of_killed_processes_are_removed(tiny, contents, cache, tmp_path):
    partial_file = cache / "tiny" / f".{next(iter(tiny.files))}.gz.0123456789abcdef.part"
    partial_file.parent.mkdir(parents=True)
    partial_file.write_bytes(b"half")
    with serving_folder(put(tmp_path / "served", contents)) as home:
        obtain(replace(tiny, urls=(home,)), cache=cache)
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == sorted(f"{name}.gz" for name in tiny.files)


def test_files_of_an_earlier_attempt_are_not_downloaded_again(tiny, contents, cache, tmp_path):
    served = put(tmp_path / "served", contents)
    last = served / f"{[*tiny.files][-1]}.gz"
    hidden = last.rename(served / "hidden")
    with serving_folder(served) as home:
        with pytest.raises(DataError):
            obtain(replace(tiny, urls=(home,)), cache=cache)
        for path in served.glob("*.gz"):
            path.unlink()
        hidden.rename(last)
        verify(tiny, obtain(replace(tiny, urls=(home,)), cache=cache).path)


class Endless(QuietHandler):
    def do_GET(self):  # noqa: N802, the name that http.server calls
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(2**16))
        except OSError:
            pass


def test_an_endless_download_is_cut_off(tiny, cache):
    with serving(Endless) as home, pytest.raises(DataError) as error:
        obtain(replace(tiny, urls=(home,)), cache=cache)
    assert error.value.params["tried"][-1].code == "download_too_large"


def test_a_silent_server_is_left_after_the_timeout(tiny, cache):
    class Silent(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(10_000)
            was_left.append(over.wait(60))

    over, was_left = threading.Event(), []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            home = f"http://127.0.0.1:{server.server_address[1]}/"
            with pytest.raises(DataError) as error:
                obtain(replace(tiny, urls=(home,)), cache=cache, timeout_s=0.2)
            assert was_left == [], "the server still waits"
            assert error.value.params["tried"][-1].code in ("server_unreachable", "download_broken")
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_nothing_is_downloaded_where_the_cache_is_not_writable(tiny, contents, cache, tmp_path):
    cache.write_text("a file where the folder should be")
    logged = []
    with serving_folder(put(tmp_path / "served", contents)) as home, pytest.raises(DataError) as error:
        obtain(replace(tiny, urls=(home,)), cache=cache, log=logged.append)
    assert error.value.params["tried"][-1].code == "path_occupied"
    assert logged == []


# ── Archives of photos ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The set as published: a licence beside the folders of the parts."""
    folder = write_folders(tmp_path / "theirs" / "unpacked", {"train": 3, "validation": 1, "test": 1})
    (folder / "LICENSE").write_text("free")
    return folder


@pytest.fixture
def small(unpacked: Path) -> RegisteredDataset:
    """A registered set with a known SHA-256 of its photos, computed here independently, and a URL without a server."""
    lines = sorted(
        (path.relative_to(unpacked).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in unpacked.rglob("*.jpg")
    )
    content = hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in lines).encode())
    return replace(
        CLOTHING_SMALL,
        urls=(NOWHERE,),
        contents=("train", "test"),
        archive_sha256=None,
        photos_sha256=content.hexdigest(),
    )


def packed(folder: Path, path: Path, top: str = "") -> Path:
    """`folder` in a zip or a tar, below a folder `top`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [(file, f"{top}{file.relative_to(folder)}") for file in sorted(folder.rglob("*")) if file.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in files:
                archive.write(file, name)
        return path
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for file, name in files:
            tar.add(file, name)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "clothing-dataset-small.tar",
        "clothing-small.tar.gz",
        "clothing-dataset-small-master.zip",
        "clothing-small/clothing-dataset-small.tar",
        "clothing-small",
        "",
    ],
)
def test_every_packing_of_a_copy_reads_as_the_same_data(small, unpacked, tmp_path, monkeypatch, name):
    mine = tmp_path / "mine"
    if "." in name:
        packed(unpacked, mine / name, top="clothing-dataset-small-master/" if "master" in name else "")
    else:
        shutil.copytree(unpacked, mine / name)
    monkeypatch.setenv("MUSLIN_DATA", str(mine))

    obtained = obtain(small, cache=tmp_path / "cache")
    dataset = read_copy(small, obtained)

    assert obtained.path == mine / name
    assert obtained.checked.code == "photos_verified"
    assert dataset.fingerprint == read(unpacked).fingerprint
    assert list(dataset.ids) == list(read(unpacked).ids)
    assert dataset.name == "clothing-small"
    assert "MUSLIN_DATA" in dataset.origin
    assert obtained.checked in dataset.origin
    assert not (tmp_path / "cache").exists()


def test_muslin_data_can_name_the_archive(small, unpacked, tmp_path, monkeypatch):
    path = packed(unpacked, tmp_path / "clothing-dataset-small.tar")
    whole = replace(small, photos_sha256=None, archive_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("MUSLIN_DATA", str(path))
    assert obtain(whole, cache=tmp_path / "cache").checked.code == "checksum_verified"


def test_a_copy_with_a_changed_photo_is_replaced_by_a_download(small, unpacked, tmp_path, monkeypatch):
    packed(unpacked, tmp_path / "served" / "it.zip", top="clothing-dataset-small-1196151/")
    mine = shutil.copytree(unpacked, tmp_path / "mine" / "clothing-small")
    photo = next(mine.rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes() + b"\0")
    monkeypatch.setenv("MUSLIN_DATA", str(mine.parent))
    logged = []

    with serving_folder(tmp_path / "served") as home:
        served = replace(small, urls=(f"{home}it.zip",))
        first = obtain(served, cache=tmp_path / "cache", log=logged.append)
    again = obtain(served, cache=tmp_path / "cache")  # the server is gone

    assert [message.code for message in logged] == ["copy_skipped", "downloading"]
    assert logged[1].params["licence"] == "CC0"
    assert logged[1].params["sha256"] == small.photos_sha256
    assert first.tried[0].code == "photos_changed"
    assert first.tried[0].params["n"] == 15
    assert home in first.origin
    assert "muslin's cache" in again.origin
    assert first.path == again.path == tmp_path / "cache" / "clothing-small" / "clothing-small.zip"
    assert read_copy(served, again).fingerprint == read(unpacked).fingerprint


def test_a_changed_archive_from_the_net_is_not_cached(small, unpacked, tmp_path, monkeypatch):
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    next(unpacked.rglob("*.jpg")).unlink()
    packed(unpacked, tmp_path / "served" / "it.zip")
    with serving_folder(tmp_path / "served") as home, pytest.raises(DataError) as error:
        obtain(replace(small, urls=(f"{home}it.zip",)), cache=tmp_path / "cache")
    reason = error.value.params["tried"][-1]
    assert reason.code == "photos_changed"
    assert reason.params["path"] == f"{home}it.zip"
    assert reason.params["n"] == 14
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_damaged_copy_in_the_cache_is_replaced(small, unpacked, tmp_path, monkeypatch):
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    kept = packed(unpacked, tmp_path / "cache" / "clothing-small" / "clothing-small.zip")
    kept.write_bytes(kept.read_bytes()[:5000])
    packed(unpacked, tmp_path / "served" / "it.zip")
    with serving_folder(tmp_path / "served") as home:
        obtained = obtain(replace(small, urls=(f"{home}it.zip",)), cache=tmp_path / "cache")
    assert len(obtained.tried) == 2
    assert str(kept) in obtained.tried[1]
    assert photos_digest(kept) == (small.photos_sha256, 15)


def test_a_file_name_that_is_not_utf_8_is_only_a_changed_copy(small, unpacked, tmp_path, monkeypatch):
    mine = shutil.copytree(unpacked, tmp_path / "mine" / "clothing-small")
    photo = next(mine.rglob("*.jpg"))
    photo.rename(photo.with_name(os.fsdecode(b"r\xf6ck.jpg")))
    monkeypatch.setenv("MUSLIN_DATA", str(mine.parent))
    with pytest.raises(DataError) as error:
        obtain(small, cache=tmp_path / "cache")
    assert error.value.params["tried"][0].code == "photos_changed"
    assert error.value.params["tried"][0].params["n"] == 15


def test_without_any_photos_the_error_lists_every_place(small, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError) as error:
        obtain(small, cache=tmp_path / "cache")
    assert error.value.code == "dataset_unavailable"
    tried = error.value.params["tried"]
    assert [reason.code for reason in tried] == ["no_copy", "no_copy", "server_unreachable"]
    assert tried[0].params["path"] == str(tmp_path / "empty")
    assert "\n" not in str(error.value)


def test_another_archive_is_refused_but_its_folder_is_used_unverified(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "PetImages"
    for kind, number, image in make_photos(2):
        if kind != "shirt":
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image.save(folder / kind / f"{number}.jpg")
    cats = replace(CATS_DOGS, urls=(NOWHERE,))
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))

    obtained = obtain(cats, cache=tmp_path / "cache")
    dataset = read_copy(cats, obtained)

    assert obtained.checked.code == "checksum_unknown"
    assert dataset.target().classes == ("dress", "hat")
    assert obtained.checked in dataset.origin
    packed(folder, tmp_path / "packed" / "kagglecatsanddogs_5340.zip")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "packed"))
    with pytest.raises(DataError) as error:
        obtain(cats, cache=tmp_path / "cache")
    assert error.value.params["tried"][0].code == "archive_changed"


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("photos", ["images", "images_original"])
def test_the_clothing_set_is_grouped_by_sender_and_unverified(tmp_path, monkeypatch, zipped, photos):
    folder = tmp_path / "clothing-dataset-master"
    (folder / photos).mkdir(parents=True)
    with (folder / "images.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("image", "sender_id", "label", "kids"))
        for kind, number, image in make_photos(3):
            image.save(folder / photos / f"{kind}{number}.jpg")
            rows.writerow((f"{kind}{number}", number, "Not sure" if number == 2 else kind.title(), False))
    if zipped:
        packed(folder, tmp_path / "zipped" / f"{folder.name}.zip", top=f"{folder.name}/")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "zipped" if zipped else tmp_path))

    obtained = obtain(CLOTHING, cache=tmp_path / "cache")
    dataset = read_copy(CLOTHING, obtained)

    assert obtained.checked.code == "checksum_unknown"
    assert dataset.target().classes == ("Dress", "Hat", "Shirt")
    assert list(dataset.labels["label"]) == [0, 0, -1, 1, 1, -1, 2, 2, -1]
    assert dataset.groups is not None
    assert [str(group) for group in dataset.groups] == ["0", "1", "2"] * 3
    assert "group: sender_id" in dataset.origin
    assert dataset.images[0].shape == (60, 48, 3)


@pytest.mark.parametrize("name", ["clothing-small", "clothing", "cats-dogs"])
def test_get_shows_source_size_licence_and_checksum_first(capfd, monkeypatch, tmp_path, name):
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(registry.DATASETS, name, replace(registry.DATASETS[name], urls=(NOWHERE,)))

    result = invoke(capfd, "get", name)

    assert result.code == 1
    facts = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert set(facts) >= {"title", "page", "source", "size", "licence", "checksum"}
    assert "SHA-256" in facts["checksum"]
    assert (facts["size"] == "unknown") == (name == "clothing")
    assert "Traceback" not in result.err


@pytest.mark.skipif(real_tar() is None, reason="needs clothing-dataset-small.tar")
def test_the_real_set_is_read_by_its_name(capfd, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(real_tar().parent))
    assert "SHA-256 verified" in invoke(capfd, "get", "clothing-small").out
    logged = invoke(capfd, "look", "clothing-small", "--json").json
    assert logged["images"] == 3781
    assert photos_digest(real_tar())[0] == CLOTHING_SMALL.photos_sha256
