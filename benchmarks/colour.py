"""How often is the main colour of a garment correct, by a person who saw the photo, and how long does it take?

    python benchmarks/colour.py PHOTOS [--note SENTENCE]

PHOTOS is the folder of clothing-small. `hand_checked_colours.csv` holds, for 300 of its photos drawn at random, the
main colours that a person would accept, written down before any program had named them; settings were chosen on 90
others. Beside muslin: the mean colour of the photo's middle quarter, and the first colour of colorthief's palette
(`pip install colorthief`), if it is there, each named by muslin's table. Processor time counts, decoding included.
Results go to benchmarks/results/.
"""

import argparse
import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from results_file import start_result, write_result

LABELS = Path(__file__).with_name("hand_checked_colours.csv")


def by_muslin(content: bytes, colours: Any) -> tuple[str, bool]:
    from muslin.colour import colour_shares, product_colours
    from muslin.colour.main_colours import DETAIL_PX
    from muslin.images import decode

    pixels = decode(content, min_side_px=DETAIL_PX, name="photo").pixels
    found = product_colours([colour_shares(pixels, colours)], colours)
    return found.names[0], found.is_unclear


def by_middle(content: bytes, colours: Any) -> tuple[str, bool]:
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (384, 384))
        pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    middle = pixels[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]
    return _named(middle.reshape(-1, 3).mean(axis=0), colours), False


def by_colorthief(content: bytes, colours: Any) -> tuple[str, bool]:
    from colorthief import ColorThief

    return _named(np.array(ColorThief(io.BytesIO(content)).get_color(quality=10)), colours), False


def _named(rgb: Any, colours: Any) -> str:
    from muslin.colour.cielab import srgb_to_lab

    return str(colours.names[int(colours.nearest(srgb_to_lab(rgb.round().astype(np.uint8)[np.newaxis]))[0])])


def measure(photos: Path, way: Callable[[bytes, Any], tuple[str, bool]]) -> dict[str, Any]:
    from muslin.colour import read_named_colours
    from muslin.evaluation.intervals import wilson_interval

    colours, correct, unclear, used_s = read_named_colours(), [], [], 0.0
    with LABELS.open(newline="") as file:
        for row in csv.DictReader(file):
            content = (photos / row["photo"]).read_bytes()
            started = time.process_time()
            name, is_unclear = way(content, colours)
            used_s += time.process_time() - started
            correct.append(name in row["main"].split("|"))
            unclear.append(is_unclear)
    clear = np.array(correct)[~np.array(unclear)]
    return {
        "photos": len(correct),
        "correct": sum(correct),
        "agreement": sum(correct) / len(correct),
        "interval": list(wilson_interval(sum(correct), len(correct))),
        "clear": len(clear),
        "correct_of_clear": int(clear.sum()),
        "interval_of_clear": list(wilson_interval(int(clear.sum()), len(clear))),
        "processor_ms": 1000 * used_s / len(correct),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--note", default="")
    arguments = parser.parse_args()
    head = start_result(str(__doc__).splitlines()[0], arguments.note)
    ways = {"muslin": by_muslin, "middle": by_middle}
    try:
        import colorthief  # noqa: F401

        ways["colorthief"] = by_colorthief
    except ImportError:
        print("colorthief is not installed, so it is left out")
    results = {}
    for name, way in ways.items():
        results[name] = measure(arguments.photos, way)
        print(name, results[name])
    write_result(head, {"results": results})


if __name__ == "__main__":
    main()
