"""The benchmark of odd files: which outcomes count as failed."""

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks/odd_files.py"


def test_odd_files_are_read_or_refused_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Image.new("RGB", (30, 20), "red").save(folder / "sound.png")
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    (folder / "titled.csv").write_text("Autumn\n\nimage,label\n1,hat\n2,hat\n")
    command = [sys.executable, str(SCRIPT), str(folder), "--json", str(tmp_path / "rows.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    rows = {Path(row["file"]).name: row for row in json.loads((tmp_path / "rows.json").read_text())}
    outcomes = {name: row["outcome"] for name, row in rows.items()}
    assert result.returncode == 0
    assert outcomes == {"sound.png": "read", "page.jpg": "refused", "titled.csv": "read"}
    assert "odd: 3 files, 2 read, 1 refused, 0 failed" in result.stdout
    assert rows["sound.png"]["message"] == "30×20×3"
    assert "HTML" in rows["page.jpg"]["message"]
