"""A URL where a file should be: every command says that it is one, and connects to nothing."""

from pathlib import Path
from typing import Any

import pytest

import muslin
from command_line import FinishedRun, error_object, invoke
from muslin.errors import DataError
from muslin.storage.local_path import url_of

URL = "https://shop.example/photos/1.jpg"


@pytest.mark.parametrize(
    "words",
    [
        ("look", URL),
        ("train", URL),
        ("train", "garments", "--test", URL),
        ("look", "garments", "--images", URL),
        ("evaluate", "run", URL),
        ("evaluate", URL, "garments"),
        ("audit", URL),
        ("compare", "run", "run", URL),
        ("convert", URL, "out", "--to", "folders"),
        ("tag", "run", URL, "-o", "out.csv"),
        ("tag", "run", "garments", "-o", "out.csv", "--images", URL),
        ("explain", "run", URL),
        ("inspect", URL),
    ],
    ids=" ".join,
)
def test_every_command_names_a_url(
    words: tuple[str, ...], sliced_run: FinishedRun, garments: Path, tmp_path: Path, capfd: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"run": sliced_run.folder, "garments": garments}
    error = error_object(invoke(capfd, *(places.get(word, word) for word in words), "--json"))
    assert (error["code"], error["params"]["url"]) == ("path_is_url", URL)
    assert not list(tmp_path.iterdir())


def test_predict_names_a_url_and_predicts_the_rest(sliced_run: FinishedRun, capfd: Any) -> None:
    result = invoke(capfd, "predict", sliced_run.folder, URL, "--json")
    assert result.code == 1
    assert "is a URL" in result.out
    prediction = muslin.open(sliced_run.folder).predict(URL)[0]
    assert prediction.error is not None
    assert prediction.error.code == "path_is_url"


def test_urls_are_told_from_paths() -> None:
    with pytest.raises(DataError) as error:
        muslin.read(Path(URL))
    assert error.value.params["url"] == URL
    assert url_of("s3://bucket/key") == "s3://bucket/key"
    assert url_of("file:///tmp/1.jpg") == "file:///tmp/1.jpg"
    for path in ("photos/1.jpg", "/tmp/1.jpg", r"C:\photos\1.jpg", "C:/photos/1.jpg", "a:b.jpg", "https:", ""):
        assert url_of(path) is None
