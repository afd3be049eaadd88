"""Open damaged and odd files for a while, and keep those on which muslin fails.

    scripts/fuzz 10                        ten minutes, a process on each core
    scripts/fuzz 10 --only csv,xlsx        only these kinds of files
    scripts/fuzz --replay FOLDER           open a failing input again, which is kept in FOLDER

A kind's inputs are numbered, and a number gives the same input on every computer. Damaged files are opened as a data
set, as a table that gets columns, or as an image, and must be read or refused with a MuslinError. Valid tables, folders
and archives, of the kinds in properties.py, must be read whole, and written without loss. Models that were changed and
sealed again must be refused, or give strict JSON. Another exception, a warning, a dead process, more than 10 s of
processor time or 1 GB of memory is a failure, and the exit code is 1.
"""

import argparse
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import valid_files
from mutations import mutate
from properties import PROPERTIES
from valid_files import IMAGES
from worker import MAX_SECONDS, Outcome, Worker

KINDS = (*valid_files.KINDS, *PROPERTIES)

SLICE = 48
"""Inputs of one kind before the next kind's."""

EXAMPLES = 24
"""Valid inputs for one number."""

MAX_SHOWN = 10
"""Failures that are printed, each of another cause."""


@dataclass
class KindCounts:
    """The outcomes for one kind of file, and the most processor time and memory that one input took."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    mb: int = 0

    def add(self, outcome: Outcome, inputs: int) -> None:
        self.inputs += inputs
        setattr(self, outcome.result, getattr(self, outcome.result) + (1 if outcome.result == "failed" else inputs))
        self.seconds, self.mb = max(self.seconds, outcome.seconds), max(self.mb, outcome.mb)


@dataclass
class Tally:
    """The outcomes so far. Safe in threads.

    Attributes:
        kept_in: the folder for failing inputs, one for each cause.
        failures: by cause, where the input is kept, and the message.
    """

    kept_in: Path
    counts: dict[str, KindCounts] = field(default_factory=dict)
    failures: dict[str, tuple[Path, str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, number: int, action: str, outcome: Outcome, folder: Path) -> None:
        """Count the outcome for the input whose files are in `folder`."""
        with self.lock:
            inputs = EXAMPLES if action == "property" else 1
            self.counts.setdefault(kind, KindCounts()).add(outcome, inputs)
            if outcome.result != "failed" or outcome.place in self.failures:
                return
            kept = self.kept_in / f"{kind}-{number}-{action}"
            self.failures[outcome.place] = kept, outcome.message
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept / "input", symlinks=True)
            content = {"kind": kind, "number": number, "action": action} | vars(outcome)
            (kept / "failure.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            print(f"FAILED {kind} {number}: {outcome.message.splitlines()[0][:300]}", flush=True)


# ── One input ────────────────────────────────────────────────────────────────────────────────────────────


def write_damaged(kind: str, number: int, folder: Path) -> Path:
    """Write input `number` of a kind into `folder`; the path to open."""
    valid, random = valid_files.valid_files(kind), Random(f"{kind} {number}")
    for name, content in valid.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    name = random.choice(valid.damaged)
    (folder / name).write_bytes(mutate(valid.files[name], random))
    return folder / valid.opened


def run_slice(worker: Worker, kind: str, numbers: Sequence[int], tally: Tally, until: float = float("inf")) -> None:
    """Open the inputs with these numbers, at least the first, while the clock (time.monotonic) is before `until`."""
    for number in numbers[::EXAMPLES] if kind in PROPERTIES else numbers:
        with tempfile.TemporaryDirectory(prefix="muslin-fuzz-") as scratch:
            folder = Path(scratch)
            path = folder if kind in PROPERTIES else write_damaged(kind, number, folder)
            for action in actions_for(kind, number, path):
                tally.add(kind, number, action, open_input(worker, kind, number, action, path), folder)
        if time.monotonic() > until:
            return


def actions_for(kind: str, number: int, path: Path) -> list[str]:
    """What is done with an input; one of eight is also opened in formats that it has not."""
    if kind in PROPERTIES or kind in IMAGES:
        return ["property" if kind in PROPERTIES else "decode"]
    return ["read", *(["table"] if path.is_file() else []), *(["formats"] if number % 8 == 0 else [])]


def open_input(worker: Worker, kind: str, number: int, action: str, path: Path) -> Outcome:
    """The outcome for a damaged file at `path`, or for valid ones that are made in the folder `path`."""
    if action == "property":
        return worker.run(action, path / "files", name=kind, number=number, examples=EXAMPLES)
    return worker.run(action, path)


# ── A run ────────────────────────────────────────────────────────────────────────────────────────────────


def run(kinds: Sequence[str], first: int, tally: Tally, until: float, max_seconds: float) -> None:
    """Open inputs of all kinds in turn, from number `first`, in one process for each core."""
    slices: Iterator[tuple[str, range]] = (
        (kind, range(start, start + SLICE)) for start in itertools.count(first, SLICE) for kind in kinds
    )
    lock = threading.Lock()

    def work() -> None:
        with Worker(max_seconds) as worker:
            while not tally.counts or time.monotonic() < until:
                with lock:
                    kind, numbers = next(slices)
                run_slice(worker, kind, numbers, tally, until)

    threads = [threading.Thread(target=work) for _ in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def replay(folder: Path, max_seconds: float) -> int:
    """Open a kept input again and print what comes of it; the exit code."""
    failure = json.loads((folder / "failure.json").read_text(encoding="utf-8"))
    kind, action = failure["kind"], failure["action"]
    with Worker(max_seconds) as worker, tempfile.TemporaryDirectory(prefix="muslin-fuzz-") as scratch:
        path = Path(scratch) if kind in PROPERTIES else folder / "input" / valid_files.valid_files(kind).opened
        outcome = open_input(worker, kind, failure["number"], action, path)
    print(outcome.details or outcome.message)
    return int(outcome.result == "failed")


def print_summary(tally: Tally) -> None:
    print(f"{'kind':28}{'inputs':>10}{'read':>10}{'refused':>10}{'failed':>8}{'max. s':>8}{'max. MB':>9}")
    for kind, counts in tally.counts.items():
        numbers = f"{counts.inputs:10,}{counts.read:10,}{counts.refused:10,}{counts.failed:8,}"
        print(f"{kind:28}{numbers}{counts.seconds:8.2f}{counts.mb:9,}")
    total = sum(counts.inputs for counts in tally.counts.values())
    failed = sum(counts.failed for counts in tally.counts.values())
    print(f"{total:,} inputs of {len(tally.counts)} kinds, {failed:,} failed, for {len(tally.failures)} reasons")
    for kept, message in list(tally.failures.values())[:MAX_SHOWN]:
        print(f"\n{message[:1000]}\n    scripts/fuzz --replay {kept}")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "scripts/fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("minutes", nargs="?", type=float, help="how long, by the clock")
    parser.add_argument("--only", metavar="KIND,…", help="these kinds of files only")
    parser.add_argument("--first", type=int, help="number of the first input of each kind; by default at random")
    parser.add_argument("--kept-in", type=Path, default=Path("fuzz-failures"), metavar="FOLDER",
                        help="for failing inputs; by default fuzz-failures")  # fmt: skip
    parser.add_argument("--max-seconds", type=float, default=MAX_SECONDS, help="processor time of one input")
    parser.add_argument("--replay", type=Path, metavar="FOLDER", help="open the failing input that is kept there")
    arguments = parser.parse_args(words)
    if arguments.replay:
        return replay(arguments.replay, arguments.max_seconds)
    kinds = arguments.only.split(",") if arguments.only else list(KINDS)
    if arguments.minutes is None or not set(kinds) <= set(KINDS):
        parser.error(f"pass a number of minutes, and kinds of {', '.join(KINDS)}")
    first = Random().randrange(10**9) if arguments.first is None else arguments.first
    print(f"{len(kinds)} kinds, {arguments.minutes:g} minutes, from number {first} (--first {first})", flush=True)
    tally = Tally(arguments.kept_in)
    run(kinds, first, tally, time.monotonic() + 60 * arguments.minutes, arguments.max_seconds)
    print_summary(tally)
    return int(bool(tally.failures) or not tally.counts)


if __name__ == "__main__":
    raise SystemExit(main())
