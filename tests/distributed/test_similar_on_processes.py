"""`muslin similar build` writes the same bytes whatever computes the features."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import invoke
from muslin.distributed import open_executor
from muslin.distributed.in_process import InProcess
from muslin.errors import StoppedError
from muslin.execution import Executor
from muslin.models import feature_shards
from muslin.workflows import similar_time
from muslin.workflows.similar import BuildOptions, BuildResult, build
from noted_decoding import noted_decoding
from refusals import refuses
from similar_shop import similar_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 30 products with three photos each, some of which cannot be read."""
    folder = similar_shop(tmp_path_factory.mktemp("shop"), products=30)
    (folder / "photos/0-0.png").write_bytes(b"")
    (folder / "photos/1-1.png").unlink()
    (folder / "photos/2-1.png").write_bytes((folder / "photos/2-2.png").read_bytes()[:60])
    (folder / "photos/3-1.png").write_bytes((folder / "photos/3-0.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with open_executor("local:2") as executor:
        yield executor


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_shards, "SHARD_PHOTOS", 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def built(shop: Path, out: Path, data: str = "products.csv", **options: Any) -> BuildResult:
    read_options = {"images": shop / "photos"} if data.endswith(".csv") else {}
    return build(shop / data, out, BuildOptions(shop / "model.muslin", read_options=read_options), **options)


def with_workers(shop: Path, out: Path, executor: Executor, data: str = "products.csv", **options: Any) -> BuildResult:
    read_options = {"images": shop / "photos"} if data.endswith(".csv") else {}
    settings = BuildOptions(shop / "model.muslin", read_options=read_options, executor=executor)
    return build(shop / data, out, settings, **options)


@pytest.mark.parametrize("data", ["products.csv", "photos"])
def test_index_of_workers_is_that_of_one_process(
    data: str, shop: Path, processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = built(shop, tmp_path / "alone.index", data)
    for number, executor in enumerate((processes, InProcess())):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{number}"))
        done = executor.status().done
        helped = with_workers(shop, tmp_path / f"{number}.index", executor, data)
        assert executor.status().done >= done + 7
        assert helped.out.read_bytes() == alone.out.read_bytes()
        assert helped.unreadable == alone.unreadable
        done = executor.status().done
        assert with_workers(shop, tmp_path / f"{number}-again.index", executor, data).out.read_bytes() == (
            alone.out.read_bytes()
        )
        assert executor.status().done <= done + 1, "only what cannot be read is sent again"


def test_stopped_index_is_finished_elsewhere(
    shop: Path, processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "shop.index"
    with refuses("index_stopped", StoppedError):
        with_workers(shop, out, processes, should_stop=lambda: True)
    assert not out.exists()
    decoded = noted_decoding(monkeypatch)
    built(shop, out)
    left = list(decoded)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert built(shop, tmp_path / "alone.index").out.read_bytes() == out.read_bytes()
    assert 0 < len(left) < len(decoded) - len(left), "what was computed before the stop is not computed again"


def test_time_of_an_index_is_said_before(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_time, "MIN_PHOTOS", 10)
    monkeypatch.setattr(similar_time, "MIN_S", 0)
    notes: list[Any] = []
    with_workers(shop, tmp_path / "shop.index", InProcess(), log=notes.append)
    [note] = [note for note in notes if getattr(note, "code", "") == "extraction_expected"]
    assert (note.params["n"], note.params["workers"]) == (90, 1)
    assert 0 < note.params["there_s"] == note.params["here_s"]


def test_command_builds_an_index_by_workers(shop: Path, tmp_path: Path, capfd: Any) -> None:
    words = ["similar", "build", shop / "products.csv", "--images", shop / "photos", "--model", shop / "model.muslin"]
    assert invoke(capfd, *words, "-o", tmp_path / "there.index", "--on", "local:2").code == 0
    assert (tmp_path / "there.index").read_bytes() == built(shop, tmp_path / "here.index").out.read_bytes()
