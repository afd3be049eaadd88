"""Any text can be the name of a class, column, target or file: it steers no terminal, and all output is UTF-8."""

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette

from asgi_client import ask
from muslin.cli import main
from muslin.data.dataset import Target
from muslin.errors import MuslinError
from muslin.models.bundle import seal
from muslin.studio.app import studio
from muslin.text import CONTROL_CHARACTERS, escape_controls
from small_models import convolving_bundle, small_bundle

NASTY = ("\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\u202egnp.exe", "a\tb", "a\r\nb", "\u2028", "caf\udce9", "\x7f",
         "[red]x[/red]", "=1+1", "<b>", "NaN", "{x}", "短裙", "--json", "-o", "a/b", "../x", "label")  # fmt: skip
anything = st.text(st.characters(codec=None, exclude_characters="\0"), max_size=12)
names = (anything | st.sampled_from(NASTY) | st.builds("{}{}".format, anything, st.sampled_from(NASTY))).filter(
    str.strip
)
NAME, OTHER_NAME = "[b]\x1b短", "<i>\x9bÜ"
"""Names that every table and file system takes: markup, a control character and a letter beyond ASCII."""

few = settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def command(*words: object) -> tuple[Any, str]:
    """The exit code, 0, 1 or 2, and all that a command printed: UTF-8 without control characters, with strict JSON."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(content, encoding="utf-8", write_through=True) for content in (out, err)]
    with (
        mock.patch.object(sys, "argv", ["muslin", *map(str, words)]),
        mock.patch.object(sys, "stdout", streams[0]),
        mock.patch.object(sys, "stderr", streams[1]),
        pytest.raises(SystemExit) as left,
    ):
        main()
    printed, said = (content.getvalue().decode() for content in (out, err))
    for text in (printed, said):
        assert not CONTROL_CHARACTERS.search(text.replace("\n", "")), text
    assert "Traceback" not in said or "--debug" in words
    assert "bug in muslin" not in said, said
    if "--json" in words and words[0] != "--json":
        for line in printed.splitlines():
            json.loads(line, parse_constant=lambda number: pytest.fail(f"{number} is no JSON"))
    assert left.value.code in (0, 1, 2), said
    return left.value.code, printed + said


Outcomes = dict[tuple[str, ...], tuple[int, str]]
"""Per command its exit code and what it printed."""


def refused(outcomes: Outcomes) -> list[tuple[str, ...]]:
    return [words for words, (code, _) in outcomes.items() if code]


def assert_shown(name: str, outcome: tuple[int, str]) -> None:
    """The name is in the output, as text or in JSON, where data have it with or without its control characters."""
    in_json = [json.dumps(each, ensure_ascii=False)[1:-1] for each in (name, escape_controls(name))]
    assert any(text in outcome[1] for text in (escape_controls(name), *in_json)), outcome


def photo(path: Path | str, gray: int) -> None:
    Image.fromarray(np.full((8, 8), gray, np.uint8)).save(path, "PNG")


def usable(name: str) -> str:
    """A file's name that the system takes: bytes that are not UTF-8 are lone surrogates from U+DC80."""
    return "".join(c if "\udc80" <= c <= "\udcff" or not "\ud800" <= c <= "\udfff" else "_" for c in name).replace(
        "/", "_"
    )


def assert_written_files_are_utf_8(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".csv", ".json", ".jsonl", ".html", ".svg", ".tsv") and path.is_file():
            text = path.read_bytes().decode()
            if path.name != "table.csv":  # which the test wrote
                assert not CONTROL_CHARACTERS.search("".join(c for c in text if c not in "\t\r\n\u061c\u200e\u200f")), (
                    path
                )


@few
@example(label=NAME, column=OTHER_NAME)
@given(label=names, column=names)
def test_any_class_and_column_name_is_shown_as_text(label: str, column: str) -> None:
    with a_folder() as here:
        (here / "shop").mkdir()
        for i in range(6):
            photo(here / f"shop/{i}.png", 40 * i)
        content = io.StringIO()
        rows = [["image", column], *([f"{i}.png", label if i % 2 else "other"] for i in range(6))]
        csv.writer(content).writerows(rows)
        (here / "shop/table.csv").write_bytes(content.getvalue().encode(errors="backslashreplace"))
        (here / "out").mkdir()
        unknown = ("look", "shop", f"--target={label}", "--json"), ("train", "shop", "--epochs", "1", "--recipe", label)
        commands = (
            ("look", "shop"),
            ("look", "shop", "--json"),
            ("look", "shop", "--sample", "1"),
            ("look", "shop", f"--target={column}"),
            ("look", "shop", f"--class={escape_controls(label)}"),
            ("audit", "shop", "--check", "unreadable", "-o", "audit"),
            ("convert", "shop", "out/photos", "--to", "folders"),
            ("convert", "shop", "out/table.parquet", "--to", "parquet"),
            ("convert", "shop", "out/pixels", "--to", "csv"),
            ("convert", "shop", "out/idx", "--to", "idx"),
            ("look", "out/photos"),
            ("look", "out/table.parquet"),
            *unknown,
        )
        outcomes = {words: command(*words) for words in commands}
        assert_written_files_are_utf_8(here)
        if label == NAME:
            assert refused(outcomes) == [*unknown]
            for words in (*commands[:2], *commands[-4:-2], commands[-1]):
                assert_shown(label, outcomes[words])
            assert_shown(column, outcomes["look", "shop", "--json"])


@few
@example(name=NAME)
@given(name=names)
def test_any_file_name_is_shown_as_text(name: str) -> None:
    with a_folder() as here:
        seal(small_bundle(), here / "model.muslin")
        for place in ("shop/a", "shop/b", "out"):
            (here / place).mkdir(parents=True)
        file = usable(name)
        for i, path in enumerate((f"shop/a/{file}.png", "shop/a/2.png", "shop/b/3.png", f"shop/b/{file}.webp")):
            try:
                photo(path, 60 * i)
            except (OSError, ValueError):
                assert name != NAME
                return  # the system takes no such name
        Path(f"shop/b/{file}.jpg").write_bytes(b"\xff\xd8\xff no more")
        unfit = ("inspect", f"shop/a/{file}.png", "--debug"), ("evaluate", "model.muslin", "shop", "--json")
        predictions = (
            ("predict", "model.muslin", "shop"),
            ("predict", "model.muslin", "shop", "--json"),
            ("predict", "model.muslin", f"shop/a/{file}.png", f"./{file}", "--json"),
        )
        commands = (
            *predictions,
            ("look", "shop"),
            ("look", "shop", "--json"),
            ("explain", "model.muslin", f"shop/a/{file}.png", "-o", "out/why.html"),
            ("tag", "model.muslin", "shop", "-o", "out/tags.csv"),
            ("tag", "model.muslin", "shop", "-o", "out/tags.jsonl", "--json"),
            ("tag", "model.muslin", "shop", "-o", f"out/{file}.csv"),
            ("audit", "shop", "--check", "unreadable", "-o", "audit"),
            ("convert", "shop", "out/photos", "--to", "folders"),
            ("convert", "shop", "out/table.parquet", "--to", "parquet"),
            *unfit,
        )
        outcomes = {words: command(*words) for words in commands}
        assert_written_files_are_utf_8(here)
        if name == NAME:
            assert refused(outcomes) == [*unfit]
            for words in (*predictions, unfit[0]):
                assert_shown(name, outcomes[words])


@few
@example(target="[b]短", label="<i>Ü")
@given(target=names, label=names)
def test_any_target_and_class_of_a_model_is_refused_or_shown(target: str, label: str) -> None:
    is_usual = (target, label) == ("[b]短", "<i>Ü")
    with a_folder() as here:
        try:
            bundle = small_bundle(Target(target, (label, "other", "last")))
            seal(bundle, here / "model.muslin")
        except (MuslinError, UnicodeEncodeError, ValueError):
            assert not is_usual
            return  # ONNX takes no such name, or muslin does not
        photo("a.png", 200)
        explain = ("explain", "model.muslin", "a.png")
        commands = (
            ("inspect", "model.muslin"),
            ("inspect", "model.muslin", "--json"),
            ("predict", "model.muslin", "a.png"),
            ("predict", "model.muslin", "a.png", "--json", f"--threshold={label}=0.5"),
            (*explain, "-o", "out.html", f"--class={label}", "--json"),
            (*explain, f"--layer={label}"),
        )
        outcomes = {words: command(*words) for words in commands}
        assert_written_files_are_utf_8(here)
        if is_usual:
            assert refused(outcomes) == [*commands[3:4], *commands[5:]]
            for words in commands[:3]:
                assert_shown(target, outcomes[words])
            for words in commands[:2]:
                assert_shown(label, outcomes[words])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("studio")
    kernels = np.arange(2 * 1 * 3 * 3, dtype=np.float32).reshape(2, 1, 3, 3)
    seal(convolving_bundle(kernels, np.zeros((3, 8, 8, 1), np.uint8) + 90), folder / "first.muslin")
    for i, name in enumerate(NASTY):
        if "/" not in name:
            photo(folder / f"{name}.png", i)
    return studio(folder, 8001)


@few
@given(name=names, other=names)
def test_the_studio_answers_any_name_without_a_5xx(name: str, other: str, app: Starlette) -> None:
    token = ask(app, "GET", "/", headers=HOST)[1].decode().split('name="muslin-token" content="')[1].split('"')[0]
    headers = [*HOST, (b"x-muslin-token", token.encode())]
    for path, body in (
        ("model", {"model": name}),
        ("predict", {"inspection": {"model": "first.muslin", "image": f"file:{name}"}}),
        ("predict", {"inspection": {"model": "first.muslin", "image": name}}),
        ("predict", {"inspection": {**INSPECTION, "steps": {name: False}}}),
        ("predict", {"inspection": {**INSPECTION, "image_edits": {name: other}}}),
        ("predict", {"inspection": {**INSPECTION, "model_edits": [{"kind": name, "layer": other}]}}),
        ("accuracy", {"inspection": INSPECTION, "target": name, "on": other}),
        ("values", {"inspection": INSPECTION, "layer": name}),
        ("arithmetic", {"inspection": INSPECTION, "layer": name, "index": [other]}),
        ("kernels", {"inspection": INSPECTION, "layer": name}),
        ("attribution", {"inspection": INSPECTION, "target": name, "class": other}),
        ("attribution", {"inspection": INSPECTION, "target": "label", "class": name, "versus": other}),
        ("attribution", {"inspection": INSPECTION, "target": "label", "class": "Shirt", "layer": name}),
    ):
        status, content = ask(app, "POST", f"/api/{path}", body, headers=headers)
        assert status < 500, (path, content)
        json.loads(content.decode())
        assert not CONTROL_CHARACTERS.search(content.decode())
    status, content = ask(app, "GET", "/api/images", headers=HOST)
    assert (status, CONTROL_CHARACTERS.findall(content.decode())) == (200, [])


INSPECTION = {"model": "first.muslin", "image": "golden:0"}
HOST = [(b"host", b"127.0.0.1:8001")]
