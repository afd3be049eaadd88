"""The base installation: all but training and Parquet works, and what is missing is named with what installs it.

Each job runs here, where the packages of the extras cannot be imported. Those that read files of the package, which a
wheel could lack, also run in an environment of its own, where pip has installed muslin's wheel: in the long form, all.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import CommandResult, FinishedRun
from muslin.extras import EXTRAS

ROOT = Path(__file__).parents[2]
MAX_BYTES = 250_000_000
"""Of the files, compiled ones included; a disk with blocks of 4 KB takes 6 % more."""
REVIEW = ("muslin.review.", "muslin.workflows.review_")
"""What only those import who have asked for the extra `review`."""
NOT_OURS = ("_distutils_hack", "distutils-precedence.pth", "pip", "pip-", "pkg_resources", "setuptools")
"""What a new environment has before muslin is installed."""


@dataclass(frozen=True)
class Installation:
    """An installation without extras."""

    python: Path
    environment: Mapping[str, str]

    @property
    def muslin(self) -> Path:
        return self.python.with_name("muslin")

    def call(self, program: Path, *words: object, cwd: Path) -> CommandResult:
        done = subprocess.run(
            [program, *map(str, words)], cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def run(self, *words: object, cwd: Path) -> CommandResult:
        """`muslin WORDS…`."""
        return self.call(self.muslin, *words, cwd=cwd)

    def run_python(self, script: str, *words: object, cwd: Path) -> CommandResult:
        return self.call(self.python, "-c", script, *words, cwd=cwd)

    def install_command(self, *words: object, cwd: Path) -> str:
        """The command that `muslin WORDS… --json` names when it refuses."""
        error = json.loads(self.run(*words, "--json", cwd=cwd).out)["error"]
        assert error["code"] == "extra_not_installed"
        return str(error["params"]["install"])


@pytest.fixture(scope="session")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """This installation, but Python takes the packages of the extras for missing ones, in every process."""
    folder = tmp_path_factory.mktemp("blocked")
    modules = ["joblib", "pandas", *(module for packages in EXTRAS.values() for module in packages.values())]
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({modules}))\n")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return Installation(Path(sys.executable), {**os.environ, "PYTHONPATH": path})


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, because building leaves files beside it."""
    folder = tmp_path_factory.mktemp("clone") / "muslin"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["cp", "-r", ROOT / "src", folder / "src"], check=True)
    return folder


@pytest.fixture(scope="session")
def installed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An environment with muslin's wheel and what it needs."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder / "venv", with_pip=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    clean |= {"PATH": f"{folder / 'venv' / 'bin'}{os.pathsep}{clean['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    made = Installation(folder / "venv" / "bin" / "python", clean)
    pip = made.python.with_name("pip")
    done = made.call(pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, clone, cwd=folder)
    assert done.code == 0, done
    done = made.call(pip, "install", "--quiet", *folder.glob("*.whl"), cwd=folder)
    assert done.code == 0, done
    return made


@pytest.fixture
def base(request: pytest.FixtureRequest) -> Installation:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Installation)
    return made


in_both = pytest.mark.parametrize("base", ["blocked", pytest.param("installed", marks=pytest.mark.slow)], indirect=True)
in_both_if_long = pytest.mark.parametrize(
    "base", ["blocked", pytest.param("installed", marks=pytest.mark.long)], indirect=True
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Photos, and a catalogue of two of them in each format."""
    for i, name in enumerate(["a.png", "b.png"]):
        Image.effect_noise((28, 28), 40 + 40 * i).save(tmp_path / name)
    for suffix, delimiter in (("csv", ","), ("tsv", "\t")):
        rows = [("sku", "photo"), ("1", "a.png"), ("2", "b.png")]
        (tmp_path / f"shop.{suffix}").write_text("".join(delimiter.join(row) + "\n" for row in rows))
    (tmp_path / "shop.jsonl").write_text('{"sku": "1", "photo": "a.png"}\n{"sku": "2", "photo": "b.png"}\n')
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "shop.xlsx")
    pq.write_table(pa.table({"sku": ["1", "2"], "photo": ["a.png", "b.png"]}), tmp_path / "shop.parquet")
    return tmp_path


@in_both
def test_no_module_but_of_learn_and_review_needs_an_extra(base: Installation, tmp_path: Path) -> None:
    script = """
import importlib, json, pkgutil, muslin
failed = {}
for module in pkgutil.walk_packages(muslin.__path__, "muslin."):
    if module.name != "muslin.__main__":
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            failed[module.name] = error.name
print(json.dumps(failed))
"""
    done = base.run_python(script, cwd=tmp_path)
    failed = json.loads(done.out)
    assert set(failed.values()) == {"torch", "sqlalchemy"}
    for name, missing in failed.items():
        assert name.startswith("muslin.learn." if missing == "torch" else REVIEW), failed


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "xlsx"])
@in_both_if_long
def test_base_tags_each_format(base: Installation, sliced_run: FinishedRun, shop: Path, suffix: str) -> None:
    done = base.run("tag", sliced_run.folder, f"shop.{suffix}", "-o", f"tagged.{suffix}", cwd=shop)
    assert (done.code, (shop / f"tagged.{suffix}").exists()) == (0, True), done
    assert "2 products" in done.out + done.err


@in_both
def test_base_predicts_explains_and_inspects(base: Installation, sliced_run: FinishedRun, shop: Path) -> None:
    done = base.run("predict", sliced_run.folder, "a.png", "b.png", "--json", cwd=shop)
    assert done.code == 0, done
    assert [json.loads(line)["error"] for line in done.out.splitlines()] == [None, None]
    done = base.run("explain", sliced_run.folder, "a.png", "-o", "why.html", cwd=shop)
    assert done.code == 0, done
    assert "<html" in (shop / "why.html").read_text()
    for words in (("predict", sliced_run.folder, "a.png"), ("inspect", sliced_run.folder), ("--version",)):
        done = base.run(*words, cwd=shop)
        assert done.code == 0, done
        assert done.out


@in_both
def test_base_evaluates_compares_and_looks(
    base: Installation, sliced_run: FinishedRun, fashion_slice: Path, tmp_path: Path
) -> None:
    model = sliced_run.folder
    done = base.run("evaluate", model, fashion_slice, "--split", "test", "--json", cwd=tmp_path)
    assert json.loads(done.out)["targets"]["label"]["n"] == 600, done
    for words in (
        ("compare", model, model, fashion_slice), ("look", fashion_slice, "--sample", 9, "-o", "sheet.png"),
        ("convert", fashion_slice, "--to", "csv", "csv"), ("audit", fashion_slice, "--check", "dark", "-o", "audit"),
        ("train", "--resume", sliced_run.folder),
    ):  # fmt: skip
        done = base.run(*words, cwd=tmp_path)
        assert done.code == 0, done
    assert all((tmp_path / name).exists() for name in ("sheet.png", "csv", "audit/audit.html"))


@in_both_if_long
def test_base_audits_all_but_labels(base: Installation, fashion_slice: Path, tmp_path: Path) -> None:
    done = base.run("audit", fashion_slice, "-o", "audit", cwd=tmp_path)
    assert done.code == 0, done
    assert "muslin[train]" in done.out + done.err


@in_both
def test_base_opens_the_studio(base: Installation, sliced_run: FinishedRun, tmp_path: Path) -> None:
    command = [base.muslin, "studio", str(sliced_run.folder), "--port", "0"]
    with subprocess.Popen(command, env=base.environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)
            address = next(address[0] for address in found if address)
            with urlopen(f"{address}/", timeout=60) as answer:
                assert b"<html" in answer.read()
        finally:
            process.terminate()


@in_both_if_long
def test_base_refuses_training_parquet_and_review(base: Installation, sliced_run: FinishedRun, shop: Path) -> None:
    before = sorted(shop.iterdir())
    for words, extra in (
        (("train", "shop.csv"), "train"),
        (("look", "shop.parquet"), "parquet"),
        (("review", "init", "shop.db", "--model", sliced_run.folder), "review"),
        (("review", "status", "shop.db"), "review"),
        (("tag", sliced_run.folder, "shop.parquet", "-o", "tagged.parquet"), "parquet"),
        (("convert", "shop.csv", "--target", "sku", "--to", "parquet", "new.parquet"), "parquet"),
    ):
        done = base.run(*words, cwd=shop)
        assert (done.code, done.out) == (1, ""), done
        assert done.err.splitlines()[-1].startswith(f"muslin: This needs muslin[{extra}], "), done
        assert f"[{extra}]" in done.err.splitlines()[-1].rpartition("Install with: ")[2]
    assert sorted(shop.iterdir()) == before


@in_both
def test_python_names_work_without_the_extras(base: Installation, sliced_run: FinishedRun, tmp_path: Path) -> None:
    script = """
import sys
from muslin import *
import muslin, numpy
model = muslin.open(sys.argv[1])
print(len(model.predict(numpy.zeros((28, 28), numpy.uint8))))
for start in (lambda: muslin.train("fashion-mnist"), muslin.ImageClassifier):
    try:
        start()
    except muslin.MuslinError as error:
        print(type(error).__name__, error.code)
assert muslin.ImageClassifier.__doc__
"""
    done = base.run_python(script, sliced_run.folder, cwd=tmp_path)
    assert done.out.splitlines() == ["1", *["MissingPartError extra_not_installed"] * 2], done


@pytest.mark.slow
def test_base_takes_at_most_250_mb(installed: Installation, tmp_path: Path) -> None:
    place = installed.run_python("import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).out.strip()
    used = sum(
        file.lstat().st_size
        for entry in Path(place).iterdir()
        if not entry.name.startswith(NOT_OURS)
        for file in ([entry] if entry.is_file() else entry.rglob("*"))
        if file.is_file()
    )
    assert used <= MAX_BYTES


@pytest.mark.slow
def test_named_command_installs_the_missing_extra(
    installed: Installation, clone: Path, sliced_run: FinishedRun, shop: Path
) -> None:
    command = installed.install_command("look", "shop.parquet", cwd=shop)
    assert command == "pip install 'muslin[parquet]'"  # of a wheel
    done = installed.call(Path("/bin/sh"), "-c", command, cwd=shop)
    assert done.code == 0, done
    tag = ("tag", sliced_run.folder, "shop.parquet", "-o")
    assert installed.run(*tag, "tagged.parquet", cwd=shop).code == 0

    pip = installed.python.with_name("pip")
    assert installed.call(pip, "uninstall", "--yes", "pyarrow", cwd=shop).code == 0
    assert installed.call(pip, "install", "--no-deps", "--force-reinstall", clone, cwd=shop).code == 0
    command = installed.install_command("look", "shop.parquet", cwd=shop)
    assert shlex.split(command) == ["pip", "install", f"{clone}[parquet]"]
    done = installed.call(Path("/bin/sh"), "-c", command, cwd=shop)
    assert done.code == 0, done
    assert installed.run(*tag, "again.parquet", cwd=shop).code == 0
