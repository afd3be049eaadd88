"""The fuzzer finds faults that are planted in muslin, keeps the input, and goes on."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from fuzzer import write_damaged
from hypothesis import Phase
from mutations import mutate
from properties import check
from valid_files import KINDS, valid_files
from worker import Worker

from muslin.data import archives, tables
from muslin.errors import MuslinError

FUZZER = Path(__file__).with_name("fuzzer.py")

PLANTED = """
import muslin.images as images
sound = images.decode
def decode(source, **options):
    {fault}
    return sound(source, **options)
images.decode = decode
"""


@pytest.fixture
def plant(tmp_path, monkeypatch):
    """A function that makes a statement run at each call of muslin.images.decode, in every new Python process."""

    def put(fault: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(PLANTED.format(fault=fault))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    return put


def fuzz(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, FUZZER, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise KeyError('planted')", "KeyError in sitecustomize.py"),
        ("while True: pass", "more than 0.5 s"),
        ("import warnings; warnings.warn('planted')", "UserWarning in sitecustomize.py"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the process died: SIGSEGV"),
        ("bytearray(2**30)", "MemoryError in sitecustomize.py"),
    ],
)
def test_planted_fault_is_a_failure_and_the_worker_goes_on(plant, tmp_path, fault, message):
    path = tmp_path / "photo.jpg"
    path.write_bytes(valid_files("jpeg").files["photo"])
    plant(f"if str(source).endswith('photo.jpg'):\n        {fault}")
    with Worker(max_seconds=0.5, max_mb=400) as worker:
        outcome = worker.run("decode", path)
        assert (outcome.result, message in outcome.message) == ("failed", True), outcome
        assert worker.run("decode", path.rename(tmp_path / "other.jpg")).result == "read"


def test_failing_inputs_are_kept_once_for_each_cause(plant, tmp_path):
    plant("raise LookupError('planted')")
    kept = tmp_path / "kept"
    found = fuzz(0.05, "--only", "jpeg", "--first", 7, "--kept-in", kept)
    assert found.returncode == 1, found.stderr
    (folder,) = kept.iterdir()
    failure = json.loads((folder / "failure.json").read_text())
    number = failure["number"]
    assert f"FAILED jpeg {number}: LookupError in sitecustomize.py" in found.stdout
    assert "for 1 reasons" in found.stdout
    assert f"scripts/fuzz --replay {folder}" in found.stdout
    assert (folder / "input/photo").read_bytes() == write_damaged("jpeg", number, tmp_path).read_bytes()
    again = fuzz("--replay", folder)
    assert (again.returncode, "LookupError: planted" in again.stdout) == (1, True)
    (tmp_path / "sitecustomize.py").unlink()  # the fault is mended
    assert fuzz("--replay", folder).returncode == 0


def test_sound_readers_pass_and_inputs_are_counted():
    passed = fuzz(0.03, "--only", "png,idx", "--first", 0)
    assert passed.returncode == 0, passed.stdout
    assert "2 kinds, 0 failed" in passed.stdout
    unknown = fuzz(1, "--only", "nonsense")
    assert (unknown.returncode, "jpeg-progressive" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_reproducible_and_rarely_none(kind):
    files = valid_files(kind)
    for name in files.damaged:
        damaged = [mutate(files.files[name], Random(seed)) for seed in range(20)]
        assert damaged == [mutate(files.files[name], Random(seed)) for seed in range(20)]
        assert len({files.files[name], *damaged}) > 10


@pytest.mark.parametrize(
    ("property_", "fault"),
    [
        ("text-tables", "Delimited._read_rows"),
        ("workbooks", "Workbook._read_rows"),
        ("json-lines", "JsonLines._read_rows"),
        ("parquet-tables", "Parquet._read_rows"),
        ("folders", "archives.walk"),
        ("photos-in-tables", "Delimited._read_rows"),
    ],
)
def test_planted_loss_of_the_last_one_breaks_a_property(property_, fault, tmp_path, monkeypatch):
    owner, name = fault.split(".")
    owner = {"archives": archives}.get(owner) or getattr(tables, owner)
    sound = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *words, **options: iter(list(sound(*words, **options))[:-1]))
    with pytest.raises((AssertionError, MuslinError, ExceptionGroup)):
        check(property_, 0, 10, tmp_path / "files", phases=[Phase.generate])
