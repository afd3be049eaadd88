"""The benchmark of odd files: which outcomes count as failed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks/odd_files.py"


def run_benchmark(folder: Path, *words: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The exit code, the rows by the files' names, and what was printed."""
    command = [sys.executable, *words, str(folder), "--json", str(folder.parent / "rows.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    rows = json.loads((folder.parent / "rows.json").read_text())
    return result.returncode, {Path(row["file"]).name: row for row in rows}, result.stdout


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("RGB", (30, 20), "red").save(folder / "sound.png")
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    (folder / "titled.csv").write_text("Autumn\n\nimage,label\n1,hat\n2,hat\n")
    return folder


def test_odd_files_are_read_or_refused_and_counted(odd: Path) -> None:
    code, rows, stdout = run_benchmark(odd, str(SCRIPT))
    assert (code, {name: row["outcome"] for name, row in rows.items()}) == (
        0,
        {"sound.png": "read", "page.jpg": "refused", "titled.csv": "read"},
    )
    assert "odd: 3 files, 2 read, 1 refused, 0 failed" in stdout
    assert rows["sound.png"]["message"] == "30×20×3"
    assert "HTML" in rows["page.jpg"]["message"]


def test_traceback_or_hang_counts_as_failed(odd: Path, tmp_path: Path) -> None:
    """With a decoder that raises another error than muslin's, or never returns."""
    failing = tmp_path / "failing.py"
    failing.write_text(
        f"import sys\nfrom muslin import images\nsys.argv[0] = {str(SCRIPT)!r}\n"
        "def decode(path):\n    if path.name == 'page.jpg':\n        raise KeyError('x')\n"
        "    while True:\n        pass\n"
        "images.decode = decode\n"
        f"source = open({str(SCRIPT)!r}).read().replace('MAX_PROCESSOR_S = 10', 'MAX_PROCESSOR_S = 0.3')\n"
        f"exec(compile(source, {str(SCRIPT)!r}, 'exec'), {{'__name__': '__main__', '__file__': 'x'}})\n"
    )
    code, rows, _ = run_benchmark(odd, str(failing))
    assert code == 1
    assert (rows["page.jpg"]["outcome"], rows["page.jpg"]["message"]) == ("failed", "another exception; KeyError: 'x'")
    assert rows["sound.png"]["outcome"] == "failed"
    assert "killed by signal 9" in rows["sound.png"]["message"]
