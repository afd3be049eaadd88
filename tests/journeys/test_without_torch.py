"""The base installation, without torch: `pip install .` into an environment of its own."""

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


def run_installed(program: Path, *words: object, here: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([program, *map(str, words)], cwd=here, env=clean, capture_output=True, text=True)


def test_the_base_installation_has_no_torch(muslin_alone: Path, tmp_path: Path) -> None:
    script = (
        "import importlib.util as u, muslin; print([n for n in ('torch', 'pandas') if u.find_spec(n)], muslin.__file__)"
    )
    done = run_installed(muslin_alone.with_name("python"), "-c", script, here=tmp_path)
    assert done.stdout.startswith("[] ")
    assert str(muslin_alone.parents[1]) in done.stdout


def test_all_commands_but_train_work(muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path) -> None:
    Image.new("RGB", (60, 90), "white").save(tmp_path / "photo.jpg")
    Image.effect_noise((28, 28), 80).save(tmp_path / "small.png")
    model = sliced_run.folder / "model.muslin"

    done = run_installed(muslin_alone, "predict", model, "photo.jpg", "small.png", "--json", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == [None, None]
    assert "small.png" in run_installed(muslin_alone, "predict", model, "small.png", here=tmp_path).stdout

    done = run_installed(muslin_alone, "explain", model, "small.png", "-o", "why.html", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<html" in (tmp_path / "why.html").read_text()

    done = run_installed(muslin_alone, "evaluate", model, "fashion-mnist", "--split", "test", "--json", here=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["targets"]["label"]["n"] == 10_000
    assert "10,000" in run_installed(muslin_alone, "evaluate", model, "fashion-mnist", here=tmp_path).stdout

    for words in (
        ("inspect", model), ("inspect", model, "--json"), ("get", "fashion-mnist"), ("look", "fashion-mnist"),
        ("look", "fashion-mnist", "--index", 7), ("look", "fashion-mnist", "--sample", 9, "-o", "sheet.png"),
        ("--version",),
    ):  # fmt: skip
        done = run_installed(muslin_alone, *words, here=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout, words
    assert (tmp_path / "sheet.png").exists()


def test_train_names_the_missing_packages(muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path) -> None:
    done = run_installed(muslin_alone, "train", "fashion-mnist", here=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("muslin: ")
    assert "pip install 'muslin[train]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    done = run_installed(muslin_alone, "train", "--resume", sliced_run.folder, here=tmp_path)
    assert done.returncode == 0, "a finished run needs no training"


def test_prediction_from_python_works(muslin_alone: Path, sliced_run: FinishedRun, tmp_path: Path) -> None:
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
    done = run_installed(muslin_alone.with_name("python"), "-c", script, sliced_run.folder, here=tmp_path)
    assert done.stdout.splitlines() == ["Ankle boot", "10000", "MissingPartError"], done.stderr
