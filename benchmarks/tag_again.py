"""How long does `tag` take at another precision, with what the network gave for the photos in the cache?

    python benchmarks/tag_again.py [DATA] [--model MODEL] [--photos 5000] [--rounds 3] [--note SENTENCE]

DATA is clothing-small, by default as `muslin get` keeps it. Makes a catalogue of as many of its photos as are asked
for; of more than it has, the others are mirrored copies. Without MODEL, trains one on DATA with the recipe `photo`.
Each measurement is a `muslin tag` of its own process, from the start of Python to its end. The first job of a round
begins with an empty cache, at 0.95; `again` tags at 0.98 with the first one's cache. At the end, 0.98 is tagged once
with an empty cache, and the output compared. Processor time counts all threads. Takes about fifteen minutes on two
cores with 5,000 photos. Results go to benchmarks/results/.
"""

import argparse
import csv
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results_file import start_result, write_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="clothing-small")
    parser.add_argument("--model", help="by default one is trained")
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], arguments.note)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or train(arguments.data, folder / "run")
        catalogue = write_catalogue(arguments.data, folder / "catalogue", arguments.photos)
        words = [model, str(catalogue), "--images", str(catalogue.parent)]
        write_result(head, {"photos": arguments.photos, **measure(words, folder, arguments.rounds)})


def train(data: str, out: Path) -> str:
    subprocess.run([sys.executable, "-m", "muslin", "train", data, "--recipe", "photo", "-o", str(out)], check=True)
    return str(out)


def write_catalogue(data: str, folder: Path, count: int) -> Path:
    """A table of `count` products with a photo each, beside the photos."""
    from PIL import Image, ImageOps

    from muslin.data import photos, read

    images = read(data).images
    assert isinstance(images, photos.PhotoImages)
    folder.mkdir()
    rows = []
    for number in range(count):
        round_, place = divmod(number, len(images))
        content = images.photos[place].content()
        if round_:  # other pixels, because the cache knows photos by their content
            buffer = io.BytesIO()
            photo = ImageOps.mirror(Image.open(io.BytesIO(content)).convert("RGB"))
            photo.save(buffer, "JPEG", quality=90 - round_)
            content = buffer.getvalue()
        (folder / f"{number:05}.jpg").write_bytes(content)
        rows.append((f"P{number:05}", f"{number:05}.jpg"))
    with open(folder / "catalogue.csv", "w", newline="") as file:
        csv.writer(file).writerows([("product", "image"), *rows])
    return folder / "catalogue.csv"


def measure(words: list[str], folder: Path, rounds: int) -> dict[str, Any]:
    """Times of each job, the size of the cache, and whether it changes the output."""
    runs: dict[str, list[dict[str, float]]] = {"first": [], "again": []}
    for number in range(rounds):
        cache = folder / f"cache {number}"
        for way, precision in (("first", "0.95"), ("again", "0.98")):
            runs[way].append(tag(words, precision, cache, folder / f"{way}.csv"))
            print(way, runs[way][-1], flush=True)
    cache_bytes = sum(path.stat().st_size for path in cache.rglob("*.rows"))
    runs["without_cache"] = [tag(words, "0.98", folder / "new cache", folder / "new.csv")]
    again, new = ((folder / f"{way}.csv").read_bytes() for way in ("again", "new"))
    return {"rows": again.count(b"\n") - 1, "same_bytes": again == new, "cache_bytes": cache_bytes, "runs": runs}


def tag(words: list[str], precision: str, cache: Path, out: Path) -> dict[str, float]:
    """Clock and processor time of one job, in seconds."""
    line = [sys.executable, "-m", "muslin", "tag", *words, "--precision", precision, "-o", str(out), "--overwrite"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall, 2), "processor_s": round(processor, 2)}


if __name__ == "__main__":
    main()
