"""Does training on ten times as many photos take more memory, and is the time the photos' and the network's own?

    python benchmarks/photos.py PHOTOS [--counts 5000 50000] [--network efficientnet-lite0] [--image-size 96] [--note …]

PHOTOS is a folder or tar of JPEG files in class folders. They are repeated under other names until there are enough,
each copy with other bytes after its end, so that the cache has none. Every training is a process with a cache of its
own. Its peak memory and photos per second are kept in benchmarks/results/, with the times of decoding and of the
network alone, one after the other in one thread: a core that never waits extracts 1 / (decoding + network) photos a
second.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results_file import start_result, write_result

from muslin.data import read
from muslin.data.photos import PhotoImages, resize_photos


def repeated(images: PhotoImages, ids: Any, count: int, folder: Path) -> None:
    """`count` photos as PART/CLASS/NUMBER.jpg, no two with the same bytes."""
    contents: dict[int, bytes] = {}
    for number in range(count):
        place = number % len(images)
        if place not in contents:
            contents[place] = images.photos[place].content()
        path = folder / Path(str(ids[place])).parent / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[place] + number.to_bytes(4, "big"))


def trained(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One training in a process of its own: its peak memory and times."""
    with tempfile.TemporaryDirectory() as out:
        settings = [f"network={options.network}", f"image_size={options.image_size}"]
        words = [word for setting in settings for word in ("--set", setting)]
        command = ["train", str(folder), "--recipe", "photo", *words, "--out", f"{out}/run", "--json"]
        program = (
            "import json, resource, sys, time; from muslin.cli import cli; started = time.perf_counter();"
            "cli.main(sys.argv[1:], standalone_mode=False);"
            "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
            "print(json.dumps([peak, time.perf_counter() - started]))"
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = os.environ | {"XDG_CACHE_HOME": f"{out}/cache"}
        done = subprocess.run(
            [sys.executable, "-c", program, *command], env=environment, capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak_kb, whole_s = json.loads(done.stdout.splitlines()[-1])
        rows = [json.loads(row) for row in (Path(out) / "run/history.jsonl").read_text().splitlines()]
    # the history's time includes the extraction of features; an iteration takes the time between two rows
    iteration_s = (rows[-1]["elapsed_s"] - rows[0]["elapsed_s"]) / max(len(rows) - 1, 1)
    return {
        "peak_mb": round(peak_kb / 1024),
        "whole_s": round(whole_s, 1),
        "extraction_s": round(rows[0]["elapsed_s"] - iteration_s, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }


def alone(folder: Path, options: argparse.Namespace, count: int = 400) -> dict[str, float]:
    """Milliseconds of processor time a photo takes to be decoded and scaled, and to go through the network."""
    from muslin.learn.features import EXTRACTION_BATCH, batch_extractor, feature_graph
    from muslin.learn.networks import build_network
    from muslin.learn.pretrained import backbone_weights

    side = options.image_size
    images: Any = resize_photos(read(folder), (side, side, 3)).images
    indices = np.linspace(0, len(images) - 1, count).astype(int).tolist()
    table = build_network(options.network, (side, side, 3), (), widths=())
    extract = batch_extractor(images, feature_graph(images, table, backbone_weights(table, "imagenet")))
    started = time.thread_time()
    for index in indices:
        images[index]
    decoded = time.thread_time()
    for start in range(0, count, EXTRACTION_BATCH):
        extract(indices[start : start + EXTRACTION_BATCH])
    both = time.thread_time()
    decoding, whole = (decoded - started) / count, (both - decoded) / count
    return {"decoding_ms": round(1000 * decoding, 2), "network_ms": round(1000 * (whole - decoding), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--network", default="efficientnet-lite0")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    head = start_result((__doc__ or "").splitlines()[0], options.note, [options.photos.name, *sys.argv[2:]])
    dataset = read(options.photos)
    assert isinstance(dataset.images, PhotoImages)
    rows = []
    for count in options.counts:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "photos"
            repeated(dataset.images, dataset.ids, count, folder)
            own = alone(folder, options)
            row = {"photos": count, **trained(folder, options), **own}
        core_s = count * (own["decoding_ms"] + own["network_ms"]) / 1000
        row["photos_per_s"] = round(count / row["extraction_s"], 1)
        row["own_core_s"] = round(core_s, 1)
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_result(head, {"rows": rows})


if __name__ == "__main__":
    main()
