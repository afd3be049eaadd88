"""Every command prints to consoles that lack the letters of class names and file names."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import environment, run
from muslin.cli import main

CLASSES = ("Kleid – grün", "帽子")
SETTINGS = {"epochs": 1, "batch_size": 8, "image_size": 32}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes, one photo with a name that is not UTF-8, one that is cut off, and a model."""
    root = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        folder = root / "photos" / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(100 * place, 100 * place + 90, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    strange = root / "photos" / CLASSES[1] / "caf\udce9.png"
    shutil.copy(root / "photos" / CLASSES[1] / "0.png", strange)
    (strange.with_name("br\udce9ken.png")).write_bytes(strange.read_bytes()[:60])
    muslin.train(root / "photos", recipe="quick", out=root / "run", settings=SETTINGS)
    return root


SMALL = ("--set", "image_size=32", "--set", "batch_size=8")
COMMANDS = {
    "look": ("look", "photos"),
    "look-json": ("look", "photos", "--json"),
    "look-sample": ("look", "photos", "--sample", "1"),
    "train-json": ("train", "photos", "--recipe", "quick", "--epochs", "1", *SMALL, "--json"),
    "evaluate": ("evaluate", "run", "photos"),
    "evaluate-json": ("evaluate", "run", "photos", "--json"),
    "predict": ("predict", "run", "photos"),
    "explain-json": ("explain", "run", f"photos/{CLASSES[0]}/1.png", "--json"),
    "audit": ("audit", "photos", "--check", "identical", "--check", "unreadable"),
    "compare": ("compare", "run", "run", "photos"),
    "compare-json": ("compare", "run", "run", "photos", "--json"),
    "convert": ("convert", "photos", "converted", "--to", "folders"),
    "tag": ("tag", "run", "photos", "-o", "tags.csv"),
    "tag-json": ("tag", "run", "photos", "-o", "tags.jsonl", "--json"),
    "inspect": ("inspect", "run"),
    "help": ("train", "--help"),
    "error": ("look", "帽"),
    "error-json": ("look", "帽", "--json"),
    "usage": ("look", "--帽"),
}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_in_every_encoding(
    name: str, encoding: str, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {stream: io.BytesIO() for stream in ("stdout", "stderr")}
    for stream, content in written.items():
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(content, encoding=encoding, write_through=True))
    for entry in ("photos", "run"):
        (tmp_path / entry).symlink_to(shop / entry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["muslin", *COMMANDS[name]])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = (content.getvalue().decode(encoding) for content in written.values())
    assert "Traceback" not in err
    assert "bug in muslin" not in err
    assert left.value.code == {"error": 1, "usage": 2}.get(name.removesuffix("-json"), 0), err
    if name.endswith("-json"):
        text = json.dumps(json.loads(out), ensure_ascii=False)
        assert "帽" in text or name in ("train-json", "tag-json"), "nothing is lost"
    elif "error" not in name and "usage" not in name:
        assert out


def test_names_of_files_are_utf_8_in_every_locale(shop: Path, tmp_path: Path) -> None:
    plain = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    found = run("look", shop / "photos", "--json", cwd=tmp_path, env=plain)
    assert [*found.json["targets"]["label"]["classes"]] == sorted(CLASSES)
    assert run("convert", shop / "photos", "copy", "--to", "folders", cwd=tmp_path, env=plain).code == 0
    assert sorted(folder.name for folder in (tmp_path / "copy").iterdir()) == sorted(CLASSES)
