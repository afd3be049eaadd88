"""An installation for predicting alone: `pip install .` into an environment of its own, without torch."""

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest
from PIL import Image

from command_line import FinishedRun

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def muslin_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `muslin` of an environment with the base installation only."""
    folder = tmp_path_factory.mktemp("alone") / "venv"
    venv.create(folder, with_pip=True)
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes() if (ROOT / name).exists() else b"")
    # copied, since building leaves files beside the source
    subprocess.run(["cp", "-r", ROOT / "src", source / "src"], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, source], check=True)
    return folder / "bin" / "muslin"


def said(program: Path, *words: object, here: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([program, *map(str, words)], cwd=here, env=clean, capture_output=True, text=True)


def test_the_base_installation_has_neither_torch_nor_onnx(muslin_alone: Path, tmp_path: Path) -> None:
    script = (
        "import importlib.util as u, muslin; print([n for n in ('torch', 'onnx', 'pandas') if u.find_spec(n)], "
        "muslin.__file__)"
    )
    done = said(muslin_alone.with_name("python"), "-c", script, here=tmp_path)
    assert done.stdout.startswith("[] ")
    assert str(muslin_alone.parents[1]) in done.stdout


def test_all_but_training_works(muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path) -> None:
    Image.new("RGB", (60, 90), "white").save(tmp_path / "photo.jpg")
    Image.effect_noise((28, 28), 80).save(tmp_path / "small.png")
    model = sliced_run.folder / "model.muslin"

    done = said(muslin_alone, "predict", model, "photo.jpg", "small.png", "--json", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["problem"] for line in done.stdout.splitlines()] == [None, None]
    assert "small.png" in said(muslin_alone, "predict", model, "small.png", here=tmp_path).stdout

    done = said(muslin_alone, "explain", model, "small.png", "-o", "why.html", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Evidence for" in (tmp_path / "why.html").read_text()

    done = said(muslin_alone, "evaluate", model, "fashion-mnist", "--split", "test", "--json", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["targets"]["label"]["n"] == 10_000
    assert "of 10,000" in said(muslin_alone, "evaluate", model, "fashion-mnist", here=tmp_path).stdout

    for words in (
        ("inspect", model), ("inspect", model, "--json"), ("get", "fashion-mnist"), ("look", "fashion-mnist"),
        ("look", "fashion-mnist", "--index", 7), ("look", "fashion-mnist", "--sample", 9, "-o", "sheet.png"),
        ("--version",),
    ):  # fmt: skip
        done = said(muslin_alone, *words, here=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout, words
    assert (tmp_path / "sheet.png").exists()


def test_training_says_in_one_line_what_to_install(
    muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path
) -> None:
    done = said(muslin_alone, "train", "fashion-mnist", here=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "muslin: training needs torch and onnx, which are not installed. "
        "Install with: pip install 'muslin[train]'\n"
    )
    assert list(tmp_path.iterdir()) == []
    done = said(muslin_alone, "train", "--resume", sliced_run.folder, here=tmp_path)
    assert done.returncode == 0, "a finished run needs no training"


def test_from_python_too(muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path) -> None:
    script = """
import sys, muslin
model = muslin.open(sys.argv[1])
test = muslin.read("fashion-mnist").part("test")
print(model.predict(test.images[0])[0].predictions["label"].label)
print(muslin.evaluate(model, test).evaluations["label"].n)
try:
    muslin.train(test)
except muslin.MuslinError as error:
    print(type(error).__name__)
assert "torch" not in sys.modules
"""
    done = said(muslin_alone.with_name("python"), "-c", script, sliced_run.folder, here=tmp_path)
    assert done.stdout.splitlines() == ["Ankle boot", "10000", "MissingPartError"], done.stderr
