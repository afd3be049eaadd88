"""The benchmark of odd files: which outcomes count as wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks/odd_files.py"


def judged(folder: Path, *words: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The exit code, the rows by the files' names, and what was printed."""
    command = [sys.executable, *words, str(folder), "--json", str(folder.parent / "rows.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    rows = json.loads((folder.parent / "rows.json").read_text())
    return done.returncode, {Path(row["file"]).name: row for row in rows}, done.stdout


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("RGB", (30, 20), "red").save(folder / "sound.png")
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    (folder / "titled.csv").write_text("Autumn\n\nimage,label\n1,hat\n2,hat\n")
    return folder


def test_odd_files_are_read_or_refused_and_counted(odd: Path) -> None:
    code, rows, said = judged(odd, str(SCRIPT))
    assert (code, {name: row["outcome"] for name, row in rows.items()}) == (
        0,
        {"sound.png": "read", "page.jpg": "refused", "titled.csv": "read"},
    )
    assert "odd: 3 files, 2 read, 1 refused by name, 0 wrong" in said
    assert rows["sound.png"]["said"] == "30×20×3"
    assert "HTML" in rows["page.jpg"]["said"]


def test_a_traceback_or_a_hang_is_wrong(odd: Path, tmp_path: Path) -> None:
    """With a decoder that fails otherwise than by muslin's own error, or never ends."""
    failing = tmp_path / "failing.py"
    failing.write_text(
        f"import sys\nfrom muslin import images\nsys.argv[0] = {str(SCRIPT)!r}\n"
        "def decode(path):\n    if path.name == 'page.jpg':\n        raise KeyError('x')\n"
        "    while True:\n        pass\n"
        "images.decode = decode\n"
        f"source = open({str(SCRIPT)!r}).read().replace('MOST_S = 10', 'MOST_S = 0.3')\n"
        f"exec(compile(source, {str(SCRIPT)!r}, 'exec'), {{'__name__': '__main__', '__file__': 'x'}})\n"
    )
    code, rows, _ = judged(odd, str(failing))
    assert code == 1
    assert (rows["page.jpg"]["outcome"], rows["page.jpg"]["said"]) == (
        "wrong",
        "another exception; KeyError: 'x'",
    )
    assert rows["sound.png"]["outcome"] == "wrong"
    assert "killed by signal 9" in rows["sound.png"]["said"]
