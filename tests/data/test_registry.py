"""Obtaining a known data set: five places, none of them believed. Real servers, a real apt, real files."""

import gzip
import hashlib
import shutil
import socketserver
import struct
import subprocess
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from muslin.data import read, registry
from muslin.data.formats import pixels_csv
from muslin.data.registry import FASHION_MNIST, RegisteredDataset, RegisteredFile, obtain
from muslin.data.synthetic import SyntheticDataset
from muslin.errors import DataError, StorageError
from served_files import QuietHandler, serving, serving_folder


@pytest.fixture
def contents(drawn: SyntheticDataset) -> dict[str, bytes]:
    """The uncompressed files of a small set in Fashion-MNIST's format."""
    pixels, labels = drawn.dataset.images.pixels, drawn.true_labels.astype(np.uint8)
    files = {}
    for prefix, part in (("train", slice(0, 150)), ("t10k", slice(150, 200))):
        count = len(labels[part])
        files[f"{prefix}-images-idx3-ubyte"] = (
            struct.pack(">4I", 2051, count, 28, 28) + pixels[part].tobytes()
        )
        files[f"{prefix}-labels-idx1-ubyte"] = struct.pack(">2I", 2049, count) + labels[part].tobytes()
    return files


@pytest.fixture
def tiny(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisteredDataset:
    """A known set that is nowhere yet: no home, no package, no folder."""
    monkeypatch.delenv("MUSLIN_DATA", raising=False)
    files = tuple(RegisteredFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in contents.items())
    return replace(
        FASHION_MNIST,
        name="tiny",
        files=files,
        homes=(),
        debian_package=None,
        debian_folder=tmp_path / "debian" / "tiny",
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def put(folder: Path, contents: dict[str, bytes], *, zipped: bool = True) -> Path:
    folder.mkdir(parents=True)
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


# ── The places ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("zipped", [True, False], ids=["gzipped", "plain"])
@pytest.mark.parametrize("below", ["", "tiny"], ids=["the folder itself", "a folder of its name below"])
def test_a_local_copy_named_by_muslin_data_comes_first(
    tiny, contents, cache, tmp_path, monkeypatch, zipped, below
):
    put(tmp_path / "mine" / below, contents, zipped=zipped)
    put(tiny.debian_folder, contents)
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))

    obtained = obtain(tiny, cache=cache)

    assert obtained.path == tmp_path / "mine" / below
    assert "MUSLIN_DATA" in obtained.origin
    assert not cache.exists()


def test_debians_folder_is_used_where_it_is(tiny, contents, cache):
    put(tiny.debian_folder, contents)
    obtained = obtain(tiny, cache=cache)
    assert obtained.path == tiny.debian_folder
    assert obtained.tried[0] == "MUSLIN_DATA: not set"


def test_what_was_fetched_is_kept_and_not_fetched_again(tiny, contents, cache, tmp_path):
    served, told = put(tmp_path / "served", contents), []
    with serving_folder(served) as home:
        first = obtain(replace(tiny, homes=(home,)), cache=cache, log=told.append)
    again = obtain(replace(tiny, homes=(home,)), cache=cache)  # the server is gone

    assert home in first.origin
    assert "muslin's cache" in again.origin
    assert first.path == again.path == cache / "tiny"
    assert read(first.path).fingerprint == read(served).fingerprint
    assert len(told) == 1
    assert "licence MIT" in told[0]


def test_the_cache_is_where_xdg_says(tiny, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    put(tmp_path / "xdg" / "muslin" / "tiny", contents)
    assert obtain(tiny).path == tmp_path / "xdg" / "muslin" / "tiny"


def test_the_second_home_is_tried_where_the_first_does_not_have_it(tiny, contents, cache, tmp_path):
    (tmp_path / "empty").mkdir()
    with serving_folder(tmp_path / "empty") as first, serving_folder(put(tmp_path / "b", contents)) as second:
        assert second in obtain(replace(tiny, homes=(first, second)), cache=cache).origin


def test_nothing_anywhere_lists_every_place_and_why(tiny, cache):
    with serving_folder(cache.parent) as home, pytest.raises(DataError) as caught:
        obtain(replace(tiny, homes=(home,)), cache=cache)
    message = str(caught.value)
    for place in ("MUSLIN_DATA: not set", "muslin's cache", "Debian's folder", "404", "Debian's package"):
        assert place in message
    assert "\n" not in message


# ── None is believed ─────────────────────────────────────────────────────────────────────────────────────


def changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("place", ["MUSLIN_DATA", "cache", "Debian's folder"])
def test_a_copy_with_one_changed_bit_is_passed_over_aloud(
    tiny, contents, cache, tmp_path, monkeypatch, place
):
    damaged = contents | {"t10k-images-idx3-ubyte": changed(contents["t10k-images-idx3-ubyte"])}
    folder = {
        "MUSLIN_DATA": tmp_path / "mine",
        "cache": cache / "tiny",
        "Debian's folder": tiny.debian_folder,
    }[place]
    put(folder, damaged, zipped=place != "cache")
    monkeypatch.setenv("MUSLIN_DATA", str(tmp_path / "mine"))
    told = []

    with serving_folder(put(tmp_path / "served", contents)) as home:
        obtained = obtain(replace(tiny, homes=(home,)), cache=cache, log=told.append)

    assert home in obtained.origin
    assert any("changed content" in sentence for sentence in told)
    assert any("changed content" in reason for reason in obtained.tried)
    registry.check(tiny, obtained.path)


def test_a_changed_file_from_its_home_is_never_kept(tiny, contents, cache, tmp_path):
    served = put(tmp_path / "served", {name: changed(content) for name, content in contents.items()})
    with serving_folder(served) as home, pytest.raises(DataError, match="is not the published file"):
        obtain(replace(tiny, homes=(home,)), cache=cache)
    assert list((cache / "tiny").iterdir()) == []


class BreakingOff(QuietHandler):
    """Sends the first half of every file, and the true length before it."""

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2])
        self.close_connection = True


def test_a_download_that_breaks_off_never_counts_as_there_and_is_made_good_later(
    tiny, contents, cache, tmp_path
):
    served = put(tmp_path / "served", contents)
    with (
        serving(partial(BreakingOff, directory=str(served))) as home,
        pytest.raises(DataError, match="broke off after"),
    ):
        obtain(replace(tiny, homes=(home,)), cache=cache)
    assert list((cache / "tiny").iterdir()) == []

    with serving_folder(served) as home:
        registry.check(tiny, obtain(replace(tiny, homes=(home,)), cache=cache).path)


def test_what_an_earlier_attempt_got_is_not_fetched_again(tiny, contents, cache, tmp_path):
    served = put(tmp_path / "served", contents)
    last = served / f"{tiny.files[-1].name}.gz"
    hidden = last.rename(served / "hidden")
    with serving_folder(served) as home:
        with pytest.raises(DataError, match="404"):
            obtain(replace(tiny, homes=(home,)), cache=cache)
        for path in served.glob("*.gz"):
            path.unlink()
        hidden.rename(last)
        registry.check(tiny, obtain(replace(tiny, homes=(home,)), cache=cache).path)


class Endless(QuietHandler):
    def do_GET(self):  # noqa: N802, the name that http.server calls
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(2**16))
        except OSError:
            pass


def test_a_server_that_sends_without_end_is_left(tiny, cache):
    with serving(Endless) as home, pytest.raises(DataError, match="sends more than"):
        obtain(replace(tiny, homes=(home,)), cache=cache)


def test_a_server_that_never_answers_is_left_after_the_time_out(tiny, cache):
    class Silent(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(10_000)
            over.wait(10)

    over = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            home = f"http://127.0.0.1:{server.server_address[1]}/"
            with pytest.raises(DataError, match="timed out"):
                obtain(replace(tiny, homes=(home,)), cache=cache, timeout_s=0.2)
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_fetched(tiny, contents, cache, tmp_path):
    cache.write_text("a file where the folder should be")
    told = []
    with (
        serving_folder(put(tmp_path / "served", contents)) as home,
        pytest.raises(DataError, match="cannot be written"),
    ):
        obtain(replace(tiny, homes=(home,)), cache=cache, log=told.append)
    assert not any("Fetching" in sentence and home in sentence for sentence in told)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="Did you mean fashion-mnist"):
        registry.get("fashion-mnits")


# ── Debian's package ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    return tmp_path / "repository"


def package(
    known: RegisteredDataset, contents: dict[str, bytes], repository: Path, apt_config: Path, address: str
) -> None:
    """A repository with one package made by dpkg-deb, and a configuration that makes apt know no other."""
    tree = repository / "tree"
    put(tree / known.debian_folder.relative_to("/"), contents)
    (tree / "DEBIAN").mkdir()
    control = (
        f"Package: {known.debian_package}\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\n"
    )
    (tree / "DEBIAN" / "control").write_text(f"{control}Description: garments\n")
    archive = repository / f"{known.debian_package}_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", tree, archive], check=True, capture_output=True
    )
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (repository / "Packages").write_text(
        f"{control}Filename: ./{archive.name}\nSize: {archive.stat().st_size}\nSHA256: {digest}\n"
        "Description: garments\n"
    )
    (repository / "sources.list").write_text(f"deb [trusted=yes] {address} ./\n")
    (repository / "no-lists").mkdir()
    apt_config.write_text(
        f'Dir::Etc::sourcelist "{repository}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{repository}/no-lists";\nAcquire::http::Proxy::127.0.0.1 "DIRECT";\n'
    )


def test_debians_package_is_fetched_and_unpacked_where_its_lists_never_were(
    tiny, contents, cache, repository, tmp_path, monkeypatch
):
    tiny = replace(
        tiny, debian_package="dataset-tiny", debian_folder=Path("/usr/share/datasets/no-such-tiny")
    )
    repository.mkdir()
    with serving_folder(repository) as address:
        package(tiny, contents, repository, tmp_path / "apt.conf", address)
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        obtained = obtain(tiny, cache=cache)

    assert "dataset-tiny_1.0_all.deb" in obtained.origin
    assert obtained.path == cache / "tiny"
    registry.check(tiny, obtained.path)
    assert not tiny.debian_folder.exists()


def test_a_package_with_changed_content_is_not_believed_either(
    tiny, contents, cache, repository, tmp_path, monkeypatch
):
    tiny = replace(
        tiny, debian_package="dataset-tiny", debian_folder=Path("/usr/share/datasets/no-such-tiny")
    )
    repository.mkdir()
    with serving_folder(repository) as address:
        wrong = {name: changed(content) for name, content in contents.items()}
        package(tiny, wrong, repository, tmp_path / "apt.conf", address)
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        with pytest.raises(DataError, match=r"Debian's package: .* is not the published file"):
            obtain(tiny, cache=cache)
    assert list((cache / "tiny").iterdir()) == []


# ── Writing CSV, and knowing a set again ─────────────────────────────────────────────────────────────────


@pytest.fixture
def row(
    tiny: RegisteredDataset, drawn: SyntheticDataset, monkeypatch: pytest.MonkeyPatch
) -> RegisteredDataset:
    """The small set as a row of KNOWN, with its classes and the digests of its rows."""
    rows = {}
    for name, part in (("train", np.arange(150)), ("test", np.arange(150, 200))):
        rows[name] = (len(part), registry.rows_digest(drawn.dataset.take(part)))
    row = replace(tiny, rows=rows, classes=drawn.dataset.target().classes, spellings=("tiny",))
    monkeypatch.setattr(registry, "KNOWN", {"tiny": row})
    return row


def test_the_csv_files_read_back_as_the_same_arrays(row, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSLIN_DATA", str(put(tmp_path / "mine", contents)))
    original = read("tiny")

    train, test = registry.write_csv(original, tmp_path / "csv")
    again = read(train, test=test)

    assert (train.name, test.name) == ("tiny_train.csv", "tiny_test.csv")
    assert train.read_text().splitlines()[0] == ",".join(["label", *(f"pixel{i}" for i in range(1, 785))])
    assert train.read_text().splitlines()[1].split(",")[0] == "0"
    assert again.fingerprint == original.fingerprint
    assert again.target().classes == row.classes
    assert np.array_equal(again.images.pixels, original.images.pixels)


def test_a_known_set_is_known_again_by_its_content_in_any_order_and_under_any_name(row, drawn, tmp_path):
    shuffled = drawn.dataset.take(np.random.default_rng(0).permutation(150))
    path = registry.write_csv(replace(shuffled, name="somebody-elses"), tmp_path)[0]

    dataset = read(path)

    assert dataset.target().classes == row.classes
    assert dataset.transform == "fashion-mnist"
    assert "recognised by its content as tiny" in dataset.origin


def test_numbers_in_a_known_sets_rows_become_its_names(row, contents, tmp_path):
    dataset = read(put(tmp_path / "renamed", contents))
    assert dataset.target().classes == row.classes
    assert "by its content" in dataset.origin


def test_one_changed_label_is_enough_not_to_be_known_by_content(row, contents, tmp_path):
    contents = {name: changed(content) if "labels" in name else content for name, content in contents.items()}
    dataset = read(put(tmp_path / "renamed", contents))
    assert "0" in dataset.target().classes
    assert dataset.transform == "fit"


def test_part_of_a_known_set_is_known_by_its_files_name(row, drawn, tmp_path):
    few = drawn.dataset.take(np.arange(20))
    path = registry.write_csv(replace(few, name="tiny-20"), tmp_path)[0]

    dataset = read(path)

    assert dataset.target().classes == row.classes
    assert "recognised by the name tiny-20.csv as tiny" in dataset.origin


def test_a_test_file_that_is_known_names_the_classes_of_the_train_file_too(row, drawn, tmp_path):
    train = tmp_path / "mine.csv"
    pixels_csv.write(drawn.dataset.images.pixels[:20], [str(i) for i in drawn.true_labels[:20]], train)
    test = registry.write_csv(replace(drawn.dataset.take(np.arange(150, 200)), name="tiny"), tmp_path)[0]

    dataset = read(train, test=test)

    assert dataset.target().classes == row.classes
    assert np.array_equal(dataset.labels["label"], np.r_[drawn.true_labels[:20], drawn.true_labels[150:]])


def test_a_folder_is_meant_by_a_path_even_where_it_has_a_known_name(row, contents, tmp_path, monkeypatch):
    put(tmp_path / "tiny", contents)
    monkeypatch.chdir(tmp_path)
    assert read(Path("tiny")).origin.startswith("tiny, IDX files")
    assert read("./tiny").origin.startswith("tiny, IDX files")


def test_the_csv_is_not_left_half_written_where_the_disk_refuses(row, drawn, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        registry.write_csv(drawn.dataset, tmp_path / "file")


@pytest.mark.slow
def test_fashion_mnist_itself_is_the_same_from_idx_and_from_csv(tmp_path):
    original = read("fashion-mnist")
    assert len(original) == 70_000
    assert list(np.bincount(original.labels["label"])) == [7000] * 10
    assert original.target().classes[9] == "Ankle boot"

    train, test = registry.write_csv(original, tmp_path)
    renamed = train.rename(tmp_path / "a.csv"), test.rename(tmp_path / "b.csv")
    again = read(renamed[0], test=renamed[1])

    assert again.fingerprint == original.fingerprint
    assert again.transform == "fashion-mnist"
    assert "recognised by its content as fashion-mnist" in again.origin
