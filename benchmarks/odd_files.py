"""How does muslin handle odd images and tables from other projects? Each is read, or refused with its name.

    python benchmarks/odd_files.py FOLDER... [--json FILE]     your own collections, with all folders below
    python benchmarks/odd_files.py --fetch CACHE [--json FILE] public ones, downloaded by pip, npm and apt into CACHE

Each file is opened as scripts/fuzz opens damaged ones: decoded, or read as a table and written with columns if its name
ends as a table's, within 10 s of processor time and 1 GB. The outcome is `failed` if it is anything but pixels, a table
or one of muslin's errors. The exit code is 1 if any file failed. --list prints the message of each file, not only of
those that failed.
"""

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/fuzz"))  # scripts, not a package

from worker import Worker

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".csv.gz")

DEBIAN = {
    "libjpeg-turbo": "testimages",
    "libpng1.6": "contrib/pngsuite",
    "libstb": "tests/pngsuite",  # PngSuite, and PNG files damaged on purpose
    "gdk-pixbuf": "tests/test-images",
    "golang-github-disintegration-imaging": "testdata",  # one photo in every EXIF orientation
    "libimage-exiftool-perl": "t/images",
}
"""Debian's source packages with odd files, and the folder of these."""


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────


def downloaded_folders(cache: Path) -> Iterator[Path]:
    """The folders of the public collections in `cache`, downloaded if they do not exist."""
    for name, fetch, inside in COLLECTIONS:
        folder = cache / name
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="muslin-odd-") as scratch:
                try:
                    archive = fetch(name, Path(scratch))
                    with tarfile.open(archive) as tar:
                        tar.extractall(Path(scratch) / "all", filter="data")
                    source = next(Path(scratch, "all").glob(f"*/{inside}"))
                    cache.mkdir(parents=True, exist_ok=True)
                    shutil.move(source, folder)
                except (OSError, StopIteration, subprocess.SubprocessError, tarfile.TarError) as error:
                    print(f"SKIPPED: {name} could not be downloaded ({error})", file=sys.stderr)
                    continue
        yield folder


def _from_pip(name: str, folder: Path) -> Path:
    words = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), name]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=600)
    return next(folder.glob("*.tar.gz"))


def _from_npm(name: str, folder: Path) -> Path:
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, check=True, timeout=120, stdout=2)
    return next(folder.glob("*.tgz"))


def _from_debian(name: str, folder: Path) -> Path:
    """The upstream sources of a Debian package, with package lists of its own, so that the system's stay unchanged."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "sources.list").write_text("deb-src http://deb.debian.org/debian bookworm main\n")
    options = [f"-oDir::Etc::sourcelist={folder}/sources.list", "-oDir::Etc::sourceparts=-", "-qq",
           f"-oDir::State::lists={folder}/lists", f"-oDir::Cache={folder}", "-oAPT::Sandbox::User=root"]  # fmt: skip
    subprocess.run(["apt-get", *options, "update"], cwd=folder, check=True, timeout=120)
    # some mirrors lack the small archive of Debian's own changes, which is not needed
    words = ["source", "--download-only", name]
    subprocess.run(["apt-get", *options, *words], cwd=folder, check=False, timeout=600, stdout=2)
    return next(folder.glob("*.orig.tar.*"))


COLLECTIONS: tuple[tuple[str, Callable[[str, Path], Path], str], ...] = (
    ("pillow", _from_pip, "Tests/images"),
    ("csv-spectrum", _from_npm, "csvs"),
    ("csvkit", _from_pip, "examples"),
    ("agate-excel", _from_pip, "examples"),
    *((name, _from_debian, inside) for name, inside in DEBIAN.items()),
)
"""Name of the package, how to download it, and the folder in it."""


def print_rows(folder: Path, rows: list[dict[str, Any]], every: bool) -> None:
    """Print the failed files, or `every` one, and the numbers of files by outcome."""
    for row in rows:
        if every or row["outcome"] == "failed":
            print(f"{row['outcome']:8}{row['seconds']:6.2f} s {row['mb']:5} MB  {row['file']}: {row['message']}")
    counts = collections.Counter(row["outcome"] for row in rows)
    maxima = [max((row[key] for row in rows), default=0) for key in ("seconds", "mb")]
    print(
        f"{folder.name}: {len(rows):,} files, {counts['read']:,} read, {counts['refused']:,} refused, "
        f"{counts['failed']:,} failed; at most {maxima[0]:.1f} s and {maxima[1]:,} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--fetch", type=Path, metavar="CACHE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    folders = [*arguments.folders, *(downloaded_folders(arguments.fetch) if arguments.fetch else ())]
    results = []
    with Worker() as worker:
        for folder in folders:
            rows = []
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                found = worker.run("table" if path.name.lower().endswith(TABLES) else "decode", path)
                row = {"file": str(path), "outcome": found.result, "message": found.message}
                rows.append(row | {"seconds": found.seconds, "mb": found.mb})
            results += [{"collection": folder.name} | row for row in rows]
            print_rows(folder, rows, arguments.list)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(not results or any(row["outcome"] == "failed" for row in results))


if __name__ == "__main__":
    sys.exit(main())
