"""How do the time and the memory of opening a file grow with what is in it?

    python benchmarks/cost_against_size.py [KIND …] [--json FILE]

For each kind (pages, scans, rows, columns, entries, strings, classes, layers, …) files of three sizes, each twice as
large as the one before, are opened by a process of its own: an image is decoded, a data set read, or a model opened.
The table gives the processor time and the largest memory of the process, of which the imports take 1 s and 85 MB.
docs/explanation/limits.md holds the result.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/fuzz"), str(ROOT / "tests")]  # scripts, not packages


def pages(count: int) -> bytes:
    from valid_files import picture

    file = io.BytesIO()
    picture().save(file, "TIFF", save_all=True, append_images=[picture(1)] * (count - 1))
    return file.getvalue()


def scans(count: int) -> bytes:
    """A progressive JPEG with its last scan repeated."""
    from valid_files import encoded, picture

    content = encoded(picture(0, 2000, 2000), "JPEG", progressive=True)
    start = content.rindex(b"\xff\xda")
    return content[:start] + content[start:-2] * max(count - content.count(b"\xff\xda") + 1, 1) + b"\xff\xd9"


def classes(count: int) -> bytes:
    """A model of so many classes."""
    from muslin.data.dataset import Target
    from muslin.models.bundle import to_bytes
    from small_models import small_bundle

    return to_bytes(small_bundle(Target("label", tuple(f"class {i}" for i in range(count)))))


def layers(count: int) -> bytes:
    """A model of three classes, whose probabilities pass through so many layers."""
    from onnx import helper

    from muslin.models.bundle import to_bytes
    from small_models import LABEL, brightness_model, small_bundle, with_model

    model = brightness_model()
    model.graph.node[-1].output[0] = "step 0"
    steps = [helper.make_node("Identity", [f"step {i}"], [f"step {i + 1}"]) for i in range(count)]
    steps[-1].output[0] = LABEL.name
    model.graph.node.extend(steps)
    return to_bytes(with_model(small_bundle(), model))


def of_hostile(kind: str) -> Callable[[int, Path], Path]:
    from hostile_files import write_hostile

    return lambda size, folder: write_hostile(kind, size, folder)


def of_content(name: str, make: Callable[[int], bytes]) -> Callable[[int, Path], Path]:
    def write(size: int, folder: Path) -> Path:
        path = folder / name
        path.write_bytes(make(size))
        return path

    return write


KINDS: dict[str, tuple[str, int, Callable[[int, Path], Path]]] = {
    "pages of a TIFF": ("decode", 1_000, of_content("photo.tiff", pages)),
    "scans of a JPEG": ("decode", 16, of_content("photo.jpg", scans)),
    "rows of a CSV": ("read", 25_000, of_hostile("csv-plain-rows")),
    "empty lines of a CSV": ("read", 60_000, of_hostile("csv-empty-lines")),
    "columns of a CSV": ("read", 4_000, of_hostile("csv-named-columns")),
    "labels of a CSV": ("read", 20_000, of_hostile("csv-many-labels")),
    "empty rows of a workbook": ("read", 200_000, of_hostile("xlsx-rows")),
    "cells of a workbook": ("read", 50_000, of_hostile("xlsx-filled-cells")),
    "strings of a workbook": ("read", 200_000, of_hostile("xlsx-strings")),
    "objects of JSON Lines": ("read", 50_000, of_hostile("jsonl-rows")),
    "keys of a JSON object": ("read", 50_000, of_hostile("json-keys")),
    "rows of Parquet": ("read", 60_000, of_hostile("parquet-rows")),
    "cells of Parquet, all one text of 1 MB": ("read", 10_000, of_hostile("parquet-dictionary")),
    "files in a zip": ("read", 25_000, of_hostile("zip-entries")),
    "files in a gzipped tar": ("read", 25_000, of_hostile("tar-entries")),
    "classes of a model": ("open", 1_000, of_content("model.muslin", classes)),
    "layers of a model": ("open", 1_000, of_content("model.muslin", layers)),
}
"""Per kind what is done, the smallest of the sizes, and what writes a file of a size into a folder."""

DOUBLINGS = 2


def open_file(action: str, path: Path) -> None:
    from muslin.data import read
    from muslin.errors import MuslinError
    from muslin.images import decode
    from muslin.models.predictor import Predictor

    try:
        if action == "open":
            Predictor.open(path)
        else:
            decode(path) if action == "decode" else read(path, all_targets=True)
    except MuslinError as error:
        if error.code not in ("image_format", "label_column_not_found", "unlabelled"):
            print(error.code)


def measure(action: str, path: Path) -> dict[str, Any]:
    """Processor time and largest memory of a process that opens the file, and the code of the error, if any."""
    words = [sys.executable, __file__, "--open", action, str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak, refused = done.stdout.split("\n")[-2], done.stdout.split("\n")[:-2]
    return {"seconds": round(seconds, 2), "mb": int(peak), "refused": "".join(refused)}


def measure_kind(kind: str) -> list[dict[str, Any]]:
    action, start, write = KINDS[kind]
    rows = []
    for size in (start << doubling for doubling in range(DOUBLINGS + 1)):
        with tempfile.TemporaryDirectory(prefix="muslin-cost-") as folder:
            path = write(size, Path(folder))
            file_bytes = path.stat().st_size if path.is_file() else 0
            rows.append({"kind": kind, "size": size, "bytes": file_bytes, **measure(action, path)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to this file, too")
    parser.add_argument("--open", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        open_file(arguments.open[0], Path(arguments.open[1]))
        lines = Path("/proc/self/status").read_text().splitlines()
        print(next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM")))
        return
    print("| kind | size | file | seconds | MB |\n| --- | --- | --- | --- | --- |")
    measured = []
    for kind in arguments.kinds or KINDS:
        rows = measure_kind(kind)
        measured += rows
        for row in rows:
            outcome = f" ({row['refused']})" if row["refused"] else ""
            size, file_mb = f"{row['size']:,}", f"{row['bytes'] / 1e6:.2f} MB"
            print(f"| {kind} | {size} | {file_mb} | {row['seconds']:.1f}{outcome} | {row['mb']} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
