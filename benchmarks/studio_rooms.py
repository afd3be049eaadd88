"""How fast and how large are the studio's rooms with much data?

    python benchmarks/studio_rooms.py clothing-dataset-small.tar [--parts NAME …] [--count 32000] [--note SENTENCE]

With a headless Chromium, each part with a folder and a cache of its own:

- `first_images`: seconds from the start of the page's load to the first painted image of Fashion-MNIST (70,000 images)
  in the data room: `cold` (the studio has an empty cache), `warm` (it has the index in its cache) and `open` (a second
  page). The page is loaded three seconds after the studio and the browser were started; `cold_at_start` and
  `warm_at_start` is at once, while both still start.
- `scrolling`: the same data set, images small and medium: 200 turns of the wheel and 40 jumps. Chromium's tasks of the
  page's main thread over 100 ms, by the clock and by the processor's time (on a busy machine a task also waits for a
  core), and the most memory of the page's process.
- `dropped`: 40 photos in 3 classes are dropped: seconds to the data room, and to the trained model.
- `large`: `--count` photos in 4 classes (copies, each round without one more row) are dropped and trained with the
  recipe that the studio suggests: seconds, and the most memory of all processes of the studio together, and of the
  page's.
- `home`: a folder with a folder of 10,000 photos, and one with 10,000 folders of a photo: seconds to its rows.
- `similarity_map`: seconds to the first view of the map by similarity of all photos, and to the map.

Memory is what a process has for itself and its share of what it has with others (Linux's PSS), sampled twice a second.
Keeps everything in benchmarks/results/.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image
from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests/browser")]

from chromium import Page, chromium  # noqa: E402
from page_actions import until  # noqa: E402
from test_home_in_browser import drop  # noqa: E402

from studio_server import running_studio  # noqa: E402

LONG_MS = 100
MOST_S = 4 * 3600  # other work on the machine makes a part slow, and no part wrong
CLASSES = ("t-shirt", "pants", "shoes", "dress")
PAINTED = "[...document.querySelectorAll('.cell canvas')].some(c => c.width > 1)"
WAIT_FOR = """new Promise(done => { const look = () => (%s) ? requestAnimationFrame(() => requestAnimationFrame(
    () => done(performance.now()))) : setTimeout(look, 4); look(); })"""


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A new folder for a studio, with a cache of its own until the end of the block."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory(prefix="studio-rooms-") as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        (folder := Path(place, "shop")).mkdir()
        try:
            yield folder
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


class Memory:
    """The most memory of the studio and its jobs together, and of the page's process, in millions of bytes."""

    def __enter__(self) -> "Memory":
        self.studio = self.page = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        mark = f"XDG_CACHE_HOME={os.environ['XDG_CACHE_HOME']}\0".encode()
        while not self._ended.wait(0.5):
            studio = page = 0.0
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError, StopIteration):
                    command = (process / "cmdline").read_bytes()
                    if b"--type=renderer" in command and _is_below(process, os.getpid()):
                        page = max(page, _pss_mb(process))
                    elif b"chrom" not in command and mark in (process / "environ").read_bytes() + b"\0":
                        studio += _pss_mb(process)
            self.studio, self.page = max(self.studio, studio), max(self.page, page)

    def found(self) -> dict[str, float]:
        return {"studio_mb": round(self.studio), "page_mb": round(self.page)}


def _is_below(process: Path, ancestor: int) -> bool:
    """Whether `ancestor` started the process, or what started it, and so on."""
    while (pid := int(process.name)) > 1:
        if pid == ancestor:
            return True
        status = (process / "status").read_text().splitlines()
        process = process.parent / next(line.split()[1] for line in status if line.startswith("PPid:"))
    return False


def _pss_mb(process: Path) -> float:
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────


SETTLED_S = 3
"""Seconds after which the studio and the browser have started; both take all cores until then."""


def first_images(photos: "Photos") -> dict[str, Any]:
    """Seconds to the first painted image; per state all measurements."""
    found: dict[str, list[float]] = {}
    for pause_s, suffix in ((0, "_at_start"), (SETTLED_S, "")) * 3:
        with empty_folder() as folder:
            for states in (("cold",), ("warm", "open")):
                with running_studio(folder) as address, chromium() as page:
                    page.resize(1280, 900)
                    time.sleep(pause_s)
                    for state in states:
                        page.visit(f"{address}/#page=data&data=fashion-mnist")
                        seconds = round(page.run(WAIT_FOR % PAINTED) / 1000, 3)
                        found.setdefault(state if state == "open" else state + suffix, []).append(seconds)
    return {f"{state}_s": {"median": statistics.median(all_s), "all": all_s} for state, all_s in found.items()}


def scrolling(photos: "Photos") -> dict[str, Any]:
    """Long tasks while scrolling through 70,000 images, and the memory of the page."""
    found: dict[str, Any] = {}
    for size, width, height in (("medium", 1280, 900), ("small", 1920, 1080)):
        with empty_folder() as folder, running_studio(folder) as address, chromium() as page:
            page.resize(width, height)
            with Memory() as memory:
                page.visit(f"{address}/#page=data&data=fashion-mnist&size={size}")
                page.run(WAIT_FOR % PAINTED)
                time.sleep(1)
                wheel = main_thread_tasks(page, lambda page=page: turn_wheel(page))
                jumps = main_thread_tasks(page, lambda page=page: jump(page))
            found[size] = {"cells": page.run("document.querySelectorAll('.cell').length")}
            found[size] |= {"wheel": wheel, "jumps": jumps, "page_mb": round(memory.page)}
    return found


def turn_wheel(page: Page) -> None:
    box = page.run(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('.imagegrid').getBoundingClientRect())"
    )
    for turn in range(200):
        delta = 400 if turn < 150 else -400
        page.call("Input.dispatchMouseEvent", type="mouseWheel", x=box[0], y=box[1], deltaX=0, deltaY=delta)
        time.sleep(0.03)
    assert page.run("document.querySelector('.imagegrid').scrollTop") > 10_000


def jump(page: Page) -> None:
    places = random.Random(0)
    for _ in range(40):
        page.run(f"(g => g.scrollTop = {places.random()} * g.scrollHeight)(document.querySelector('.imagegrid'))")
        time.sleep(0.15)
    page.run(WAIT_FOR % PAINTED)


def main_thread_tasks(page: Page, act: Callable[[], None]) -> dict[str, Any]:
    """The long tasks of the page's main thread while something is done, in milliseconds."""
    page.call(
        "Tracing.start", transferMode="ReportEvents", traceConfig={"includedCategories": ["toplevel", "__metadata"]}
    )
    act()
    page.call("Tracing.end")
    events = [each for part in page.heard_until("Tracing.tracingComplete") for each in part.get("value", ())]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    mains = {thread for thread, name in names.items() if name == "CrRendererMain"}
    tasks = [
        e for e in events if (e["pid"], e["tid"]) in mains and e.get("ph") == "X" and e["name"].endswith("RunTask")
    ]
    clock, processor = ([e.get(name, 0) / 1000 for e in tasks] for name in ("dur", "tdur"))
    return {
        "tasks": len(tasks),
        "long_by_clock_ms": sorted(round(ms) for ms in clock if ms > LONG_MS),
        "long_by_processor_ms": sorted(round(ms) for ms in processor if ms > LONG_MS),
        "longest_by_clock_ms": round(max(clock), 1),
        "longest_by_processor_ms": round(max(processor), 1),
    }


def dropped(photos: "Photos") -> dict[str, Any]:
    """40 photos in 3 classes: seconds to the data room and to a trained model."""
    with empty_folder() as folder:
        shop = photos.write(folder.parent / "dropped", 40, CLASSES[:3])
        return import_and_train(folder, shop)


def large(photos: "Photos") -> dict[str, Any]:
    """Many photos: seconds and memory of the import and of the training."""
    with empty_folder() as folder:
        shop = photos.write(folder.parent / "dropped", photos.count, CLASSES)
        return {"photos": photos.count} | import_and_train(folder, shop)


def import_and_train(folder: Path, shop: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with running_studio(folder) as address, chromium() as page:
        page.resize(1280, 900)
        page.visit(f"{address}/")
        until(page, "document.querySelector('.drop')")
        begun = time.perf_counter()
        with Memory() as memory:
            drop(page, shop)
            until(page, f"location.hash.includes('page=data') && {PAINTED}", 900)
        found["data_room_s"] = round(time.perf_counter() - begun, 1)
        found["import"] = memory.found()
        print(json.dumps(found), flush=True)
        with Memory() as memory:
            for words, wait_s in (("Train", 60), ("Train with", MOST_S)):
                of_words = f"!e.disabled && e.textContent.trim().startsWith({words!r})"
                until(
                    page,
                    button := f"[...document.querySelectorAll('main a, main button')].find(e => {of_words})",
                    wait_s,
                )
                page.run(f"({button}).click()")
            until(
                page, "[...document.querySelectorAll('main a')].some(e => e.textContent === 'See its mistakes')", MOST_S
            )
        found["model_s"] = round(time.perf_counter() - begun, 1)
        found["training"] = memory.found()
    (run,) = (folder / "runs").iterdir()
    found["recipe"] = json.loads((run / "run.json").read_text())["recipe"]["name"]
    return found


def home(photos: "Photos") -> dict[str, Any]:
    """Seconds from the start of the page's load to the rows of a home page."""
    found: dict[str, Any] = {}
    for name, pattern in (("files", "photos/{}.jpg"), ("folders", "{}/0.jpg")):
        with empty_folder() as folder:
            photos.write_all(folder, [pattern.format(n) for n in range(10_000)])
            with running_studio(folder) as address, chromium() as page:
                times = []
                for _ in range(3):
                    page.visit(f"{address}/")
                    times.append(round(page.run(WAIT_FOR % "document.querySelector('.row')") / 1000, 3))
            found[f"{name}_s"] = times
    return found


def similarity_map(photos: "Photos") -> dict[str, Any]:
    """Seconds from the click to the map of all photos of clothing-small."""
    with empty_folder() as folder:
        names = {path: f"{path.parent.name}/{path.name}" for path in photos.paths}
        for path, name in names.items():
            (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / "photos" / name)
        with running_studio(folder) as address, chromium() as page:
            page.visit(f"{address}/#page=data&data=photos&show=map")
            until(page, "document.querySelector('.empty .main')", 60)
            begun = time.perf_counter()
            page.run("document.querySelector('.empty .main').click()")
            until(page, "document.querySelector('canvas.datamap')?.width > 100", 900)
            first_s = time.perf_counter() - begun
            until(page, "!document.querySelector('.job')", 900)
            map_s = time.perf_counter() - begun
            return {"photos": len(names), "first_view_s": round(first_s, 1), "map_s": round(map_s, 1)}


class Photos:
    """The photos of clothing-small, and copies of them whose pixels are not equal."""

    def __init__(self, folder: Path, count: int) -> None:
        self.paths = sorted(folder.rglob("*.jpg"))
        self.count = count

    def write(self, folder: Path, count: int, classes: tuple[str, ...]) -> Path:
        """`count` photos in a folder of each class."""
        of = {name: [path for path in self.paths if path.parent.name == name] for name in classes}
        for n in range(count):
            name = classes[n % len(classes)]
            (folder / name).mkdir(parents=True, exist_ok=True)
            number, photo = divmod(n // len(classes), len(of[name]))
            _write_copy(of[name][photo], folder / name / f"{n:05}.jpg", number)
        return folder

    def write_all(self, folder: Path, names: list[str]) -> None:
        for n, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            number, photo = divmod(n, len(self.paths))
            _write_copy(self.paths[photo], folder / name, number)


def _write_copy(source: Path, target: Path, number: int) -> None:
    """A copy without its first rows: as many as `number`. muslin sets copies with equal pixels aside where it tests."""
    with Image.open(source) as image:
        image.crop((0, number, *image.size)).save(target, quality=90)


PARTS = {part.__name__: part for part in (first_images, scrolling, dropped, home, similarity_map, large)}


def main() -> None:
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("photos", type=Path)
    asking.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    asking.add_argument("--count", type=int, default=32_000, help="photos of the part large (default 32,000)")
    asking.add_argument("--note", default="")
    arguments = asking.parse_args()

    head = start_result("How fast and how large are the studio's rooms with much data?", arguments.note)
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(arguments.photos) as archive:
            archive.extractall(folder, filter="data")
        photos = Photos(Path(folder), arguments.count)
        for name in arguments.parts:
            measured[name] = PARTS[name](photos)
            print(name, json.dumps(measured[name], indent=1), flush=True)
    write_result(head, measured)


if __name__ == "__main__":
    main()
