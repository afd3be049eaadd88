"""How fast does muslin read photos, compared with the JPEG decoder alone, and does memory grow with their number?

    python benchmarks/read_photos.py DATA [--photos N] [--rounds N] [--note SENTENCE]

DATA is any set of photos, such as clothing-small or a tar of it. Pillow decodes the photos from memory to an array,
muslin from their file, in turns: at full size, and scaled to fit as for training, where Pillow too can decode to a
half, a quarter or an eighth and then scales with the same filter. Processor time counts, so that other processes
disturb little; of each block of photos the best of all rounds counts. Then separate processes read all photos once,
and three times over, with one and two threads: the time, and the peak memory. Results go to benchmarks/results/.
"""

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from results_file import peak_mb, start_result, write_result

BLOCK = 20
SIDES_PX = (64, 224)


def by_pillow(content: bytes, side_px: int | None) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        if side_px is None:
            return np.asarray(image.convert("RGB") if image.mode not in ("RGB", "L") else image)
        image.draft(None, (2 * side_px, 2 * side_px))
        scale = side_px / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def compare(data: str, count: int, rounds: int) -> dict[str, Any]:
    """Per size the milliseconds of processor time per photo, and muslin's rate as a share of Pillow's."""
    from muslin.data import read
    from muslin.data.photos import PhotoImages, resize_photos

    dataset = read(data)
    assert isinstance(dataset.images, PhotoImages)
    chosen = np.random.default_rng(0).choice(len(dataset), min(count, len(dataset)), replace=False)
    contents = [dataset.images.photos[i].content() for i in chosen.tolist()]
    results = {}
    for side_px in (None, *SIDES_PX):
        images = resize_photos(dataset, (side_px, side_px, 3)).images if side_px else dataset.images
        ways: dict[str, Callable[[int], Any]] = {
            "pillow": lambda place, side_px=side_px: by_pillow(contents[place], side_px),
            "muslin": lambda place, images=images: images[int(chosen[place])],
        }
        best = {way: np.full(-(-len(chosen) // BLOCK), np.inf) for way in ways}
        for _ in range(rounds):
            for block, start in enumerate(range(0, len(chosen), BLOCK)):
                for way, work in ways.items():
                    start_s = time.process_time()
                    for place in range(start, min(start + BLOCK, len(chosen))):
                        work(place)
                    best[way][block] = min(best[way][block], time.process_time() - start_s)
        ms = {way: round(float(blocks.sum()) / len(chosen) * 1000, 3) for way, blocks in best.items()}
        name = f"fitted to {side_px} px" if side_px else "at full size"
        results[name] = {**{f"{way}_ms": value for way, value in ms.items()},
                       "rate_relative_to_pillow": round(ms["pillow"] / ms["muslin"], 3)}  # fmt: skip
        print(name, results[name], flush=True)
    return results


def read_all(data: str, times: int, threads: int) -> dict[str, Any]:
    """Time and peak memory of reading all photos `times` times."""
    from muslin.data import read
    from muslin.data.photos import parallel_map, resize_photos

    dataset = read(data)
    images = resize_photos(dataset, (SIDES_PX[0], SIDES_PX[0], 3)).images
    count = times * len(images)
    wall, processor = time.perf_counter(), time.process_time()
    checksum = sum(int(image[0, 0, 0]) for image in parallel_map(lambda i: images[i % len(images)], count, threads))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "photos": count,
        "threads": threads,
        "wall_s": round(wall, 2),
        "processor_s": round(processor, 2),
        "cores_busy": round(processor / wall, 2),
        "peak_mb": round(peak_mb(), 1),
        "checksum": checksum,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    parser.add_argument("--read", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read_all(arguments.data, *arguments.read)))
        return

    head = start_result(
        "How fast are photos read, compared with the decoder alone, and does memory grow with their number?",
        arguments.note,
        [Path(arguments.data).name, *sys.argv[2:]],
    )
    decoding = compare(arguments.data, arguments.photos, arguments.rounds)
    reading = []
    for times, threads in ((1, 1), (1, 2), (3, 2)):
        command = [sys.executable, __file__, arguments.data, "--read", str(times), str(threads)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        reading.append(json.loads(done.stdout))
        print(reading[-1], flush=True)
    result = {"decoding": decoding, "read": reading}
    write_result(head, result)


if __name__ == "__main__":
    main()
