"""That every file of a run which has its final name is whole, at whatever moment one looks."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from muslin.models.bundle import open_bundle

FINISHED = {"run.json", "history.jsonl", "model.muslin", "evaluation.json", "report.html"}
"""The files of every finished run."""


class Watch:
    """Looks at a run's folder again and again; a file is read only when it is another one than last time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, tuple[int, int]] = {}
        self.looked = 0

    def look(self) -> list[str]:
        """The files that came or changed since the last look, the oldest first.

        Raises:
            Exception: of whatever kind, for the first file that is not whole; AssertionError for one that is gone.
        """
        said_finished = self.status == "finished"  # asked before looking, so that what it promises must be there
        found: dict[str, tuple[int, int]] = {}
        changed = []
        for path in self.folder.iterdir() if self.folder.exists() else ():
            if path.name.startswith(".") and path.name.endswith(".part"):
                continue
            status = path.stat()
            found[path.name] = (status.st_ino, status.st_mtime_ns)
            if self.known.get(path.name) != found[path.name]:
                _check(path)
                self.looked += 1
                changed.append((status.st_mtime_ns, path.name))
        is_run = "run.json" in self.known  # a start that was killed leaves files which the next one replaces
        assert not is_run or not self.known.keys() - found.keys(), "a file that was there is gone"
        self.known = found
        assert not said_finished or found.keys() >= FINISHED
        return [name for _, name in sorted(changed)]

    @property
    def status(self) -> str | None:
        """What the run says of itself; None where there is no run yet."""
        path = self.folder / "run.json"
        return json.loads(path.read_text())["status"] if path.exists() else None


def _check(path: Path) -> None:
    content = path.read_bytes()
    match path.name, path.suffix:
        case "run.json", _:
            assert json.loads(content)["status"] in ("training", "finished")
        case "history.jsonl", _:
            rows: list[Any] = [json.loads(line) for line in content.splitlines()]
            assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
        case "checkpoint.safetensors", _:
            tensors = load(content)
            metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
            if "state" in metadata:  # else it is that of a run before its first step
                assert any(name.startswith("net/") for name in tensors)
                assert json.loads(metadata["state"])["step"] > 0
        case "model.muslin", _:
            open_bundle(path)
        case "evaluation.json", _:
            assert json.loads(content)["targets"]["label"]["n"] > 0
        case "report.html", _:
            assert content.strip().startswith(b"<!doctype html>")
            assert content.strip().endswith(b"</html>")
        case _, ".svg":
            ET.fromstring(content)
        case _:
            raise AssertionError(f"{path.name}: what is this?")
